"""Batches of `TargetRows`: each text in a row of its own, or several texts packed into rows of one length."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from nlpladder.errors import DataError
from nlpladder.training.batch_layout import (
    STEP_TARGETS,
    BatchLayout,
    RowBatches,
    TrainingBatches,
    budget_cuts,
    rounded_up,
)
from nlpladder.training.packing import first_fit_decreasing
from nlpladder.training.sequence_data import IGNORED, TargetRows


class TargetBatches(RowBatches):
    """Batches of texts of similar length, one a row; see `RowBatches`. Texts without a target are left out."""

    def __init__(self, data: TargetRows, layout: BatchLayout) -> None:
        self.data = data
        self.kept = np.flatnonzero(data.counts)
        lengths = data.inputs.lengths[self.kept]
        super().__init__(layout, longer=lengths, shorter=lengths, counts=data.counts[self.kept])

    def _batch(self, rows: np.ndarray) -> dict[str, Any]:
        return target_batch(self.data, self.kept[rows], self.layout)


class PackedBatches(TrainingBatches):
    """Batches of rows that several texts fill, with the position of each token in its own text.

    Which lengths share a row is decided once, by `first_fit_decreasing`; each epoch draws which text of a length
    stands where, and the order of the rows. Texts without a target are left out.

    Args:
        data: Texts of at most ``layout.pack`` tokens.
        layout: Gives the length of a row.

    Raises:
        DataError: for a text that fits in no row.
    """

    def __init__(self, data: TargetRows, layout: BatchLayout) -> None:
        super().__init__(layout)
        self.data = data
        kept = np.flatnonzero(data.counts)
        lengths = data.inputs.lengths[kept]
        if int(lengths.max()) > layout.pack:
            row = int(kept[np.argmax(lengths)])
            raise DataError(
                f"Row {row} has {int(lengths.max()):,} tokens and does not fit in a packed row of {layout.pack:,}: "
                "raise block_length, or cut the texts."
            )
        #: The texts from long to short; `slots` number them, row by row.
        self.by_length = kept[np.argsort(-lengths, kind="stable")]
        self.sorted_lengths = data.inputs.lengths[self.by_length]
        self.slots = first_fit_decreasing(self.sorted_lengths, layout.pack)
        rows = max(1, layout.batch_tokens // layout.pack) if layout.batch_tokens else layout.batch_size
        self.rows_a_step = rows * layout.parts
        self.steps = -(-len(self.slots) // self.rows_a_step)
        self._arrange(np.random.default_rng((layout.seed, 0)))

    @property
    def fill(self) -> float:
        """Share of the rows' tokens that belong to a text."""
        return float(self.sorted_lengths.sum() / (len(self.slots) * self.layout.pack))

    def _arrange(self, generator: np.random.Generator) -> None:
        # Texts of equal length change places: any of them fits where another did.
        self.texts = self.by_length[np.lexsort((generator.random(len(self.by_length)), -self.sorted_lengths))]
        self.order = generator.permutation(len(self.slots))

    def _part(self, step: int, part: int) -> dict[str, Any]:
        rows = self.order[step * self.rows_a_step : (step + 1) * self.rows_a_step]
        packed = [self.texts[self.slots[row]] for row in rows]
        mine = packed[part :: self.layout.parts]
        batch = packed_batch(self.data, mine or packed[:1], self.layout)
        if not mine:
            batch["targets"].fill_(IGNORED)
        return {**batch, STEP_TARGETS: int(sum(self.data.counts[texts].sum() for texts in packed))}


def target_batch(data: TargetRows, rows: np.ndarray, layout: BatchLayout) -> dict[str, Any]:
    """Return ids and targets (rows, longest) of some texts, one a row.

    The padding stands on the right, where a causal model never looks: no mask is needed, and attention takes its
    fastest path.
    """
    input_ids, _ = data.inputs.padded(rows, fill=layout.pad_token_id, multiple_of=layout.multiple_of)
    targets, _ = data.targets.padded(rows, fill=IGNORED, multiple_of=layout.multiple_of)
    return {"input_ids": torch.from_numpy(input_ids), "targets": torch.from_numpy(targets)}


def packed_batch(data: TargetRows, rows: list[np.ndarray], layout: BatchLayout) -> dict[str, Any]:
    """Return rows that hold several texts each, one after the other.

    Args:
        data: The texts.
        rows: For each row the numbers of its texts.
        layout: Gives the padding.

    Returns:
        ``input_ids``, ``targets``, ``position_ids`` (counted from 0 in every text) and ``document_ids`` (the number of
        the text in its row), all of shape (rows, longest). What is left of a row is filled with texts of padding.
    """
    lengths = data.inputs.lengths
    width = max(int(lengths[texts].sum()) for texts in rows)
    width = -(-width // layout.multiple_of) * layout.multiple_of
    input_ids = np.full((len(rows), width), layout.pad_token_id, dtype=np.int64)
    targets = np.full((len(rows), width), IGNORED, dtype=np.int64)
    position_ids = np.zeros((len(rows), width), dtype=np.int64)
    document_ids = np.zeros((len(rows), width), dtype=np.int64)
    for row, texts in enumerate(rows):
        end = 0
        for number, text in enumerate(texts):
            start, end = end, end + int(lengths[text])
            input_ids[row, start:end] = data.inputs[text]
            targets[row, start:end] = data.targets[text]
            position_ids[row, start:end] = np.arange(end - start)
            document_ids[row, start:end] = number
        # Positions may be learnt ones, of which there need not be so many: padding is cut into texts of its own.
        rest, longest = np.arange(width - end), int(lengths[texts].max())
        position_ids[row, end:] = rest % longest
        document_ids[row, end:] = len(texts) + rest // longest
    return {
        "input_ids": torch.from_numpy(input_ids),
        "targets": torch.from_numpy(targets),
        "position_ids": torch.from_numpy(position_ids),
        "document_ids": torch.from_numpy(document_ids),
    }


def target_validation(data: TargetRows, layout: BatchLayout) -> Iterator[dict[str, Any]]:
    """Give this process's share of one pass over the texts, longest first, each in a row of its own."""
    kept = np.flatnonzero(data.counts)
    order = kept[np.argsort(-data.inputs.lengths[kept], kind="stable")]
    budget = layout.batch_tokens or layout.batch_size * layout.pack
    if budget:
        cuts = budget_cuts(rounded_up(data.inputs.lengths[order], layout.multiple_of), budget)
    else:
        cuts = np.arange(layout.batch_size, len(order), layout.batch_size)
    for rows in np.split(order, cuts)[layout.rank :: layout.world]:
        yield target_batch(data, rows, layout)
