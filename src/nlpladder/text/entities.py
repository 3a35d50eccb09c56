"""Things in text that are not words: URLs, e-mail addresses, mentions, hashtags, numbers, emoji.

Each function replaces what it finds by a token, or removes it when the token is empty. A replacement never glues
itself to its neighbours: a space is put where there was none.
"""

from __future__ import annotations

import itertools
import re
import unicodedata
from collections.abc import Callable

_URL = re.compile(
    r"(?:https?://|ftp://|www\.)[^\s<>\"“”]*[^\s<>\"“”.,;:!?'’)\]}…]"
    r"|(?<![\w@./-])(?:[a-z0-9-]+\.)+(?:com|org|net|edu|gov|io|ly|co\.uk)(?![\w@-])(?:/[^\s<>\"“”]*[^\s<>\"“”.,;:!?'’)\]}…])?",
    re.IGNORECASE,
)
# A quick look for what every address holds: most texts hold none.
_URL_HINT = re.compile(r"://|[wW]{3}\.|\.(?i:com|org|net|edu|gov|io|ly|co\.uk)(?!\w)")
_EMAIL = re.compile(r"(?<!\w)\w[\w.+-]{0,63}@[\w-]+(?:\.[\w-]+)+")
_MENTION = re.compile(r"(?<![\w@.])(?:@\w+)+")
_HASHTAG = re.compile(r"(?<![\w&#])(?:#\w*[^\W\d_]\w*)+")
_NUMBER = re.compile(r"(?<![\w.,])[+-]?\d+(?:[.,:/]\d+)*(?:%|(?:st|nd|rd|th|s)(?!\w))?(?![\w])")
_MODIFIER = "[\ufe0f\u20e3\U0001f3fb-\U0001f3ff\U000e0020-\U000e007f]"
_PICTURE = (
    "[\u203c\u2049\u2194-\u2199\u21a9\u21aa\u231a\u231b\u2328\u23cf\u23e9-\u23f3\u23f8-\u23fa\u24c2\u25aa\u25ab\u25b6"
    "\u25c0\u25fb-\u25fe\u2600-\u27bf\u2934\u2935\u2b05-\u2b07\u2b1b\u2b1c\u2b50\u2b55\u3030\u303d\u3297\u3299"
    "\U0001f004\U0001f0cf\U0001f170-\U0001f1ff\U0001f201-\U0001f251\U0001f300-\U0001faff]"
)
_EMOJI = re.compile(
    f"[0-9#*]\ufe0f?\u20e3|[\U0001f1e6-\U0001f1ff]{{2}}|(?:{_PICTURE}|[©®™ℹ]\ufe0f){_MODIFIER}*(?:\u200d{_PICTURE}{_MODIFIER}*)*"
)


def replace_urls(text: str, token: str = "<url>") -> str:
    """Replace web addresses, with a scheme, with ``www.`` or with a common top-level domain."""
    return _replace(_URL, text, lambda _: token) if _URL_HINT.search(text) else text


def replace_emails(text: str, token: str = "<email>") -> str:
    """Replace e-mail addresses."""
    return _replace(_EMAIL, text, lambda _: token) if "@" in text else text


def replace_mentions(text: str, token: str = "<user>") -> str:
    """Replace mentions such as ``@name``; several without a space between them are one."""
    return _replace(_MENTION, text, lambda _: token) if "@" in text else text


def replace_hashtags(text: str, token: str = "<hashtag>", keep_word: bool = False) -> str:
    """Replace hashtags, or with `keep_word` only drop the mark: "#Great#Film" becomes "Great Film"."""
    if "#" not in text:
        return text
    return _replace(_HASHTAG, text, lambda match: match[0].replace("#", " ").strip() if keep_word else token)


def replace_numbers(text: str, token: str = "<num>") -> str:
    """Replace numbers, also "1,000.50", "10/10", "12:30", "90%" and "3rd"; digits inside a word stay ("mp3")."""
    return _replace(_NUMBER, text, lambda _: token)


def replace_emoji(text: str, token: str = "<emoji>") -> str:
    """Replace emoji; a sequence that is shown as one picture (family, flag, skin tone) is one emoji."""
    return text if text.isascii() else _replace(_EMOJI, text, lambda _: token)


def demojize(text: str) -> str:
    """Write emoji as their Unicode names, without skin tones: "😀" becomes ":grinning_face:"."""
    return text if text.isascii() else _replace(_EMOJI, text, lambda match: _emoji_name(match[0]))


def _emoji_name(emoji: str) -> str:
    if len(emoji) == 2 and all("\U0001f1e6" <= character <= "\U0001f1ff" for character in emoji):
        return ":flag_" + "".join(chr(ord(character) - 0x1F1E6 + ord("a")) for character in emoji) + ":"
    names = [
        unicodedata.name(character, f"u{ord(character):x}")
        for character in emoji
        if re.fullmatch(_MODIFIER, character) is None and character != "\u200d"
    ]
    return ":" + re.sub(r"\W+", "_", "_".join(names).lower()) + ":"


def _replace(pattern: re.Pattern[str], text: str, replacement: Callable[[re.Match[str]], str]) -> str:
    """Like ``pattern.sub``, with a space wherever the replacement would touch its neighbour."""
    pieces: list[str] = []
    end = 0
    for match in pattern.finditer(text):
        pieces.append(text[end : match.start()])
        pieces.append(replacement(match))
        end = match.end()
    if not pieces:
        return text
    pieces.append(text[end:])
    kept = [piece for piece in pieces if piece]
    spaced = kept[:1]
    for left, right in itertools.pairwise(kept):
        if not (left[-1].isspace() or right[0].isspace()):
            spaced.append(" ")
        spaced.append(right)
    return "".join(spaced)
