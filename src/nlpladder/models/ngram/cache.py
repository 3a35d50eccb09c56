"""A cache model: words that were used lately are likely to be used again (Kuhn & De Mori 1990)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, ModelError
from nlpladder.models.ngram.interpolation import InterpolatedLanguageModel, em_weights
from nlpladder.models.ngram.model import NGramLanguageModel
from nlpladder.models.ngram.storage import CONFIG_NAME, read_config, saved_folder, write_config
from nlpladder.models.ngram.vocabulary import BEGIN_ID, Vocabulary
from nlpladder.models.ngram.word_model import PredictedTexts, WordLanguageModel
from nlpladder.text.text_tokenizer import TextTokenizer

FloatArray = npt.NDArray[np.float64]
_BASE = "base_model"


class CacheLanguageModel(WordLanguageModel):
    r"""A language model interpolated with a cache of the text so far.

    .. math:: p(w | h) = (1 - \lambda) p_{model}(w | h) + \lambda p_{cache}(w | h)

    The cache counts words and pairs of words, each occurrence weighing `decay` times less with every token that
    follows; see `cache_kernels.cache_probabilities`. All unknown words are one word to it. While it is empty, the
    model answers alone. The probabilities of all words sum to 1.

    Args:
        model: An n-gram model, or an interpolation of several.
        weight: lambda, from 0 to 1.
        decay: Above 0, at most 1, which never forgets.
        bigram_weight: Share of the pairs within the cache, from 0 to 1.
        running: Whether the cache passes from each text to the next, in the order in which `score` gets them; by
            default each text begins with an empty one.

    Raises:
        ConfigError: for a number outside its limits.
    """

    model_type = "nlpladder_ngram_cache"

    def __init__(
        self,
        *,
        model: NGramLanguageModel | InterpolatedLanguageModel,
        weight: float = 0.1,
        decay: float = 0.995,
        bigram_weight: float = 0.5,
        running: bool = False,
    ) -> None:
        for name, value, good in (
            ("weight", weight, 0 <= weight <= 1),
            ("decay", decay, 0 < decay <= 1),
            ("bigram_weight", bigram_weight, 0 <= bigram_weight <= 1),
        ):
            if not good:
                raise ConfigError(f"{name} is {value}, expected a number from 0 to 1 (decay: above 0).")
        self.model = model
        self.weight = float(weight)
        self.decay = float(decay)
        self.bigram_weight = float(bigram_weight)
        self.running = bool(running)

    @classmethod
    def tuned(
        cls, model: NGramLanguageModel | InterpolatedLanguageModel, texts: Sequence[str], **settings: Any
    ) -> Self:
        """Return a cache model with the weight that makes held-out texts most probable, found by EM.

        Args:
            model: See the class.
            texts: Text that the model was not trained on.
            settings: ``decay``, ``bigram_weight``, ``running``.
        """
        cached = cls(model=model, **settings)
        predicted = model.predict_tokens(texts)
        cache = cached._cache_probabilities(predicted.ids, predicted.borders)
        filled = cache >= 0
        base = np.power(10.0, predicted.log10[filled].astype(np.float64))
        weight = float(em_weights(np.column_stack([base, cache[filled]]))[1])
        return cls(model=model, weight=weight, **settings)

    @property
    def vocabulary_of_words(self) -> Vocabulary:
        """The words by id."""
        return self.model.vocabulary_of_words

    @property
    def tokenizer(self) -> TextTokenizer:
        """What splits a text into words."""
        return self.model.tokenizer

    @property
    def sentence_marks(self) -> bool:
        """Whether a text begins after ``<s>`` and its end, ``</s>``, is predicted."""
        return self.model.sentence_marks

    def encode(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids of some texts, and where each begins, and the end."""
        return self.model.encode(texts)

    def predict_tokens(self, texts: Sequence[str]) -> PredictedTexts:
        """Return the probability of each token of some texts."""
        predicted = self.model.predict_tokens(texts)
        base = np.power(10.0, predicted.log10.astype(np.float64))
        cache = self._cache_probabilities(predicted.ids, predicted.borders)
        mixed = np.where(cache < 0, base, (1 - self.weight) * base + self.weight * cache)
        with np.errstate(divide="ignore"):
            return PredictedTexts(predicted.ids, predicted.borders, np.log10(mixed))

    def _cache_probabilities(self, ids: npt.NDArray[np.int32], borders: npt.NDArray[np.int64]) -> FloatArray:
        """Return what the cache gives each token, -1 where it is empty; shape (tokens,)."""
        from nlpladder.models.ngram.cache_kernels import cache_probabilities

        probabilities = np.empty(ids.size)
        if not ids.size:
            return probabilities
        contexts = np.concatenate([[BEGIN_ID], ids[:-1]]).astype(np.int64)
        contexts[borders[:-1][borders[:-1] < ids.size]] = BEGIN_ID
        pairs = np.unique(contexts * len(self.vocabulary_of_words) + ids, return_inverse=True)[1]
        cache_probabilities(
            ids.astype(np.int64), contexts, pairs, borders, self.decay, self.bigram_weight, self.running, probabilities
        )
        return probabilities

    def next_probabilities(self, ids: npt.NDArray[np.int32]) -> FloatArray:
        """Return the probability of each word after `ids`, shape (words,); the cache holds `ids` only."""
        base = self.model.next_probabilities(ids)
        if not ids.size:
            return base
        ages = np.arange(ids.size - 1, -1, -1)
        recency = self.decay**ages
        cache = np.bincount(ids, weights=recency, minlength=base.size) / recency.sum()
        followers = np.flatnonzero(ids[:-1] == ids[-1]) + 1
        if followers.size:
            pairs = np.bincount(ids[followers], weights=recency[followers], minlength=base.size)
            cache = self.bigram_weight * pairs / recency[followers].sum() + (1 - self.bigram_weight) * cache
        return (1 - self.weight) * base + self.weight * cache

    def num_parameters(self) -> int:
        """Count the numbers that were learnt."""
        return self.model.num_parameters() + 1

    def _save_pretrained(self, save_directory: Path) -> None:
        (save_directory / _BASE).mkdir(exist_ok=True)
        self.model._save_pretrained(save_directory / _BASE)
        config = {name: getattr(self, name) for name in ("model_type", "weight", "decay", "bigram_weight", "running")}
        write_config(save_directory, config)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **hub_arguments: Any) -> Self:
        folder = saved_folder(model_id, hub_arguments)
        config = read_config(folder, cls.model_type)
        base = folder / _BASE
        try:
            kind = read_config(base, None)["model_type"]
            base_class = {one.model_type: one for one in (NGramLanguageModel, InterpolatedLanguageModel)}[kind]
            del config["model_type"]
            return cls(model=base_class.from_pretrained(base), **config)
        except (KeyError, TypeError) as error:
            raise ModelError(f"{base / CONFIG_NAME} does not fit: {error!r}. Save the model again.") from error
