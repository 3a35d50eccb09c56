"""Tiny saved models, for all tests of the server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from serving.models import SERVED, save_part


@pytest.fixture(scope="session")
def served_folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder of a tiny model by its name in `SERVED`; its part is saved when first asked for."""
    root = tmp_path_factory.mktemp("served")
    return lambda name: save_part(SERVED[name][0], root) / name
