"""English contractions, expanded where their meaning is certain."""

from __future__ import annotations

import re

_APOSTROPHES = "'’ʼ＇´`‛"
_AUXILIARIES = "is are was were do does did has have had could should would must might need ought dare may"
_IRREGULAR = {"wo": "will not", "ca": "cannot", "sha": "shall not", "ai": "is not"}
_NEGATED = {stem: f"{stem} not" for stem in _AUXILIARIES.split()} | _IRREGULAR
_SUFFIXES = {"ll": "will", "ve": "have", "re": "are", "m": "am"}
_WHOLE = {"let's": "let us", "y'all": "you all", "'tis": "it is", "'twas": "it was", "'em": "them", "ma'am": "madam"}

# Each pattern begins with a rare character, and looks back from there: three times as fast as looking ahead from
# every word.
_ANY_APOSTROPHE = re.compile(f"[{_APOSTROPHES}]")
_NEGATION = re.compile(rf"[nN][{_APOSTROPHES}][tT](?!\w)")
_SUFFIX = re.compile(rf"[{_APOSTROPHES}](?<=\w.)((?i:ll|ve|re|m))(?!\w)")
_WORD = re.compile(
    rf"[lLyYmM{_APOSTROPHES}](?<![\w'’].)(?i:et[{_APOSTROPHES}]s|[{_APOSTROPHES}]all|tis|twas|em|a[{_APOSTROPHES}]am)(?!\w)"
)
_STEM = re.compile(r"\w+$")
_LONGEST_STEM = max(map(len, _NEGATED))


def expand_contractions(text: str) -> str:
    """Expand English contractions: "Won't" becomes "Will not", "they've" becomes "they have".

    Straight and curly apostrophes are understood; the case of the first letter stays, and a contraction in capitals
    expands to capitals. What cannot be told without its context is left alone: 's (is, has, or possession), except
    in "let's", and 'd (would or had).
    """
    if _ANY_APOSTROPHE.search(text) is None:
        return text
    # Suffixes go first: "shouldn't've" and "y'all're" lose their last one before the rest is looked at.
    text = _SUFFIX.sub(_expand_suffix, text)
    text = _expand_negations(text)
    return _WORD.sub(_expand_word, text)


def _expand_suffix(match: re.Match[str]) -> str:
    word = _SUFFIXES[match[1].lower()]
    return " " + (word.upper() if match[1].isupper() else word)


def _expand_negations(text: str) -> str:
    pieces: list[str] = []
    end = 0
    for match in _NEGATION.finditer(text):
        # One character more than the longest stem tells "weren't" from "xweren't".
        stem = _STEM.search(text[max(end, match.start() - _LONGEST_STEM - 1) : match.start()])
        if stem is not None and stem[0].lower() in _NEGATED:
            start = match.start() - len(stem[0])
            pieces += [text[end:start], _like(text[start : match.end()], _NEGATED[stem[0].lower()])]
            end = match.end()
    return "".join([*pieces, text[end:]])


def _expand_word(match: re.Match[str]) -> str:
    expanded = _WHOLE.get(_ANY_APOSTROPHE.sub("'", match[0].lower()))
    return match[0] if expanded is None else _like(match[0], expanded)


def _like(original: str, expanded: str) -> str:
    """Give `expanded` the capitals of `original`."""
    letters = [character for character in original if character.isalpha()]
    if all(letter.isupper() for letter in letters):
        return expanded.upper()
    return expanded[0].upper() + expanded[1:] if letters[0].isupper() else expanded
