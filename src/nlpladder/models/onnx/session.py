"""Opening a checked graph in ONNX Runtime, on the processor."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from nlpladder.errors import ModelError
from nlpladder.models.onnx.names import need


def default_threads() -> int:
    """Return how many threads a forward pass gets: as many as torch has where a program uses it, else all cores.

    ``OMP_NUM_THREADS``, which torch follows, is followed here too.
    """
    torch = sys.modules.get("torch")
    if torch is not None:
        return int(torch.get_num_threads())
    wanted = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if wanted.isdigit() and int(wanted) > 0:
        return int(wanted)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def open_session(content: bytes, *, threads: int | None = None, where: str) -> Any:
    """Return an ``onnxruntime.InferenceSession`` of a graph that `nlpladder.models.onnx.graph_checks` let pass.

    Args:
        content: The serialised graph.
        threads: Of one forward pass; see `default_threads`.
        where: The file, for messages.

    Raises:
        ModelError: ONNX Runtime is not installed, or cannot run this graph.
    """
    runtime = need("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads or default_threads()
    options.inter_op_num_threads = 1
    options.execution_mode = runtime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 4  # what goes wrong is raised, and told in a sentence
    # Waiting threads that spin take the cores from the other processes of a server.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return runtime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has an exception class for each status, none of them shared
        raise ModelError(
            f"ONNX Runtime {runtime.__version__} cannot open {where}: {short_reason(error)}. Export the model again, "
            "or install a newer onnxruntime."
        ) from error


def short_reason(error: BaseException) -> str:
    """Return the first line of an error of ONNX Runtime, without its prefix of codes and places.

    Args:
        error: What it raised.
    """
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", lines[0])[:200].rstrip(". ")
