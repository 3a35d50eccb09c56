"""Each check of a server can fail: a good server passes it, and one with just that fault does not."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

HERE = Path(__file__).resolve().parent
SCRIPTS = HERE.parents[1] / "scripts"


@pytest.fixture
def load(monkeypatch):
    """Import the parts of the check by their names."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return lambda part: importlib.import_module(f"serving_checks.{part}")


@pytest.fixture
def fake(load, monkeypatch):
    monkeypatch.syspath_prepend(str(HERE))
    return importlib.import_module("fake_server").FakeServer


def questions_of(load, count=12):
    client = load("client")
    return [client.question_about("classify", "fake", [f"text {number}", "another"]) for number in range(count)]


def holds(findings):
    return [finding.holds for finding in findings]


# ---- figures


def test_percentiles_are_nearest_ranks_of_all_values(load):
    report = load("report")
    values = [float(value) for value in range(100, 0, -1)]
    assert [report.percentile(values, share) for share in (0.0, 0.5, 0.95, 0.99, 1.0)] == [1.0, 50.0, 95.0, 99.0, 100.0]
    assert report.percentile([3.0], 0.95) == 3.0
    with pytest.raises(ValueError, match="wants values"):
        report.percentile([], 0.5)


def test_the_table_shows_what_does_not_hold_and_breaks_at_no_bar(load):
    report = load("report")
    table = report.to_markdown([report.Finding("a", "b", "c | d\ne", "f", False), report.Finding("a", "b", "c")])
    assert table.splitlines()[2:] == ["| a | b | c \\| d e | f | **no** |", "| a | b | c |  | yes |"]


def test_texts_come_from_tables_and_lines(load, tmp_path):
    from nlpladder.errors import DataError

    read = load("client").read_texts
    (tmp_path / "a.csv").write_text('sentence,label\n"one, two",x\n,y\nthree,z\n')
    (tmp_path / "a.jsonl").write_text('{"text": "one"}\n\n{"text": "two"}\n')
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    assert read(str(tmp_path / "a.csv")) == ["one, two", "three"]
    assert read(str(tmp_path / "a.jsonl"), limit=1) == ["one"]
    assert read(str(tmp_path / "a.txt")) == ["one", "two"]
    for name in ("bad.csv", "missing.csv", "a.parquet"):
        with pytest.raises(DataError):
            read(str(tmp_path / name))


# ---- speed


def test_latency_counts_every_request_and_names_the_first_failure(load, fake):
    check = load("speed").check_latency
    options = {"clients": 3, "seconds": 0.4}
    with fake() as server:
        (found,) = check(server.url, "fake", questions_of(load), p95_ms=60_000.0, **options)
        assert found.holds
        assert "0 failed" in found.measured
    for fault, said in (
        ("slow", "p95"),
        ("fails", "500"),
        ("drops", "RemoteDisconnected"),
        ("reorders", "in their order"),
    ):
        with fake(fault) as server:
            (found,) = check(server.url, "fake", questions_of(load), p95_ms=100.0, **options)
            assert not found.holds
            assert said in found.measured


def test_a_load_asks_exactly_as_often_as_it_is_told(load, fake):
    closed_loop = load("load").closed_loop
    with fake("drops") as server:
        found = closed_loop(server.url, questions_of(load), clients=4, requests=50)
        assert sum(server.counts.values()) == len(found.replies) == 50
        # What the server dropped, it counts as answered; the client does not.
        assert found.failures == found.statuses[0] == 10
        assert found.statuses[200] == 40


def test_batching_must_be_faster_and_the_answers_the_same(load, fake):
    check = load("speed").check_batching
    with fake() as fast, fake("slow") as slow, fake("blurs") as other:
        options = {"clients": 2, "seconds": 1.2, "rounds": 1}
        assert holds(check(fast.url, slow.url, "fake", questions_of(load, 4), **options)) == [True, True]
        assert holds(check(slow.url, fast.url, "fake", questions_of(load, 4), **options)) == [False, True]
        blurred = check(other.url, fast.url, "fake", questions_of(load, 4), times=None, **options)
        assert holds(blurred) == [True, False]


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ({"a": [1.0, 2]}, {"a": [1.0, 2.5]}, 0.5),
        ({"a": "x"}, {"a": "x"}, 0.0),
        ({"a": "x"}, {"a": "y"}, float("inf")),
        ({"a": 1}, {"b": 1}, float("inf")),
        ([1], [1, 2], float("inf")),
        (True, 1, 0.0),
        (None, 0, float("inf")),
        ("1", 1, float("inf")),
    ],
)
def test_answers_are_compared_number_by_number(load, one, other, apart):
    assert load("speed").distance(one, other) == load("speed").distance(other, one) == apart


def test_overload_wants_refusals_with_a_time_and_true_counts(load, fake, monkeypatch):
    speed = load("speed")
    monkeypatch.setattr(speed, "SETTLE", 0.5)
    expected = {
        (): [True, True, True],
        ("refuses-without-wait",): [False, True, True],
        ("fails",): [False, True, True],
        ("miscounts",): [True, True, False],
    }
    for faults, verdicts in expected.items():
        with fake(*faults, queue=2, seconds=0.01) as server:
            found = speed.check_overload(server.url, "fake", questions_of(load), clients=6, seconds=0.5)
            assert holds(found) == verdicts, (faults, found)
    with fake() as server:  # a queue that is never full shows nothing
        found = speed.check_overload(server.url, "fake", questions_of(load), clients=2, seconds=0.2)
        assert holds(found) == [True, False, True]


def test_streams_have_a_first_token_in_time_an_end_and_the_same_text(load, fake):
    check = load("speed").check_stream
    expected = {
        (): [True, True], ("late-token",): [False, True], ("no-end",): [True, False], ("other-stream",): [True, False],
    }  # fmt: skip
    for faults, verdicts in expected.items():
        with fake(*faults) as server:
            limit = 100.0 if faults == ("late-token",) else 60_000.0
            assert holds(check(server.url, "fake", "Once", repeats=3, median_ms=limit)) == verdicts, faults


# ---- memory


def test_memory_is_flat_where_it_only_trembles_and_not_where_it_grows(load, fake):
    check = load("memory").check_memory
    quiet, growing = iter([100, 131, 130, 132, 131, 130, 131, 132, 130, 131]), iter(range(1_000, 2_000, 50))

    def resident():
        return {"front": next(quiet) * 2**20, "workers": next(growing) * 2**20}

    with fake() as server:
        found = check(server.url, resident, questions_of(load), requests=50, clients=2)
        assert holds(found) == [True, False]
        assert sum(server.counts.values()) == 55
    with fake("fails") as server:
        assert (
            holds(check(server.url, lambda: {"front": 1, "workers": 1}, questions_of(load), requests=50)) == [False] * 2
        )


def test_slopes_are_those_of_least_squares(load):
    slope_of = load("memory").slope_of
    exact = slope_of([1, 2, 3, 4], [10, 20, 30, 40])
    assert exact.middle == pytest.approx(10)
    assert exact.low == pytest.approx(10) == exact.high
    assert not exact.flat
    assert slope_of([1, 2, 3], [5, 5, 5]).flat
    assert slope_of([1, 2, 3, 4], [10_000, 10_010, 10_020, 10_030]).flat  # grows surely, but by 0.3 %
    assert slope_of([1, 2, 3, 4], [40, 30, 20, 10]).flat
    with pytest.raises(ValueError, match="three"):
        slope_of([1, 2], [1, 2])


# ---- faults


def starter(load, tmp_path, *faults):
    process = load("process")
    command = [sys.executable, str(HERE / "fake_server.py"), *faults]
    return lambda: process.Server(command, tmp_path / "server.log")


@pytest.mark.parametrize(
    ("faults", "verdicts"), [((), [True, True]), (("dies-on-term",), [False, True]), (("exits-1",), [True, False])]
)
def test_sigterm_must_lose_nothing_and_end_with_0(load, tmp_path, faults, verdicts):
    check = load("faults").check_sigterm
    found = check(starter(load, tmp_path, *faults), lambda _: questions_of(load), clients=6, after=0.3)
    assert holds(found) == verdicts, found


def test_what_was_sent_before_the_signal_counts_and_what_was_sent_later_may_fail(load):
    client, faults, load_of = (
        load("client"),
        load("faults"),
        load("load").Load,
    )

    def verdict(*replies):
        return holds(faults.judge_sigterm(load_of(replies=[client.Reply(*each) for each in replies]), 10.0)) == [True]

    def reply(status, sent, ended, error=""):
        return status, b"", {}, 0.0, sent, ended, error

    good = reply(200, 9.0, 11.0)
    assert verdict(good, reply(0, 10.1, 10.2, "closed"), reply(503, 10.1, 10.2), reply(0, None, 10.2, "refused"))
    assert verdict(good, reply(503, 9.9, 10.2))  # still in the kernel when the signal came
    assert not verdict(good, reply(503, 9.0, 10.2))
    assert not verdict(good, reply(0, 9.9, 10.2, "closed"))
    assert not verdict(good, reply(500, 9.9, 10.2))
    assert not verdict(good, reply(500, 10.5, 10.6))
    assert not verdict(reply(200, 9.0, 9.5))  # nothing was in the air: nothing was shown


def test_a_killed_worker_must_come_back(load, tmp_path, monkeypatch):
    faults = load("faults")
    found = faults.check_killed_worker(starter(load, tmp_path), lambda _: questions_of(load), clients=2, after=0.2)
    assert holds(found) == [True, True], found
    monkeypatch.setattr(faults, "REPLACED_WITHIN", 0.5)
    start = starter(load, tmp_path, "stays-dead")
    found = faults.check_killed_worker(start, lambda _: questions_of(load), clients=2, after=0.2)
    assert holds(found) == [False, False], found


def test_no_worker_may_outlive_a_killed_front(load, tmp_path, monkeypatch):
    faults, process = load("faults"), load("process")
    servers = []

    def remembering(*names):
        def start():
            servers.append(starter(load, tmp_path, *names)())
            return servers[-1]

        return start

    assert holds(faults.check_killed_front(remembering())) == [True, True]
    monkeypatch.setattr(faults, "ORPHANS_WITHIN", 0.5)
    assert holds(faults.check_killed_front(remembering("orphans"))) == [False, True]
    # The check itself leaves nothing behind, not even the orphan.
    assert not any(process.is_running(each) for server in servers for each in server._known.values())
    assert all(server.process.poll() is not None for server in servers)


def test_a_server_that_ends_or_is_silent_is_told_with_what_it_said(load, tmp_path):
    from nlpladder.errors import RunError

    def start(code, name):
        return load("process").Server([sys.executable, "-c", code], tmp_path / name)

    wanted = r"code 3 before it said where(.|\n)*no such model"
    with start("print('no such model'); raise SystemExit(3)", "a.log") as ended, pytest.raises(RunError, match=wanted):
        ended.wait_listening(30.0)
    with start("import time; time.sleep(60)", "b.log") as silent, pytest.raises(RunError, match="seconds passed"):
        silent.wait_listening(0.2)
    assert silent.process.poll() is not None
    with starter(load, tmp_path, "never-ready")() as broken, pytest.raises(RunError, match="/ready with 500"):
        broken.wait_ready(60.0)


@pytest.mark.parametrize(
    ("said", "port"),
    [
        ('{"event": "listening", "port": 41234}', 41234),
        ('{"event": "starting", "port": 0}\nsomething', None),
        ("running on http://127.0.0.1:5123 (Press CTRL+C)", 5123),
        ("http://127.0.0.1:0", None),
        ("", None),
    ],
)
def test_the_port_is_read_from_what_the_server_says(load, said, port):
    assert load("process").port_in(said) == port


def test_memory_of_a_server_that_somebody_else_started_is_found_by_its_port(load, fake):
    from nlpladder.errors import RunError

    with fake() as server:
        found = load("process").Listening(server.url).resident()
        assert found["front"] == pytest.approx(psutil.Process(os.getpid()).memory_info().rss, rel=0.2)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(RunError, match="listens on port"):
            load("process").Listening(f"http://127.0.0.1:{free.getsockname()[1]}").resident()


# ---- hostile requests


def fuzzed(load, server, examples=150, **options):
    judge = load("judge")
    target = judge.Target(questions_of(load)[0], "fake")
    return load("fuzz"), target, {"examples": examples, "senders": 3, "seconds": 60.0, **options}


def without_schemathesis(load, monkeypatch):
    monkeypatch.setattr(load("fuzz"), "check_schema", lambda *_: [])


def test_a_careful_server_survives_hostile_requests(load, fake, monkeypatch):
    without_schemathesis(load, monkeypatch)
    with fake() as server:
        fuzz, target, options = fuzzed(load, server)
        found = fuzz.check_fuzz(server.url, [target], log=lambda: "quiet", secrets=["/a/secret/folder"], **options)
        assert all(holds(found)), [each.measured for each in found if not each.holds]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("fails", "status 500"),
        ("drops", "no answer"),
        ("leaks", "leak of 'Traceback'"),
        ("echoes", "an error repeats the text"),
        ("stumbles", "status 500"),
        ("forgets", "0 of 1 honest questions"),
        ("500-on-put", "status 500"),
    ],
)
def test_each_fault_under_hostile_requests_is_seen(load, fake, monkeypatch, fault, said):
    without_schemathesis(load, monkeypatch)
    with fake(fault) as server:
        fuzz, target, options = fuzzed(load, server, 300)
        found = fuzz.check_fuzz(server.url, [target], **options)
        assert said in " ".join(each.measured for each in found if not each.holds)


def test_a_secret_or_a_text_in_the_log_is_a_leak(load, fake, monkeypatch):
    without_schemathesis(load, monkeypatch)
    canary = load("hostile").CANARY
    with fake() as server:
        fuzz, target, options = fuzzed(load, server, 20)
        found = fuzz.check_fuzz(
            server.url, [target], log=lambda: f"text={canary}", secrets=["unknown_model"], **options
        )
        assert "1 times" in found[-1].measured
        assert not found[-1].holds
        found = fuzz.check_fuzz(server.url, [target], secrets=["not_found"], **options)
        assert any("leak of a path" in each.measured and not each.holds for each in found)


def test_what_could_not_be_sent_in_time_does_not_count_as_held(load, fake, monkeypatch):
    without_schemathesis(load, monkeypatch)
    with fake() as server:
        fuzz, target, options = fuzzed(load, server, seconds=0.0)
        found = fuzz.check_fuzz(server.url, [target], **options)
        assert "0 of 150" in found[0].what
        assert not found[0].holds


def test_hostile_requests_are_the_same_for_the_same_seed_and_of_every_kind(load):
    hostile = load("hostile")
    base = {"model": "fake", "texts": ["a"], "truncate": True}
    made = hostile.make_hostile(base, 150, 3)
    assert made == hostile.make_hostile(base, 150, 3)
    assert made != hostile.make_hostile(base, 150, 4)
    assert len(made) == 150
    assert {one.kind for one in made} == {"value", "shape", "bytes", "content type", "headers"}
    assert all("\n" not in value and "\r" not in value for one in made for value in one.headers.values())


def test_a_silent_connection_is_told_from_a_closed_one(load):
    exchange = load("fuzz").exchange
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        assert exchange(url, b"hello", timeout=0.2) == (b"", False)


@pytest.mark.slow
def test_schemathesis_sees_what_is_not_as_the_page_says(load, fake):
    expected = {"": "", "accepts-all": "accept", "fails": "status 500"}
    for fault, said in expected.items():
        with fake(*([fault] if fault else [])) as server:
            judge = load("judge")
            target = judge.Target(questions_of(load)[0], "fake")
            page = judge.Judge(load("client").get_json(server.url, "/openapi.json"), [])
            found = list(load("schema").check_schema(server.url, [target], page, 60, 0, 60.0))
            broken = " ".join(each.measured for each in found if not each.holds)
            assert (said in broken.lower()) if said else not broken, (fault, broken)


# ---- drift


def test_drift_must_be_quiet_about_usual_texts_and_see_others(load, fake):
    check = load("drift").check_drift
    usual, other = [f"usual {number}" for number in range(30)], [f"foreign {number}" for number in range(60)]
    options = {"window": 10, "windows": 4, "within": 30, "clients": 2}
    for faults, verdicts in (((), [True, True]), (("nervous",), [False, True]), (("deaf",), [True, False])):
        with fake(*faults) as server:
            assert holds(check(server.url, "fake", "classify", usual, other, **options)) == verdicts, faults


def test_drift_that_counts_nothing_is_told(load, fake, monkeypatch):
    from nlpladder.errors import CheckFailedError

    drift = load("drift")
    monkeypatch.setattr(drift, "SETTLE", 0.1)
    with fake(window=1_000) as server, pytest.raises(CheckFailedError, match="counts 0 windows"):
        drift.check_drift(server.url, "fake", "classify", ["a", "b"], ["c"], window=2, windows=1)


# ---- the command


def options_of(load, tmp_path, *arguments):
    (tmp_path / "texts.txt").write_text("one\ntwo\nthree\n")
    script = importlib.import_module("check_serving")
    from nlpladder.config import parse

    return script, parse(script.CheckOptions, ["--texts", str(tmp_path / "texts.txt"), *arguments])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "either --models"),
        (("--models", "a", "--url", "http://127.0.0.1:1"), "either --models"),
        (("--models", "a", "--check", "latencie"), "Did you mean 'latency'"),
        (("--url", "http://127.0.0.1:1", "--check", "sigterm"), "--models instead of --url"),
        (("--models", "a", "--check", "drift"), "--drift_texts"),
        (("--models", "a", "--check", "fuzz", "--clients", "0"), "1 or more"),
        (("--models", "a", "--check", "fuzz", "--output", "OUTPUT"), "not overwritten"),
    ],
)
def test_options_that_contradict_each_other_are_told(load, tmp_path, arguments, said):
    from nlpladder.errors import ConfigError

    (tmp_path / "there.md").write_text("")
    arguments = [str(tmp_path / "there.md") if each == "OUTPUT" else each for each in arguments]
    with pytest.raises(ConfigError, match=said):
        options_of(load, tmp_path, *arguments)


def test_the_command_of_a_server(load, tmp_path):
    command = load("process").serve_command(["a", "b=c"], {"threads": 2, "drift": False})
    assert command[1:] == ["-m", "nlpladder", "serve", "a", "b=c", "--port", "0", "--threads", "2", "--drift", "False"]


def test_all_checks_of_a_bench_run_and_one_that_breaks_off_does_not_hold(load, tmp_path, monkeypatch):
    script, options = options_of(
        load, tmp_path, "--models", "fake", "--check", "latency,stream,overload,memory", "--seconds", "0.3",
        "--requests", "20", "--clients", "2", "--p95.fake", "60000", "--first_token_ms", "none",
    )  # fmt: skip
    monkeypatch.setattr(script.Bench, "command", lambda *_: [sys.executable, str(HERE / "fake_server.py")])
    found = script.run_checks(options, ["one", "two", "three", "four"], tmp_path)
    assert [each.check for each in found] == ["latency", *["stream"] * 2, *["overload"] * 3, *["memory"] * 2]
    assert holds(found[:4]) == [True] * 4
    monkeypatch.setattr(script.Bench, "command", lambda *_: [sys.executable, "-c", "raise SystemExit(1)"])
    found = script.run_checks(options, ["one"], tmp_path)
    assert [(each.what, each.holds) for each in found] == [("broke off", False)] * 4


@pytest.mark.slow
def test_the_script_says_by_its_exit_code_whether_all_holds(load, fake, tmp_path):
    (tmp_path / "texts.txt").write_text("one\ntwo\n")
    for faults, code in (((), 0), (("fails",), 1)):
        with fake(*faults) as server:
            output = tmp_path / f"table-{code}.md"
            done = subprocess.run(
                [sys.executable, str(SCRIPTS / "check_serving.py"), "--url", server.url, "--check", "latency",
                 "--texts", str(tmp_path / "texts.txt"), "--seconds", "0.3", "--output", str(output)],
                capture_output=True, text=True, timeout=120,
            )  # fmt: skip
            assert done.returncode == code, done.stderr
            assert output.read_text().startswith("| check | what | measured | asked | holds |")
            assert ("**no**" in output.read_text()) == bool(code)
