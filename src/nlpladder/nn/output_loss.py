"""The cross-entropy of an output layer, without ever holding all of its logits.

A language model ends in a matrix as tall as its vocabulary. Its logits, one row for every token of the batch, are the
largest tensor of the whole network: 8,192 tokens times 33,000 words are 1 GB, and the plain way holds four of them
(logits, log-softmax, and the gradient of each). Nobody needs them all at once. The loss of a row depends on that row
alone, and its gradient is known as soon as its softmax is:

    d loss / d logits = softmax(logits) - target distribution

So the rows are taken a chunk at a time: logits, log-softmax, loss, gradient of the logits, and from it at once the
gradients of the hidden states and of the matrix. The next chunk reuses the memory. The sum's gradient only scales
what was found, which the backward pass does. Liger Kernel (Hsu et al. 2024, "Liger Kernel: Efficient Triton Kernels
for LLM Training") does this on GPUs; Wijmans et al. 2025, "Cut Your Losses in Large-Vocabulary Language Models", go
further and do not write even a chunk's logits to memory.

For very large vocabularies there is `nlpladder.nn.sampled_softmax` too, which computes only a sample of each row.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from nlpladder.errors import ModelError

#: Targets with this value are not scored (the default of `torch.nn.functional.cross_entropy` too).
IGNORED = -100

#: How many logits a chunk may have where its rows are not given, and its rows at least. On a CPU they should stay in
#: its cache, though below 128 rows the products get slow; a GPU wants fewer, larger products. Two cores of an AMD EPYC,
#: 1,024 rows forward and backward, bfloat16: vocabulary 4,096: 39k tokens/s (whole at once: 29k); 8,192: 31k (15k);
#: 33,278: 4.5k (2.9k).
CPU_CHUNK_LOGITS = 2**20
ACCELERATOR_CHUNK_LOGITS = 2**26
_LEAST_ROWS = 128


def linear_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    label_smoothing: float = 0.0,
    chunk: int | None = None,
) -> Tensor:
    """Sum of the cross-entropies of an output layer, chunk by chunk.

    Value and gradients equal `cross_entropy(linear(hidden, weight, bias), targets, reduction="sum", label_smoothing)`.
    Under autocast the matrix products run in its type; the log-softmax and all sums are float32.

    Args:
        hidden: (..., width), what the output layer reads.
        weight: (vocabulary, width), the output layer's matrix; may be tied to the embedding.
        targets: (...), the token ids to be predicted; -100 marks positions that are not scored (nor computed).
        bias: (vocabulary,), or none.
        label_smoothing: Share of the target distribution that is spread evenly over the vocabulary (Szegedy et al.
            2016, "Rethinking the Inception Architecture", section 7).
        chunk: Rows at once. By default as many as keep a chunk's logits in a CPU's cache, or a GPU busy.

    Returns:
        The sum over the scored targets in nats: a float32 scalar (float64 for float64 inputs), 0 where none is scored.

    Raises:
        ModelError: If shapes do not fit, or a target is no id of the vocabulary.
    """
    rows, row_targets = scored_rows(hidden, weight, targets, bias)
    chunk = chunk_rows(chunk, weight)
    wanted = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (rows, weight, bias))
    if not wanted:
        return -_log_probability_sum(rows, weight, bias, row_targets, label_smoothing, chunk)
    loss: Tensor = _ChunkedLinearCrossEntropy.apply(rows, weight, bias, row_targets, label_smoothing, chunk)
    return loss


def token_log_probabilities(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, bias: Tensor | None = None, chunk: int | None = None
) -> Tensor:
    """The log-probability of every target, chunk by chunk and without gradients.

    Args:
        hidden: (..., width), what the output layer reads.
        weight: (vocabulary, width), the output layer's matrix.
        targets: (...), the token ids whose probabilities are wanted; -100 where none is.
        bias: (vocabulary,), or none.
        chunk: Rows at once; see `linear_cross_entropy`.

    Returns:
        Natural logarithms in float32 (float64 for float64 inputs), the shape of `targets`; 0 where the target is -100.

    Raises:
        ModelError: If shapes do not fit, or a target is no id of the vocabulary.
    """
    with torch.no_grad():
        rows, row_targets = scored_rows(hidden, weight, targets, bias)
        chunk = chunk_rows(chunk, weight)
        compute, precise = compute_types(rows)
        result = torch.zeros(targets.shape, dtype=precise, device=hidden.device)
        with autocast_off(rows):
            matrix, offset = weight.to(compute), None if bias is None else bias.to(compute)
            found = [
                _log_softmax(part.to(compute), matrix, offset, precise).gather(1, aims[:, None])[:, 0]
                for part, aims in zip(rows.split(chunk), row_targets.split(chunk), strict=True)
            ]
        result[targets != IGNORED] = torch.cat(found) if found else result.new_zeros(0)
    return result


class _ChunkedLinearCrossEntropy(torch.autograd.Function):
    """The loss of rows that all count, with its gradients found in the forward pass."""

    @staticmethod
    def forward(
        ctx: Any, rows: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float, chunk: int
    ) -> Tensor:
        compute, precise = compute_types(rows)
        need_rows, need_weight, need_bias = ctx.needs_input_grad[:3]
        with autocast_off(rows):
            matrix, offset = weight.to(compute), None if bias is None else bias.to(compute)
            total = torch.zeros((), dtype=precise, device=rows.device)
            rows_gradient = torch.empty_like(rows) if need_rows else None
            # Sums over many chunks are kept in float32, whatever the type of the products.
            weight_gradient = torch.zeros_like(weight, dtype=precise) if need_weight else None
            bias_gradient = torch.zeros_like(bias, dtype=precise) if bias is not None and need_bias else None
            for start in range(0, len(rows), chunk):
                part, aims = rows[start : start + chunk].to(compute), targets[start : start + chunk, None]
                log_probabilities = _log_softmax(part, matrix, offset, precise)  # (chunk, vocabulary)
                total -= _smoothed_sum(log_probabilities, aims, smoothing)
                difference = log_probabilities.exp_()  # becomes softmax - target distribution, in place
                difference.scatter_add_(1, aims, difference.new_full((1, 1), smoothing - 1.0).expand_as(aims))
                if smoothing:
                    difference -= smoothing / len(weight)
                if bias_gradient is not None:
                    bias_gradient += difference.sum(0)
                difference = difference.to(compute)
                if rows_gradient is not None:
                    rows_gradient[start : start + chunk] = difference @ matrix
                if weight_gradient is not None and compute == precise:
                    weight_gradient.addmm_(difference.T, part)
                elif weight_gradient is not None:
                    weight_gradient += difference.T @ part
        ctx.save_for_backward(
            rows_gradient,
            None if weight_gradient is None else weight_gradient.to(weight.dtype),
            None if bias_gradient is None or bias is None else bias_gradient.to(bias.dtype),
        )
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients = (None if found is None else found * upstream.to(found.dtype) for found in ctx.saved_tensors)
        return (*gradients, None, None, None)


def _log_probability_sum(
    rows: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, smoothing: float, chunk: int
) -> Tensor:
    compute, precise = compute_types(rows)
    total = torch.zeros((), dtype=precise, device=rows.device)
    with autocast_off(rows):
        matrix, offset = weight.to(compute), None if bias is None else bias.to(compute)
        for part, aims in zip(rows.split(chunk), targets.split(chunk), strict=True):
            if len(part):
                total += _smoothed_sum(
                    _log_softmax(part.to(compute), matrix, offset, precise), aims[:, None], smoothing
                )
    return total


def _log_softmax(part: Tensor, matrix: Tensor, bias: Tensor | None, precise: torch.dtype) -> Tensor:
    return torch.log_softmax(F.linear(part, matrix, bias), dim=-1, dtype=precise)  # (chunk, vocabulary)


def _smoothed_sum(log_probabilities: Tensor, aims: Tensor, smoothing: float) -> Tensor:
    """Expected log-probability under the smoothed target distributions, summed over the rows."""
    total = log_probabilities.gather(1, aims).sum()
    if smoothing:
        total = (1.0 - smoothing) * total + smoothing / log_probabilities.shape[1] * log_probabilities.sum()
    return total


def scored_rows(hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor]:
    """The rows that have a target, and their targets. Rows without one cost nothing from here on."""
    if hidden.shape[:-1] != targets.shape or weight.dim() != 2 or hidden.shape[-1] != weight.shape[1]:
        raise ModelError(
            f"hidden {tuple(hidden.shape)}, weight {tuple(weight.shape)} and targets {tuple(targets.shape)} do not fit "
            "together: expected (..., width), (vocabulary, width) and (...)."
        )
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ModelError(
            f"The output layer's bias has the shape {tuple(bias.shape)}, its matrix {tuple(weight.shape)}."
        )
    rows, flat = hidden.reshape(-1, hidden.shape[-1]), targets.reshape(-1)
    scored = flat != IGNORED
    if not bool(scored.all()):
        rows, flat = rows[scored], flat[scored]
    # On a GPU the check would wait for all work so far; its kernels stop at a wrong index themselves.
    if flat.device.type == "cpu" and len(flat) and not 0 <= int(flat.min()) <= int(flat.max()) < len(weight):
        raise ModelError(
            f"The targets range from {int(flat.min())} to {int(flat.max())}, but the output layer has {len(weight)} "
            f"entries (ids 0 to {len(weight) - 1}). Is the tokenizer the model's own? Positions to skip have {IGNORED}."
        )
    return rows, flat.long()


def chunk_rows(chunk: int | None, weight: Tensor) -> int:
    """How many rows are computed at once, where `chunk` does not say."""
    if chunk is None:
        logits = CPU_CHUNK_LOGITS if weight.device.type == "cpu" else ACCELERATOR_CHUNK_LOGITS
        return max(_LEAST_ROWS, logits // max(1, len(weight)))
    if chunk < 1:
        raise ModelError(f"chunk is {chunk}: the output layer's loss needs at least 1 row at once.")
    return chunk


def compute_types(rows: Tensor) -> tuple[torch.dtype, torch.dtype]:
    """The type of the matrix products, and that of log-softmax and sums."""
    precise = torch.float64 if rows.dtype == torch.float64 else torch.float32
    if rows.dtype != torch.float64 and torch.is_autocast_enabled(rows.device.type):
        return torch.get_autocast_dtype(rows.device.type), precise
    return rows.dtype, precise


def autocast_off(rows: Tensor) -> Any:
    """A context without autocast, for code that chooses its types itself."""
    return torch.autocast(rows.device.type, enabled=False)
