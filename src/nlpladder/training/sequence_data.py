"""What a sequence model is trained on: pairs of texts, rows with targets, or one running text; ids in flat arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlpladder.errors import DataError

#: A target that takes no part in the loss.
IGNORED = -100


class TokenRows:
    """Rows of token ids in one flat array: four bytes a token.

    Args:
        rows: Token ids of each row.

    Attributes:
        flat: Shape (tokens,), int32.
        lengths: Tokens a row, shape (rows,).
        starts: Where each row begins in `flat`, shape (rows,).
    """

    def __init__(self, rows: Sequence[Sequence[int]]) -> None:
        self.lengths = np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows))
        self.starts = np.cumsum(self.lengths) - self.lengths
        self.flat = np.empty(int(self.lengths.sum()), dtype=np.int32)
        for start, length, row in zip(self.starts, self.lengths, rows, strict=True):
            self.flat[start : start + length] = row

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.flat[self.starts[index] : self.starts[index] + self.lengths[index]]

    def padded(self, rows: np.ndarray, *, fill: int, multiple_of: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return ids (rows, longest), int64, filled up on the right, and where they are tokens (rows, longest), bool.

        Args:
            rows: Indices.
            fill: Stands after a row's last token.
            multiple_of: The width is rounded up to a multiple of this.
        """
        lengths, starts = self.lengths[rows], self.starts[rows]
        width = -(-int(lengths.max(initial=1)) // multiple_of) * multiple_of
        real = np.arange(width) < lengths[:, None]  # (rows, longest)
        # Row by row, the positions in `flat`: each row's start, plus 0, 1, 2 …
        within = np.arange(int(lengths.sum())) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        ids = np.full((len(rows), width), fill, dtype=np.int64)
        ids[real] = self.flat[np.repeat(starts, lengths) + within]
        return ids, real


class ParallelRows:
    """Pairs of a source and a target sentence.

    Args:
        source_rows: Token ids of each source with its end mark.
        target_rows: Token ids of each target with its end mark: what the decoder has to predict.

    Raises:
        DataError: for unequal numbers of rows, no row at all, or a row without a token.
    """

    def __init__(self, source_rows: Sequence[Sequence[int]], target_rows: Sequence[Sequence[int]]) -> None:
        if len(source_rows) != len(target_rows):
            raise DataError(
                f"There are {len(source_rows):,} source rows but {len(target_rows):,} target rows; each source needs "
                "one target."
            )
        if not len(source_rows):
            raise DataError("There is no sentence pair to train on.")
        self.source, self.target = TokenRows(source_rows), TokenRows(target_rows)
        for side, rows in (("source", self.source), ("target", self.target)):
            if not rows.lengths.all():
                first = int(np.argmin(rows.lengths))
                raise DataError(f"Row {first} of the {side} has no token; even an empty sentence needs its end mark.")

    def __len__(self) -> int:
        return len(self.source)

    def set_epoch(self, epoch: int) -> None:
        """Do nothing: the pairs are the same in every epoch. A subclass may draw new ones of the same lengths."""


class TargetRows:
    """Rows of text, of which some tokens are learnt: instructions with answers, documents, cut windows.

    A row is one text, which knows nothing of the others. Targets are aligned: ``targets[i]`` is the token that follows
    ``inputs[i]``, so that an answer's end mark is a target even where its id is that of padding. A prompt's positions
    have the target -100.

    Args:
        input_rows: Token ids that are read.
        target_rows: For each of them the token id to be predicted, or -100.

    Attributes:
        inputs: `TokenRows` of what is read.
        targets: `TokenRows` of what is predicted, of the same lengths.
        counts: Targets other than -100 of each row, shape (rows,).

    Raises:
        DataError: for unequal numbers of rows or tokens, a row without a token, or a target that is no token id.
    """

    def __init__(self, input_rows: Sequence[Sequence[int]], target_rows: Sequence[Sequence[int]]) -> None:
        if len(input_rows) != len(target_rows):
            raise DataError(
                f"There are {len(input_rows):,} input rows but {len(target_rows):,} target rows; each needs its own."
            )
        if not len(input_rows):
            raise DataError("There is no row to train on.")
        self.inputs, self.targets = TokenRows(input_rows), TokenRows(target_rows)
        lengths = self.inputs.lengths
        if (unequal := np.flatnonzero(lengths != self.targets.lengths)).size:
            row = int(unequal[0])
            raise DataError(
                f"Row {row} has {lengths[row]} input tokens but {self.targets.lengths[row]} targets; each position "
                f"needs one, {IGNORED} where nothing is to be predicted."
            )
        if not lengths.all():
            raise DataError(f"Row {int(np.argmin(lengths))} has no token; even an empty text has a start mark to read.")
        learnt = self.targets.flat != IGNORED
        if (wrong := np.flatnonzero(learnt & (self.targets.flat < 0))).size:
            row = int(np.searchsorted(self.targets.starts, wrong[0], side="right")) - 1
            raise DataError(
                f"Row {row} has the target {self.targets.flat[wrong[0]]}, which is neither a token id nor {IGNORED}."
            )
        self.counts = np.add.reduceat(learnt.astype(np.int64), self.targets.starts)
        if not self.counts.any():
            raise DataError(f"Every target of all {len(self):,} rows is {IGNORED}: there is nothing to learn.")

    def __len__(self) -> int:
        return len(self.inputs)

    @property
    def num_targets(self) -> int:
        """Tokens that are predicted in one pass."""
        return int(self.counts.sum())


class _Stream:
    """A running text whose every token but the first is predicted from those before it."""

    def __init__(self, ids: Sequence[int] | np.ndarray, *, block_length: int) -> None:
        self.ids = np.ascontiguousarray(ids, dtype=np.int32)
        if self.ids.ndim != 1 or len(self.ids) < 2:
            raise DataError(
                f"A running text needs at least two token ids in one row, got an array of shape {self.ids.shape}."
            )
        if block_length < 1:
            raise DataError(f"block_length must be at least 1, got {block_length}.")
        self.block_length = block_length

    @property
    def num_targets(self) -> int:
        """Tokens that are predicted in one pass."""
        return len(self.ids) - 1


class RunningTokens(_Stream):
    """A running text read in contiguous rows, so that a recurrent state goes on from block to block.

    The text is cut into as many rows as fit a batch; block t of an epoch holds the t-th `block_length` tokens of
    every row (truncated back-propagation through time; Mikolov et al. 2010).

    Args:
        ids: The text's token ids, shape (tokens,).
        batch_size: Rows a process and micro-batch.
        block_length: Tokens through which gradients flow.

    Raises:
        DataError: for fewer than two tokens.
    """

    def __init__(self, ids: Sequence[int] | np.ndarray, *, batch_size: int, block_length: int) -> None:
        super().__init__(ids, block_length=block_length)
        if batch_size < 1:
            raise DataError(f"batch_size must be at least 1, got {batch_size}.")
        self.batch_size = batch_size


class TokenBlocks(_Stream):
    """A running text cut into blocks that know nothing of one another, at another offset each epoch.

    Args:
        ids: The text's token ids, shape (tokens,).
        block_length: Tokens of a block.

    Raises:
        DataError: for fewer than two tokens.
    """

    def __init__(self, ids: Sequence[int] | np.ndarray, *, block_length: int) -> None:
        super().__init__(ids, block_length=block_length)


SequenceData = ParallelRows | TargetRows | RunningTokens | TokenBlocks
