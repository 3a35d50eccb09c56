"""Loading labelled and unlabelled text from files, folders, the Hub and the built-in worlds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlpladder.data.conll import read_conll
    from nlpladder.data.loading import load_text_dataset
    from nlpladder.data.text_dataset import TextDataset
    from nlpladder.data.unlabeled import load_unlabeled_text

__all__ = ["TextDataset", "load_text_dataset", "load_unlabeled_text", "read_conll"]

_HOME = {
    "TextDataset": "text_dataset",
    "load_text_dataset": "loading",
    "load_unlabeled_text": "unlabeled",
    "read_conll": "conll",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that importing the package stays cheap."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
