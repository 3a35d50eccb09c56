"""The server of an image that was built: started, asked, and ended with the image's own signal."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dockerfile_checks.parser import Instruction, seconds_of
from dockerfile_checks.sandbox import Limits, Sandbox
from nlpladder.errors import CheckFailedError

if TYPE_CHECKING:
    from dockerfile_checks.building import Image

#: Asks an address and prints status and body as JSON; runs in the server's network.
_ASK = """
import json, sys, urllib.error, urllib.request
address, body = sys.argv[1], sys.argv[2]
request = urllib.request.Request(address, body.encode() if body else None, {"Content-Type": "application/json"})
try:
    with urllib.request.urlopen(request, timeout=30) as answer:
        print(json.dumps([answer.status, answer.read().decode()]))
except urllib.error.HTTPError as error:
    print(json.dumps([error.code, error.read().decode()]))
except OSError as error:
    print(json.dumps([0, str(error)]))
"""
#: One request for each task that a model may offer.
REQUESTS: dict[str, dict[str, Any]] = {
    "classify": {"texts": ["the film was good", "a bad plot"]},
    "score": {"texts": ["the film was good"]},
    "generate": {"prompt": "the film", "max_new_tokens": 4},
    "translate": {"texts": ["a man"]},
    "embed": {"texts": ["the"]},
    "tag": {"texts": ["George lives in Paris ."]},
    "answer": {"questions": [{"question": "Who came?", "context": "Yesterday Ada came."}]},
}
_START_SECONDS = 240.0
_GRACE_SECONDS = 20.0


def check_server(image: Image, runs: Sequence[Path]) -> dict[str, object]:
    """Start an image's server on some runs, ask every model, end it, and return what was seen.

    Args:
        image: Of `dockerfile_checks.building.Builder`.
        runs: Folders of models; shown read-only below /models.

    Raises:
        CheckFailedError: Something did not go as it must.
    """
    names = [f"m{number}" for number in range(len(runs))]
    limits = Limits(
        user=image.user,
        read_only=True,
        volumes=image.volumes,
        network=False,
        shown=tuple((run, f"/models/{name}") for run, name in zip(runs, names, strict=True)),
    )
    port = image.ports[0] if image.ports else 8000
    if image.health is None:
        raise CheckFailedError("The image has no HEALTHCHECK.")
    if _health(image.sandbox, image, image.health, limits) == 0:
        raise CheckFailedError("The health check succeeds although no server runs.")
    words = [*image.entrypoint, *(f"{name}=/models/{name}" for name in names)]
    words += ["--without_keys", "true", "--local_files_only", "true"]
    found: dict[str, object] = {"command": shlex.join(words)}
    log = image.sandbox.root.with_name("server.log")
    command = image.sandbox.command(words, environment=image.environment, folder=image.folder, limits=limits)
    started = time.monotonic()
    with (
        log.open("wb") as stream,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
        ) as server,
    ):
        try:
            _wait(server, port, "/health", started, log)
            found["seconds_to_health"] = round(time.monotonic() - started, 1)
            _wait(server, port, "/ready", started, log)
            found["seconds_to_ready"] = round(time.monotonic() - started, 1)
            if _health(image.sandbox, image, image.health, limits, server.pid) != 0:
                raise CheckFailedError("The health check fails although the server answers /health.")
            found["answers"] = _ask_models(server.pid, port)
            found["metrics"] = _count_metrics(server.pid, port)
            _check_rights(server.pid, image.user or "0")
            begun = time.monotonic()
            server.send_signal(getattr(signal, image.stop_signal))
            try:
                code = server.wait(_GRACE_SECONDS)
            except subprocess.TimeoutExpired as error:
                raise CheckFailedError(
                    f"{image.stop_signal} did not end the server in {_GRACE_SECONDS:.0f} s."
                ) from error
            found["exit_code"], found["seconds_to_end"] = code, round(time.monotonic() - begun, 2)
            if code != 0:
                raise CheckFailedError(f"The server ended with {code} after {image.stop_signal}:\n{_tail(log)}")
            left = _processes_of(server.pid)
            if left:
                raise CheckFailedError(f"The server has ended and {len(left)} of its processes have not.")
        finally:
            if server.poll() is None or _processes_of(server.pid):
                os.killpg(server.pid, signal.SIGKILL)
    for name, value in found.items():
        print(f"{name}: {value}")
    return found


def tiny_run(folder: Path) -> Path:
    """Fit naive Bayes on four sentences and save it.

    Args:
        folder: Is made.

    Returns:
        The folder.
    """
    from nlpladder.models.counts.naive_bayes import NaiveBayesClassifier

    model = NaiveBayesClassifier(label_names=("negative", "positive"))
    model.fit(["a good film", "a lovely plot", "a bad film", "a dull plot"], [1, 1, 0, 0])
    model.save_pretrained(folder)
    for entry in [folder, *folder.rglob("*")]:  # the image's user is not the one who saved it
        entry.chmod(0o755 if entry.is_dir() else 0o644)
    return folder


def ask(pid: int, port: int, path: str, body: Mapping[str, Any] | None = None) -> tuple[int, str]:
    """Send a request from within the network of a process.

    Args:
        pid: Of the process.
        port: On its loopback.
        path: Of the address.
        body: Makes it a POST.

    Returns:
        Status and body; status 0 where nobody answered.
    """
    text = "" if body is None else json.dumps(body)
    words = ["nsenter", f"--net=/proc/{pid}/ns/net", sys.executable, "-I", "-S", "-c", _ASK]
    done = subprocess.run(
        [*words, f"http://127.0.0.1:{port}{path}", text], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        return 0, done.stderr
    status, answer = json.loads(done.stdout)
    return int(status), str(answer)


def _wait(server: subprocess.Popen[bytes], port: int, path: str, started: float, log: Path) -> None:
    """Ask an address until it answers 200."""
    status = 0
    while time.monotonic() - started < _START_SECONDS:
        if server.poll() is not None:
            raise CheckFailedError(f"The server ended with {server.returncode} instead of starting:\n{_tail(log)}")
        status, _ = ask(server.pid, port, path)
        if status == 200:
            return
        time.sleep(0.2)
    raise CheckFailedError(f"{path} still answers {status} after {_START_SECONDS:.0f} s:\n{_tail(log)}")


def _health(sandbox: Sandbox, image: Image, health: Instruction, limits: Limits, pid: int | None = None) -> int:
    """Run the health check as the image's user; without a server it has a network of its own."""
    text = health.text.removeprefix("CMD").strip()
    words = replace(health, text=text).words or ["/bin/sh", "-c", text]
    held = replace(limits, shown=(), network=pid is not None)
    command = sandbox.command(words, environment=image.environment, folder="/", limits=held)
    if pid is not None:
        command = ["nsenter", f"--net=/proc/{pid}/ns/net", *command]
    timeout = seconds_of(health.flags.get("timeout", "30s"))
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=timeout).returncode
    except subprocess.TimeoutExpired:
        return -1


def _ask_models(pid: int, port: int) -> dict[str, int]:
    """Ask each model for each task that it offers; every answer must be 200."""
    status, text = ask(pid, port, "/models")
    if status != 200:
        raise CheckFailedError(f"/models answers {status}: {text[:300]}")
    answers = {}
    for model in json.loads(text)["models"]:
        for task in model["tasks"]:
            status, answer = ask(pid, port, f"/{task}", {"model": model["name"], **REQUESTS[task]})
            answers[f"{model['name']} {task}"] = status
            if status != 200:
                raise CheckFailedError(f"/{task} of {model['name']} ({model['kind']}) answers {status}: {answer[:500]}")
    if not answers:
        raise CheckFailedError("The server offers no model.")
    return answers


def _count_metrics(pid: int, port: int) -> int:
    """Return how many series of nlpladder /metrics shows."""
    status, text = ask(pid, port, "/metrics")
    if status != 200:
        raise CheckFailedError(f"/metrics answers {status}.")
    return sum(line.startswith("nlpladder_") for line in text.splitlines())


def _check_rights(pid: int, user: str) -> None:
    """Every process of the server must be the image's user, with no capability and no way to gain one."""
    for one in _processes_of(pid):
        try:
            text = Path(f"/proc/{one}/status").read_text()
        except OSError:
            continue  # it has ended meanwhile
        fields = dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)
        wrong = [name for name in ("CapEff", "CapPrm", "CapBnd") if int(fields.get(name, "0"), 16)]
        if set(fields["Uid"].split()) != {user.split(":")[0]} or wrong or fields.get("NoNewPrivs") != "1":
            raise CheckFailedError(f"A process of the server has more rights than it should: {fields['Uid']}, {wrong}.")


def _processes_of(session: int) -> list[int]:
    """Return the processes of a session that still run."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[3]) == session and fields[0] != "Z":
            found.append(int(entry.name))
    return found


def _tail(log: Path) -> str:
    return log.read_text(encoding="utf-8", errors="replace")[-3000:]
