"""Text before a model sees it: preprocessing, sub-word training, augmentation and corpus statistics."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlpladder.text.augmentation import Augmenter
    from nlpladder.text.preprocessing import Preprocessor
    from nlpladder.text.statistics import CorpusStatistics
    from nlpladder.text.subwords import train_subword_tokenizer

__all__ = ["Augmenter", "CorpusStatistics", "Preprocessor", "train_subword_tokenizer"]


def __getattr__(name: str) -> Any:
    """Import the public names on first use."""
    if name == "Augmenter":
        from nlpladder.text.augmentation import Augmenter

        return Augmenter
    if name == "CorpusStatistics":
        from nlpladder.text.statistics import CorpusStatistics

        return CorpusStatistics
    if name == "Preprocessor":
        from nlpladder.text.preprocessing import Preprocessor

        return Preprocessor
    if name == "train_subword_tokenizer":
        from nlpladder.text.subwords import train_subword_tokenizer

        return train_subword_tokenizer
    raise AttributeError(f"module 'nlpladder.text' has no attribute {name!r}")
