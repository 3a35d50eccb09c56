"""Settings for every test: no network, no progress bars, one thread a test process."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator
from unittest import mock

import hypothesis
import pytest

# How long an example takes is the machine's matter: no test fails because another process was at work.
hypothesis.settings.register_profile("nlpladder", deadline=None)
hypothesis.settings.load_profile("nlpladder")

# One thread a test process: `make test` starts two, and threads that wait for each other cost more than they bring.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


#: Of a picture that a test writes beside what it is about; at the 150 of a user, most of a short run is drawing.
COARSE = 40


@pytest.fixture(scope="module", autouse=True)
def _garbage_is_looked_for_in_what_is_new() -> None:
    """Every training begins with ``gc.collect()``, which would go through all that torch and transformers hold."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def _pictures_are_coarse_and_few(request: pytest.FixtureRequest) -> Iterator[None]:
    """A run draws one sentence of each kind, all of it, with fewer points.

    The tests of pictures have the real ones, and so has what runs in a process of its own.
    """
    from nlpladder.training import sequence_report
    from nlpladder.views import figures

    if request.path.parent.name == "views":
        yield
        return
    with mock.patch.object(figures, "DOTS_PER_INCH", COARSE), mock.patch.object(sequence_report, "_DRAWN_SENTENCES", 1):
        yield


@pytest.fixture(autouse=True)
def _the_hub_is_as_far_away_as_before() -> Iterator[None]:
    """A test that leaves the client online lets those behind it wait for a network, each time for a minute.

    ``monkeypatch`` undoes its own changes last, and so may bring back what a `LoopbackHub` had set in between.
    """
    before = _is_offline()
    yield
    after = _is_offline()
    assert before is None or after == before, "HF_HUB_OFFLINE of the Hub's client is not what it was before the test."


def _is_offline() -> bool | None:
    """Return the setting of the Hub's client, None before its import."""
    constants = sys.modules.get("huggingface_hub.constants")
    return None if constants is None else bool(constants.HF_HUB_OFFLINE)
