"""Small multiples: all heads of a layer, or all layers, as pictures of one scale that can be clicked."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from nlpladder.views.heat_table import heat_label
from shell.limits import DemoError

#: The orange of the heat table; how opaque it is says how large the weight is, so that light and dark pages both do.
_COLOUR = (213, 94, 0)
#: The shorter side of a picture on the page, in pixels of the screen.
_SIDE = 92


def grid_html(
    maps: npt.NDArray[np.floating], columns: Sequence[str], *, unit: str, chosen: int, whole: str, upwards: str = ""
) -> str:
    """Return one small picture a head, or a layer, each a button that bears which one it is.

    Args:
        maps: Weights of each, (maps, rows, columns); no more rows or columns than the heat table has.
        columns: The tokens that are read, for what is said of each picture.
        unit: ``"layer"`` or ``"head"``.
        chosen: Number of the one that the table shows, from 1; 0 for all of them.
        whole: What 0 means, such as ``"mean of all heads"``.
        upwards: What a button before them says that leads back to all layers; empty for none.
    """
    strongest = float(maps.max()) or 1.0
    buttons = "".join(
        _button(one, columns, f"{unit} {number}", number == chosen, strongest) for number, one in enumerate(maps, 1)
    )
    mean = _word_button(f"{unit} 0", whole, chosen == 0)
    back = _word_button("layer 0", upwards, False) if upwards else ""
    return (
        f'<div class="at-grid" role="group" aria-label="All {unit}s">{back}{mean}{buttons}</div>'
        f'<p class="nw-note">Every {unit}, rows and columns as in the table above. The more orange, the larger the '
        "weight, on one scale for all (opacity is its square root, so that small ones show). Click one to see its "
        "numbers.</p>"
    )


def _button(one: npt.NDArray[np.floating], columns: Sequence[str], which: str, pressed: bool, strongest: float) -> str:
    shares = one.mean(axis=0)
    place = int(shares.argmax())
    told = html.escape(f"most read {heat_label(columns[place])}, {shares[place]:.0%}", quote=True)
    rows, width = one.shape
    # One row, of a pooling, would be a line.
    height = max(_SIDE * rows / width, _SIDE / 5) if rows < width else _SIDE
    return (
        f'<button type="button" class="at-map" data-text="{which}" aria-pressed="{str(pressed).lower()}" '
        f'aria-label="{which.capitalize()}, {told}" title="{which.capitalize()}, {told}">'
        f'<img src="{_picture(one / strongest)}" alt="" style="width:{_SIDE}px;height:{height:.0f}px">'
        f"<span>{which}</span></button>"
    )


def _word_button(which: str, text: str, pressed: bool) -> str:
    return (
        f'<button type="button" class="at-map" data-text="{which}" aria-pressed="{str(pressed).lower()}">'
        f"<span>{html.escape(text)}</span></button>"
    )


def _picture(shares: npt.NDArray[np.floating]) -> str:
    """Return a PNG as an address that holds it: one pixel a weight, transparent where it is 0."""
    pixels = np.empty((*shares.shape, 4), np.uint8)
    pixels[..., :3] = _COLOUR
    pixels[..., 3] = np.rint(255.0 * np.sqrt(np.clip(shares, 0.0, 1.0)))
    stream = io.BytesIO()
    Image.fromarray(pixels, "RGBA").save(stream, "PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"


def clicked(value: Any, layer: Any, head: Any) -> tuple[int, int]:
    """Return the layer and the head after a click.

    Args:
        value: What the button bears, such as ``"head 3"``; a program may send anything.
        layer: As it was.
        head: As it was.

    Raises:
        DemoError: It bears nothing of that kind.
    """
    found = re.fullmatch(r"(layer|head) (\d{1,3})", value) if isinstance(value, str) else None
    if found is None:
        raise DemoError("That is no layer and no head. Click one of the pictures.")
    number = int(found[2])
    # The third head of one layer has nothing to do with that of another.
    return (number, 0) if found[1] == "layer" else (layer, number)
