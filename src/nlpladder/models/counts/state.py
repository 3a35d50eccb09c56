"""What a vectoriser is saved as: a json-able config, its vocabulary as a list, and named arrays."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Self

import numpy as np

from nlpladder.errors import ConfigError, did_you_mean


class StateMixin:
    """Saves a vectoriser without pickle. A subclass is a scikit-learn estimator."""

    def to_config(self) -> dict[str, Any]:
        """Return the parameters, json-able; the vocabulary is not among them.

        Raises:
            ConfigError: A parameter is a function or something else that json cannot hold.
        """
        config: dict[str, Any] = {"vectorizer": type(self).__name__}
        for name, value in self.get_params(deep=False).items():  # type: ignore[attr-defined]
            if name == "vocabulary":
                config["fixed_vocabulary"] = value is not None
            elif name == "dtype":
                config[name] = np.dtype(value).name
            else:
                config[name] = _as_json(name, value)
        return config

    def state_arrays(self) -> dict[str, np.ndarray]:
        """Return what was learnt beside the vocabulary."""
        return {}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], vocabulary: list[str] | None, arrays: Mapping[str, Any]) -> Self:
        """Rebuild a fitted vectoriser.

        Args:
            config: What `to_config` returned.
            vocabulary: The terms in column order, as `get_feature_names_out` returns them; None where there are none.
            arrays: What `state_arrays` returned.

        Raises:
            ConfigError: The config belongs to another class, or names an unknown parameter.
        """
        parameters = dict(config)
        name = parameters.pop("vectorizer", None)
        if name != cls.__name__:
            raise ConfigError(f"The config is of {name!r}, expected {cls.__name__!r}: call that class's from_state.")
        fixed_vocabulary = parameters.pop("fixed_vocabulary", False)
        valid = cls().get_params(deep=False)  # type: ignore[attr-defined]
        for parameter in parameters:
            if parameter not in valid:
                raise ConfigError(f"{name} has no parameter {parameter!r}.{did_you_mean(parameter, valid)}")
        if "ngram_range" in parameters:
            parameters["ngram_range"] = tuple(parameters["ngram_range"])
        if "dtype" in parameters:
            parameters["dtype"] = np.dtype(parameters["dtype"]).type
        if fixed_vocabulary:
            parameters["vocabulary"] = vocabulary
        vectorizer = cls(**parameters)
        vectorizer._restore(vocabulary, arrays)
        return vectorizer

    def _restore(self, vocabulary: list[str] | None, arrays: Mapping[str, Any]) -> None:
        """Put back what was learnt."""


def _as_json(name: str, value: Any) -> Any:
    """Return a parameter's value with numpy scalars and tuples replaced, if json can hold it."""
    if isinstance(value, np.generic):
        value = value.item()
    elif isinstance(value, (tuple, list)):
        value = [_as_json(name, item) for item in value]
    try:
        if callable(value):
            raise TypeError
        json.dumps(value)
    except (TypeError, ValueError):
        raise ConfigError(
            f"The vectoriser's {name} is {value!r}, which json cannot hold, so the vectoriser cannot be saved."
            " Use a setting that is a string, a number, a list or None; do other steps before the vectoriser."
        ) from None
    return value
