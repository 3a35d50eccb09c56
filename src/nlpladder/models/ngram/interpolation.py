"""Linear interpolation of language models, with weights that EM finds on held-out text (Jelinek & Mercer 1980)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError, DataError, ModelError
from nlpladder.models.ngram.levels import SPECIAL_WORDS
from nlpladder.models.ngram.model import NGramLanguageModel
from nlpladder.models.ngram.scoring import Scorer
from nlpladder.models.ngram.storage import read_config, saved_folder, write_config
from nlpladder.models.ngram.vocabulary import UNKNOWN_ID, Vocabulary
from nlpladder.models.ngram.word_model import PredictedTexts, WordLanguageModel
from nlpladder.text.text_tokenizer import TextTokenizer

FloatArray = npt.NDArray[np.float64]


class InterpolatedLanguageModel(WordLanguageModel):
    r"""A weighted mean of n-gram models: ``p(w | h) = sum of weight_m p_m(w | h)`` over the models m.

    The vocabulary is the union of theirs. A model gives 0 to words that only others know, and its probability of
    ``<unk>`` to words that none of them knows: the probabilities of all words and of ``<unk>`` then sum to 1.

    Args:
        models: Two or more, with equal tokenisers and sentence marks.
        weights: Not negative; they are scaled to sum to 1. By default all equal.

    Raises:
        ConfigError: when models do not match, or weights make no sense.
    """

    model_type = "nlpladder_ngram_interpolation"

    def __init__(self, *, models: Sequence[NGramLanguageModel], weights: Sequence[float] | None = None) -> None:
        if len(models) < 2:
            raise ConfigError(f"Interpolation needs two models or more, found {len(models)}.")
        first = models[0]
        for number, model in enumerate(models[1:], start=1):
            if model.tokenizer.to_config() != first.tokenizer.to_config():
                raise ConfigError(f"Model {number} splits texts differently from model 0; both need one tokenizer.")
            if model.sentence_marks != first.sentence_marks:
                raise ConfigError(f"Models 0 and {number} differ in sentence_marks; use with_sentence_marks on one.")
        given = np.full(len(models), 1.0) if weights is None else np.asarray(weights, dtype=np.float64)
        if given.shape != (len(models),) or not np.isfinite(given).all() or given.min() < 0 or given.sum() <= 0:
            raise ConfigError(f"The weights are {given.tolist()}, expected {len(models)} numbers from 0 on, not all 0.")
        self.models = tuple(models)
        self.weights: FloatArray = given / given.sum()

    @classmethod
    def tuned(cls, models: Sequence[NGramLanguageModel], texts: Sequence[str], **em_options: Any) -> Self:
        """Return the interpolation with the weights that make held-out texts most probable.

        Args:
            models: See the class.
            texts: Text that no model was trained on.
            em_options: See `em_weights`.

        Raises:
            DataError: when no token of the texts has a probability.
        """
        interpolation = cls(models=models)
        _, _, probabilities = interpolation.component_probabilities(texts)
        return cls(models=models, weights=em_weights(probabilities, **em_options).tolist())

    def component_probabilities(
        self, texts: Sequence[str]
    ) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64], FloatArray]:
        """Return the ids of the texts, where each begins, and what each model gives each token, (tokens, models)."""
        ids, borders = self.encode(texts)
        probabilities = np.empty((ids.size, len(self.models)))
        for column, model in zip(probabilities.T, self.models, strict=True):
            predicted = model.predict_tokens(texts)
            column[:] = np.power(10.0, predicted.log10.astype(np.float64))
            column[(predicted.ids == UNKNOWN_ID) & (ids != UNKNOWN_ID)] = 0.0
        return ids, borders, probabilities

    @property
    def tokenizer(self) -> TextTokenizer:
        """What splits a text into words."""
        return self.models[0].tokenizer

    @property
    def sentence_marks(self) -> bool:
        """Whether a text begins after ``<s>`` and its end, ``</s>``, is predicted."""
        return self.models[0].sentence_marks

    @cached_property
    def vocabulary_of_words(self) -> Vocabulary:
        """The union of the vocabularies, in order of first appearance."""
        words = dict.fromkeys(SPECIAL_WORDS)
        for model in self.models:
            words.update(dict.fromkeys(model.vocabulary_of_words))
        return Vocabulary.from_words(list(words))

    @cached_property
    def _union_ids(self) -> list[npt.NDArray[np.int32]]:
        """The id in the union of each word of each model."""
        number = {word: place for place, word in enumerate(self.vocabulary_of_words)}
        return [np.array([number[word] for word in model.vocabulary_of_words], np.int32) for model in self.models]

    def encode(self, texts: Sequence[str]) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
        """Return the ids of some texts in the union, and where each begins, and the end."""
        tables = self.models[0].scorer.tables
        return Scorer(tables, self.vocabulary_of_words, self.tokenizer, self.sentence_marks).encode(texts)

    def predict_tokens(self, texts: Sequence[str]) -> PredictedTexts:
        """Return the probability of each token of some texts."""
        ids, borders, probabilities = self.component_probabilities(texts)
        with np.errstate(divide="ignore"):
            return PredictedTexts(ids, borders, np.log10(probabilities @ self.weights))

    def next_probabilities(self, ids: npt.NDArray[np.int32]) -> FloatArray:
        """Return the probability of each word of the union after `ids`, shape (words,)."""
        mixed = np.zeros(len(self.vocabulary_of_words))
        for model, weight, union_ids in zip(self.models, self.weights, self._union_ids, strict=True):
            own = np.full(mixed.size, UNKNOWN_ID, np.int32)
            own[union_ids] = np.arange(union_ids.size)
            mixed[union_ids] += weight * model.next_probabilities(own[ids])
        return mixed

    def num_parameters(self) -> int:
        """Count the numbers that were learnt."""
        return sum(model.num_parameters() for model in self.models) + len(self.models)

    def _save_pretrained(self, save_directory: Path) -> None:
        names = [f"model_{number}" for number in range(len(self.models))]
        for name, model in zip(names, self.models, strict=True):
            (save_directory / name).mkdir(exist_ok=True)
            model._save_pretrained(save_directory / name)
        config = {"model_type": self.model_type, "models": names, "weights": self.weights.tolist()}
        write_config(save_directory, config)

    @classmethod
    def _from_pretrained(cls, *, model_id: str, **hub_arguments: Any) -> Self:
        folder = saved_folder(model_id, hub_arguments)
        config = read_config(folder, cls.model_type)
        try:
            models = [NGramLanguageModel.from_pretrained(folder / name) for name in config["models"]]
            return cls(models=models, weights=config["weights"])
        except (KeyError, TypeError) as error:
            raise ModelError(f"The files in {folder} do not fit together: {error!r}. Save the model again.") from error


def em_weights(probabilities: FloatArray, *, tolerance: float = 1e-6, max_iterations: int = 1000) -> FloatArray:
    r"""Find the weights of a mixture that make the tokens most probable, by expectation maximisation.

    .. math:: \lambda_m \leftarrow \frac1T \sum_t \frac{\lambda_m p_m(t)}{\sum_k \lambda_k p_k(t)}

    Each step makes the tokens more probable, and there is only one maximum.

    Args:
        probabilities: What each model gives each token; shape (tokens, models).
        tolerance: Stop when no weight changes by more.
        max_iterations: Stop in any case.

    Returns:
        Shape (models,), sums to 1.

    Raises:
        DataError: when no model gives any token a probability.
    """
    possible = probabilities[probabilities.any(axis=1)]
    if not len(possible):
        raise DataError("No model gives any held-out token a probability. Give text in the models' vocabulary.")
    weights = np.full(probabilities.shape[1], 1 / probabilities.shape[1])
    for _ in range(max_iterations):
        previous = weights
        # lambda_m / T is the same in every term of the sum.
        weights = weights * ((1 / (possible @ weights)) @ possible) / len(possible)
        if np.abs(weights - previous).max() <= tolerance:
            break
    return weights / weights.sum()
