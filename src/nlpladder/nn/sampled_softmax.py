"""Sampled softmax: the loss of an output layer whose vocabulary is too large to compute at every step.

After Bengio and Senecal 2008, "Adaptive Importance Sampling to Accelerate Training of a Neural Probabilistic Language
Model", and Jean et al. 2015, "On Using Very Large Target Vocabulary for Neural Machine Translation".
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from nlpladder.errors import ModelError
from nlpladder.nn.output_loss import autocast_off, chunk_rows, compute_types, scored_rows


def sampled_cross_entropy(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    num_samples: int,
    proposal: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Sum of cross-entropies whose normaliser is estimated from a sample of the vocabulary.

    One sample of words is shared by all rows. A row's normaliser is the exact term of its target plus the sampled
    terms, each divided by its word's chance to be in the sample ("logQ correction"):

        Z = exp(s[target]) + sum over sampled k != target of exp(s[k] - log Q[k])

    Words are drawn without replacement: each word gets an exponential waiting time with rate `proposal[k]`, and the
    `num_samples` words that come first are the sample. Given the time at which the next one would have come, the
    chance of a word is `Q[k] = 1 - exp(-proposal[k] * time)`, and Z's expectation is the full normaliser exactly
    (Duffield et al. 2007, "Priority sampling for estimation of arbitrary subset sums"). A sample as large as the
    vocabulary gives the full loss. Smaller ones underestimate it a little, since the logarithm is concave. Use it for
    training alone; measure with `nlpladder.nn.output_loss.linear_cross_entropy`.

    Args:
        hidden: (..., width), what the output layer reads.
        weight: (vocabulary, width), the output layer's matrix.
        targets: (...), the token ids to be predicted; -100 marks positions that are not scored.
        bias: (vocabulary,), or none.
        num_samples: How many different words are drawn.
        proposal: (vocabulary,), positive weights with which words are drawn, such as unigram counts. By default
            log-uniform, log((k + 2) / (k + 1)), close to Zipf's law where ids are sorted by falling frequency.
        generator: Source of chance, on the device of `hidden`.

    Returns:
        The estimated sum in nats, a float32 scalar (float64 for float64 inputs).

    Raises:
        ModelError: If shapes do not fit, a target is no id of the vocabulary, or `num_samples` is below 1.
    """
    rows, row_targets = scored_rows(hidden, weight, targets, bias)
    if num_samples < 1:
        raise ModelError(f"num_samples is {num_samples}: sampled softmax needs at least 1 sampled word.")
    sample, log_chance = _draw_words(len(weight), num_samples, proposal, rows.device, generator)
    # One gather for the sample and the targets: its gradient is one table of the vocabulary's size, not two.
    wanted = torch.cat([sample, row_targets])
    vectors = F.embedding(wanted, weight)  # (samples + rows, width)
    offsets = None if bias is None else F.embedding(wanted, bias[:, None])[:, 0]
    loss: Tensor = _ChunkedSampledCrossEntropy.apply(
        rows, vectors, offsets, log_chance, sample, row_targets, chunk_rows(None, vectors[: len(sample)])
    )
    return loss


def _draw_words(
    vocabulary: int, count: int, proposal: Tensor | None, device: torch.device, generator: torch.Generator | None
) -> tuple[Tensor, Tensor]:
    """A sample of different words, and the logarithm of each one's chance to be in it."""
    if proposal is None:
        ranks = torch.arange(vocabulary, device=device, dtype=torch.float64)
        proposal = torch.log((ranks + 2) / (ranks + 1))
    elif proposal.shape != (vocabulary,) or bool((proposal <= 0).any()):
        raise ModelError(
            f"The proposal of sampled softmax has the shape {tuple(proposal.shape)}: it needs one positive weight for "
            f"each of the {vocabulary} words. Add 1 to the counts of words that were never seen."
        )
    rates = proposal.to(device=device, dtype=torch.float64)
    if count >= vocabulary:
        return torch.arange(vocabulary, device=device), torch.zeros(vocabulary, device=device)
    waits = torch.empty(vocabulary, device=device, dtype=torch.float64).exponential_(generator=generator) / rates
    first = waits.topk(count + 1, largest=False, sorted=True)
    sample = first.indices[:count]
    return sample, torch.log(-torch.expm1(-rates[sample] * first.values[count]))


class _ChunkedSampledCrossEntropy(torch.autograd.Function):
    """The loss of rows against a sample and their own targets, with its gradients found in the forward pass.

    The first vectors are the sample's, the others the targets', row by row; as in `linear_cross_entropy`, a chunk of
    rows at a time is computed, so that its logits stay in a CPU's cache.
    """

    @staticmethod
    def forward(
        ctx: Any,
        rows: Tensor,
        vectors: Tensor,
        offsets: Tensor | None,
        log_chance: Tensor,
        sample: Tensor,
        targets: Tensor,
        chunk: int,
    ) -> Tensor:
        compute, precise = compute_types(rows)
        count = len(sample)
        with autocast_off(rows):
            sampled, aimed = vectors[:count].to(compute), vectors[count:]
            correction = -log_chance.to(precise)
            if offsets is not None:
                correction = correction + offsets[:count].to(precise)
            total = torch.zeros((), dtype=precise, device=rows.device)
            rows_gradient = torch.empty_like(rows)
            sampled_gradient = torch.zeros(sampled.shape, dtype=precise, device=rows.device)
            aimed_gradient = torch.empty_like(aimed)
            sampled_offset, aimed_offset = torch.zeros_like(correction), torch.zeros_like(rows[:, 0], dtype=precise)
            for start in range(0, len(rows), chunk):
                part = rows[start : start + chunk]
                own, aims = aimed[start : start + chunk], targets[start : start + chunk]
                score = (part.to(precise) * own.to(precise)).sum(-1)  # (chunk,)
                if offsets is not None:
                    score = score + offsets[count + start : count + start + len(part)].to(precise)
                logits = F.linear(part.to(compute), sampled).to(precise).add_(correction)  # (chunk, samples)
                # The target has its own, exact term. Where it is in the sample too, it must not count twice.
                logits.masked_fill_(aims[:, None] == sample, -torch.inf)
                normaliser = torch.logaddexp(torch.logsumexp(logits, dim=1), score)
                total += (normaliser - score).sum()
                shares = logits.sub_(normaliser[:, None]).exp_()  # probabilities of the sample, in place
                miss = (score - normaliser).exp_() - 1.0  # probability of the target, minus 1
                sampled_offset += shares.sum(0)
                aimed_offset[start : start + chunk] = miss
                narrow = shares.to(compute)
                rows_gradient[start : start + chunk] = narrow @ sampled + miss[:, None] * own
                sampled_gradient += narrow.T @ part.to(compute)
                aimed_gradient[start : start + chunk] = miss[:, None] * part
        vectors_gradient = torch.cat([sampled_gradient.to(vectors.dtype), aimed_gradient])
        offsets_gradient = None
        if offsets is not None:
            offsets_gradient = torch.cat([sampled_offset, aimed_offset]).to(offsets.dtype)
        ctx.save_for_backward(rows_gradient, vectors_gradient, offsets_gradient)
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        gradients = (None if found is None else found * upstream.to(found.dtype) for found in ctx.saved_tensors)
        return (*gradients, None, None, None, None)
