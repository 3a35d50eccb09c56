"""Search for translations with any encoder-decoder, and the teacher-forced second pass over what was found.

The second pass gives what the search itself does not: log-probabilities of every hypothesis (also of a greedy one) and
attention weights that belong to the hypothesis. (Those that ``generate()`` returns belong to the beams as they were at
each step, most of which lost.)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import (
    ForcedBOSTokenLogitsProcessor,
    LogitsProcessorList,
    MinLengthLogitsProcessor,
    NoBadWordsLogitsProcessor,
    NoRepeatNGramLogitsProcessor,
    RepetitionPenaltyLogitsProcessor,
    StoppingCriteria,
    StoppingCriteriaList,
    SuppressTokensLogitsProcessor,
)

from nlpladder.models.beam_search import beam_search, map_tensors
from nlpladder.models.evaluating import evaluating


@dataclass(frozen=True)
class Hypothesis:
    """One found translation.

    Attributes:
        ids: Target tokens, the end mark included.
        log_probability: Natural logarithm of the probability of all tokens.
        attention: a_ij, shape (target, source), or None.
        coverage: The coverage penalty for a weight of 1, at most 0.
    """

    ids: list[int]
    log_probability: float
    attention: np.ndarray | None = None
    coverage: float = 0.0

    def score(self, *, length_penalty: float, coverage_penalty: float) -> float:
        """Return log p / length^length_penalty + coverage_penalty * coverage.

        The length penalty is that of transformers. (Wu et al. 2016, eq. 14, divide by ((5 + length) / 6)^alpha.)
        """
        return self.log_probability / max(1, len(self.ids)) ** length_penalty + coverage_penalty * self.coverage


def coverage(attention: np.ndarray) -> float:
    """Return sum_i log(min(sum_j p_ij, 1)) over source tokens i and target tokens j (Wu et al. 2016, eq. 14).

    It is 0 when every source token was attended to with a total weight of 1 or more, and falls with each token that
    was left out.

    Args:
        attention: Shape (target, source), without padding.
    """
    covered = np.clip(attention.sum(axis=0, dtype=np.float64), np.finfo(np.float32).tiny, 1.0)  # (source,)
    return float(np.log(covered).sum())


class LengthLimits(StoppingCriteria):
    """Stops each sentence at its own length, so that a sentence's neighbours in the batch do not matter.

    Args:
        limits: Most new tokens of each sentence, shape (batch,).
        prompt_length: Target tokens that were there before.
    """

    def __init__(self, limits: Tensor, prompt_length: int = 1) -> None:
        self.limits = limits + prompt_length

    def __call__(self, input_ids: Tensor, scores: Any, **_: Any) -> Tensor:
        """Return which rows are long enough, shape (rows,)."""
        limits = self.limits.to(input_ids.device).repeat_interleave(len(input_ids) // len(self.limits))
        return input_ids.shape[1] >= limits


def source_batch(rows: Sequence[Sequence[int]], pad_token_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return token ids padded on the right, and their mask, both (batch, source)."""
    width = max(len(row) for row in rows)
    ids = torch.tensor([[*row, *[pad_token_id] * (width - len(row))] for row in rows], device=device)
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows], device=device)
    return ids, mask


def learns_prompts(model: Any) -> bool:
    """Tell whether the model is one of peft with learnt prompts or prefixes, which the encoder alone does not see."""
    return bool(getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False))


@torch.inference_mode()
def search(
    model: Any,
    rows: Sequence[Sequence[int]],
    *,
    limits: Sequence[int],
    num_beams: int,
    length_penalty: float,
    num_hypotheses: int,
    with_attention: bool,
    attention_layer: int | None,
    never: Sequence[int] = (),
) -> list[list[Hypothesis]]:
    """Translate a batch.

    Args:
        model: An encoder-decoder in evaluation mode.
        rows: Source tokens of each sentence.
        limits: Most target tokens of each sentence.
        num_beams: Hypotheses kept at each step; 1 is greedy search.
        length_penalty: Of the beam search: log p / length^length_penalty.
        num_hypotheses: How many a sentence to return, at most `num_beams`.
        with_attention: Return attention weights and coverage.
        attention_layer: See `cross_attention`.
        never: Token ids that no translation holds, such as those of padding and masks.

    Returns:
        For each sentence its hypotheses, in the order of the search.
    """
    pad = int(model.config.pad_token_id or 0)
    input_ids, mask = source_batch(rows, pad, next(model.parameters()).device)
    settings: dict[str, Any] = {"limits": limits, "num_beams": num_beams, "length_penalty": length_penalty}
    if learns_prompts(model):
        found = _generated(model, input_ids, mask, num_hypotheses=num_hypotheses, never=never, **settings)
        encoded, with_attention = None, False
    else:
        encoded = model.get_encoder()(input_ids=input_ids, attention_mask=mask, return_dict=True)
        rules = search_rules(model.generation_config)
        several = beam_search(
            model, encoded, mask, start=_start(model), ends=_ends(model), never=never, processors=rules, **settings
        )
        found = [one.ids for sentence in several for one in sentence[:num_hypotheses]]
    # A small vocabulary, or rules, can leave a sentence with fewer hypotheses than were asked for.
    counts = [num_hypotheses] * len(rows) if encoded is None else [min(num_hypotheses, len(one)) for one in several]
    owners = torch.repeat_interleave(torch.arange(len(rows)), torch.tensor(counts)).to(mask.device)
    scored = score(
        model,
        found,
        start=torch.full((len(found), 1), _start(model), device=mask.device),
        encoder_outputs=None if encoded is None else map_tensors(encoded, lambda value: value.index_select(0, owners)),
        input_ids=input_ids.index_select(0, owners) if encoded is None else None,
        mask=mask.index_select(0, owners),
        with_attention=with_attention,
        attention_layer=attention_layer,
    )
    ends = np.cumsum(counts).tolist()
    return [scored[end - count : end] for end, count in zip(ends, counts, strict=True)]


def _generated(
    model: Any,
    input_ids: Tensor,
    mask: Tensor,
    *,
    limits: Sequence[int],
    num_beams: int,
    length_penalty: float,
    num_hypotheses: int,
    never: Sequence[int],
) -> list[list[int]]:
    """Search by ``generate()``, which knows how peft puts learnt prompts before a source."""
    found = model.generate(
        input_ids=input_ids,
        attention_mask=mask,
        num_beams=num_beams,
        num_return_sequences=num_hypotheses,
        do_sample=False,
        length_penalty=length_penalty,
        # Always set: the default of generate() is 20 tokens.
        max_new_tokens=max(limits),
        stopping_criteria=StoppingCriteriaList([LengthLimits(torch.tensor(limits))]),
        use_cache=True,
        return_dict_in_generate=False,
        suppress_tokens=list(never) or None,
    )
    ends = set(_ends(model))
    return [
        _until_end(sequence, ends, limits[number // num_hypotheses])
        for number, sequence in enumerate(found[:, 1:].tolist())
    ]


def search_rules(settings: Any) -> LogitsProcessorList:
    """Return what a model's generation config says about its translations, beside beams and length.

    Some models are published with such rules: BART for summaries repeats no three tokens, mBART begins with the mark
    of the target language.

    Args:
        settings: A ``GenerationConfig``.
    """
    rules = LogitsProcessorList()
    if (settings.repetition_penalty or 1.0) != 1.0:
        rules.append(RepetitionPenaltyLogitsProcessor(settings.repetition_penalty))
    if settings.no_repeat_ngram_size:
        rules.append(NoRepeatNGramLogitsProcessor(settings.no_repeat_ngram_size))
    if settings.bad_words_ids:
        rules.append(NoBadWordsLogitsProcessor(settings.bad_words_ids, settings.eos_token_id))
    least = (settings.min_new_tokens + 1) if settings.min_new_tokens else settings.min_length
    if least and settings.eos_token_id is not None:
        rules.append(MinLengthLogitsProcessor(least, settings.eos_token_id))
    if settings.forced_bos_token_id is not None:
        rules.append(ForcedBOSTokenLogitsProcessor(settings.forced_bos_token_id))
    if settings.suppress_tokens:
        rules.append(SuppressTokensLogitsProcessor(settings.suppress_tokens))
    return rules


def _start(model: Any) -> int:
    """Return what the decoder reads first."""
    start = model.generation_config.decoder_start_token_id
    return int(model.config.bos_token_id if start is None else start)


def _ends(model: Any) -> list[int]:
    ids = model.generation_config.eos_token_id
    return [] if ids is None else [ids] if isinstance(ids, int) else list(ids)


def score(
    model: Any,
    rows: Sequence[list[int]],
    *,
    start: Tensor,
    encoder_outputs: Any,
    mask: Tensor,
    with_attention: bool,
    attention_layer: int | None,
    input_ids: Tensor | None = None,
) -> list[Hypothesis]:
    """Read given translations with the decoder, teacher-forced.

    Args:
        model: An encoder-decoder.
        rows: Target tokens of each translation.
        start: The decoder's start token of each, shape (batch, 1).
        encoder_outputs: Of the sources, one a row; None where `input_ids` are given.
        mask: 1 at source tokens, shape (batch, source).
        with_attention: Return attention weights and coverage.
        attention_layer: See `cross_attention`.
        input_ids: The sources themselves, shape (batch, source), for a model with learnt prompts.
    """
    pad = int(model.config.pad_token_id or 0)
    targets, target_mask = source_batch([row or [pad] for row in rows], pad, mask.device)  # (batch, target)
    read = torch.cat([start, targets[:, :-1]], dim=1)  # (batch, target)
    output = _teacher_forced(model, read, encoder_outputs, mask, with_attention, input_ids)
    logits = output.logits.float()  # (batch, target, vocabulary)
    chosen = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1) - torch.logsumexp(logits, dim=-1)
    totals = (chosen * target_mask).sum(dim=1, dtype=torch.float64).tolist()
    attention = cross_attention(output, attention_layer) if with_attention else None
    hypotheses = []
    for number, (row, total) in enumerate(zip(rows, totals, strict=True)):
        if attention is None:
            hypotheses.append(Hypothesis(row, total if row else -math.inf))
            continue
        weights = attention[number, : len(row)][:, mask[number].bool()].float().cpu().numpy()  # (target, source)
        hypotheses.append(Hypothesis(row, total if row else -math.inf, weights, coverage(weights)))
    return hypotheses


def _teacher_forced(
    model: Any,
    decoder_input_ids: Tensor,
    encoder_outputs: Any,
    mask: Tensor,
    attend: bool,
    input_ids: Tensor | None = None,
) -> Any:
    """Run the decoder over whole targets; fused attention kernels, which give no weights, are exchanged for it."""
    arguments = {
        "input_ids": input_ids,
        "encoder_outputs": encoder_outputs,
        "attention_mask": mask,
        "decoder_input_ids": decoder_input_ids,
        "use_cache": False,
        "output_attentions": attend,
        "return_dict": True,
    }
    kernel = getattr(model.config, "_attn_implementation", None)
    if not attend or kernel in (None, "eager") or not getattr(model, "_supports_sdpa", False):
        return model(**arguments)
    model.set_attn_implementation("eager")
    try:
        return model(**arguments)
    finally:
        model.set_attn_implementation(kernel)


def cross_attention(output: Any, layer: int | None = None) -> Tensor | None:
    """Return one alignment a sentence from the cross-attention of all layers and heads.

    The mean over the heads of one layer: of several layers the last but one, which agrees best with alignments made
    by hand (Garg et al. 2019, "Jointly learning to align and translate with Transformer models", section 4.1).

    Args:
        output: Of the model, with ``cross_attentions``.
        layer: Take this layer instead, counted from 0.

    Returns:
        Shape (batch, target, source), or None for a model without attention.
    """
    layers = [weights for weights in (output.cross_attentions or ()) if weights is not None]
    if not layers:
        return None
    return layers[max(0, len(layers) - 2) if layer is None else layer].mean(dim=1)


@torch.inference_mode()
def all_attentions(model: Any, source: list[int], target: list[int]) -> dict[str, np.ndarray]:
    """Return the attention weights of one pair, of every kind that the model has, (layers, heads, rows, columns).

    Args:
        model: An encoder-decoder.
        source: Source tokens.
        target: Target tokens.
    """
    input_ids, mask = source_batch([source], int(model.config.pad_token_id or 0), next(model.parameters()).device)
    decoder_input_ids = torch.tensor([[_start(model), *target[:-1]]], device=mask.device)
    with evaluating(model):
        output = _teacher_forced(model, decoder_input_ids, None, mask, attend=True, input_ids=input_ids)
    maps = {
        "encoder": getattr(output, "encoder_attentions", None),
        "decoder": getattr(output, "decoder_attentions", None),
        "cross": output.cross_attentions,
    }
    return {
        name: torch.stack([layer[0] for layer in layers]).float().cpu().numpy()
        for name, layers in maps.items()
        if layers and all(layer is not None for layer in layers)
    }


def _until_end(ids: list[int], ends: set[int], limit: int) -> list[int]:
    """Cut the padding: keep what comes before the first end mark, the mark itself, and never more than `limit`."""
    for position, token in enumerate(ids[:limit]):
        if token in ends:
            return ids[: position + 1]
    return ids[:limit]
