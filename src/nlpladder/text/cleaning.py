"""Character-level cleaning: Unicode forms, control characters, white space, HTML, accents, punctuation.

Every function takes a string and returns a string, accepts any string at all, and is idempotent unless it says
otherwise.
"""

from __future__ import annotations

import functools
import html
import re
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Literal

UnicodeForm = Literal["NFC", "NFD", "NFKC", "NFKD"]

# Invisible characters that carry no meaning in running text: soft hyphen, zero-width space, word joiner, byte order
# mark, bidirectional controls. The zero-width (non-)joiner stays: Indic and Persian spelling and emoji need it.
_INVISIBLE = re.compile("[\u00ad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb]")
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_SPACES = re.compile(r"\s+")
_SPACES_IN_LINE = re.compile(r"[^\S\n]+")
_BLANK_LINES = re.compile(r" ?\n ?(?: ?\n ?)*")
_PLACEHOLDER = re.compile(r"(<\w{1,30}>)")
_INNER_APOSTROPHE = re.compile(r"(?<=\w)['’](?=\w)")


def normalize_unicode(text: str, form: UnicodeForm = "NFKC") -> str:
    """Bring `text` to a Unicode normal form (Unicode Standard Annex 15); NFKC also folds ligatures and full-width."""
    return text if text.isascii() else unicodedata.normalize(form, text)


def clean_control_characters(text: str) -> str:
    r"""Remove invisible and control characters, and repair the controls that are really Windows punctuation.

    Text that was decoded as Latin-1 but written as Windows-1252 holds "\x85", "\x92", "\x96" where "…", "’", "–" were
    meant; they are mapped back, as HTML5 does. Tab and newline stay, "\r\n" and "\r" become "\n", and a lone
    surrogate, which no file can hold, becomes U+FFFD.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub("", _CONTROL.sub(_repair_control, text))


def clean_whitespace(text: str, keep_newlines: bool = False) -> str:
    """Turn every run of Unicode white space into one space and strip the ends.

    Args:
        text: Any text.
        keep_newlines: Whether a run with a newline in it becomes one newline instead.
    """
    if not keep_newlines:
        return " ".join(text.split())
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return "\n".join(line for line in lines if line)


def strip_accents(text: str) -> str:
    """Remove combining marks: "café" becomes "cafe" (also "й" becomes "и": not meant for scripts that need marks)."""
    if text.isascii():
        return text
    decomposed = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if unicodedata.category(c) != "Mn"))


def squeeze_repeats(text: str, maximum: int = 3) -> str:
    """Shorten a run of one letter or mark to `maximum`: "sooooo" becomes "sooo". Digits are left alone.

    Three is what NLTK's ``reduce_lengthening`` keeps: no English word has three, and emphasis stays visible.
    """
    return _repeat_pattern(maximum).sub(lambda match: match[1] * maximum, text)


def remove_punctuation(text: str, keep: str = "", replacement: str = " ") -> str:
    """Replace punctuation and symbols; an apostrophe inside a word is dropped, so that "isn't" becomes "isnt".

    Args:
        text: Any text. A placeholder such as ``<url>`` stays whole.
        keep: Characters to leave alone, for example ``"!?"``.
        replacement: What stands in for each removed character; a space keeps "well-known" from becoming one word.
    """
    table = _punctuation_table(keep, replacement)
    parts = _PLACEHOLDER.split(text) if "<" in text else [text]
    for position in range(0, len(parts), 2):
        part = parts[position] if "'" in keep else _INNER_APOSTROPHE.sub("", parts[position])
        parts[position] = part.translate(table)
    return "".join(parts)


def strip_html(text: str, line_break: str = "\n") -> str:
    """Return the visible text of an HTML fragment.

    Entities are decoded once; comments and the content of ``<script>`` and ``<style>`` are dropped; inline tags vanish;
    ``<br>`` and block tags become `line_break`. What merely looks like HTML stays: "a < b", "I <3 you",
    "List<int>" and placeholders such as ``<unk>``, because only names of HTML elements count as tags. Not
    idempotent: "&amp;lt;" is the way to write "&lt;".

    Args:
        text: HTML, or text with some HTML in it.
        line_break: What a line break or the border of a block becomes.
    """
    if "<" not in text:
        return html.unescape(text) if "&" in text else text
    text = _BREAK.sub(lambda _: line_break, text)  # by far the most common tag, and html.parser is slow
    # Without a later ">" nothing can be a tag: the tail is text, whatever the parser of this Python thinks of it.
    end = text.rfind(">") + 1
    head, tail = text[:end], html.unescape(text[end:])
    if "<" not in head:
        return html.unescape(head) + tail
    extractor = _TextExtractor(line_break)
    try:
        extractor.feed(head)
        extractor.close()
    except AssertionError:  # Python's parser gives up on "<![" that opens no marked section
        return html.unescape(_ANY_TAG.sub(" ", head)) + tail
    return "".join(extractor.pieces) + ("" if extractor.hidden else tail)


_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_ANY_TAG = re.compile(r"<[/!?a-zA-Z][^<>]*>")
_BLOCK_ELEMENTS_TEXT = """
    address article aside blockquote body br caption center dd details dialog dir div dl dt fieldset figcaption
    figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html li main menu nav ol option p pre
    section select summary table tbody td tfoot th thead title tr ul
"""
_BLOCK_ELEMENTS = frozenset(_BLOCK_ELEMENTS_TEXT.split())
_INLINE_ELEMENTS_TEXT = """
    a abbr acronym area audio b base bdi bdo big button canvas cite code col colgroup data datalist del dfn em embed
    font i iframe img input ins kbd label legend link map mark meta meter noscript object optgroup output param
    picture progress q rp rt ruby s samp script small source span strike strong style sub sup svg template textarea
    time track tt u var video wbr
"""
_INLINE_ELEMENTS = frozenset(_INLINE_ELEMENTS_TEXT.split())


class _TextExtractor(HTMLParser):
    """Collects the visible text of an HTML fragment."""

    def __init__(self, line_break: str) -> None:
        super().__init__(convert_charrefs=True)
        self.line_break = line_break
        self.pieces: list[str] = []
        self.hidden = ""  # the script or style element that we are in

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag(tag, self.get_starttag_text() or "")
        if tag in ("script", "style") and not self.hidden:
            self.hidden = tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._tag(tag, self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        if tag == self.hidden:
            self.hidden = ""
        else:
            self._tag(tag, f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.pieces.append(data)

    def _tag(self, tag: str, verbatim: str) -> None:
        if self.hidden or tag in _INLINE_ELEMENTS:
            return
        self.pieces.append(self.line_break if tag in _BLOCK_ELEMENTS else verbatim)


def _repair_control(match: re.Match[str]) -> str:
    character = match[0]
    if "\x80" <= character <= "\x9f":
        return character.encode("latin-1").decode("cp1252", errors="ignore")
    return "\ufffd" if "\ud800" <= character <= "\udfff" else ""


@functools.lru_cache(maxsize=16)
def _repeat_pattern(maximum: int) -> re.Pattern[str]:
    return re.compile(rf"([^\W\d]|[^\w\s])\1{{{maximum},}}")


class _PunctuationTable(dict[int, str]):
    """A ``str.translate`` table that looks a character's category up when it first meets it."""

    def __init__(self, keep: str, replacement: str) -> None:
        super().__init__((ord(character), character) for character in keep)
        self.replacement = replacement

    def __missing__(self, code: int) -> str:
        character = chr(code)
        value = self.replacement if unicodedata.category(character)[0] in "PS" else character
        self[code] = value
        return value


@functools.lru_cache(maxsize=16)
def _punctuation_table(keep: str, replacement: str) -> _PunctuationTable:
    return _PunctuationTable(keep, replacement)


#: A function from text to text, the form of every step in this module.
TextFunction = Callable[[str], str]
