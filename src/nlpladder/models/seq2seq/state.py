"""What a recurrent decoder remembers between two steps of a generation."""

from __future__ import annotations

from torch import Tensor


class DecoderState:
    """The cache that ``generate()`` carries from step to step and reorders for beams.

    Every tensor has the batch in dimension 0. A forward pass returns a new state and leaves the one it got unchanged.

    Attributes:
        hidden: h_t or s_i of all layers, shape (batch, layers, hidden).
        cell: The memory c_t of LSTM layers, same shape; None for a GRU.
        feed: What is fed into the next step: the attentional state (batch, hidden); None without input feeding.
        keys: The source's part of the scores, shape (batch, source, key); None without attention.
        length: Target tokens read so far.
    """

    is_compileable = False

    def __init__(
        self, hidden: Tensor, cell: Tensor | None, feed: Tensor | None, keys: Tensor | None, length: int = 0
    ) -> None:
        self.hidden = hidden
        self.cell = cell
        self.feed = feed
        self.keys = keys
        self.length = length

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return the number of target tokens read so far."""
        return self.length

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Let row i be what row ``beam_idx[i]`` was. Keys stay: the beams of one row have one source."""
        self.hidden = self.hidden.index_select(0, beam_idx)
        self.cell = None if self.cell is None else self.cell.index_select(0, beam_idx)
        self.feed = None if self.feed is None else self.feed.index_select(0, beam_idx)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep the rows `indices` only, of other sources as well."""
        self.reorder_cache(indices)
        self.keys = None if self.keys is None else self.keys.index_select(0, indices)
