"""The figures of a run, copied to where the demo may show them from."""

from __future__ import annotations

import base64
import hashlib
import html
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

from nlpladder.views.ladder_table import metric_title

_MOST_FIGURES = 24
_MOST_BYTES = 5_000_000
#: Of PNG and of SVG; the second is text, and shown as a picture runs nothing.
_BEGINNINGS = {".png": (b"\x89PNG\r\n\x1a\n",), ".svg": (b"<?xml", b"<svg")}


def figures(folder: Path) -> list[tuple[str, str]]:
    """Return the figures of a run with their captions.

    The page is served from the app's own temporary directory only, never from the models folder: each figure is copied
    there once, under a name made of its content.

    Args:
        folder: Of the run.
    """
    inside = folder / "figures"
    if inside.is_symlink() or not inside.is_dir():
        return []
    shown = []
    for path in sorted(inside.iterdir()):
        if path.suffix in _BEGINNINGS and len(shown) < _MOST_FIGURES:
            copied = _copied(path)
            if copied is not None:
                shown.append((str(copied), caption(path.stem)))
    return shown


def figures_html(shown: Iterable[tuple[str, str]]) -> str:
    """Return figures side by side, each whole and under its caption; nothing where there are none.

    They stand inside the page itself: gradio's gallery cuts those that are not square. A figure that is clicked, or
    has the keyboard, is as wide as the page.

    Args:
        shown: Files and captions, as `figures` has them.
    """
    found = [_figure(path, title) for path, title in shown]
    return f'<div class="run-figures">{"".join(found)}</div>' if found else ""


def _figure(path: str, title: str) -> str:
    kind = "svg+xml" if path.endswith(".svg") else "png"
    content = base64.b64encode(Path(path).read_bytes()).decode()
    name = html.escape(title)
    return (
        f'<figure class="nw-card" tabindex="0" aria-label="{name}"><img src="data:image/{kind};base64,{content}" '
        f'alt="{name}"><figcaption class="nw-note">{name}</figcaption></figure>'
    )


def caption(stem: str) -> str:
    """Return the name of a figure as words, a metric as tables call it: "bleu_by_length" is "BLEU by length".

    Args:
        stem: Of the file.
    """
    subject, sign, rest = next(
        (parts for parts in map(stem.partition, ("_by_", "_against_")) if parts[1]), (stem.strip("_"), "", "")
    )
    name = metric_title(subject).strip()
    first = name if any(one.isupper() for one in name) else name[:1].upper() + name[1:]  # chrF stays chrF
    return (first + (sign + rest).replace("_", " ")).strip()


def _copied(path: Path) -> Path | None:
    """Return the copy of a figure; None where it is no such picture, too large, or a link."""
    try:
        if path.is_symlink() or not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return None
        content = path.read_bytes()
    except OSError:
        return None
    if not content.startswith(_BEGINNINGS[path.suffix]):
        return None
    base = Path(os.environ.get("GRADIO_TEMP_DIR") or tempfile.gettempdir()) / "nlpladder-figures"
    target = base / hashlib.sha256(content).hexdigest()[:24] / f"figure{path.suffix}"
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, delete=False) as stream:
            stream.write(content)
        os.chmod(stream.name, 0o600)
        shutil.move(stream.name, target)
    return target
