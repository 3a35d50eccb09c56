"""Averaged word vectors and a logistic regression: the first rung on which similar words share what they learn.

Vectors are trained by skip-gram (Mikolov et al. 2013) on the training text, or loaded. A text is the
idf-weighted mean of its words' vectors, standardised; word order is still ignored.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from scipy.special import expit, softmax

from nlpladder.errors import DataError, ModelError
from nlpladder.models.artefact import ArtefactMixin
from nlpladder.models.targets import check_grid, check_targets, check_texts, refuse_regression
from nlpladder.protocols import Task
from nlpladder.text.tokenization import regex_tokenize

if TYPE_CHECKING:
    from nlpladder.models.vectors.word_vectors import WordVectors


class MeanVectorsClassifier(ArtefactMixin):
    """Logistic regression over the mean of a text's word vectors.

    Args:
        label_names: Label names in id order.
        task: ``single_label`` or ``multi_label``.
        vectors: What `WordVectors.open` takes: a folder or Hub id in the layout of model2vec, or a file of word2vec,
            GloVe or fastText, compressed or not; or a `WordVectors`. Trained on the training text when not given.
        vector_size, window, min_count, epochs, negative: Word2Vec's settings when vectors are trained (skip-gram).
        c_grid: Inverse regularisation strengths to choose from on the validation split.
        seed: For training the vectors, which is deterministic.
    """

    model_type = "nlpladder_mean_vectors"

    def __init__(
        self,
        *,
        label_names: Sequence[str],
        task: Task = "single_label",
        vectors: str | os.PathLike[str] | WordVectors | None = None,
        vector_size: int = 100,
        window: int = 5,
        min_count: int = 2,
        epochs: int = 10,
        negative: int = 5,
        c_grid: Sequence[float] = (0.1, 1.0, 10.0),
        seed: int = 0,
    ) -> None:
        refuse_regression(task, "mean_vectors")
        self.label_names = tuple(label_names)
        self.task: Task = task
        self.vectors = os.fspath(vectors) if isinstance(vectors, os.PathLike) else vectors
        self.vector_size, self.window, self.min_count = vector_size, window, min_count
        self.epochs, self.negative = epochs, negative
        self.c_grid = check_grid(c_grid, "c_grid")
        self.seed = seed
        self._words: dict[str, int] = {}
        self.embeddings_: np.ndarray = np.empty((0, 0), dtype=np.float32)
        self.idf_: np.ndarray = np.empty(0)
        self.mean_: np.ndarray = np.empty(0)
        self.scale_: np.ndarray = np.empty(0)
        self.coef_: np.ndarray = np.empty((0, 0))
        self.intercept_: np.ndarray = np.empty(0)

    def fit(
        self,
        texts: Sequence[str],
        labels: Sequence[Any],
        *,
        validation: tuple[Sequence[str], Sequence[Any]] | None = None,
        unlabeled: Iterable[str] | None = None,
    ) -> Self:
        """Train or load the vectors, then the classifier.

        Args:
            texts: Shape (n,).
            labels: Shape (n,) or (n, labels).
            validation: Texts and labels on which C is chosen.
            unlabeled: More text for the vectors only.
        """
        targets = check_targets(labels, task=self.task, num_labels=len(self.label_names), num_texts=len(texts))
        tokens = [_tokenize(text) for text in texts]
        words, self.embeddings_ = self._load() if self.vectors is not None else self._train(tokens, unlabeled)
        self._words = {word: index for index, word in enumerate(words)}
        self._fit_idf(tokens)
        features = self._average(tokens)
        self.mean_ = features.mean(axis=0)
        self.scale_ = np.maximum(features.std(axis=0), 1e-8)
        self._fit_classifier((features - self.mean_) / self.scale_, targets, validation)
        return self

    def transform(self, texts: Sequence[str]) -> np.ndarray:
        """Return standardised document vectors, shape (texts, vector_size)."""
        return (self._average([_tokenize(text) for text in check_texts(texts)]) - self.mean_) / self.scale_

    def predict_proba(self, texts: Sequence[str]) -> np.ndarray:
        """Return label probabilities, shape (texts, labels)."""
        scores = self.transform(texts) @ self.coef_.T + self.intercept_  # (texts, labels)
        return expit(scores) if self.task == "multi_label" else softmax(scores, axis=1)

    def _train(self, tokens: list[list[str]], unlabeled: Iterable[str] | None) -> tuple[list[str], np.ndarray]:
        """Train on these texts (nothing else trains); return words and vectors, float32 (words, vector_size)."""
        from nlpladder.models.vectors.word2vec.options import Word2VecOptions
        from nlpladder.models.vectors.word2vec.training import train_word2vec
        from nlpladder.text.encoding import encode_corpus

        options = Word2VecOptions(
            vector_size=self.vector_size,
            window=self.window,
            negative=self.negative,
            min_count=self.min_count,
            epochs=self.epochs,
            seed=self.seed,
            deterministic=True,
        )
        corpus = encode_corpus(chain(tokens, (_tokenize(text) for text in unlabeled or ())))
        try:
            state = train_word2vec(corpus, options)
        except DataError as error:
            raise ModelError(f"No vectors can be trained: {error} Or give --model.vectors a file.") from error
        return state.words, state.word_vectors()

    def _load(self) -> tuple[list[str], np.ndarray]:
        from nlpladder.models.vectors.word_vectors import WordVectors

        try:
            found = WordVectors.open(self.vectors) if isinstance(self.vectors, str) else self.vectors
        except DataError as error:
            raise ModelError(f"Cannot read word vectors from {self.vectors!r}: {error}") from error
        assert found is not None
        return found.words, np.asarray(found.vectors, dtype=np.float32)

    def _fit_idf(self, tokens: list[list[str]]) -> None:
        frequency = np.zeros(len(self._words))
        for words in tokens:
            known = {self._words[word] for word in words if word in self._words}
            frequency[list(known)] += 1
        self.idf_ = np.log((1 + len(tokens)) / (1 + frequency)) + 1

    def _average(self, tokens: list[list[str]]) -> np.ndarray:
        """Return idf-weighted means, shape (texts, vector_size); a text of unknown words is the zero vector."""
        from scipy.sparse import csr_matrix

        rows = [[self._words[word] for word in words if word in self._words] for words in tokens]
        indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
        indices = np.array([index for row in rows for index in row], dtype=np.int64)
        weights = csr_matrix((self.idf_[indices], indices, indptr), shape=(len(rows), len(self._words)))
        total = np.maximum(np.asarray(weights.sum(axis=1)), 1e-12)  # (texts, 1)
        return np.asarray(weights @ self.embeddings_.astype(np.float64)) / total

    def _fit_classifier(
        self, features: np.ndarray, targets: np.ndarray, validation: tuple[Sequence[str], Sequence[Any]] | None
    ) -> None:
        held_out = None if validation is None else (self.transform(validation[0]), np.asarray(validation[1]))
        best = -1.0
        for c in self.c_grid if held_out is not None else self.c_grid[:1]:
            coef, intercept = self._solve(features, targets, c)
            accuracy = 0.0
            if held_out is not None:
                scores = held_out[0] @ coef.T + intercept
                hits = (scores > 0) == held_out[1] if self.task == "multi_label" else scores.argmax(1) == held_out[1]
                accuracy = float(hits.mean())
            if accuracy > best:
                best, self.coef_, self.intercept_ = accuracy, coef, intercept

    def _solve(self, features: np.ndarray, targets: np.ndarray, c: float) -> tuple[np.ndarray, np.ndarray]:
        """Return coefficients (labels, vector_size) and intercepts (labels,)."""
        from sklearn.linear_model import LogisticRegression

        coef = np.zeros((len(self.label_names), features.shape[1]))
        intercept = np.full(len(self.label_names), -35.0)
        columns = targets.T if self.task == "multi_label" else [targets]
        for label, column in enumerate(columns):
            present = np.unique(column)
            if len(present) == 1:
                if self.task == "multi_label":
                    intercept[label] = 35.0 if present[0] else -35.0
                    continue
                raise ModelError("A classifier needs at least two classes in the training set.")
            fitted = LogisticRegression(C=c, max_iter=2_000).fit(features, column)
            if self.task == "multi_label":
                coef[label], intercept[label] = fitted.coef_[0], fitted.intercept_[0]
            elif len(present) == 2:
                coef[present], intercept[present] = np.stack([-fitted.coef_[0], fitted.coef_[0]]) / 2, 0.0
                intercept[present] = np.array([-1.0, 1.0]) * fitted.intercept_[0] / 2
            else:
                coef[present], intercept[present] = fitted.coef_, fitted.intercept_
        return coef, intercept

    def to_config(self) -> dict[str, Any]:
        """See ArtefactMixin."""
        names = ("task", "vector_size", "window", "min_count", "epochs", "negative", "seed")
        return {
            "label_names": list(self.label_names),
            "c_grid": list(self.c_grid),
            "vectors": self.vectors if isinstance(self.vectors, str) else None,
            **{name: getattr(self, name) for name in names},
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """See ArtefactMixin."""
        return {
            "embeddings": self.embeddings_,
            "idf": self.idf_,
            "mean": self.mean_,
            "scale": self.scale_,
            "coef": self.coef_,
            "intercept": self.intercept_,
        }

    def vocabulary(self) -> list[str] | None:
        """See ArtefactMixin."""
        return list(self._words)

    @classmethod
    def from_state(
        cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray], vocabulary: list[str] | None
    ) -> Self:
        """See ArtefactMixin."""
        model = cls(**{name: value for name, value in config.items() if name != "model_type"})
        model._words = {word: index for index, word in enumerate(vocabulary or [])}
        for name, array in arrays.items():
            setattr(model, f"{name}_", array)
        return model


def _tokenize(text: str) -> list[str]:
    return regex_tokenize(text.lower())
