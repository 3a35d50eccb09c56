"""Sentence boundaries: a rule-based splitter that needs no download, and NLTK's Punkt."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from typing import Literal

from nlpladder.errors import ConfigError

SentenceTokenizer = Literal["rules", "punkt"]

_TITLES_TEXT = """
    mr mrs ms messrs mx dr prof rev hon st sr jr gen col lt cpt capt cmdr sgt maj sen rep gov pres supt det insp no
    nos vs v cf fig figs eq sec ch vol pp p ed eds trans approx ca est mt ft e.g i.e a.k.a viz al
"""
#: Abbreviations that are followed by a name or a number, so that the next capital says nothing.
TITLES = frozenset(_TITLES_TEXT.split())
_ABBREVIATIONS_TEXT = """
    etc inc ltd co corp dept univ u.s u.k u.n a.m p.m b.c a.d ph.d m.d b.a m.a jan feb mar apr jun jul aug sept sep
    oct nov dec mon tue wed thu fri sat sun ave blvd rd min max avg
"""
#: Abbreviations that may also end a sentence: they do before a capital letter.
ABBREVIATIONS = frozenset(_ABBREVIATIONS_TEXT.split())

_END = re.compile(
    r"(?P<mark>[.!?…](?<![.!?…].)[.!?…]*+)(?P<close>[\"'”’»)\]]*)(?P<space>\s+)(?=(?P<open>[\"'“‘«(\[¿¡]*)(?P<next>\S))"
    r"|(?P<wide>[。！？｡]+[”’」』）]*)\s*(?=\S)"
)
_LAST_WORD = re.compile(r"[^\s\"'“”‘’(\[]+$")
_BLANK_LINE = re.compile(r"\n\s*\n")
_INITIAL = re.compile(r"[^\W\d_](?:\.[^\W\d_])*")
# An abbreviation, a name or a number is short: what is further from the stop need not be looked at.
_LOOK_BACK = 40


def split_sentences(text: str, abbreviations: Collection[str] = ()) -> list[str]:
    """Split `text` into sentences by rules for English-like punctuation, and at CJK full stops.

    A stop ends a sentence unless it follows a title ("Dr. Who"), an initial ("J. K. Rowling") or a listed
    abbreviation, or the next word is in lower case ("etc. and so on", "Well... maybe", '"Why?" he asked'). "3.14" has
    no space after its stop and is safe. Closing quotes and brackets stay with their sentence; a blank line always
    ends one. White space inside a sentence becomes single spaces.

    Args:
        text: Any text.
        abbreviations: More words that a stop may follow inside a sentence, without their stop.
    """
    more = frozenset(word.lower().rstrip(".") for word in abbreviations)
    sentences: list[str] = []
    for paragraph in _BLANK_LINE.split(text):
        start = 0
        for match in _END.finditer(paragraph):
            if match["wide"] or _ends_sentence(paragraph, match, more):
                sentences.append(paragraph[start : match.end()])
                start = match.end()
        sentences.append(paragraph[start:])
    cleaned = (" ".join(sentence.split()) for sentence in sentences)
    return [sentence for sentence in cleaned if sentence]


def _ends_sentence(text: str, match: re.Match[str], more: frozenset[str]) -> bool:
    if match["next"].islower():
        return False
    if match["mark"] != ".":
        return True
    before = _LAST_WORD.search(text[max(0, match.start() - _LOOK_BACK) : match.start()])
    word = before[0].lower() if before else ""
    if word in TITLES or word in more:
        # "No." is an answer unless a number follows; "v. 2" and "fig. 3" likewise need what follows.
        return word in ("no", "nos", "p", "v", "ch", "ca") and not match["next"].isdigit()
    if word in ABBREVIATIONS:
        return match["next"].isupper() or bool(match["open"])
    # "J. K. Rowling" goes on, "That is what I. think" does not occur, but "so am I. Then" does.
    return word == "i" or _INITIAL.fullmatch(word) is None or bool(match["close"])


def sentence_tokenizer(
    method: SentenceTokenizer = "rules", language: str = "english", abbreviations: Collection[str] = ()
) -> Callable[[str], list[str]]:
    """Return a function from text to sentences.

    Args:
        method: ``rules`` is `split_sentences`; ``punkt`` is NLTK's (Kiss & Strunk 2006), which needs its data.
        language: Of the Punkt model.
        abbreviations: For ``rules``.

    Raises:
        DataError: when Punkt's data is not there; the message holds the download command.
        ConfigError: for a language that Punkt has no model of.
    """
    if method == "rules":
        words = tuple(abbreviations)
        return lambda text: split_sentences(text, words)
    from nlpladder.text.nltk_data import require_nltk_data

    require_nltk_data("punkt_tab", purpose="The sentence tokeniser 'punkt'", instead="use the method 'rules'")
    from nltk.tokenize import PunktTokenizer

    try:
        punkt = PunktTokenizer(language)
    except LookupError as error:
        raise ConfigError(f"NLTK's Punkt has no model for the language {language!r}.") from error
    return lambda text: [sentence for sentence in (" ".join(s.split()) for s in punkt.tokenize(text)) if sentence]
