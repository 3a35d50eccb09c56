"""A Hugging Face config that refuses wrong types and misspelt names, with a sentence.

``@strict`` of huggingface_hub checks types, but two things pass it by: an annotation that is a string, which every
annotation is under ``from __future__ import annotations``, is not checked at all; and a config of transformers takes
any further name as an attribute, so that ``hiden_size=650`` trains a model of the default size.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import Any, TypeVar

from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassFieldValidationError
from transformers import PreTrainedConfig

from nlpladder.errors import ConfigError, did_you_mean

Config = TypeVar("Config", bound=type[PreTrainedConfig])

#: Names that are no fields and that transformers passes when it loads or builds a config.
_NAMES_OF_TRANSFORMERS = frozenset(
    {
        *("attn_implementation", "auto_map", "custom_pipelines", "experts_implementation", "model_type"),
        *("name_or_path", "num_labels", "output_attentions", "per_layer_config", "quantization_config", "torch_dtype"),
        "use_cache",  # the Trainer sets it on every model
    }
)


def strict_config(cls: Config) -> Config:
    """Check the names and the types of everything that the config `cls` is made from.

    Args:
        cls: A subclass of ``PreTrainedConfig`` with annotated fields.

    Returns:
        The same class. Making one raises `ConfigError` for a wrong type or a name that is no field; setting an
        attribute to a wrong type later raises huggingface_hub's ``StrictDataclassFieldValidationError``.
    """
    for name, annotation in inspect.get_annotations(cls, eval_str=True).items():
        if name in cls.__dataclass_fields__:
            cls.__dataclass_fields__[name].type = annotation
    finish = cls.__post_init__

    def __post_init__(self: Any, **others: Any) -> None:
        fields = [field.name for field in dataclasses.fields(self)]
        for name in others:
            if not name.startswith("_") and name not in _NAMES_OF_TRANSFORMERS:
                raise ConfigError(f"{cls.__name__} has no field {name!r}.{did_you_mean(name, fields)}")
        finish(self, **others)

    cls.__post_init__ = __post_init__  # type: ignore[method-assign]
    checked: Any = strict(cls)
    build = checked.__init__

    @functools.wraps(build)
    def __init__(self: Any, *args: Any, **values: Any) -> None:
        try:
            build(self, *args, **values)
        except StrictDataclassFieldValidationError as error:
            raise ConfigError(f"{cls.__name__}: {error.__cause__ or error}.") from error

    checked.__init__ = __init__
    return checked
