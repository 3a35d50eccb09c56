"""Models in processes: answers, batches, deaths, restarts, deadlines, streams, and a shutdown that loses nothing."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

import nlpladder
from helpers import REPOSITORY
from nlpladder.errors import RunError
from nlpladder.generation import GenerationOptions
from nlpladder.serving.jobs import (
    DeadlineError,
    Item,
    ModelUnavailableError,
    QueueFullError,
    RefusedItemError,
    UnknownModelError,
)
from nlpladder.serving.options import PoolOptions
from nlpladder.serving.pool import ModelPool, expected_tasks
from serving.models import soon, until, with_pool

#: Words of the n-gram model; no two are as probable.
TEXTS = ("a", "b", "a b", "b b a", "a a a", "b a b a")
#: Never reached: a generation that goes on until it is cancelled.
ENDLESS = {"max_new_tokens": 100_000, "seed": 0, "temperature": 50.0}


@pytest.fixture(scope="module")
def folders(served_folder):
    return {name: served_folder(name) for name in ("ngram", "majority", "word_vectors")}


@pytest.fixture(scope="module")
def endless(folders, tmp_path_factory):
    """A model that never ends a text."""
    folder = tmp_path_factory.mktemp("endless") / "model"
    nlpladder.load(str(folders["ngram"])).with_sentence_marks(False).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def expected(folders):
    """What the model says itself."""
    model = nlpladder.load(str(folders["ngram"]))
    return {text: float(scores.logprobs.sum()) for text, scores in zip(TEXTS, model.score(TEXTS), strict=True)}


def check(texts, results, expected):
    assert len(results) == len(texts)
    for text, result in zip(texts, results, strict=True):
        assert result.value["log_probability"] == pytest.approx(expected[text], rel=1e-5)


def test_concurrent_requests_share_batches_and_keep_their_order(folders, expected):
    reports = []

    async def test(pool):
        async def ask(number):
            texts = [TEXTS[(number + place) % len(TEXTS)] for place in range(number % 4 + 1)]
            results = await pool.run("ngram", "score", [Item(text) for text in texts], {}, deadline=soon())
            check(texts, results, expected)

        await asyncio.gather(*(ask(number) for number in range(24)))
        many = [TEXTS[place % len(TEXTS)] for place in range(50)]  # more than a batch
        check(many, await pool.run("ngram", "score", list(map(Item, many)), {}, deadline=soon()), expected)
        assert await pool.run("ngram", "score", [], {}, deadline=soon()) == []
        assert pool.waiting() == {"ngram": 0}
        assert pool.states() == {"ngram": "ready"}
        (info,) = pool.infos().values()
        assert (info.name, info.kind, info.tasks) == ("ngram", "language_model", ("score", "generate"))
        assert info.streams
        assert info.parameters > 0
        assert info.seconds_to_open > 0

    with_pool({"ngram": folders["ngram"]}, test, max_batch_items=16, on_batch=reports.append)
    assert sum(report.items for report in reports) == 60 + 50
    assert max(report.items for report in reports) == 16
    assert len(reports) < 24
    assert all(len(report.waited) == report.items and min(report.waited) >= 0 for report in reports)
    assert all(report.model == "ngram" and report.task == "score" and report.tokens > 0 for report in reports)


def test_models_are_chosen_by_name_or_by_what_only_they_offer(folders):
    async def test(pool):
        assert pool.choose("linear", "classify") == "linear"
        assert pool.choose(None, "embed") == "word_vectors"
        for model, task, sentence in (
            ("lineer", "classify", "Did you mean 'linear'"),
            ("linear", "embed", "does not offer embed; it offers classify"),
            (None, "classify", "Several models offer classify: linear, majority"),
            (None, "answer", "No model here offers answer"),
        ):
            with pytest.raises(UnknownModelError, match=sentence):
                pool.choose(model, task)
        with pytest.raises(UnknownModelError):
            await pool.run("word_vectors", "classify", [Item("a")], {}, deadline=soon())
        known, unknown = await pool.run("word_vectors", "embed", [Item("word1"), Item("no")], {}, deadline=soon())
        assert known.value["size"] == 4
        assert unknown.error.code == "unknown_word"
        (bad,) = await pool.run("majority", "classify", [Item("a")], {"top": 1}, deadline=soon())
        assert bad.error.code == "bad_parameter"

    models = {"linear": folders["majority"], "majority": folders["majority"], "word_vectors": folders["word_vectors"]}
    with_pool(models, test)


def test_before_a_model_is_open_requests_are_told_to_come_again(folders):
    async def test(pool):
        assert pool.states() == {"majority": "starting"}
        assert pool.infos() == {}
        with pytest.raises(ModelUnavailableError, match="being opened just now") as caught:
            pool.choose(None, "classify")
        assert caught.value.retry_after >= 1
        with pytest.raises(UnknownModelError):
            pool.choose("majority", "embed")
        await pool.wait_ready()
        assert pool.choose(None, "classify") == "majority"

    with_pool({"majority": folders["majority"]}, test, ready=False)


def test_a_folder_without_a_model_is_refused_before_anything_is_started(folders, tmp_path, served_folder):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing"):

        async def test(pool):
            raise AssertionError("it was opened")

        with pytest.raises(RunError, match="bad"):
            with_pool({"good": folders["majority"], "bad": path}, test)


@pytest.mark.parametrize("name, said", [("tokenizer.json", "is damaged or cut short"), ("model.safetensors", "bytes")])
def test_a_file_that_was_cut_short_is_named_before_anything_is_started(served_folder, tmp_path, name, said):
    model = tmp_path / "model"
    shutil.copytree(served_folder("transformer"), model)
    (model / name).write_bytes((model / name).read_bytes()[:-40])
    with pytest.raises(RunError, match=f"'m' cannot be served.*{name}.*{said}"):
        expected_tasks("m", str(model))


def test_a_damaged_model_is_refused_with_its_sentence(folders, tmp_path):
    shutil.copytree(folders["majority"], tmp_path / "model")
    settings = json.loads((tmp_path / "model" / "config.json").read_text())
    (tmp_path / "model" / "config.json").write_text(json.dumps({**settings, "label_names": 7, "task": "none"}))

    async def test(pool):
        with pytest.raises(RunError, match="m "):
            await pool.wait_ready()
        assert pool.states() == {"m": "failed"}
        with pytest.raises(ModelUnavailableError, match="was given up"):
            pool.choose(None, "classify")

    with_pool({"m": tmp_path / "model"}, test, ready=False)


def test_a_killed_process_costs_its_batch_and_nothing_else(folders, expected):
    restarts, back = [], []

    async def test(pool):
        assert pool.seconds_to_open() == 1
        (pid,) = pool.pids()["ngram"]
        os.kill(pid, signal.SIGSTOP)  # so that it dies within a batch
        lost = asyncio.create_task(pool.run("ngram", "score", list(map(Item, TEXTS)), {}, deadline=soon()))
        await until(lambda: pool._models["ngram"]._in_work)
        waiting = asyncio.create_task(pool.run("ngram", "score", [Item(TEXTS[0])], {}, deadline=soon(90.0)))
        served = pool._models["ngram"]
        served.info = dataclasses.replace(served.info, seconds_to_open=30.0)
        hopeless = asyncio.create_task(pool.run("ngram", "score", [Item(TEXTS[0])], {}, deadline=soon(25.0)))
        await until(lambda: pool.waiting()["ngram"] == 2)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ModelUnavailableError, match="died before it had answered") as caught:
            await lost
        with pytest.raises(ModelUnavailableError):
            await hopeless  # its time will be over before the model is open again
        assert caught.value.status == 503
        assert caught.value.retry_after >= 1
        assert pool.states() == {"ngram": "restarting"}
        assert pool.seconds_to_open() >= 30
        with pytest.raises(ModelUnavailableError, match="opened again, after its process died"):
            pool.choose(None, "score")
        check([TEXTS[0]], await waiting, expected)  # it was accepted
        assert pool.states() == {"ngram": "ready"}
        check([TEXTS[1]], await pool.run("ngram", "score", [Item(TEXTS[1])], {}, deadline=soon()), expected)
        assert pool.pids()["ngram"] != [pid]

    with_pool(
        {"ngram": folders["ngram"]}, test, on_restart=lambda *told: restarts.append(told),
        on_back=lambda *told: back.append(told),
    )  # fmt: skip
    assert restarts == [("ngram", "it was ended by SIGKILL, perhaps for lack of memory")]
    assert [name for name, _ in back] == ["ngram"]
    assert back[0][1] > 0


def test_with_two_processes_the_other_one_goes_on(folders, expected):
    async def test(pool):
        await until(lambda: len(pool.pids()["ngram"]) == 2)
        await until(lambda: sum(worker.is_open for worker in pool._models["ngram"]._workers) == 2)
        os.kill(pool.pids()["ngram"][0], signal.SIGKILL)
        await until(lambda: len(pool.pids()["ngram"]) == 1)
        assert pool.states() == {"ngram": "ready"}
        check([TEXTS[0]], await pool.run("ngram", "score", [Item(TEXTS[0])], {}, deadline=soon()), expected)

    with_pool({"ngram": folders["ngram"]}, test, workers=2)


def test_a_model_that_only_dies_is_given_up(folders, monkeypatch):
    monkeypatch.setattr("nlpladder.serving.served_model._LONGEST_PAUSE", 0.0)
    restarts = []

    async def test(pool):
        while pool.states()["majority"] != "failed":
            pids = pool.pids()["majority"]
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
            await until(lambda before=pids: pool.pids()["majority"] != before)
        with pytest.raises(RunError, match="died 5 times without an answer"):
            await pool.wait_ready()

    with_pool({"majority": folders["majority"]}, test, ready=False, on_restart=lambda *told: restarts.append(told[0]))
    assert restarts == ["majority"] * 4


def test_a_full_queue_and_a_deadline(folders, expected):
    async def test(pool):
        (pid,) = pool.pids()["ngram"]
        os.kill(pid, signal.SIGSTOP)
        held = asyncio.create_task(pool.run("ngram", "score", [Item(TEXTS[0])], {}, deadline=soon()))
        await until(lambda: pool._models["ngram"]._in_work)
        waiting = asyncio.create_task(pool.run("ngram", "score", [Item(TEXTS[1]), Item(TEXTS[2])], {}, deadline=soon()))
        await until(lambda: pool.waiting()["ngram"] == 2)
        with pytest.raises(QueueFullError) as caught:
            await pool.run("ngram", "score", [Item("a"), Item("b")], {}, deadline=soon())
        assert caught.value.retry_after >= 1
        with pytest.raises(DeadlineError):
            await pool.run("ngram", "score", [Item("a")], {}, deadline=soon(0.02))
        gone = asyncio.create_task(pool.run("ngram", "score", [Item("a")], {}, deadline=soon()))
        await until(lambda: pool.waiting()["ngram"] == 3)
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        assert pool.waiting()["ngram"] == 2, "what nobody waits for is not computed"
        os.kill(pid, signal.SIGCONT)
        check([TEXTS[0]], await held, expected)
        check([TEXTS[1], TEXTS[2]], await waiting, expected)

    reports = []
    with_pool({"ngram": folders["ngram"]}, test, queue_size=3, on_batch=reports.append)
    assert sum(report.items for report in reports) == 3


def test_a_process_that_is_stuck_is_killed(folders, expected):
    async def test(pool):
        (pid,) = pool.pids()["ngram"]
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(DeadlineError):
            await pool.run("ngram", "score", [Item(TEXTS[0])], {}, deadline=soon(0.05))
        await until(lambda: pool.pids()["ngram"] != [pid])
        await until(lambda: pool.states()["ngram"] == "ready")
        check([TEXTS[1]], await pool.run("ngram", "score", [Item(TEXTS[1])], {}, deadline=soon()), expected)

    with_pool({"ngram": folders["ngram"]}, test, request_timeout=0.1)


def test_streams_are_what_generate_gives_side_by_side(folders):
    model = nlpladder.load(str(folders["ngram"]))
    options = {"max_new_tokens": 12, "seed": 4}
    prompts = ["the", "", "a b", "of the", "c"]
    reports = []

    async def test(pool):
        async def read(prompt):
            pieces = [piece async for piece in pool.stream("ngram", Item(prompt), options, deadline=soon())]
            return "".join(piece.text for piece in pieces), pieces[-1]

        written = await asyncio.gather(*map(read, prompts))
        whole = await pool.run("ngram", "generate", list(map(Item, prompts)), options, deadline=soon())
        for prompt, (text, last), result in zip(prompts, written, whole, strict=True):
            assert text == model.generate([prompt], GenerationOptions(**options))[0]
            assert last.last
            told = {"text": text, "tokens": last.tokens, "prompt_tokens": len(prompt.split()), "reason": last.reason}
            assert result.value == told
            assert last.prompt_tokens == len(prompt.split())
            assert result.tokens == last.tokens + len(prompt.split())
        (bad,) = await pool.run("ngram", "generate", [Item("a")], {"top_p": 7.0}, deadline=soon())
        assert bad.error.code == "bad_parameter"
        with pytest.raises(RefusedItemError, match="top_p is 7"):
            await anext(pool.stream("ngram", Item("a"), {"top_p": 7.0}, deadline=soon()))

    with_pool({"ngram": folders["ngram"]}, test, max_streams=2, on_batch=reports.append)
    assert {report.task for report in reports} == {"generate"}


def test_a_stream_that_is_closed_ends_in_the_worker(endless):
    async def test(pool):
        served = pool._models["ngram"]
        streams = [pool.stream("ngram", Item("the"), ENDLESS, deadline=soon())]
        await anext(streams[0])
        streams.append(pool.stream("ngram", Item("the"), ENDLESS, deadline=soon()))
        await anext(streams[1])
        streams.append(pool.stream("ngram", Item("the"), ENDLESS, deadline=soon()))
        unread = pool.stream("ngram", Item("the"), ENDLESS, deadline=soon())
        await asyncio.sleep(0)
        assert len(served._written) == 2, "the others wait for a place"
        assert pool.waiting()["ngram"] == 2
        with pytest.raises(QueueFullError):
            pool.stream("ngram", Item("the"), ENDLESS, deadline=soon())
        await unread.aclose()
        # Batches are answered meanwhile.
        assert (await pool.run("ngram", "score", [Item("the")], {}, deadline=soon()))[0].value
        await streams[0].aclose()
        await anext(streams[2])
        assert [piece async for piece in streams[0]] == []
        with pytest.raises(DeadlineError):
            await pool.run("ngram", "generate", [Item("the")], ENDLESS, deadline=soon(0.05))
        for stream in streams:
            await stream.aclose()
        await until(lambda: not served._written)
        late = pool.stream("ngram", Item("the"), ENDLESS, deadline=soon(0.05))
        with pytest.raises(DeadlineError):
            async for _ in late:
                pass
        await until(lambda: not served._written)

    with_pool({"ngram": endless}, test, max_streams=2, queue_size=2)


def test_streams_of_a_killed_process_end_with_an_error(endless):
    async def test(pool):
        stream = pool.stream("ngram", Item("the"), ENDLESS, deadline=soon())
        await anext(stream)
        os.kill(pool.pids()["ngram"][0], signal.SIGKILL)
        with pytest.raises(ModelUnavailableError):
            async for _ in stream:
                pass
        assert pool._all_done.is_set()

    with_pool({"ngram": endless}, test)


def test_a_shutdown_under_load_loses_nothing(folders, expected):
    async def test(pool):
        served = pool._models["ngram"]
        requests = [
            asyncio.create_task(pool.run("ngram", "score", [Item(TEXTS[number % 6])], {}, deadline=soon()))
            for number in range(60)
        ]
        stream = pool.stream("ngram", Item("the"), {"max_new_tokens": 30, "seed": 0}, deadline=soon())
        await asyncio.sleep(0)  # all have come, and none can have been answered yet
        assert pool._outstanding == 61
        draining = asyncio.create_task(pool.drain(30.0))
        await until(lambda: pool._draining)
        with pytest.raises(ModelUnavailableError, match="shutting down"):
            pool.choose("ngram", "score")
        assert (await anext(stream)).text
        async for piece in stream:
            last = piece
        assert last.last
        for number, request in enumerate(requests):
            check([TEXTS[number % 6]], await request, expected)
        assert await draining
        assert all(worker._process.returncode is not None for worker in served._workers)

    with_pool({"ngram": folders["ngram"]}, test, max_batch_items=4)


def test_a_shutdown_takes_no_longer_than_it_may(folders, endless):
    async def test(pool):
        stream = pool.stream("endless", Item("the"), ENDLESS, deadline=soon())
        await anext(stream)
        os.kill(pool.pids()["ngram"][0], signal.SIGSTOP)
        held = asyncio.create_task(pool.run("ngram", "score", [Item("a")], {}, deadline=soon()))
        await until(lambda: pool._models["ngram"]._in_work)
        began = time.monotonic()
        assert not await pool.drain(0.1)
        assert time.monotonic() - began < 20
        with pytest.raises(ModelUnavailableError):
            await held
        with pytest.raises(ModelUnavailableError):
            async for _ in stream:
                pass

    with_pool({"ngram": folders["ngram"], "endless": endless}, test)


PROGRAM = """
import asyncio, sys
from nlpladder.serving.pool import ModelPool
from nlpladder.serving.options import PoolOptions
async def main():
    pool = ModelPool({"m": sys.argv[1]}, PoolOptions(threads=1))
    await pool.start()
    await pool.wait_ready()
    heavy = (name for name in ("torch", "transformers", "datasets", "sklearn") if name in sys.modules)
    print(pool.pids()["m"][0], *heavy, flush=True)
    await asyncio.sleep(600)
asyncio.run(main())
"""


@pytest.mark.slow
def test_workers_end_when_the_front_is_killed(folders):
    import psutil

    front = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folders["majority"])], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    try:
        pid, *heavy = front.stdout.readline().split()
        assert heavy == [], "the front imports nothing heavy"
        worker = psutil.Process(int(pid))
        worker.send_signal(signal.SIGINT)
        worker.send_signal(signal.SIGTERM)  # neither ends it: the front decides
        front.kill()
        worker.wait(30)
    finally:
        front.kill()
        front.wait()
        front.stdout.close()
    assert not worker.is_running()


def test_the_front_of_a_pool_imports_nothing_heavy():
    code = "import nlpladder.serving.pool, sys; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "transformers", "datasets", "sklearn", "numba"} & set(found)


def test_the_pool_runs_on_uvloop(folders):
    uvloop = pytest.importorskip("uvloop")

    async def run():
        async with ModelPool({"majority": str(folders["majority"])}, PoolOptions(threads=1)) as pool:
            await pool.wait_ready()
            (result,) = await pool.run("majority", "classify", [Item("a")], {}, deadline=soon())
            assert result.value["label"] in ("negative", "positive")

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
