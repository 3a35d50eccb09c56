"""What the tab Bias takes: lines, terms and pairs of words, checked; and the sentences that stand in every part."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

from nlpladder.bias.statistics.estimates import StatisticsOptions
from shell.limits import DemoError, check_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import pandas as pd

#: Lines of a box, terms of a list, characters of one of them.
MOST_LINES, MOST_TERMS, LONGEST_LINE, LONGEST_TERM = 20, 12, 300, 60
#: The statistics of the tab: fewer resamples than a report takes, so that an answer comes at once.
STATISTICS = StatisticsOptions(resamples=2_000)
TERM = "{term}"

WARNING = (
    "**Content warning.** This tab shows stereotypes and words that may hurt: lists, sentences and model answers about "
    "gender, religion, origin and other groups. They are here to measure what models learnt. They state nobody's view."
)


def read_lines(value: Any, name: str, *, most: int = MOST_LINES, empty: bool = False) -> list[str]:
    """Return the lines of a box that are not blank.

    Args:
        value: What came.
        name: What the box is called.
        most: How many.
        empty: Whether there may be none.

    Raises:
        DemoError: There are none or too many, or one is too long.
    """
    lines = [line.strip() for line in check_text(value, name, empty=empty).splitlines() if line.strip()]
    if len(lines) > most:
        raise DemoError(f"{name}: {len(lines)} lines, at most {most} are taken.")
    for number, line in enumerate(lines, 1):
        if len(line) > LONGEST_LINE:
            raise DemoError(f"{name}, line {number}: {len(line)} characters, at most {LONGEST_LINE} are taken.")
    return lines


def read_terms(value: Any, name: str, *, most: int = MOST_TERMS, least: int = 1, empty: bool = False) -> list[str]:
    """Return words or phrases that are divided by commas or line breaks, each once.

    Args:
        value: What came.
        name: What the box is called.
        most: How many.
        least: How many there must be, where there are any.
        empty: Whether there may be none.

    Raises:
        DemoError: There are too few or too many, or one is too long.
    """
    text = check_text(value, name, empty=empty)
    terms = list(dict.fromkeys(" ".join(part.split()) for part in re.split(r"[,;\n]", text) if part.strip()))
    if empty and not terms:
        return []
    if not least <= len(terms) <= most:
        raise DemoError(f"{name}: {len(terms)} terms, expected {least} to {most} with commas between them.")
    for term in terms:
        if len(term) > LONGEST_TERM:
            raise DemoError(f"{name}: {term[:30]!r}… has {len(term)} characters, at most {LONGEST_TERM} are taken.")
    return terms


def read_templates(value: Any, name: str, *, empty: bool = False) -> list[str]:
    """Return sentences with ``{term}`` in each, once.

    Args:
        value: What came, one a line.
        name: What the box is called.
        empty: Whether there may be none.

    Raises:
        DemoError: A line has no ``{term}``, or several; or as `read_lines`.
    """
    lines = list(dict.fromkeys(read_lines(value, name, empty=empty)))
    for number, line in enumerate(lines, 1):
        if line.count(TERM) != 1:
            raise DemoError(
                f"{name}, line {number}: {TERM} stands there {line.count(TERM)} times, expected once: {line[:60]!r}."
            )
    return lines


def read_pairs(value: Any, name: str) -> list[tuple[str, str]]:
    """Return pairs of terms, one a line, with ``=`` between them.

    Args:
        value: What came, such as ``he = she``.
        name: What the box is called.

    Raises:
        DemoError: A line is no pair; or as `read_lines`.
    """
    pairs = []
    for number, line in enumerate(read_lines(value, name), 1):
        sides = [" ".join(side.split()) for side in line.split("=")]
        if len(sides) != 2 or not all(sides):
            raise DemoError(f"{name}, line {number}: expected two terms with = between them, got {line[:60]!r}.")
        pairs.append((sides[0], sides[1]))
    return pairs


def frame(header: Sequence[str], rows: Sequence[Sequence[Any]] = ()) -> pd.DataFrame:
    """Return a table; an empty one where there are no rows.

    Args:
        header: Headings.
        rows: Cells.
    """
    import pandas as pd

    return pd.DataFrame([list(row) for row in rows], columns=list(header))


def opened(store: Any, names: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield models by name, one open to us at a time; close the generator, so that the last one is given back.

    Args:
        store: The models.
        names: Of those that are asked.
    """
    for name in names:
        with store.use(name) as model:
            yield name, model


def listed(sentences: Sequence[str], *, most: int = 40) -> str:
    """Return sentences as a list in Markdown, as they are.

    Args:
        sentences: May quote names of models and words of visitors.
        most: Further ones are counted.
    """
    shown = [f"- {escaped(one)}" for one in sentences[:most]]
    return "\n".join([*shown, *([f"- and {len(sentences) - most} more"] if len(sentences) > most else [])])


def told_once(notes: Iterable[tuple[str, str]], everybody: Iterable[str] = ()) -> list[str]:
    """Return sentences, each once, behind the names of all that it was said of; of everybody, without names.

    Args:
        notes: (of whom, the sentence), in the order in which they were said.
        everybody: All of whom something could be said.
    """
    said: dict[str, list[str]] = {}
    for who, sentence in notes:
        said.setdefault(sentence, []).append(who)
    every = set(everybody)
    return [
        sentence if every and every <= set(whose) else f"{', '.join(dict.fromkeys(whose))}: {sentence}"
        for sentence, whose in said.items()
    ]


def escaped(text: str) -> str:
    """Return a text that Markdown shows as it is, in one line.

    Args:
        text: Anything.
    """
    plain = html.escape(" ".join(text.split()), quote=False)
    return "".join(f"\\{one}" if one in "\\`*_{}[]()#+-!|~$" else one for one in plain)
