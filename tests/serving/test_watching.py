"""Traffic compared with the profile of the training, from the side of the server."""

from __future__ import annotations

import json
import threading

import numpy as np
import pytest

from nlpladder.drift.saving import build_profile
from nlpladder.errors import ConfigError
from nlpladder.serving.answers import DriftAnswer
from nlpladder.serving.jobs import Item, ItemResult
from nlpladder.serving.logs import JsonLog
from nlpladder.serving.options import ServeOptions
from nlpladder.serving.watching import _MOST_WAITING, DriftWatch, Seen, open_watch
from serving.clients import asking, run
from serving.fakes import FakePool

GENERATOR = np.random.default_rng(5)
WORDS = [f"word{number}" for number in range(60)]


def texts(count, *, long=1):
    sizes = GENERATOR.integers(3, 12, size=count) * long
    return [" ".join(GENERATOR.choice(WORDS, size=size)) for size in sizes]


@pytest.fixture
def profiled(tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    build_profile(task="classify", train=texts(300), held_out=texts(400)).save(folder)
    return folder


def test_a_model_with_a_profile_is_watched_until_its_alarm(profiled, tmp_path):
    written = []
    log = JsonLog(written.append)
    options = ServeOptions(drift_window=60, drift_alarm_after=2)
    watch = open_watch({"senti": str(profiled), "writer": str(tmp_path)}, options, log)
    assert list(watch.monitors) == ["senti"]

    async def ask(server, sent):
        for start in range(0, len(sent), 30):
            assert (await server.post("/classify", {"texts": sent[start : start + 30]})).status_code == 200
        watch.settle()
        return (await server.get("/drift")).json()["models"], (await server.get("/metrics")).text

    async def check():
        async with asking(FakePool(["senti", "writer"]), watch=watch) as server:
            reports, _ = await ask(server, texts(180))
            assert reports["writer"] is None
            assert (reports["senti"]["texts"], reports["senti"]["windows"]) == (180, 3)
            assert reports["senti"]["alarm"] is False
            reports, metrics = await ask(server, texts(180, long=9))
            assert reports["senti"]["alarm"] is True
            assert 'nlpladder_drift_alarm{model="senti"} 1.0' in metrics
            assert 'nlpladder_drift_psi{feature="words",model="senti"}' in metrics

    run(check())
    watch.close()
    log.close()
    lines = [json.loads(line) for line in "".join(written).splitlines()]
    assert [line["event"] for line in lines] == ["drift_raised"]
    assert lines[0]["level"] == "warning"
    assert lines[0]["message"].startswith("Traffic of senti differs from the")
    assert 1 <= len(lines[0]["psi"]) <= 3
    assert list(lines[0]["psi"].values()) == sorted(lines[0]["psi"].values(), reverse=True)
    assert all(isinstance(value, (str, int, float)) for value in lines[0]["psi"].values())
    assert "word1" not in "".join(written)


def test_a_damaged_profile_stops_no_server_and_is_told(profiled, tmp_path):
    written = []
    log = JsonLog(written.append)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "profile.json").write_text("{")
    watch = open_watch({"senti": str(damaged), "writer": str(profiled)}, ServeOptions(), log)
    assert list(watch.monitors) == ["writer"]

    async def check():
        async with asking(FakePool(["senti", "writer"]), watch=watch) as server:
            assert (await server.post("/classify", {"texts": ["a"]})).status_code == 200
            answer = (await server.get("/drift")).json()
            DriftAnswer.model_validate(answer)
            assert answer["models"]["senti"]["state"] == "unreadable"
            assert str(tmp_path) not in answer["models"]["senti"]["message"]
            assert answer["models"]["writer"]["state"] == "collecting"

    run(check())
    watch.close()
    log.close()
    (line,) = [json.loads(line) for line in "".join(written).splitlines()]
    assert (line["event"], line["level"], line["model"]) == ("drift_unreadable", "error", "senti")
    assert f"{damaged / 'profile.json'} cannot be read" in line["message"]


def test_a_bad_address_is_told_at_the_start():
    log = JsonLog(lambda _: None)
    with pytest.raises(ConfigError, match="webhook"):
        open_watch({}, ServeOptions(drift_webhook="ftp://x"), log)
    log.close()


def test_traffic_faster_than_the_comparison_is_left_out_and_counted():
    gate, begun = threading.Event(), threading.Event()

    class Slow:
        alarm = False

        def observe(self, texts, answers=None, *, task=None):
            begun.set()
            gate.wait(30)

        def report(self):
            return {}

        def psi(self):
            return {}

    watch = DriftWatch(lambda *_: None, lambda *_: None)
    watch.monitors["m"] = Slow()
    seen = Seen("m", "classify", [Item("a")], [ItemResult({})])
    watch.observe(seen)
    assert begun.wait(30)
    for _ in range(_MOST_WAITING + 7):
        watch.observe(seen)
    watch.observe(Seen("another", "classify", [], []))
    assert watch.reports(["m"]) == {"m": {"requests_left_out": 7}}
    gate.set()
    watch.settle()
    watch.close()


def test_a_question_is_seen_with_its_context():
    got = []

    class Monitor:
        def observe(self, texts, answers=None, *, task=None):
            got.append((task, texts))

    watch = DriftWatch(lambda *_: None, lambda *_: None)
    watch.monitors["m"] = Monitor()
    watch.observe(Seen("m", "answer", [Item("who?", "a dog")], [ItemResult({})]))
    watch.settle()
    watch.close()
    assert got == [("answer", ["a dog\nwho?"])]
