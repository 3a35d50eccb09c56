"""Typing noise: what fingers do to a text."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


def _neighbours() -> dict[str, str]:
    """Return the keys next to each letter of a QWERTY keyboard, whose rows are shifted by half a key."""
    place = {
        letter: (row, column + 0.5 * row) for row, letters in enumerate(_ROWS) for column, letter in enumerate(letters)
    }
    return {
        letter: "".join(
            other
            for other, (other_row, other_column) in place.items()
            if other != letter and abs(row - other_row) <= 1 and abs(column - other_column) <= 1
        )
        for letter, (row, column) in place.items()
    }


_NEIGHBOURS = _neighbours()


def keyboard_typo(text: str, rate: float, generator: np.random.Generator) -> str:
    """Hit the key next to the right one.

    Args:
        text: Any text.
        rate: The share of letters to change; at least one.
        generator: The source of chance.
    """
    characters = list(text)
    for position in _choose([i for i, c in enumerate(characters) if c.lower() in _NEIGHBOURS], rate, generator):
        near = _NEIGHBOURS[characters[position].lower()]
        typed = near[generator.integers(len(near))]
        characters[position] = typed.upper() if characters[position].isupper() else typed
    return "".join(characters)


def transposition(text: str, rate: float, generator: np.random.Generator) -> str:
    """Swap a letter with the letter after it; arguments as `keyboard_typo`."""
    characters = list(text)
    pairs = [
        position
        for position, (left, right) in enumerate(itertools.pairwise(text))
        if left.isalpha() and right.isalpha() and left != right
    ]
    touched: set[int] = set()
    for position in _choose(pairs, rate, generator):
        if position not in touched and position + 1 not in touched:
            characters[position], characters[position + 1] = characters[position + 1], characters[position]
            touched.update((position, position + 1))
    return "".join(characters)


def character_drop(text: str, rate: float, generator: np.random.Generator) -> str:
    """Leave a letter out; arguments as `keyboard_typo`."""
    letters = [position for position, character in enumerate(text) if character.isalpha()]
    dropped = set(_choose(letters, rate, generator)) if len(letters) > 1 else set()
    return "".join(character for position, character in enumerate(text) if position not in dropped)


def character_double(text: str, rate: float, generator: np.random.Generator) -> str:
    """Hit a letter twice; arguments as `keyboard_typo`."""
    doubled = set(
        _choose([position for position, character in enumerate(text) if character.isalpha()], rate, generator)
    )
    return "".join(character * 2 if position in doubled else character for position, character in enumerate(text))


def mixed_case(text: str, rate: float, generator: np.random.Generator) -> str:
    """Type a letter in the wrong case; arguments as `keyboard_typo`."""
    cased = [position for position, character in enumerate(text) if character.swapcase() != character]
    flipped = set(_choose(cased, rate, generator))
    return "".join(
        character.swapcase() if position in flipped else character for position, character in enumerate(text)
    )


def _choose(positions: list[int], rate: float, generator: np.random.Generator) -> list[int]:
    """Choose a share of `positions`, at least one of them, in order."""
    if not positions:
        return []
    number = max(1, round(rate * len(positions)))
    return sorted(int(position) for position in generator.choice(positions, size=number, replace=False))


#: The noise operations by name.
NOISE_OPERATIONS: Mapping[str, Callable[[str, float, np.random.Generator], str]] = {
    "keyboard_typo": keyboard_typo,
    "transposition": transposition,
    "character_drop": character_drop,
    "character_double": character_double,
    "mixed_case": mixed_case,
}
