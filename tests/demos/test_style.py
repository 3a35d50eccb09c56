"""How the demo looks: text that can be read on its ground, and a style sheet that gradio does not take apart."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import app

CSS = app.STYLE.read_text(encoding="utf-8")


def luminance(colour: str) -> float:
    """Relative luminance of WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def colour_of(theme: object, name: str, *, dark: bool) -> str:
    """Follow the theme's references to a colour."""
    if dark and getattr(theme, f"{name}_dark", None):
        name = f"{name}_dark"
    value = str(getattr(theme, name))
    value = {"white": "#ffffff", "black": "#000000"}.get(value, value)
    return colour_of(theme, value[1:], dark=dark) if value.startswith("*") else value


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("body_text_color", "background_fill_primary"), ("body_text_color_subdued", "background_fill_primary"),
        ("block_info_text_color", "block_background_fill"), ("block_label_text_color", "block_background_fill"),
        ("input_placeholder_color", "input_background_fill"),
        ("button_primary_text_color", "button_primary_background_fill"),
        ("button_primary_text_color", "button_primary_background_fill_hover"),
        ("button_cancel_text_color", "button_cancel_background_fill"),
        ("button_secondary_text_color", "button_secondary_background_fill"),
    ],
)  # fmt: skip
def test_text_has_the_contrast_of_wcag(text: str, ground: str, dark: bool) -> None:
    theme = app.legible_theme()
    assert contrast(colour_of(theme, text, dark=dark), colour_of(theme, ground, dark=dark)) >= 4.5


def test_the_numbers_in_the_points_of_the_ladder_have_it_too() -> None:
    grounds = re.findall(r"\.ld-kind-\d \{ background: (#[0-9a-f]{3,6});", CSS)
    assert len(grounds) == 4
    for ground in grounds:
        whole = ground if len(ground) == 7 else "#" + "".join(2 * one for one in ground[1:])
        assert contrast("#ffffff", whole) >= 4.5


def test_the_style_sheet_has_nothing_that_gradio_takes_apart() -> None:
    """Gradio 6.31 puts its own class before each part of a list of selectors, those inside of brackets, too."""
    rules = re.sub(r"/\*.*?\*/", "", CSS, flags=re.DOTALL)
    assert rules.count("{") == rules.count("}")
    assert "@container" not in rules
    assert not re.search(r":(is|where|not)\([^)]*,", rules)
    assert "http" not in rules
    assert "@import" not in rules


def test_every_class_of_the_style_sheet_is_one_of_ours() -> None:
    ours = "".join(path.read_text(encoding="utf-8") for path in Path(app.__file__).parent.rglob("*.py"))
    for name in set(re.findall(r"\.((?:nw|ld|at|wr|run)-[a-z-]+)", CSS)):
        stem = name.removesuffix("-")
        assert stem in ours or re.sub(r"-\d$", "", stem) in ours, name
