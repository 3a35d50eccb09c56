"""Word tokenisers."""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from typing import Literal

from nlpladder.errors import DataError

WordTokenizer = Literal["regex", "treebank", "tweet", "whitespace"]

# Letters, marks, numbers and "_" make words; so do the zero-width (non-)joiner inside a word (Persian, Indic scripts).
_WORD = r"[\p{L}\p{N}_]"
_INNER = r"[\p{L}\p{M}\p{N}_\x{200C}\x{200D}]"
_OTHER = r"[^\p{L}\p{N}_\s\x{1C}-\x{1F}]\p{M}*+"

#: The regex tokeniser in the syntax of Hugging Face tokenizers' ``Regex`` (Oniguruma). `_word_pattern` says the same in
#: Python's syntax, and a test holds the two together.
WORD_REGEX = (
    rf"<{_INNER}{{1,30}}>"
    rf"|(?<!{_INNER}):[a-z][a-z0-9_]{{1,80}}:(?!{_INNER})"
    rf"|\p{{Nd}}++(?:[.,]\p{{Nd}}++)++(?!{_INNER})"
    r"|(?:[\p{L}\p{Nl}\p{No}]\.){2,}"
    rf"|[nN]['’][tT](?!{_WORD})"
    rf"|{_WORD}{_INNER}*+(?!['’][tT](?!{_WORD}))"
    rf"|{_WORD}{_INNER}*?(?=[nN]['’][tT](?!{_WORD}))"
    rf"|{_WORD}{_INNER}*+"
    rf"|['’](?:[sSdDmM]|[lL][lL]|[rR][eE]|[vV][eE])(?!{_WORD})"
    r"|\.{2,}"
    rf"|{_OTHER}(?:\x{{200D}}{_OTHER})*+"
)


def regex_tokenize(text: str) -> list[str]:
    """Split `text` into words, numbers, clitics and single punctuation marks; fast, and good for most scripts.

    Clitics are split off as in the Penn Treebank ("isn't" gives "is", "n't"; "it's" gives "it", "'s"), so that
    negation is one word; "3.14", "U.S.", "...", ``<url>`` and ":grinning_face:" stay whole. Tokenising the tokens
    joined by spaces gives the same tokens.
    """
    return _word_pattern().findall(text.rstrip())  # trailing white space would be scanned again from each position


def word_tokenizer(method: WordTokenizer = "regex") -> Callable[[str], list[str]]:
    """Return a function from text to tokens.

    Args:
        method: ``regex`` is `regex_tokenize`; ``treebank`` and ``tweet`` are NLTK's ``TreebankWordTokenizer`` (give it
            one sentence at a time) and ``TweetTokenizer`` (keeps emoticons, hashtags, mentions and URLs), neither of
            which needs a download; ``whitespace`` is ``str.split``.
    """
    if method == "regex":
        return regex_tokenize
    if method == "treebank":
        from nltk.tokenize import TreebankWordTokenizer

        return TreebankWordTokenizer().tokenize
    if method == "tweet":
        return _tweet_tokenizer()
    return str.split


def _tweet_tokenizer() -> Callable[[str], list[str]]:
    from nltk.tokenize import TweetTokenizer

    tokenize = TweetTokenizer().tokenize

    def tokenize_or_explain(text: str) -> list[str]:
        try:
            return tokenize(text)
        except TimeoutError:  # NLTK's guard against patterns that take quadratic time
            raise DataError(
                f"NLTK's TweetTokenizer gave up on the text of {len(text):,} characters that begins {text[:40]!r}. "
                "Shorten it, or use the method 'regex', whose time grows with the length only."
            ) from None

    return tokenize_or_explain


@functools.cache
def _word_pattern() -> re.Pattern[str]:
    r"""Build `WORD_REGEX` for Python's `re`, whose ``\w`` lacks the combining marks that many scripts' words need."""
    joining = rf"(?:(?![\x00-\u02ff])[{_combining_marks()}\u200c\u200d])"  # the guard keeps the long class off ASCII
    mark = rf"(?:(?![\x00-\u02ff])[{_combining_marks()}])"
    inner = rf"(?:\w|{joining})"
    word = rf"\w++(?:{joining}++\w*+)*+"
    other = rf"[^\w\s]{mark}*+"
    return re.compile(
        r"\s*+("  # cheaper than a failed attempt at every space
        r"[^\W\d_]\w++(?=[\s,!?;:)\"])"  # most words; the rest is for the others
        rf"|<{inner}{{1,30}}>"
        rf"|(?<!\w)(?<!{joining}):[a-z][a-z0-9_]{{1,80}}:(?!{inner})"
        rf"|\d++(?:[.,]\d++)++(?!{inner})"
        r"|(?:[^\W\d_]\.){2,}"
        r"|[nN]['’][tT](?!\w)"
        rf"|{word}(?!['’][tT](?!\w))"
        rf"|\w{inner}*?(?=[nN]['’][tT](?!\w))"
        rf"|{word}"
        r"|['’](?:[sSdDmM]|[lL][lL]|[rR][eE]|[vV][eE])(?!\w)"
        r"|\.{2,}"
        rf"|{other}(?:\u200d{other})*+)"
    )


def _combining_marks() -> str:
    """Return Unicode's combining marks as the ranges of a character class."""
    codes = [code for code in range(0x300, 0x1F000) if unicodedata.category(chr(code))[0] == "M"]
    codes += range(0xE0100, 0xE01F0)
    starts = [code for code, before in zip(codes, [-1, *codes], strict=False) if code != before + 1]
    ends = [code for code, after in zip(codes, [*codes[1:], -1], strict=True) if after != code + 1]
    return "".join(f"{chr(start)}-{chr(end)}" for start, end in zip(starts, ends, strict=True))
