"""A tokenizer for word vectors: it cuts a text into the words that have a vector."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

#: A word with parts joined by one of the marks that usual tokenizers leave inside words, or a run of other signs.
_JOINED = r"\w+(?:[-_'’./&@:+*]\w+)*|[^\w\s]+"
#: Ways to cut raw text, the finest first.
_CUTS: tuple[dict[str, Any], ...] = (
    {"type": "Whitespace"},  # \w+|[^\w\s]+
    {"type": "Split", "pattern": {"Regex": _JOINED}, "behavior": "Removed", "invert": True},
    {"type": "WhitespaceSplit"},
)
#: Up to this many words that the cut would split are matched before it.
_MOST_ADDED = 1000


def unknown_token(words: Sequence[str]) -> str:
    """Return a name for unknown words that is no word."""
    known = set(words)
    name = "[UNK]"
    while name in known:
        name = f"[{name}]"
    return name


def tokenizer_json(words: Sequence[str], unknown: str) -> str:
    """Return the content of ``tokenizer.json`` for words in the order of their rows; `unknown` is the row after them.

    The finest cut that leaves all words whole (but for a thousand, which are matched beforehand) is taken: raw text is
    then cut at punctuation wherever the words allow it. Text is lower-cased if no word has an upper-case letter.
    """
    vocabulary = {word: row for row, word in enumerate(words)}
    vocabulary[unknown] = len(words)
    lowercase = all(word == word.lower() for word in words)
    content: dict[str, Any] = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [],
        "normalizer": {"type": "Lowercase"} if lowercase else None,
        "pre_tokenizer": None,
        "post_processor": None,
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {unknown: 0}, "unk_token": unknown},
    }
    split: list[int] = []
    for cut in _CUTS:
        content["pre_tokenizer"] = cut
        split = _split_words(words, content)
        if len(split) <= _MOST_ADDED:
            break
    content["model"]["vocab"] = vocabulary
    if len(split) <= _MOST_ADDED:
        flags = {"single_word": True, "lstrip": False, "rstrip": False, "normalized": True, "special": False}
        content["added_tokens"] = [{"id": row, "content": words[row], **flags} for row in split]
    return json.dumps(content, ensure_ascii=False)


def _split_words(words: Sequence[str], content: dict[str, Any]) -> list[int]:
    """Return the rows of the words that are not left as they are."""
    from tokenizers import Tokenizer

    cutter = Tokenizer.from_str(json.dumps(content)).pre_tokenizer
    normalize = Tokenizer.from_str(json.dumps(content)).normalizer
    rows = []
    for row, word in enumerate(words):
        if word.isascii() and word.isalnum():
            continue
        shown = normalize.normalize_str(word) if normalize is not None else word
        pieces = cutter.pre_tokenize_str(shown)
        if len(pieces) != 1 or pieces[0][0] != word:
            rows.append(row)
    return rows
