"""What a sequence model is trained on: pairs of sentences, or one running text; token ids in flat arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nlpladder.errors import DataError


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


SequenceData = ParallelRows | RunningTokens | TokenBlocks
