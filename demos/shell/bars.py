"""Cards of bars, and bars that can be clicked: a list of words with a number and a bar each, as HTML.

A list is read by a screen reader as a list, wraps on a narrow page, and follows the theme. A bar that bears a word is a
button; what its click does is up to the tab.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

#: Reads the word that the clicked bar bears, which is escaped; nothing of a model or a visitor is in this program. The
#: bars are drawn anew after a click: the keyboard then finds the bar in the same place, or the first one.
_CLICKS = """
let place = -1;
const bars = () => [...element.querySelectorAll('button[data-text]')];
element.addEventListener('click', event => {
  const bar = event.target.closest('button[data-text]');
  if (!bar) return;
  place = bars().indexOf(bar);
  trigger('select', {index: place, value: bar.dataset.text});
});
watch('value', () => {
  const bar = place >= 0 ? bars()[FOCUS] : undefined;
  if (bar) bar.focus({preventScroll: true});
  place = -1;
});
"""
#: Colours that can be told apart (Okabe and Ito 2008); the sign beside a label says the same.
_COLOURS = ("#0072B2", "#D55E00")


def clicks(*, first: bool = False) -> str:
    """Return what makes bars of a ``gr.HTML`` (`js_on_load`) clickable: its ``select`` event tells the word.

    Args:
        first: After a click the first of the new bars has the keyboard, not the one in the same place.
    """
    return _CLICKS.replace("FOCUS", "0" if first else "place")


@dataclass(frozen=True)
class Bar:
    """A word and its number.

    Attributes:
        label: Shown before the bar.
        value: Its length; negative ones go to the left of the middle.
        number: The value as people read it.
        word: What a click hands on; empty for a bar that cannot be clicked.
        mark: Shown before the label, such as ``"given b"``.
        second: Whether the bar has the other colour; the mark has to say the same.
        hint: Shown at the pointer, of a bar that cannot be clicked; the label if empty.
    """

    label: str
    value: float
    number: str
    word: str = ""
    mark: str = ""
    second: bool = False
    hint: str = ""


@dataclass(frozen=True)
class Card:
    """What one model, or one line, has to show.

    Attributes:
        title: Its name.
        inside: HTML between the title and the bars, escaped by its maker.
        bars: From top to bottom.
        note: HTML below the bars, escaped by its maker.
    """

    title: str
    inside: str = ""
    bars: tuple[Bar, ...] = ()
    note: str = ""


def cards_html(
    cards: Sequence[Card], *, scale: float | None = None, spoken: str = "Look at", whole_labels: bool = False
) -> str:
    """Return cards side by side, their bars on one scale.

    Args:
        cards: One or more.
        scale: Value of a full bar; None for the largest of all.
        spoken: What a click does, before the word.
        whole_labels: Whether a long label wraps; otherwise it is cut.
    """
    values = [bar.value for card in cards for bar in card.bars]
    full = max([abs(value) for value in values] + [1e-12]) if scale is None else scale
    two_sided = min(values, default=0.0) < 0
    kind = "nw-cards nw-whole" if whole_labels else "nw-cards"
    return f'<div class="{kind}">{"".join(_card(card, full, two_sided, spoken) for card in cards)}</div>'


def note_html(text: str) -> str:
    """Return a line of small print for a card; nothing for no text.

    Args:
        text: Escaped here.
    """
    return f'<p class="nw-note">{html.escape(text)}</p>' if text else ""


def _card(card: Card, full: float, two_sided: bool, spoken: str) -> str:
    title = html.escape(card.title)
    rows = "".join(_bar(bar, full, two_sided, spoken) for bar in card.bars)
    bars = f'<ol class="nw-bars">{rows}</ol>' if rows else ""
    return (
        f'<section class="nw-card" aria-label="{title}"><h3 class="nw-name">{title}</h3>'
        f"{card.inside}{bars}{card.note}</section>"
    )


def _bar(bar: Bar, full: float, two_sided: bool, spoken: str) -> str:
    share = min(1.0, abs(bar.value) / full) * (50.0 if two_sided else 100.0)
    left = (50.0 - share if bar.value < 0 else 50.0) if two_sided else 0.0
    colour = _COLOURS[int(bar.second)]
    label = html.escape(f"{bar.mark} {bar.label}".strip())
    inside = (
        f'<span class="nw-label">{label}</span>'
        f'<span class="nw-track"><span class="nw-fill" style="width:{share:.2f}%;margin-left:{left:.2f}%;'
        f'background:{colour}"></span></span><span class="nw-number">{html.escape(bar.number)}</span>'
    )
    if not bar.word:
        hint = html.escape(bar.hint) or label
        return f'<li><div class="nw-bar" title="{hint}">{inside}</div></li>'
    said = html.escape(f"{spoken} {bar.label}, {bar.number}", quote=True)
    return (
        f'<li><button type="button" class="nw-bar" data-text="{html.escape(bar.word, quote=True)}" '
        f'aria-label="{said}" title="{said}">{inside}</button></li>'
    )
