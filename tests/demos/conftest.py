"""A live demo on loopback, with every rung as a tiny saved model."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class LiveDemo:
    """A demo that is served.

    Attributes:
        url: Where.
        page: The gradio app.
        store: Its models.
        models_dir: Where they lie.
        temp_dir: Where gradio puts files.
    """

    url: str
    page: Any
    store: Any
    models_dir: Path
    temp_dir: Path


@pytest.fixture(scope="session")
def saved_rungs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every rung, tiny and saved, below one folder."""
    from hub.every_rung import PARTS

    root = tmp_path_factory.mktemp("outputs")
    for save, _ in PARTS.values():
        save(root)
    return root


@pytest.fixture(scope="session")
def live_demo(saved_rungs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveDemo]:
    """The whole demo on a free port of this machine."""
    import app
    from shell.options import DemoOptions

    before = {
        name: os.environ.get(name)
        for name in (
            "GRADIO_TEMP_DIR",
            "GRADIO_ANALYTICS_ENABLED",
            "GRADIO_ANALYTICS_MAX_EVENTS",
            "GRADIO_ANALYTICS_CACHE_FREQUENCY",
            "HF_HUB_DISABLE_TELEMETRY",
        )
    }
    os.environ["GRADIO_TEMP_DIR"] = str(tmp_path_factory.mktemp("gradio"))
    app.private_environment()
    options = DemoOptions(models_dir=str(saved_rungs))
    store = app.open_store(options)
    page = app.build(options, store)
    url = app.serve(page, options)
    try:
        yield LiveDemo(url.rstrip("/"), page, store, saved_rungs, Path(os.environ["GRADIO_TEMP_DIR"]))
    finally:
        page.close()
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
