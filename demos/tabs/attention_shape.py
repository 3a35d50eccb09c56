"""How many layers and heads a model has, from its config: sliders end there before it is opened."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shell.limits import DemoError
from tabs.attention_view import MOST_HEADS, MOST_LAYERS

if TYPE_CHECKING:
    from shell.store import ModelStore

#: What configs call their layers and heads; of an encoder-decoder, what is shown first is the attention of its decoder.
_LAYERS = ("decoder_layers", "num_decoder_layers", "num_hidden_layers", "n_layer", "n_layers", "num_layers")
_HEADS = ("decoder_attention_heads", "num_attention_heads", "n_head", "n_heads", "num_heads", "attention_heads")
#: One layer of one head: the attention of recurrent models.
_RECURRENT = ("nlpladder_seq2seq", "nlpladder_recurrent_classifier")
_MOST_BYTES = 5_000_000


def shape_of(store: ModelStore, model: Any) -> tuple[int, int] | None:
    """Return layers and heads of a model; None where its config does not tell.

    Args:
        store: The models.
        model: Name of one.
    """
    if not isinstance(model, str):
        return None
    try:
        file = Path(store.entry(model).path) / "config.json"
        if file.stat().st_size > _MOST_BYTES:
            return None
        config = json.loads(file.read_text(encoding="utf-8"))
    except (DemoError, OSError, ValueError, RecursionError):  # an adapter may have none of its own
        return None
    return shape_in_config(config) if isinstance(config, dict) else None


def shape_in_config(config: Mapping[str, Any]) -> tuple[int, int] | None:
    """Return layers and heads as a config has them, at most as many as a page takes.

    Args:
        config: Content of ``config.json``.
    """
    if config.get("model_type") in _RECURRENT:
        return 1, 1
    layers, heads = (
        next((config[key] for key in keys if _counts(config.get(key))), None) for keys in (_LAYERS, _HEADS)
    )
    return None if layers is None or heads is None else (min(layers, MOST_LAYERS), min(heads, MOST_HEADS))


def _counts(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0
