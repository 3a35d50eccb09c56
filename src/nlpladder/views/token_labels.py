"""Tokens as labels of a figure: one line each, visible white space, no formulas, no characters that cannot be drawn."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_VISIBLE = {"\n": "⏎", "\r": "⏎", "\t": "⇥", "": "∅"}
_NO_GLYPH = "□"
_LONGEST_LABEL = 16
_POINTS_PER_INCH = 72.0
_SMALLEST_FONT, _LARGEST_FONT = 4.0, 9.0
#: Fonts of further scripts, used where they are installed; DejaVu Sans comes with matplotlib.
_FAMILIES = (
    "DejaVu Sans", "Noto Sans CJK JP", "Noto Sans CJK SC", "Source Han Sans", "WenQuanYi Zen Hei", "IPAGothic",
    "Noto Sans", "Noto Sans Hebrew", "Noto Sans Arabic", "Noto Sans Devanagari", "Noto Sans Thai", "Arial Unicode MS",
    "Hiragino Sans", "PingFang SC", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "Noto Emoji", "Segoe UI Symbol",
)  # fmt: skip


def label_fonts() -> list[str]:
    """Return the installed font families that labels are drawn with, the first that has a character wins."""
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return [family for family in _FAMILIES if family in installed]


def token_labels(tokens: Sequence[str], *, length: int = _LONGEST_LABEL) -> list[str]:
    """Return a label for each token.

    White space becomes ``␣``, ``⏎`` or ``⇥``, an empty token ``∅``, a control character ``�``, and a character that no
    installed font has ``□``: nothing is left that would break a line, turn the direction of writing or warn.

    Args:
        tokens: Any strings.
        length: Longer labels are cut and end in an ellipsis.
    """
    from matplotlib.font_manager import FontProperties, findfont, get_font

    fonts = [get_font(findfont(FontProperties(family=family))) for family in label_fonts()]

    def shown(character: str) -> str:
        if character in _VISIBLE:
            return _VISIBLE[character]
        if character.isspace():
            return "␣"
        if not character.isprintable():
            return "�"
        return character if any(font.get_char_index(ord(character)) for font in fonts) else _NO_GLYPH

    labels = []
    for token in tokens:
        cut = token if len(token) <= length else token[: length - 1]
        labels.append("".join(shown(character) for character in cut or [""]) + ("…" if cut != token else ""))
    return labels


def text_options(*, size: float = 8.0) -> dict[str, Any]:
    """Return the options of a text that is a token: its fonts, and that ``$`` begins no formula."""
    return {"fontfamily": label_fonts(), "fontsize": size, "parse_math": False}


def label_tokens(axes: Axes, side: Literal["x", "y"], tokens: Sequence[str], inches: float) -> None:
    """Write a token at each whole number of an axis, as large as there is room; where there is too little, every k-th.

    Args:
        axes: Where to write.
        side: ``x`` writes upwards, ``y`` to the left.
        tokens: One per position.
        inches: Length of the axis.
    """
    room = _POINTS_PER_INCH * inches / max(1, len(tokens))  # points per token
    step = max(1, -int(-_SMALLEST_FONT * 1.15 // room))
    size = min(_LARGEST_FONT, max(_SMALLEST_FONT, 0.85 * room))
    places = range(0, len(tokens), step)
    labels = token_labels([tokens[place] for place in places])
    if side == "x":
        axes.set_xticks(places, labels, rotation=90, **text_options(size=size))
    else:
        axes.set_yticks(places, labels, **text_options(size=size))
