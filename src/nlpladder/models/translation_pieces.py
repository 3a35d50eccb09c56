"""Texts longer than a model reads at once, cut into pieces where a sentence or a word ends; batches of like lengths."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

#: Most scripts end a sentence with a mark and white space, Chinese and Japanese with the mark alone.
_SENTENCE_END = re.compile(r"[.!?…]+[\"'”’»)\]]*\s+|[。！？]+[」』”’]*|\n+")
_WORD_END = re.compile(r"\s+")


def cut(text: str, count: Callable[[str], int], limit: int) -> list[str]:
    """Return `text` in pieces of at most `limit` tokens; nothing but white space between pieces is lost.

    A piece ends with a sentence if it can, else with a word, else anywhere.

    Args:
        text: Not empty.
        count: Returns the number of tokens of a text, special ones included.
        limit: Most tokens of a piece.
    """
    if len(text) == 1 or count(text) <= limit:
        return [text]
    for pattern in (_SENTENCE_END, _WORD_END):
        groups = _groups(_parts(text, pattern), count, limit)
        if len(groups) > 1:
            return [piece for group in groups for piece in cut(group, count, limit)]
    middle = len(text) // 2
    return [*cut(text[:middle], count, limit), *cut(text[middle:], count, limit)]


def _parts(text: str, pattern: re.Pattern[str]) -> list[str]:
    """Split behind each match, keeping everything."""
    ends = [match.end() for match in pattern.finditer(text)]
    starts = [0, *ends]
    return [part for start, end in zip(starts, [*ends, len(text)], strict=True) if (part := text[start:end]).strip()]


def _groups(parts: list[str], count: Callable[[str], int], limit: int) -> list[str]:
    """Join neighbours as long as they stay within the limit, counting each part once."""
    groups: list[str] = []
    size = 0
    for part in parts:
        tokens = count(part)
        if groups and size + tokens <= limit:
            groups[-1] += part
            size += tokens
        else:
            groups.append(part)
            size = tokens
    return groups


def length_batches(lengths: Sequence[int], tokens_per_batch: int) -> Iterator[list[int]]:
    """Yield batches of numbers of pieces, sorted by length, longest first (memory trouble then shows at once).

    Args:
        lengths: Tokens of each piece.
        tokens_per_batch: Most tokens of a batch, padding included; one longer piece is a batch of its own.
    """
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lambda number: -lengths[number]):
        if batch and (len(batch) + 1) * lengths[batch[0]] > tokens_per_batch:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch
