"""From attention weights to words: unknown words copied from the source."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def attended_word(attention: np.ndarray, words: Sequence[tuple[int, int] | None]) -> tuple[int, int] | None:
    """Return the source word that a target token attends to most.

    The tokens of one word share its weight; tokens outside any word (the end mark) are no candidates.

    Args:
        attention: Weights of one target token, shape (source,).
        words: For each source token the characters of its word, (start, end), or None.
    """
    totals: dict[tuple[int, int], float] = {}
    for weight, word in zip(attention.tolist(), words, strict=True):
        if word is not None:
            totals[word] = totals.get(word, 0.0) + weight
    return max(totals, key=lambda word: totals[word]) if totals else None


def copied_words(
    token_ids: Sequence[int],
    unk_id: int | None,
    attention: np.ndarray,
    words: Sequence[tuple[int, int] | None],
    text: str,
) -> list[str]:
    """Return what each unknown token of a translation is replaced by: the source word it attends to most.

    Luong et al. 2015b, "Addressing the rare word problem", section 3, without their dictionary. A run of unknown
    tokens that all attend to one word (its characters, say) becomes that word once.

    Args:
        token_ids: The translation.
        unk_id: The unknown token's id.
        attention: Shape (target, source).
        words: See `attended_word`.
        text: The source, from which the characters are copied as they stand.

    Returns:
        One string for each unknown token, in order.
    """
    copies: list[str] = []
    previous: tuple[int, int] | None = None
    for position, token in enumerate(token_ids):
        if token != unk_id:
            previous = None
            continue
        word = attended_word(attention[position], words)
        copies.append("" if word is None or word == previous else text[slice(*word)])
        previous = word
    return copies


def fill_unknown(text: str, unk_token: str, copies: Sequence[str]) -> str:
    """Put `copies` in the places of `unk_token`, in order."""
    parts = text.split(unk_token)
    if len(parts) != len(copies) + 1:
        return text  # the token's own characters stand in the translation; leave it as it is
    filled = parts[0] + "".join(copy + part for copy, part in zip(copies, parts[1:], strict=True))
    return filled if all(copies) else " ".join(filled.split())
