"""Beam search for any encoder-decoder, sentence by sentence done.

At every step each sentence keeps its `num_beams` best unfinished translations. Every one of them is continued by every
token; of all continuations the best are kept, and those that end go to the sentence's list of finished translations,
ranked by log p / length^length_penalty. A sentence is done when its list is full and its best unfinished translation
is worse than the worst of the list (Sutskever et al. 2014, section 3.2; the rule to stop is that of transformers, whose
``generate()`` finds the same translations).

A sentence that is done leaves the batch, and takes its rows of the cache with it, so that one long sentence does not
keep its neighbours computing; ``generate()`` carries all rows to the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import EncoderDecoderCache, LogitsProcessorList

#: Sentences that are done leave the batch together, when they are at least this share of it: every time, the source's
#: part of the cache is copied.
_LEAVING_SHARE = 0.125


@dataclass(frozen=True)
class Found:
    """A finished translation.

    Attributes:
        ids: Its tokens, the end mark included where it came before the limit.
        log_probability: Natural logarithm of the probability of all tokens.
        score: log p / length^length_penalty, by which the search ranks.
    """

    ids: list[int]
    log_probability: float
    score: float


@torch.inference_mode()
def beam_search(
    model: Any,
    encoder_outputs: Any,
    mask: Tensor,
    *,
    start: int,
    ends: Sequence[int],
    limits: Sequence[int],
    num_beams: int,
    length_penalty: float = 1.0,
    never: Sequence[int] = (),
    processors: LogitsProcessorList | None = None,
) -> list[list[Found]]:
    """Translate a batch.

    Args:
        model: An encoder-decoder in evaluation mode whose cache knows ``reorder_cache`` and ``batch_select_indices``.
        encoder_outputs: Of the batch, a ModelOutput whose tensors have the batch in dimension 0.
        mask: 1 at source tokens, shape (batch, source).
        start: The token that the decoder reads first.
        ends: Tokens that end a translation.
        limits: Most target tokens of each sentence, at least 1.
        num_beams: Translations kept at each step; 1 is greedy search, which ends with the first end mark.
        length_penalty: Finished translations are ranked by log p / length^length_penalty.
        never: Tokens that no translation holds. They keep their share of the probability.
        processors: Further changes of the log-probabilities (rows, vocabulary) given the tokens so far.

    Returns:
        For each sentence its finished translations, best first, at most `num_beams`.
    """
    search = _Search(len(limits), start, ends, limits, num_beams, length_penalty, mask.device)
    encoder_outputs = map_tensors(encoder_outputs, lambda value: value.repeat_interleave(num_beams, dim=0))
    mask = mask.repeat_interleave(num_beams, dim=0)  # (sentences * beams, source)
    hidden = list(never)
    cache = None
    while True:
        output = model(
            decoder_input_ids=search.last_tokens(),
            encoder_outputs=encoder_outputs,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            return_dict=True,
        )
        cache = output.past_key_values
        log_probabilities = torch.log_softmax(output.logits[:, -1].float(), dim=-1)  # (rows, vocabulary)
        if processors:
            log_probabilities = processors(search.tokens_so_far(), log_probabilities)  # type: ignore[arg-type]
        if hidden:
            log_probabilities[:, hidden] = -torch.inf
        rows = search.step(log_probabilities)
        if search.all_done():
            return search.answers()
        staying = search.leave()
        if staying is None:
            _reorder(cache, rows)
            continue
        rows = rows[staying]
        cache.batch_select_indices(rows)
        encoder_outputs = map_tensors(encoder_outputs, lambda value, rows=rows: value.index_select(0, rows))  # type: ignore[misc]
        mask = mask.index_select(0, rows)


class _Search:
    """The translations of a batch while they grow. Shapes: b sentences that are not done, k beams."""

    def __init__(
        self,
        sentences: int,
        start: int,
        ends: Sequence[int],
        limits: Sequence[int],
        num_beams: int,
        length_penalty: float,
        device: torch.device,
    ) -> None:
        self.beams, self.penalty, self.device = num_beams, length_penalty, device
        self.ends = torch.tensor(list(ends), device=device)
        self.limits = torch.tensor(list(limits), device=device)  # (b,)
        self.numbers = list(range(sentences))  # which sentence a row of the tensors below is about
        self.done = torch.zeros(sentences, dtype=torch.bool, device=device)
        self.tokens = torch.full((sentences, num_beams, 1), start, device=device)  # (b, k, 1 + length)
        # At first all beams of a sentence are the same; only the first may be continued.
        self.log_p = torch.full((sentences, num_beams), -torch.inf, device=device)  # (b, k)
        self.log_p[:, 0] = 0.0
        self.finished: list[list[Found]] = [[] for _ in range(sentences)]

    def last_tokens(self) -> Tensor:
        """What the decoder reads next, shape (b * k, 1)."""
        return self.tokens[:, :, -1].reshape(-1, 1)

    def tokens_so_far(self) -> Tensor:
        """All tokens with the start, shape (b * k, 1 + length)."""
        return self.tokens.flatten(0, 1)

    def all_done(self) -> bool:
        """Whether no sentence can get a better translation."""
        return bool(self.done.all())

    def step(self, log_probabilities: Tensor) -> Tensor:
        """Continue all beams by one token.

        Args:
            log_probabilities: Of the next token, shape (b * k, vocabulary).

        Returns:
            For each of the new beams the row that it continues, shape (b * k,).
        """
        sentences, beams, length = len(self.numbers), self.beams, self.tokens.shape[2]
        # Of k beams at most k times as many continuations as there are end marks can end, so that k others remain.
        wanted = max(2, 1 + len(self.ends)) * beams
        # No beam can give more of the best ones than that, and a row is sorted faster than all rows together.
        best, tokens = log_probabilities.topk(min(wanted, log_probabilities.shape[1]), dim=-1)  # (b * k, wanted)
        totals = (self.log_p.reshape(-1, 1) + best).reshape(sentences, -1)  # (b, k * wanted)
        totals, places = totals.topk(min(wanted, totals.shape[1]), dim=-1)  # (b, wanted), best first
        beam = places // best.shape[1]
        token = tokens.reshape(sentences, -1).gather(1, places)
        ending = torch.isin(token, self.ends) | (self.limits == length)[:, None]
        self._collect(totals, beam, token, ending)
        totals = totals.masked_fill(ending, -torch.inf)
        self.log_p, chosen = totals.topk(beams, dim=-1)  # (b, k)
        beam, token = beam.gather(1, chosen), token.gather(1, chosen)
        kept = self.tokens.gather(1, beam[:, :, None].expand(-1, -1, length))
        self.tokens = torch.cat([kept, token[:, :, None]], dim=2)
        self._find_done()
        return (torch.arange(sentences, device=self.device)[:, None] * beams + beam).reshape(-1)

    def _collect(self, totals: Tensor, beam: Tensor, token: Tensor, ending: Tensor) -> None:
        """Put what ends among the `num_beams` best continuations into the lists of finished translations."""
        length = self.tokens.shape[2]
        top = ending[:, : self.beams] & torch.isfinite(totals[:, : self.beams]) & ~self.done[:, None]
        for row, place in top.nonzero().tolist():
            log_p = float(totals[row, place])
            ids = [*self.tokens[row, beam[row, place], 1:].tolist(), int(token[row, place])]
            several = self.finished[self.numbers[row]]
            several.append(Found(ids, log_p, log_p / length**self.penalty))
            several.sort(key=lambda found: -found.score)
            del several[self.beams :]

    def _find_done(self) -> None:
        """Mark the sentences that no unfinished translation can improve."""
        length = self.tokens.shape[2] - 1
        leading = (self.log_p[:, 0] / length**self.penalty).tolist()
        limits = self.limits.tolist()
        for row, number in enumerate(self.numbers):
            several = self.finished[number]
            full = len(several) == self.beams and (self.beams == 1 or leading[row] <= several[-1].score)
            if full or limits[row] <= length:
                self.done[row] = True

    def leave(self) -> Tensor | None:
        """Let the sentences that are done leave, when they are enough of them.

        Returns:
            Which of the new beams stay, shape (rows,); None when all do.
        """
        if int(self.done.sum()) < max(1.0, _LEAVING_SHARE * len(self.numbers)):
            return None
        staying = (~self.done).nonzero().flatten()
        self.numbers = [self.numbers[row] for row in staying.tolist()]
        self.tokens, self.log_p = self.tokens[staying], self.log_p[staying]
        self.limits, self.done = self.limits[staying], self.done[staying]
        return (staying[:, None] * self.beams + torch.arange(self.beams, device=self.device)).flatten()

    def answers(self) -> list[list[Found]]:
        """Return the finished translations of each sentence, best first."""
        return self.finished


def map_tensors(output: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Return a ModelOutput with every tensor changed."""
    changed = {name: change(value) if isinstance(value, Tensor) else value for name, value in output.items()}
    return type(output)(**changed)


def _reorder(cache: Any, rows: Tensor) -> None:
    """Let row i of the cache be what ``rows[i]`` was, within its sentence: what is the source's stays where it is."""
    grown: Any = cache.self_attention_cache if isinstance(cache, EncoderDecoderCache) else cache
    grown.reorder_cache(rows)
