"""How much a visitor may ask for. Every handler checks what it is given here: the browser's own limits bind nobody."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from nlpladder.errors import LadderError, did_you_mean

#: Of one text.
MAX_CHARACTERS = 5_000
#: A box on the page takes this many times what is read of it: a browser cuts a longer text without a word, and what is
#: cut here and there in silence would be taken for the whole. The server says how much there is, and how much it takes.
TYPED_PER_READ = 4
#: Of one generation.
MAX_NEW_TOKENS = 256
#: Of a CSV file.
MAX_ROWS, MAX_CSV_BYTES = 500, 1_000_000
#: Models that answer side by side.
MAX_MODELS = 6
#: Of a text whose attention weights are shown.
MAX_ATTENTION_TOKENS = 64

#: Neither text nor white space: they break terminals, JSON or what reads the page aloud.
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_SHOWN = 60


class DemoError(LadderError):
    """A sentence for the person before the screen: what was asked for cannot be done."""


def check_text(value: Any, name: str, *, most: int = MAX_CHARACTERS, empty: bool = False) -> str:
    """Return a text that may be given to a model; control characters become blanks.

    Args:
        value: What came.
        name: What the box is called.
        most: Characters.
        empty: Whether there may be nothing but white space.

    Raises:
        DemoError: It is no text, too long, or empty.
    """
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise DemoError(f"{name} is a {type(value).__name__}, expected a text.")
    if len(value) > most:
        raise DemoError(f"{name} has {len(value):,} characters, at most {most:,} are taken. Shorten it.")
    text = _CONTROL.sub(" ", value)
    if not empty and not text.strip():
        raise DemoError(f"{name} is empty. Type something, or choose an example.")
    return text


def check_number(value: Any, name: str, *, least: float, most: float) -> float:
    """Return a number between two bounds, both included.

    Raises:
        DemoError: It is no number, or out of the bounds.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise DemoError(f"{name} is {_shown(value)}, expected a number from {least:g} to {most:g}.")
    if not least <= value <= most:
        raise DemoError(f"{name} is {value:g}, expected a number from {least:g} to {most:g}.")
    return float(value)


def check_whole(value: Any, name: str, *, least: int, most: int) -> int:
    """Return a whole number between two bounds, both included.

    Raises:
        DemoError: It is no whole number, or out of the bounds.
    """
    number = check_number(value, name, least=least, most=most)
    if number != int(number):
        raise DemoError(f"{name} is {number:g}, expected a whole number from {least} to {most}.")
    return int(number)


def check_choice(value: Any, name: str, choices: Iterable[str]) -> str:
    """Return one of some names.

    Raises:
        DemoError: It is none of them; the nearest is told.
    """
    known = list(choices)
    if isinstance(value, str) and value in known:
        return value
    if value is None or value == "":
        raise DemoError(f"{name}: nothing is chosen. Choose one.")
    if not isinstance(value, str):
        raise DemoError(f"{name} is a {type(value).__name__}, expected a name.")
    raise DemoError(f"There is no {_shown(value)} among {name}.{did_you_mean(value[:200], known)}")


def check_choices(values: Any, name: str, choices: Iterable[str], *, most: int = MAX_MODELS) -> list[str]:
    """Return some of some names, each once, in the order given.

    Raises:
        DemoError: There are none or too many, or one is unknown.
    """
    if isinstance(values, str):
        values = [values]
    if not isinstance(values, (list, tuple)) or not values:
        raise DemoError(f"{name}: nothing is chosen. Choose one or more.")
    if len(values) > most:
        raise DemoError(f"{name}: {len(values)} are chosen, at most {most} are taken.")
    known = list(choices)
    return list(dict.fromkeys(check_choice(value, name, known) for value in values))


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
