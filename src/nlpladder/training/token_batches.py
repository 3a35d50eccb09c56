"""From sequences to batches: which rows make an optimiser step, and how a step is dealt over processes.

The rows of a step follow from the seed, the epoch and the size of a whole step only, which is the size of a micro-batch
times accumulation steps times processes. A step's rows are then dealt to its parts, so that two processes with a budget
of b see in each step what one process with 2b sees, and every process has equally many micro-batches.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.utils.data import BatchSampler, DataLoader, Dataset

from nlpladder.training.batches import LengthGroupedSampler
from nlpladder.training.sequence_data import ParallelRows, RunningTokens, SequenceData, TokenBlocks

#: A target that takes no part in the loss.
IGNORED = -100

#: Keys of a batch that are for the trainer and do not reach the model.
STEP_TARGETS = "step_targets"
SLOT = "slot"


@dataclass(frozen=True, kw_only=True)
class BatchLayout:
    """How the rows of a step are spread.

    Attributes:
        batch_size: Rows a process and micro-batch, where `batch_tokens` does not decide.
        batch_tokens: Tokens a process and micro-batch (sentence pairs), padding included; 0 for `batch_size` rows.
        grouped: Whether sentence pairs of similar length share a batch.
        accumulation: Micro-batches an optimiser step.
        world: Processes.
        rank: Which of them this one is.
        seed: With the epoch, decides the order.
        pad_token_id: Stands where there is no token.
        decoder_start_token_id: What a decoder reads first (sentence pairs).
        multiple_of: Widths are rounded up to a multiple of this, which tensor cores like.
    """

    batch_size: int = 32
    batch_tokens: int = 0
    grouped: bool = True
    accumulation: int = 1
    world: int = 1
    rank: int = 0
    seed: int = 0
    pad_token_id: int = 0
    decoder_start_token_id: int = 2
    multiple_of: int = 1

    @property
    def parts(self) -> int:
        """Micro-batches of a step over all processes."""
        return self.accumulation * self.world


class TrainingBatches(Dataset, ABC):
    """The micro-batches of one process for one epoch: ``accumulation`` of them a step.

    Each is a dict of tensors for the model, with the targets aligned to the positions that predict them, and
    ``step_targets``: how many targets the whole step has, over all its micro-batches and processes.
    """

    steps: int
    #: Whether micro-batch i of a step goes on where micro-batch i of the step before it ended.
    carries_state = False

    def __init__(self, layout: BatchLayout) -> None:
        self.layout = layout
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        if epoch != self.epoch:
            self.epoch = epoch
            self._arrange(np.random.default_rng((self.layout.seed, epoch)))

    def __len__(self) -> int:
        return self.steps * self.layout.accumulation

    def __getitem__(self, index: int) -> dict[str, Any]:
        step, slot = divmod(index, self.layout.accumulation)
        if step >= self.steps:
            raise IndexError(f"There are {len(self)} micro-batches, not {index + 1}.")
        # Process r takes parts r, r + world, …: any division of a step into parts deals the same rows.
        return {**self._part(step, slot * self.layout.world + self.layout.rank), SLOT: slot}

    @abstractmethod
    def _arrange(self, generator: np.random.Generator) -> None:
        """Draw the order of an epoch."""

    @abstractmethod
    def _part(self, step: int, part: int) -> dict[str, Any]:
        """Return part `part` of ``layout.parts`` of a step."""


class ParallelBatches(TrainingBatches):
    """Batches of sentence pairs of similar length within a budget of tokens.

    Pairs are sorted by their longer side, in which pairs of equal length stand in random order, nearly sorted by the
    other side; the sorted list is cut where rows x longest would exceed the budget of a step, and the steps are
    shuffled (as fairseq does; Ott et al. 2019). The cuts depend on the lengths alone, so that each epoch has equally
    many steps. Padding counts: a budget that holds for the longest batch holds for all. A pair longer than the budget
    makes a step of its own; a part may exceed its share of a step by less than one row.
    """

    def __init__(self, data: ParallelRows, layout: BatchLayout) -> None:
        super().__init__(layout)
        self.data = data
        self.longer = np.maximum(data.source.lengths, data.target.lengths)
        self.shorter = np.minimum(data.source.lengths, data.target.lengths)
        self.batches: list[np.ndarray] = []
        self._arrange(np.random.default_rng((layout.seed, 0)))
        self.steps = len(self.batches)

    def _arrange(self, generator: np.random.Generator) -> None:
        layout = self.layout
        if layout.batch_tokens:
            noise = generator.uniform(0.0, 2.0, len(self.longer))
            order = np.lexsort((-(self.shorter + noise), -self.longer))
            cuts = budget_cuts(rounded_up(self.longer[order], layout.multiple_of), layout.batch_tokens * layout.parts)
            batches = np.split(order, cuts)
            self.batches = [batches[index] for index in generator.permutation(len(batches))]
            return
        rows = layout.batch_size * layout.parts
        sampler = LengthGroupedSampler(self.longer, rows, layout.seed, grouped=layout.grouped)
        sampler.set_epoch(self.epoch)
        order = np.fromiter(sampler, dtype=np.int64, count=len(sampler))
        batches = np.split(order, range(rows, len(order), rows))
        # Longest first, so that dealing gives every part rows of all lengths.
        self.batches = [batch[np.argsort(-self.longer[batch], kind="stable")] for batch in batches]

    def _part(self, step: int, part: int) -> dict[str, Any]:
        rows = self.batches[step]
        mine = rows[part :: self.layout.parts]
        batch = parallel_batch(self.data, mine if len(mine) else rows[:1], self.layout)
        if not len(mine):
            batch["targets"].fill_(IGNORED)
        return {**batch, STEP_TARGETS: int(self.data.target.lengths[rows].sum())}


class BlockBatches(TrainingBatches):
    """Batches of independent blocks of a running text, cut at an offset that each epoch draws.

    The first and the last block of an epoch are shorter than the others, so that every token is predicted once.
    """

    def __init__(self, data: TokenBlocks, layout: BatchLayout) -> None:
        super().__init__(layout)
        self.data = data
        # An offset of o > 0 makes a short first block: count for the worst case, so that epochs are equally long.
        self.num_blocks = 1 + -(-max(data.num_targets - 1, 0) // data.block_length)
        self.rows = layout.batch_size * layout.parts
        self.steps = -(-self.num_blocks // self.rows)
        self._arrange(np.random.default_rng((layout.seed, 0)))

    def _arrange(self, generator: np.random.Generator) -> None:
        length, total = self.data.block_length, self.data.num_targets
        offset = int(generator.integers(1, length + 1))
        ends = np.minimum(offset + np.arange(self.num_blocks) * length, total)
        starts = np.concatenate([[0], ends[:-1]])
        order = generator.permutation(self.num_blocks)
        self.starts, self.ends = starts[order], ends[order]

    def _part(self, step: int, part: int) -> dict[str, Any]:
        whole = slice(step * self.rows, (step + 1) * self.rows)
        starts, ends = self.starts[whole], self.ends[whole]
        mine = slice(part, None, self.layout.parts)
        batch = block_batch(self.data, starts[mine], ends[mine], self.layout)
        return {**batch, STEP_TARGETS: int((ends - starts).sum())}


class RunningBatches(TrainingBatches):
    """Contiguous rows of a running text, block after block in the same order every epoch.

    The text is cut into as many rows as a whole step has; process and micro-batch number say which of them a part
    follows through the epoch. The last row may be shorter than the others.
    """

    carries_state = True

    def __init__(self, data: RunningTokens, layout: BatchLayout) -> None:
        super().__init__(layout)
        self.data = data
        rows = data.batch_size * layout.parts
        self.row_length = -(-data.num_targets // rows)
        self.row_starts = np.minimum(np.arange(rows) * self.row_length, data.num_targets)
        self.row_ends = np.minimum(self.row_starts + self.row_length, data.num_targets)
        self.steps = -(-self.row_length // data.block_length)

    def _arrange(self, generator: np.random.Generator) -> None:
        """Do nothing: a running text has one order."""

    def _part(self, step: int, part: int) -> dict[str, Any]:
        length = self.data.block_length
        starts = np.minimum(self.row_starts + step * length, self.row_ends)
        ends = np.minimum(starts + length, self.row_ends)
        mine = slice(part, None, self.layout.parts)
        width = min(length, self.row_length - step * length)
        batch = block_batch(self.data, starts[mine], ends[mine], self.layout, width=width)
        return {**batch, STEP_TARGETS: int((ends - starts).sum())}


def training_batches(data: SequenceData, layout: BatchLayout) -> TrainingBatches:
    """Return the training batches of `data` for one process."""
    if isinstance(data, ParallelRows):
        return ParallelBatches(data, layout)
    return RunningBatches(data, layout) if isinstance(data, RunningTokens) else BlockBatches(data, layout)


def validation_batches(data: SequenceData, layout: BatchLayout) -> Iterator[dict[str, Any]]:
    """Give this process's share of one pass in which every target stands once; order and cuts never change.

    A running text keeps its ``batch_size`` rows whatever the number of processes, so that the loss does not depend on
    it; a process without a row gives nothing.
    """
    if isinstance(data, ParallelRows):
        yield from _parallel_validation(data, layout)
    elif isinstance(data, TokenBlocks):
        starts = np.arange(0, data.num_targets, data.block_length)
        ends = np.minimum(starts + data.block_length, data.num_targets)
        for first in range(layout.rank * layout.batch_size, len(starts), layout.world * layout.batch_size):
            part = slice(first, first + layout.batch_size)
            yield block_batch(data, starts[part], ends[part], layout)
    else:
        rows = data.batch_size
        row_length = -(-data.num_targets // rows)
        row_starts = np.minimum(np.arange(rows) * row_length, data.num_targets)[layout.rank :: layout.world]
        row_ends = np.minimum(row_starts + row_length, data.num_targets)
        for offset in range(0, row_length if len(row_starts) else 0, data.block_length):
            starts = np.minimum(row_starts + offset, row_ends)
            width = min(data.block_length, row_length - offset)
            yield block_batch(data, starts, np.minimum(starts + width, row_ends), layout, width=width)


def _parallel_validation(data: ParallelRows, layout: BatchLayout) -> Iterator[dict[str, Any]]:
    longer = np.maximum(data.source.lengths, data.target.lengths)
    order = np.lexsort((-data.target.lengths, -longer))
    if layout.batch_tokens:
        cuts = budget_cuts(rounded_up(longer[order], layout.multiple_of), layout.batch_tokens)
    else:
        cuts = np.arange(layout.batch_size, len(order), layout.batch_size)
    for rows in np.split(order, cuts)[layout.rank :: layout.world]:
        yield parallel_batch(data, rows, layout)


def budget_cuts(lengths: np.ndarray, budget: int) -> np.ndarray:
    """Return where to cut rows, sorted from long to short, so that rows x longest stays within `budget`."""
    cuts, start = [], 0
    while start < len(lengths):
        start += max(1, budget // int(lengths[start]))
        cuts.append(start)
    return np.array(cuts[:-1], dtype=np.int64)


def rounded_up(lengths: np.ndarray, multiple_of: int) -> np.ndarray:
    """Return the lengths that rows have once they are padded to a multiple."""
    return -(-lengths // multiple_of) * multiple_of


def parallel_batch(data: ParallelRows, rows: np.ndarray, layout: BatchLayout) -> dict[str, Any]:
    """Return source ids and mask (rows, source), decoder ids and targets (rows, target) of some pairs."""
    pad, multiple_of = layout.pad_token_id, layout.multiple_of
    source, real = data.source.padded(rows, fill=pad, multiple_of=multiple_of)
    targets, _ = data.target.padded(rows, fill=IGNORED, multiple_of=multiple_of)
    decoder = np.empty_like(targets)
    decoder[:, 0] = layout.decoder_start_token_id
    decoder[:, 1:] = np.where(targets[:, :-1] == IGNORED, pad, targets[:, :-1])
    return {
        "input_ids": torch.from_numpy(source),
        "attention_mask": torch.from_numpy(real.astype(np.int64)),
        "decoder_input_ids": torch.from_numpy(decoder),
        "targets": torch.from_numpy(targets),
    }


def block_batch(
    data: RunningTokens | TokenBlocks, starts: np.ndarray, ends: np.ndarray, layout: BatchLayout, width: int = 0
) -> dict[str, Any]:
    """Return ids and targets (rows, block): position i reads ``ids[i]`` and predicts ``ids[i + 1]``.

    Args:
        data: The running text.
        starts: First positions, shape (rows,); no row at all gives one whose targets are all ignored.
        ends: Positions after the last, shape (rows,).
        layout: Gives the padding.
        width: Tokens of the block; that of the longest row when 0.
    """
    if not len(starts):
        starts = ends = np.zeros(1, dtype=np.int64)
    width = max(width, int((ends - starts).max()), 1)
    positions = starts[:, None] + np.arange(width)  # (rows, block)
    real = positions < ends[:, None]
    positions = np.where(real, positions, 0)
    input_ids = np.where(real, data.ids[positions], layout.pad_token_id).astype(np.int64)
    targets = np.where(real, data.ids[positions + 1], IGNORED).astype(np.int64)
    return {"input_ids": torch.from_numpy(input_ids), "targets": torch.from_numpy(targets)}


class EpochLoader(DataLoader):
    """Loads micro-batches one by one; tells them the epoch, also when the Trainer skips the first of them."""

    def __init__(self, batches: TrainingBatches, *, pin_memory: bool = False) -> None:
        # A generator of its own: a DataLoader draws a seed whenever it starts, and dropout must not notice.
        super().__init__(
            batches,
            batch_sampler=_OneByOne(batches),
            collate_fn=_only,
            pin_memory=pin_memory,
            generator=torch.Generator().manual_seed(0),
        )

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch."""
        self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]


class _OneByOne(BatchSampler):
    """Gives the numbers of the micro-batches, each alone."""

    def __init__(self, batches: TrainingBatches) -> None:
        self.batches = batches

    def set_epoch(self, epoch: int) -> None:
        self.batches.set_epoch(epoch)

    def __iter__(self) -> Iterator[list[int]]:
        return iter([index] for index in range(len(self.batches)))

    def __len__(self) -> int:
        return len(self.batches)


def _only(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the one micro-batch; it is a batch already."""
    return rows[0]
