"""From a torch classifier to an ONNX graph with any batch and any length, compared with torch before it is used."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import torch
from torch import Tensor, nn

from nlpladder.errors import ModelError
from nlpladder.models.onnx.names import INPUTS, OUTPUT, need

#: Shapes of the example that is traced; no side is 1, which the tracer would take for a constant.
_BATCH, _LENGTH = 3, 17


class _Logits(nn.Module):
    """A classifier that takes two tensors and gives one, in the order of the graph's inputs."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Return the logits (batch, labels)."""
        return self.model(input_ids=input_ids, attention_mask=attention_mask).logits


def export_graph(model: Any, *, max_length: int) -> Any:
    """Return a classifier as an ``onnx.ModelProto`` in float32, batch and length left open.

    ``torch.export`` traces the program (torch 2.13, ``dynamo=True``), so that what depends on a length stays a
    computation in the graph. Names of modules and places in source files, which the exporter writes beside each node,
    are taken out: they are those of this machine.

    Args:
        model: Takes ``input_ids`` and ``attention_mask``, gives ``logits``; on a CPU, in float32, without adapter.
        max_length: Tokens of the longest text that will be read.

    Raises:
        ModelError: An extra is missing, or the exporter cannot follow this model's program.
    """
    need("onnxscript")
    onnx = need("onnx")
    length = max(2, min(_LENGTH, max_length))
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, int(model.get_input_embeddings().num_embeddings), (_BATCH, length), generator=generator)
    mask = torch.ones_like(ids)
    mask[0, length // 2 :] = 0
    ids[mask == 0] = model.config.pad_token_id or 0
    side = {0: torch.export.Dim("batch"), 1: torch.export.Dim("length", max=max(max_length, length + 1))}
    was_training = model.training
    model.eval()
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                _Logits(model),
                (ids, mask),
                dynamo=True,
                input_names=list(INPUTS),
                output_names=[OUTPUT],
                dynamic_shapes=dict.fromkeys(INPUTS, side),
                verbose=False,
            )
            assert program is not None
            exported = program.model_proto
    except Exception as error:  # the exporter wraps whatever a model's code raises
        kind = getattr(model.config, "model_type", type(model).__name__)
        raise ModelError(
            f"The ONNX exporter of torch {torch.__version__} cannot follow the program of this {kind} model "
            f"({_reason(error)}). Encoders such as BERT, RoBERTa and DistilBERT can be exported; serve this one as "
            "it is."
        ) from error
    finally:
        model.train(was_training)
    strip_notes(exported)
    if exported.ByteSize() > 2**31 - 1:
        raise ModelError("This model has more than 2 GiB of weights, which do not fit into one ONNX file.")
    onnx.checker.check_model(exported)
    return exported


def strip_notes(model: Any) -> None:
    """Take everything out of a graph that computes nothing: notes, places in source files, shapes in between.

    Args:
        model: An ``onnx.ModelProto``, changed in place.
    """
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    del graph.value_info[:]  # what ONNX Runtime works out itself
    model.producer_name, model.producer_version = "nlpladder", ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Hold back what the exporter prints and warns about its own steps."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _reason(error: BaseException) -> str:
    inner = error
    while inner.__cause__ is not None:
        inner = inner.__cause__
    lines = [line.strip() for line in str(inner).strip().splitlines() if line.strip()] or [type(inner).__name__]
    return lines[0][:200].rstrip(".")
