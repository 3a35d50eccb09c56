"""What the loader knows of a foreign family, and what the families' configs have in common."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nlpladder.errors import ModelError
from nlpladder.models.transformer.foreign.renaming import NameTable
from nlpladder.nn.feed_forward import Activation

logger = logging.getLogger(__name__)

#: transformers' names of non-linearities -> ours. ``gelu_new``, ``gelu_pytorch_tanh`` and ``gelu_fast`` are three
#: spellings of one formula; ``gelu_python`` is ``gelu``, ``swish`` is ``silu``.
ACTIVATIONS: dict[str, Activation] = {
    "relu": "relu",
    "gelu": "gelu",
    "gelu_python": "gelu",
    "gelu_new": "gelu_tanh",
    "gelu_pytorch_tanh": "gelu_tanh",
    "gelu_fast": "gelu_tanh",
    "silu": "silu",
    "swish": "silu",
    "relu2": "relu_squared",
}


@dataclass(frozen=True, kw_only=True)
class ForeignFamily:
    """One kind of foreign model.

    Attributes:
        architecture: Name of the class in transformers.
        ours: Our class that computes the same.
        config: Reads a model of theirs and returns the config of ours; refuses what ours cannot compute.
        names: Their names -> ours; see `rename_weights`.
        unused: Their weights that ours computes.
    """

    architecture: str
    ours: type[Any]
    config: Callable[[Any], Any]
    names: NameTable
    unused: tuple[str, ...] = ()


def require(config: Any, **wanted: Any) -> None:
    """Refuse a config that says something else than `wanted`; what it does not say is taken to be as wanted.

    Raises:
        ModelError: It says something else.
    """
    for name, value in wanted.items():
        said = getattr(config, name, value)
        if said != value:
            raise ModelError(
                f"The config says {name}={said!r}; our Transformer computes {config.model_type} models with "
                f"{name}={value!r} only, and would give other numbers."
            )


def activation_of(config: Any, field: str) -> Activation:
    """Return our name of the non-linearity that `config` names in `field`.

    Raises:
        ModelError: Ours has no such non-linearity.
    """
    name = getattr(config, field)
    if not isinstance(name, str) or name not in ACTIVATIONS:
        raise ModelError(
            f"The config says {field}={name!r}, a non-linearity that our Transformer does not have. It knows "
            f"{', '.join(ACTIVATIONS)}."
        )
    return ACTIVATIONS[name]


def special_tokens(config: Any) -> dict[str, Any]:
    """Return begin, end and padding token as our config takes them.

    Padding that is the begin or end token too is left out: our embedding of the padding token learns nothing, and the
    model must learn its end. What generate() fills rows with is in the generation config and stays.
    """
    end = config.eos_token_id if isinstance(config.eos_token_id, list) else [config.eos_token_id]
    shared = config.pad_token_id in (config.bos_token_id, *end)
    return {
        "pad_token_id": None if shared else config.pad_token_id,
        "bos_token_id": config.bos_token_id,
        "eos_token_id": config.eos_token_id,
    }


def same_weight(one: Any, other: Any) -> bool:
    """Say whether two modules share their matrix; a config may promise it and the model not keep it, or vice versa."""
    return one.weight is other.weight


def tell_dropped(config: Any, **neutral: Any) -> None:
    """Log settings of training that ours has no counterpart for; they change no prediction."""
    for name, value in neutral.items():
        said = getattr(config, name, value)
        if said not in (value, None):
            logger.warning("%s=%r is a setting of training that our Transformer does not have; left out.", name, said)
