"""Measure a server as an operations team would before it lets people in: speed, overload, faults, hostile requests.

    python scripts/check_serving.py --models outputs/tfidf,outputs/minilm --texts sst2/test.csv
    python scripts/check_serving.py --models outputs/tfidf --texts sst2/test.csv --check latency,overload --p95.tfidf 50
    python scripts/check_serving.py --url http://127.0.0.1:8000 --texts sst2/test.csv --check latency,fuzz

It starts `python -m nlpladder serve` itself, on a free port of this machine, as often as a check needs it, and ends it
whatever happens. With --url it takes a server that runs already, for the checks that need not start or kill one.

    latency     --clients, each with its next question as soon as it has an answer: p50, p95, p99, answers a second
    batching    two servers, one that batches and one that does not, in turns: answers a second, each answer compared
    overload    --overload_clients against a short queue: only 200 and 429 with Retry-After; the server's own counts
    stream      the first streamed token of every model that generates; the stream against the answer in one piece
    memory      of the front and the workers over --requests requests
    sigterm     under load: nothing accepted is lost, exit code 0
    kill        -9 of a worker under load, then of the front: ready again in how many seconds, nothing left behind
    fuzz        --examples hostile requests an endpoint, and as many of schemathesis; then the honest ones again
    drift       --texts raise nothing in --drift_windows windows, --drift_texts raise the alarm

Percentiles are of all requests. A failed one counts with the time until it failed, and as a failure. The table says
what was asked; the exit code is 1 if anything does not hold. Where two cores serve and ask at the same time, the
clients' own share of a core is told: it is missing to the server.
"""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpladder.config import option, parse, run_recipe
from nlpladder.errors import CheckFailedError, ConfigError, LadderError, did_you_mean
from nlpladder.serving.options import ServeOptions
from serving_checks.client import Question, models_of, question_about, read_texts
from serving_checks.drift import check_drift
from serving_checks.faults import check_killed_front, check_killed_worker, check_sigterm
from serving_checks.memory import check_memory
from serving_checks.process import Listening, Server, serve_command
from serving_checks.report import Finding, to_markdown
from serving_checks.speed import check_batching, check_latency, check_overload, check_stream

CHECKS = ("latency", "batching", "overload", "stream", "memory", "sigterm", "kill", "fuzz", "drift")
#: Checks that must be able to start a server of their own.
OWN_SERVER = ("batching", "overload", "sigterm", "kill")
#: Texts of one request, and texts that may wait, when too much is asked on purpose.
OVERLOAD_TEXTS, OVERLOAD_QUEUE = 4, 16


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Options of the check."""

    models: list[str] = option([], help="run folders or Hub ids to serve, also as name=folder")
    url: str | None = option(None, help="a server that runs already, instead of --models")
    check: list[str] = option(list(CHECKS), help="which checks, in this order")
    texts: str = option(help="file of real texts: .csv, .jsonl, .txt, also .gz")
    task: str | None = option(None, help="what is asked; none: classify, or else what the first model offers")
    clients: int = option(8, help="latency, memory, drift: clients at the same time")
    seconds: float = option(60.0, help="latency, overload: how long; batching: both servers together")
    p95: dict = option({}, help="latency: milliseconds that p95 must stay below, by model: --p95.NAME 50")
    first_token_ms: float | None = option(200.0, help="stream: the median must stay below; none only measures")
    prompt: str = option("Once upon a time", help="stream: what is continued")
    batching_clients: int = option(16, help="batching: clients at the same time")
    batching_times: float | None = option(2.0, help="batching: how many times faster; none only measures")
    overload_clients: int = option(32, help="overload: clients at the same time")
    sigterm_clients: int = option(16, help="sigterm: clients at the same time")
    requests: int = option(10_000, help="memory: requests after the warm-up, which is a tenth of them")
    examples: int = option(1_000, help="fuzz: requests an endpoint, ours and schemathesis's each")
    fuzz_seconds: float = option(600.0, help="fuzz: that one endpoint may take")
    drift_texts: str | None = option(None, help="drift: file of texts unlike --texts")
    drift_windows: int = option(20, help="drift: windows of --texts")
    seed: int = option(0, help="fuzz, drift: of what is made up")
    server: dict = option({}, help="options of the servers that are started: --server.threads 2", keys=ServeOptions)
    output: str | None = option(None, help="a new file for the table, Markdown")

    def __post_init__(self) -> None:
        """Check what no type can say."""
        if bool(self.models) == bool(self.url):
            raise ConfigError("Give either --models, which are then served, or --url of a server that runs.")
        for name in self.check:
            if name not in CHECKS:
                raise ConfigError(f"check: there is no {name!r}.{did_you_mean(name, CHECKS)}")
            if self.url and name in OWN_SERVER:
                raise ConfigError(f"check: {name} starts and ends servers of its own; give --models instead of --url.")
        if "drift" in self.check and self.drift_texts is None:
            raise ConfigError("check: drift wants --drift_texts, or leave it out of --check.")
        counts = (self.clients, self.batching_clients, self.overload_clients, self.sigterm_clients, self.examples)
        if min(counts) < 1 or self.requests < 10 or self.seconds <= 0 or self.drift_windows < 1:
            raise ConfigError("clients, examples and windows are 1 or more, requests 10 or more, seconds more than 0.")
        if self.output is not None and Path(self.output).exists():
            raise ConfigError(f"output: {self.output} is there already and is not overwritten.")


def main() -> None:
    options = parse(CheckOptions, description=__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the servers are ended first
    texts = read_texts(options.texts)
    print(f"machine: {os.cpu_count()} cores, load {os.getloadavg()[0]:.2f} before the checks", flush=True)
    with tempfile.TemporaryDirectory(prefix="check-serving-") as folder:
        findings = run_checks(options, texts, Path(folder))
    table = to_markdown(findings)
    print("\n" + table)
    if options.output is not None:
        Path(options.output).write_text(table + "\n", encoding="utf-8")
    broken = sum(not finding.holds for finding in findings)
    if broken:
        print(f"\n{broken} of {len(findings)} do not hold.")
        raise SystemExit(1)


def run_checks(options: CheckOptions, texts: Sequence[str], folder: Path) -> list[Finding]:
    """Run the checks that were asked for and return what they found; one that breaks off is found not to hold.

    Args:
        options: Of the check.
        texts: Real ones.
        folder: For what the servers print.
    """
    bench = Bench(options, texts, folder)
    findings: list[Finding] = []
    for name in options.check:
        started = time.perf_counter()
        try:
            found = list(BY_NAME[name](bench))
        except (LadderError, OSError) as error:
            found = [Finding(name, "broke off", f"{type(error).__name__}: {error}", "an end", False)]
        findings += found
        for each in found:
            print(f"{'holds' if each.holds else 'FAILS'}  {each.check}: {each.what}: {each.measured}", flush=True)
        seconds, busy = time.perf_counter() - started, os.getloadavg()[0]
        print(f"       {name} took {seconds:.0f} s; load of the machine now {busy:.2f}", flush=True)
    return findings


class Bench:
    """Starts servers for the checks and asks what their models can.

    Args:
        options: Of the check.
        texts: Real ones.
        folder: For what the servers print.
    """

    def __init__(self, options: CheckOptions, texts: Sequence[str], folder: Path) -> None:
        self.options = options
        self.texts = texts
        self.folder = folder
        self._started = 0

    def start(self, *, only_first: bool = False, **settings: Any) -> Server:
        """Start a server; its caller ends it.

        Args:
            only_first: Whether to serve the first model only.
            settings: That the check wants; they win over ``--server``.
        """
        self._started += 1
        models = self.options.models[: 1 if only_first else None]
        command = self.command(models, {**self.options.server, **settings})
        return Server(command, self.folder / f"server-{self._started}.log")

    def command(self, models: Sequence[str], settings: Mapping[str, Any]) -> list[str]:
        """Return the command that starts a server."""
        return serve_command(models, settings)

    @contextmanager
    def serving(self, **settings: Any) -> Iterator[Server | Listening]:
        """Give a server that is ready: one of our own, or the one at ``--url``."""
        if self.options.url is not None:
            yield Listening(self.options.url.rstrip("/"))
            return
        with self.start(**settings) as server:
            server.wait_ready()
            yield server

    def task_of(self, info: Mapping[str, Any]) -> str | None:
        """Return what a model is asked for, None where it does not offer ``--task``."""
        tasks = list(info.get("tasks", ()))
        wanted = self.options.task or ("classify" if "classify" in tasks else tasks[0] if tasks else None)
        return wanted if wanted in tasks else None

    def questions(self, task: str, name: str, items: int = 1) -> list[Question]:
        """Return a question for every text, or for every `items` of them."""
        groups = [self.texts[at : at + items] for at in range(0, len(self.texts), items)]
        # Real texts may be longer than the model reads; a question's context is no text that could be cut.
        more: dict[str, Any] = {} if task == "answer" else {"truncate": True}
        if task == "generate":
            more = {"max_new_tokens": 8, "seed": 0}
        return [question_about(task, name, group, **more) for group in groups if len(group) == items]

    def first(self, url: str) -> tuple[str, str]:
        """Return name and task of the first model that can be asked.

        Raises:
            CheckFailedError: There is none.
        """
        for name, info in models_of(url).items():
            task = self.task_of(info)
            if task is not None:
                return name, task
        raise CheckFailedError(f"No model of the server offers {self.options.task or 'anything'}.")

    def questions_of_first(self, url: str) -> list[Question]:
        """Return a question for every text to the first model that can be asked."""
        name, task = self.first(url)
        return self.questions(task, name)


def latency(bench: Bench) -> Iterator[Finding]:
    options = bench.options
    with bench.serving() as server:
        known = models_of(server.url)
        for name in options.p95:
            if name not in known:
                raise ConfigError(f"p95: no model {name!r} is served.{did_you_mean(name, known)}")
        for name, info in known.items():
            task = bench.task_of(info)
            if task is not None:
                limit = float(options.p95[name]) if name in options.p95 else None
                questions = bench.questions(task, name)
                yield from check_latency(
                    server.url, name, questions, clients=options.clients, seconds=options.seconds, p95_ms=limit
                )


def batching(bench: Bench) -> Iterator[Finding]:
    options = bench.options
    with (
        bench.start(only_first=True, max_batch_items=32) as many,
        bench.start(only_first=True, max_batch_items=1) as single,
    ):
        many.wait_ready()
        single.wait_ready()
        name, task = bench.first(many.url)
        yield from check_batching(
            many.url, single.url, name, bench.questions(task, name), clients=options.batching_clients,
            seconds=options.seconds, times=options.batching_times,
        )  # fmt: skip


def overload(bench: Bench) -> Iterator[Finding]:
    options = bench.options
    with bench.start(only_first=True, queue_size=OVERLOAD_QUEUE) as server:
        server.wait_ready()
        name, task = bench.first(server.url)
        questions = bench.questions(task, name, 1 if task == "generate" else OVERLOAD_TEXTS)
        yield from check_overload(
            server.url, name, questions, clients=options.overload_clients, seconds=options.seconds
        )


def stream(bench: Bench) -> Iterator[Finding]:
    with bench.serving() as server:
        names = [name for name, info in models_of(server.url).items() if info.get("streams")]
        if not names:
            yield Finding("stream", "models that stream", "none is served")
        for name in names:
            yield from check_stream(server.url, name, bench.options.prompt, median_ms=bench.options.first_token_ms)


def memory(bench: Bench) -> Iterator[Finding]:
    options = bench.options
    with bench.serving(**({} if options.url else {"only_first": True})) as server:
        name, task = bench.first(server.url)
        yield from check_memory(
            server.url, server.resident, bench.questions(task, name), requests=options.requests, clients=options.clients
        )


def sigterm(bench: Bench) -> Iterator[Finding]:
    clients = bench.options.sigterm_clients
    yield from check_sigterm(lambda: bench.start(only_first=True), bench.questions_of_first, clients=clients)


def kill(bench: Bench) -> Iterator[Finding]:
    yield from check_killed_worker(lambda: bench.start(only_first=True), bench.questions_of_first)
    yield from check_killed_front(bench.start)


def fuzz(bench: Bench) -> Iterator[Finding]:
    from serving_checks.fuzz import check_fuzz
    from serving_checks.judge import Target

    options = bench.options
    with bench.serving() as server:
        targets: dict[str, Target] = {}
        for name, info in models_of(server.url).items():
            for task in info.get("tasks", ()):
                question = bench.questions(task, name)[0]
                targets.setdefault(task, Target(question, name))
        folders = [str(Path(model.partition("=")[2] or model).resolve()) for model in options.models]
        yield from check_fuzz(
            server.url, list(targets.values()), examples=options.examples, seed=options.seed,
            seconds=options.fuzz_seconds, secrets=[*folders, str(Path(__file__).resolve().parents[1]), sys.prefix],
            log=server.output if isinstance(server, Server) else None,
        )  # fmt: skip


def drift(bench: Bench) -> Iterator[Finding]:
    options = bench.options
    other = read_texts(str(options.drift_texts), limit=5_000)
    window = int(options.server.get("drift_window", ServeOptions().drift_window))
    with bench.serving(**({} if options.url else {"only_first": True})) as server:
        name, task = bench.first(server.url)
        yield from check_drift(
            server.url, name, task, bench.texts, other, window=window, windows=options.drift_windows,
            clients=options.clients, seed=options.seed,
        )  # fmt: skip


BY_NAME: Mapping[str, Callable[[Bench], Iterator[Finding]]] = {
    "latency": latency, "batching": batching, "overload": overload, "stream": stream, "memory": memory,
    "sigterm": sigterm, "kill": kill, "fuzz": fuzz, "drift": drift,
}  # fmt: skip


if __name__ == "__main__":
    run_recipe(main)
