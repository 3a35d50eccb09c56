"""The weights of a foreign model under our names: nothing of theirs lost, nothing of ours left unset."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Size, Tensor

from nlpladder.errors import ModelError

#: Stands in a table for the number of a layer; the same on both sides.
LAYER = "#"


@dataclass(frozen=True, kw_only=True)
class Rename:
    """Where a weight of theirs goes, if more than its name changes.

    Attributes:
        ours: Our name; several where their one matrix holds ours side by side, as GPT-2's does for query, key and
            value.
        transposed: Theirs is (inputs, outputs); that of ``nn.Linear`` is (outputs, inputs).
        flattened: Theirs has dimensions of size 1 that ours has not.
    """

    ours: tuple[str, ...]
    transposed: bool = False
    flattened: bool = False

    def pieces(self, weight: Tensor) -> tuple[Tensor, ...]:
        """Cut `weight` into one tensor for each of our names."""
        if self.transposed and weight.ndim == 2:
            weight = weight.T
        if self.flattened:
            weight = weight.flatten()
        return tuple(weight.chunk(len(self.ours), dim=0))  # outputs come first, in matrices as in biases


NameTable = Mapping[str, str | Rename]


def rename_weights(
    weights: Mapping[str, Tensor], table: NameTable, *, unused: Iterable[str], shapes: Mapping[str, Size]
) -> dict[str, Tensor]:
    """Return `weights` under our names, as copies that share no memory with them.

    Args:
        weights: Their state dict, tied weights under each of their names.
        table: Their module -> our module, ``#`` for the number of a layer; ``weight`` and ``bias`` keep their names. A
            weight that belongs to no such module stands under its full name.
        unused: Full names, ``#`` as above, of what we compute and do not store.
        shapes: Our names and what shape each must have.

    Raises:
        ModelError: A weight of theirs has no place here, one of ours would stay at random, or a shape differs.
    """
    found: dict[str, Tensor] = {}
    homeless: list[str] = []
    ignored = set(unused)
    for name, weight in weights.items():
        pattern = pattern_of(name)
        if pattern in ignored:
            continue
        for ours, piece in _place(name, pattern, weight, table):
            if ours not in shapes:
                homeless.append(name)
            elif piece.shape != shapes[ours]:
                raise ModelError(
                    f"The weight {name!r} has the shape {tuple(weight.shape)} and would be our {ours!r} with the shape "
                    f"{tuple(piece.shape)}, but the config asks for {tuple(shapes[ours])}. Do weights and config "
                    "belong together?"
                )
            else:
                found[ours] = piece.detach().clone().contiguous()
    if homeless:
        raise ModelError(
            f"Our Transformer has no place for {_listed(homeless)}, so it would compute something else. The model has "
            "parts that plain models of its kind do not have."
        )
    missing = [name for name in shapes if name not in found]
    if missing:
        raise ModelError(f"The model has no weights for our {_listed(missing)}; left out, they would be random.")
    return found


def pattern_of(name: str) -> str:
    """Return `name` with ``#`` for the number of the layer."""
    return re.sub(r"\.\d+\.", f".{LAYER}.", name)


def _place(name: str, pattern: str, weight: Tensor, table: NameTable) -> Iterable[tuple[str, Tensor]]:
    """Yield our full names for one weight of theirs with the tensor that goes there; their own name if none fits."""
    numbers = re.findall(r"\.(\d+)\.", name)
    module, _, kind = pattern.rpartition(".")
    whole = table.get(pattern)
    entry = whole if whole is not None else table.get(module)
    if entry is None:
        return [(name, weight)]
    suffix = "" if whole is not None else f".{kind}"
    rename = entry if isinstance(entry, Rename) else Rename(ours=(entry,))
    names = [_with_layer(ours, numbers) + suffix for ours in rename.ours]
    return zip(names, rename.pieces(weight), strict=True)


def _with_layer(pattern: str, numbers: list[str]) -> str:
    for number in numbers:
        pattern = pattern.replace(LAYER, number, 1)
    return pattern


def _listed(names: list[str]) -> str:
    shown = ", ".join(repr(name) for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"
