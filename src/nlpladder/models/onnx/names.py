"""What an exported classifier is called on disk, and the sentence for a missing extra."""

from __future__ import annotations

import importlib
from typing import Any

from nlpladder.errors import ModelError

#: ``model_type`` in the config.json of an exported classifier.
MODEL_TYPE = "nlpladder_onnx_classifier"
GRAPH_NAME = "model.onnx"
#: What the graph reads and writes.
INPUTS, OUTPUT = ("input_ids", "attention_mask"), "logits"


def need(module: str) -> Any:
    """Import ``onnx``, ``onnxruntime`` or ``onnxscript``.

    Args:
        module: Its name.

    Raises:
        ModelError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ModelError(
            f"Exported classifiers need {module.partition('.')[0]}, which is not installed: pip install "
            "'nlpladder[onnx]'."
        ) from error
