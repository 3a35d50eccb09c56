"""How probable an encoder-decoder finds given targets: log p(target | source), token by token, teacher-forced.

What measures read from T5 and translators alike: the probability of an answer, of the word in a gap, of one of two
translations that differ in a pronoun. Pairs of one source are read together, so that the encoder reads each source
once, whatever the number of its targets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from nlpladder.errors import DataError, ModelError
from nlpladder.models.beam_search import map_tensors
from nlpladder.models.evaluating import evaluating
from nlpladder.models.targets import check_texts
from nlpladder.models.translation_search import learns_prompts, source_batch
from nlpladder.protocols import FloatArray, TokenScores

if TYPE_CHECKING:
    from nlpladder.models.translation import Translator

#: Logits that are held at once, at most: 32 MiB of float32 on a CPU, whose cache they should not leave by far.
_CPU_LOGITS_AT_ONCE = 2**23
_ACCELERATOR_LOGITS_AT_ONCE = 2**27

Ids = tuple[int, ...]


def score_targets(
    translator: Translator, sources: Sequence[str], targets: Sequence[str], *, tokens_per_batch: int = 8192
) -> list[TokenScores]:
    """Return how each target is predicted from its source, its end mark included.

    The mark with which every target of a model is forced to begin (BART's start, mBART's language) is no choice of the
    model and not scored. Equal pairs are scored once.

    Args:
        translator: Model and tokenizers.
        sources: As `Translator.translate` takes them; read at once, never in pieces. Where the text format says that
            long sources are cut, they are, as in training.
        targets: One a source.
        tokens_per_batch: Source and target tokens, padding included, that are read at once.

    Raises:
        DataError: Sources and targets do not go together, or one is longer than the model reads at once.
        ModelError: The tokenizer has no end mark.
    """
    sources, targets = check_texts(sources), check_texts(targets)
    if len(sources) != len(targets):
        raise DataError(f"There are {len(sources):,} sources and {len(targets):,} targets; give one target a source.")
    read = [tuple(row) for row in translator.source_ids(sources)]
    written = [tuple(row) for row in translator.target_ids(targets)]
    _check_lengths(translator.model, read, written)
    pairs = list(dict.fromkeys(zip(read, written, strict=True)))
    scores = dict(zip(pairs, _log_probabilities(translator.model, pairs, tokens_per_batch), strict=True))
    forced = getattr(translator.model.generation_config, "forced_bos_token_id", None)
    tokenizer = translator.target_tokenizer
    results = []
    for text, source, target in zip(targets, read, written, strict=True):
        begin = int(bool(target) and target[0] == forced)
        results.append(
            TokenScores(
                tokens=tuple(tokenizer.convert_ids_to_tokens(list(target[begin:]))),
                logprobs=scores[source, target][begin:],
                known=np.array(target[begin:], dtype=np.int64) != _unknown(tokenizer),
                num_words=len(text.split()),
                num_bytes=len(text.encode("utf-8", "surrogatepass")),
            )
        )
    return results


def _unknown(tokenizer: Any) -> int:
    """Return the id of the unknown token, -1 where there is none."""
    return -1 if tokenizer.unk_token_id is None else int(tokenizer.unk_token_id)


def _check_lengths(model: Any, sources: Sequence[Ids], targets: Sequence[Ids]) -> None:
    """Refuse what the model has no positions for, and a source of no token, for which there is nothing to encode."""
    positions = getattr(model.config, "max_position_embeddings", None)
    for number, (source, target) in enumerate(zip(sources, targets, strict=True)):
        if not source:
            raise DataError(
                f"Source {number} is empty to the tokenizer, which adds no end mark: there is nothing to read."
            )
        for side, ids in (("Source", source), ("Target", target)):
            if positions and len(ids) > positions:
                raise DataError(
                    f"{side} {number} has {len(ids):,} tokens, and the model reads {positions:,}. A probability of a "
                    "part would not be that of the text: shorten it, or leave it out."
                )


def _log_probabilities(model: Any, pairs: Sequence[tuple[Ids, Ids]], tokens_per_batch: int) -> list[FloatArray]:
    """Return the natural log-probability of each token of each target, (target,), in the order given."""
    found: list[FloatArray] = [np.empty(0)] * len(pairs)
    on_cpu = next(model.parameters()).device.type == "cpu"
    logits = _CPU_LOGITS_AT_ONCE if on_cpu else _ACCELERATOR_LOGITS_AT_ONCE
    most_targets = max(64, logits // int(model.get_output_embeddings().weight.shape[0]))
    with evaluating(model):
        for numbers in _batches(pairs, tokens_per_batch, most_targets):
            for number, scores in zip(numbers, _forward(model, [pairs[one] for one in numbers]), strict=True):
                found[number] = scores
    return found


def _batches(pairs: Sequence[tuple[Ids, Ids]], tokens_at_once: int, targets_at_once: int) -> Iterator[list[int]]:
    """Yield numbers of pairs, those of one source side by side, longest first: memory trouble then shows at once."""
    order = sorted(range(len(pairs)), key=lambda one: (-len(pairs[one][0]), pairs[one][0], -len(pairs[one][1]), one))
    batch: list[int] = []
    width = 0  # of the targets of the batch
    for number in order:
        source, target = pairs[number]
        longest = max(width, len(target))
        rows = len(batch) + 1
        source_width = len(pairs[batch[0]][0]) if batch else len(source)
        if batch and (rows * (source_width + longest) > tokens_at_once or rows * longest > targets_at_once):
            yield batch
            batch, longest = [], len(target)
        batch.append(number)
        width = longest
    if batch:
        yield batch


@torch.inference_mode()
def _forward(model: Any, pairs: Sequence[tuple[Ids, Ids]]) -> list[FloatArray]:
    """Read a batch of pairs, sorted by source, with one pass of the encoder over its different sources."""
    device, pad = next(model.parameters()).device, int(model.config.pad_token_id or 0)
    groups = [(source, len(list(rows))) for source, rows in groupby(pairs, key=lambda pair: pair[0])]
    input_ids, mask = source_batch([source for source, _ in groups], pad, device)  # (sources, source)
    owners = torch.tensor([place for place, (_, count) in enumerate(groups) for _ in range(count)], device=device)
    targets, _ = source_batch([target for _, target in pairs], pad, device)  # (batch, target)
    start = torch.full((len(pairs), 1), _start(model), device=device)
    arguments: dict[str, Any] = {
        "attention_mask": mask.index_select(0, owners),
        "decoder_input_ids": torch.cat([start, targets[:, :-1]], dim=1),
        "use_cache": False,
        "return_dict": True,
    }
    if learns_prompts(model):  # the encoder alone does not see learnt prompts
        output = model(input_ids=input_ids.index_select(0, owners), **arguments)
    else:
        encoded = model.get_encoder()(input_ids=input_ids, attention_mask=mask, return_dict=True)
        encoded = map_tensors(encoded, lambda value: value.index_select(0, owners))
        output = model(encoder_outputs=encoded, **arguments)
    logits = output.logits.float()  # (batch, target, vocabulary)
    chosen = logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1) - torch.logsumexp(logits, dim=-1)
    scores = chosen.double().cpu().numpy()  # (batch, target)
    return [row[: len(target)] for row, (_, target) in zip(scores, pairs, strict=True)]


def _start(model: Any) -> int:
    """Return what the decoder reads first."""
    start = model.generation_config.decoder_start_token_id
    start = model.config.bos_token_id if start is None else start
    if start is None:
        raise ModelError("The model names no token with which its decoder starts: set decoder_start_token_id.")
    return int(start)
