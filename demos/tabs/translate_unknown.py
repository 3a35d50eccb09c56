"""Whether a translator can know anything of a source: a text of unknown tokens, or of single letters, is none to it."""

from __future__ import annotations

from typing import Any

NOTHING_KNOWN = "It knows nothing of this text: every word of it is unknown to its tokenizer. What it wrote is made up."
LETTERS_ONLY = (
    "It knows no word of this text, nor any part of one: it read single letters. What it wrote is likely made up."
)
#: Signs with which tokenizers mark where a word begins, or goes on.
_MARKS = "▁Ġ#@"
#: A vocabulary with longer pieces than these is not one of letters or bytes, which reads every text so.
_LONGEST_LETTER = 3
#: In fewer letters a short word may well be a piece of its own, or none.
_FEWEST_LETTERS = 4


def unknown_text(translator: Any, text: str) -> str:
    """Return a sentence where the tokenizer of a translator shows that it knows nothing of a text, else nothing.

    Args:
        translator: A `nlpladder.models.translation.Translator`.
        text: The source.
    """
    tokenizer = translator.tokenizer
    (ids,) = translator.source_ids([text])
    unknown, special = tokenizer.unk_token_id, set(tokenizer.all_special_ids)
    tokens = tokenizer.convert_ids_to_tokens(ids)
    words = [
        (one, token.strip(_MARKS))
        for one, token in zip(ids, tokens, strict=True)
        if one == unknown or (one not in special and any(sign.isalnum() for sign in token))
    ]
    if words and unknown is not None and all(one == unknown for one, _ in words):
        return NOTHING_KNOWN
    letters = sum(sign.isalpha() for sign in text)
    if letters >= _FEWEST_LETTERS and len(words) >= letters and _has_pieces(tokenizer, special):
        return LETTERS_ONLY
    return ""


def _has_pieces(tokenizer: Any, special: set[int]) -> bool:
    """Tell whether a vocabulary has more than letters and bytes."""
    return any(
        len(piece.strip(_MARKS)) > _LONGEST_LETTER and not piece.startswith("<")
        for piece, one in tokenizer.get_vocab().items()
        if one not in special
    )
