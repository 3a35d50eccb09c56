"""What a recurrent language model remembers of the tokens it has read: the states of its layers."""

from __future__ import annotations

import torch
from torch import Tensor

State = tuple[Tensor, ...]


class RecurrentCache:
    """The state of each layer, with the batch in dimension 0.

    It plays the part that the key-value cache plays for a Transformer, and is of constant size: ``generate`` takes it
    out of the output, reorders it for beam search, and feeds it back with one new token a step. In training it carries
    the state from block to block: ``model(ids, past_key_values=cache.detach(), targets=targets)``.

    The model never changes a cache that it was given; it returns a new one.

    Args:
        states: For each layer ``(h,)`` or ``(h, c)``, tensors (batch, hidden).
        seen_tokens: How many tokens a row has gone through, padding included.
    """

    is_compileable = False

    def __init__(self, states: list[State] | tuple[State, ...], seen_tokens: int = 0) -> None:
        self.states = [tuple(state) for state in states]
        self.seen_tokens = seen_tokens

    def __len__(self) -> int:
        return len(self.states)

    @property
    def batch_size(self) -> int:
        """Number of texts."""
        return int(self.states[0][0].shape[0])

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Return how many tokens were read; `generate` asks for it."""
        return self.seen_tokens

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Put, in place, the state of row ``beam_idx[i]`` into row i; beam search calls it after each step."""
        self.states = [tuple(part.index_select(0, beam_idx.to(part.device)) for part in state) for state in self.states]

    def batch_select_indices(self, indices: Tensor) -> None:
        """Keep, in place, the rows `indices`."""
        self.states = [tuple(part[indices] for part in state) for state in self.states]

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Repeat, in place, each row `repeats` times."""
        self.states = [tuple(part.repeat_interleave(repeats, dim=0) for part in state) for state in self.states]

    def detach(self) -> RecurrentCache:
        """Return the same state cut off from the graph: truncated back-propagation through time ends here."""
        return RecurrentCache([tuple(part.detach() for part in state) for state in self.states], self.seen_tokens)

    def to(self, device: torch.device | str) -> RecurrentCache:
        """Return the same state on another device."""
        return RecurrentCache([tuple(part.to(device) for part in state) for state in self.states], self.seen_tokens)

    def state_dict(self) -> dict[str, Tensor | int]:
        """Return the state as plain tensors by name, for a checkpoint."""
        tensors: dict[str, Tensor | int] = {
            f"layers.{layer}.{part}": tensor.detach().clone()
            for layer, state in enumerate(self.states)
            for part, tensor in enumerate(state)
        }
        return tensors | {"seen_tokens": self.seen_tokens}

    @classmethod
    def from_state_dict(cls, tensors: dict[str, Tensor | int]) -> RecurrentCache:
        """Return the cache that `state_dict` wrote."""
        layers: dict[int, dict[int, Tensor]] = {}
        for name, tensor in tensors.items():
            if isinstance(tensor, Tensor):
                layer, part = (int(number) for number in name.removeprefix("layers.").split("."))
                layers.setdefault(layer, {})[part] = tensor
        states = [tuple(parts[part] for part in sorted(parts)) for _, parts in sorted(layers.items())]
        return cls(states, int(tensors["seen_tokens"]))
