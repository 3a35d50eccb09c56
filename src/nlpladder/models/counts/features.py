"""A vectoriser inside a model: how every counting classifier turns texts into a sparse matrix and saves that step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.errors import ModelError, did_you_mean
from nlpladder.models.targets import check_texts

if TYPE_CHECKING:
    from nlpladder.models.counts.vectorizer import CountVectorizer, TfidfVectorizer
    from nlpladder.text.preprocessing import Preprocessor

_PREFIX = "vectorizer."


class TextFeatures:
    """An optional `Preprocessor` followed by a `CountVectorizer` or `TfidfVectorizer`.

    Args:
        kind: ``count`` or ``tfidf``.
        preprocessor: Applied to each text first; saved with the model so that a file and a typed text agree.
        settings: Arguments of the vectoriser, named as scikit-learn names them.
    """

    def __init__(self, kind: str, preprocessor: Preprocessor | None = None, **settings: Any) -> None:
        self.kind = kind
        self.preprocessor = preprocessor
        if isinstance(settings.get("ngram_range"), list):
            settings["ngram_range"] = tuple(settings["ngram_range"])
        vectorizer_class = _vectorizer_class(kind)
        valid = vectorizer_class().get_params()
        for name in settings:
            if name not in valid:
                raise ModelError(f"The vectoriser has no setting {name!r}.{did_you_mean(name, valid)}")
        self.vectorizer: CountVectorizer | TfidfVectorizer = vectorizer_class(**settings)

    def fit_transform(self, texts: Sequence[str]) -> Any:
        """Learn the vocabulary; return the CSR matrix of shape (texts, features)."""
        return self.vectorizer.fit_transform(self._prepared(texts))

    def transform(self, texts: Sequence[str]) -> Any:
        """Return the CSR matrix of shape (texts, features)."""
        return self.vectorizer.transform(self._prepared(check_texts(texts)))

    def feature_names(self) -> list[str]:
        """Return the features in column order."""
        return [str(name) for name in self.vectorizer.get_feature_names_out()]

    def to_config(self) -> dict[str, Any]:
        """Return the json-able settings of both steps."""
        preprocessor = None if self.preprocessor is None else self.preprocessor.to_config()
        return {"kind": self.kind, "vectorizer": self.vectorizer.to_config(), "preprocessor": preprocessor}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return the vectoriser's arrays under names that cannot clash with the classifier's."""
        return {_PREFIX + name: array for name, array in self.vectorizer.state_arrays().items()}

    @classmethod
    def from_state(
        cls, config: Mapping[str, Any], arrays: Mapping[str, np.ndarray], vocabulary: list[str] | None
    ) -> TextFeatures:
        """Rebuild the fitted features."""
        features = cls(config["kind"])
        own = {name.removeprefix(_PREFIX): array for name, array in arrays.items() if name.startswith(_PREFIX)}
        features.vectorizer = _vectorizer_class(config["kind"]).from_state(config["vectorizer"], vocabulary, own)
        if config["preprocessor"] is not None:
            from nlpladder.text.preprocessing import Preprocessor

            features.preprocessor = Preprocessor.from_config(config["preprocessor"])
        return features

    def _prepared(self, texts: Sequence[str]) -> Sequence[str]:
        return texts if self.preprocessor is None else self.preprocessor.batch(texts)


def _vectorizer_class(kind: str) -> Any:
    from nlpladder.models.counts import vectorizer

    classes = {"count": vectorizer.CountVectorizer, "tfidf": vectorizer.TfidfVectorizer}
    if kind not in classes:
        raise ModelError(f"There are no features of kind {kind!r}.{did_you_mean(kind, classes)} Use count or tfidf.")
    return classes[kind]
