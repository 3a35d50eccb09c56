"""Pairs of answers as token rows, and their batches: both answers of a pair stand in one batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from nlpladder.data.preferences import PreferencePair
from nlpladder.errors import ConfigError, DataError
from nlpladder.training.batch_layout import BatchLayout, RowBatches, budget_cuts, rounded_up
from nlpladder.training.sequence_data import IGNORED, TargetRows

if TYPE_CHECKING:
    from nlpladder.models.chat import ChatEncoder

#: Key of a batch: the reference's log-probabilities, of the better answers and then of the worse, shape (2 * pairs,).
REFERENCE = "reference"


class PreferenceRows:
    """Pairs of rows that begin with the same prompt; only the tokens of the answers have targets.

    Args:
        chosen: Rows with the better answers.
        rejected: Rows with the worse answers.

    Attributes:
        reference: log pi_ref(y | x) of the better and the worse answers, shape (pairs, 2), float32; None until
            `reference_logprobs` has computed it.

    Raises:
        DataError: for unequal numbers of rows, or a row whose answer has no token.
    """

    def __init__(self, chosen: TargetRows, rejected: TargetRows) -> None:
        if len(chosen) != len(rejected):
            raise DataError(f"There are {len(chosen):,} better answers but {len(rejected):,} worse ones.")
        for name, rows in (("chosen", chosen), ("rejected", rejected)):
            if not rows.counts.all():
                raise DataError(f"The {name} answer of pair {int(np.argmin(rows.counts))} has no token.")
        self.chosen, self.rejected = chosen, rejected
        self.reference: npt.NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def longer(self) -> npt.NDArray[np.int64]:
        """Tokens of the longer row of each pair, shape (pairs,)."""
        return np.maximum(self.chosen.inputs.lengths, self.rejected.inputs.lengths)


@dataclass(frozen=True)
class EncodedPairs:
    """What `encode_pairs` returns.

    Attributes:
        rows: The pairs that were kept.
        kept: Their numbers.
        prompts_cut: How many pairs lost the beginning of their prompt.
        answers_cut: How many pairs lost the end of an answer.
        same: How many pairs were left out, because the answers differ only behind the cut.
    """

    rows: PreferenceRows
    kept: list[int]
    prompts_cut: int
    answers_cut: int
    same: int

    def notes(self, max_length: int) -> list[str]:
        """Say in sentences what did not fit."""
        found = []
        if self.prompts_cut:
            found.append(f"{self.prompts_cut:,} pairs lost the beginning of a prompt to fit into {max_length:,} tokens")
        if self.answers_cut:
            found.append(f"{self.answers_cut:,} pairs lost the end of an answer to fit into {max_length:,} tokens")
        if self.same:
            found.append(f"{self.same:,} pairs were left out: their answers differ only behind {max_length:,} tokens")
        return found


def encode_pairs(encoder: ChatEncoder, pairs: Sequence[PreferencePair], *, max_length: int) -> EncodedPairs:
    """Turn pairs into rows of at most `max_length` tokens.

    Of what is too long, the prompt loses its beginning first, down to half of `max_length`, the same for both answers;
    then the answers lose their end. The log-probability of an answer's beginning is as exact as that of the whole.

    Args:
        encoder: Of the model's tokenizer.
        pairs: Prompts with a better and a worse answer.
        max_length: Tokens of a row.

    Raises:
        DataError: No pair is left.
        ConfigError: for fewer than four tokens a row.
    """
    if max_length < 4:
        raise ConfigError(f"max_length must be at least 4 tokens for a prompt and an answer, got {max_length}.")
    sides = [
        encoder.encode_all(
            [pair.conversation(answer) for pair, answer in zip(pairs, answers, strict=True)], last_only=True
        )
        for answers in ([pair.chosen for pair in pairs], [pair.rejected for pair in pairs])
    ]
    rows: tuple[list[Any], list[Any]] = ([], [])
    kept: list[int] = []
    prompts_cut = answers_cut = same = 0
    for number in range(len(pairs)):
        both = [_last_answer(side.inputs[number], side.targets[number]) for side in sides]
        if all(len(context) + len(answer) - 1 <= max_length for context, answer in both):
            cut = both
        else:
            longest = max(len(answer) for _, answer in both)
            room = max(max_length // 2, max_length - longest + 1)
            cut = [(_cut_left(context, room), answer) for context, answer in both]
            cut = [(context, answer[: max_length - len(context) + 1]) for context, answer in cut]
        if cut[0][1] == cut[1][1]:
            same += 1
            continue
        prompts_cut += any(len(before[0]) > len(after[0]) for before, after in zip(both, cut, strict=True))
        answers_cut += any(len(before[1]) > len(after[1]) for before, after in zip(both, cut, strict=True))
        kept.append(number)
        for side, (context, answer) in zip(rows, cut, strict=True):
            # The last token of the context predicts the answer's first; the answer's last token is read by nobody.
            side.append(([*context, *answer[:-1]], [IGNORED] * (len(context) - 1) + answer))
    if not kept:
        raise DataError(f"All {len(pairs):,} pairs differ only behind {max_length:,} tokens. Raise max_length.")
    chosen, rejected = (TargetRows([ids for ids, _ in side], [targets for _, targets in side]) for side in rows)
    return EncodedPairs(PreferenceRows(chosen, rejected), kept, prompts_cut, answers_cut, same)


def _last_answer(inputs: list[int], targets: list[int]) -> tuple[list[int], list[int]]:
    """Split a row into what stands before its last answer, and that answer; earlier ones are prompt here."""
    first = len(targets) - 1
    while first and targets[first - 1] != IGNORED:
        first -= 1
    return inputs[: first + 1], targets[first:]


def _cut_left(context: list[int], room: int) -> list[int]:
    """Keep the first token, which begins every text, and the last ones."""
    return context if len(context) <= room else [context[0], *context[len(context) - room + 1 :]]


class PreferenceBatches(RowBatches):
    """Batches of pairs of similar length; see `RowBatches`. A step's targets are its pairs."""

    def __init__(self, data: PreferenceRows, layout: BatchLayout) -> None:
        self.data = data
        # A pair takes two rows of the budget.
        shorter = np.minimum(data.chosen.inputs.lengths, data.rejected.inputs.lengths)
        super().__init__(layout, longer=2 * data.longer, shorter=2 * shorter, counts=np.ones(len(data), dtype=np.int64))

    def _batch(self, rows: np.ndarray) -> dict[str, Any]:
        return preference_batch(self.data, rows, self.layout)


def preference_batch(data: PreferenceRows, rows: np.ndarray, layout: BatchLayout) -> dict[str, Any]:
    """Return ids and targets (2 * pairs, longest), better answers first, and the reference's log-probabilities.

    The padding stands on the right, where a causal model never looks.
    """
    width = -(-int(data.longer[rows].max(initial=1)) // layout.multiple_of) * layout.multiple_of
    batch: dict[str, Any] = {}
    for name, fill in (("inputs", layout.pad_token_id), ("targets", IGNORED)):
        parts = [getattr(side, name).padded(rows, fill=fill)[0] for side in (data.chosen, data.rejected)]
        ids = np.concatenate(
            [np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=fill) for part in parts]
        )
        batch["input_ids" if name == "inputs" else name] = torch.from_numpy(ids)
    if data.reference is not None:
        batch[REFERENCE] = torch.from_numpy(data.reference[rows].T.reshape(-1).copy())  # (2 * pairs,)
    return batch


def preference_passes(
    data: PreferenceRows, layout: BatchLayout
) -> Iterator[tuple[npt.NDArray[np.int64], dict[str, Any]]]:
    """Give this process's share of one pass over all pairs, longest first: their numbers, and the batch."""
    order = np.argsort(-data.longer, kind="stable")
    if layout.batch_tokens:
        cuts = budget_cuts(rounded_up(2 * data.longer[order], layout.multiple_of), layout.batch_tokens)
    else:
        cuts = np.arange(layout.batch_size, len(order), layout.batch_size)
    for rows in np.split(order, cuts)[layout.rank :: layout.world]:
        yield rows, preference_batch(data, rows, layout)
