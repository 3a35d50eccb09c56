"""Questions over HTTP as a plain client asks them: one kept-alive connection each, nothing retried, nothing hidden."""

from __future__ import annotations

import csv
import gzip
import http.client
import json
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nlpladder.errors import ConfigError, DataError, RunError

TIMEOUT = 60.0
#: The column of a table that holds the texts, where nothing else is said.
TEXT_COLUMNS = ("text", "sentence", "content", "review")
#: What a text is asked about where it is a context and no question is at hand.
QUESTION = "What is it about?"


@dataclass(frozen=True)
class Question:
    """A request that can be sent again and again.

    Attributes:
        path: Of the endpoint.
        body: JSON.
        items: Texts in it; the answer must hold as many.
    """

    path: str
    body: bytes
    items: int = 1


@dataclass(frozen=True)
class Reply:
    """What came of a request.

    Attributes:
        status: Of HTTP; 0 where no whole answer came.
        body: Of the answer.
        headers: Of the answer, names in small letters.
        started: When the client began (`time.perf_counter`).
        sent: When the whole request had been handed to the connection; None where it never was.
        ended: When the answer was there, or was given up.
        error: What went wrong with the connection.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    started: float = 0.0
    sent: float | None = None
    ended: float = 0.0
    error: str = ""

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.started


class Client:
    """One connection to a server, opened again after it was closed; for one thread.

    Args:
        url: Of the server; only http.
        timeout: Seconds that an answer may take.
    """

    def __init__(self, url: str, *, timeout: float = TIMEOUT) -> None:
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or not parts.port:
            raise ConfigError(f"{url!r} is no address like http://127.0.0.1:8000.")
        self.connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """Send one request and return what came of it; a lost connection is a `Reply`, too.

        Args:
            method: ``GET``, ``POST``, …
            path: With its query.
            body: JSON, unless `headers` say otherwise.
            headers: In place of the usual content type.
        """
        started = time.perf_counter()
        sent = None
        try:
            said = headers if headers is not None else ({"Content-Type": "application/json"} if body else {})
            try:
                self.connection.request(method, path, body=body, headers=dict(said))
                sent = time.perf_counter()
            except (BrokenPipeError, ConnectionResetError):
                if self.connection.sock is None or body is None:
                    raise
                # A server may answer 413 and close while the body is still on its way: the answer lies there.
            response = self.connection.getresponse()
            content = response.read()
            ended = time.perf_counter()
            kept = {name.lower(): value for name, value in response.getheaders()}
            if response.will_close:
                self.connection.close()
            return Reply(response.status, content, kept, started, sent, ended)
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            return Reply(0, b"", {}, started, sent, time.perf_counter(), f"{type(error).__name__}: {error}")

    def post(self, question: Question) -> Reply:
        """Ask a question.

        Args:
            question: Path and body.
        """
        return self.ask("POST", question.path, question.body)

    def events(self, question: Question) -> Iterator[tuple[float, str, Any]]:
        """Ask for a stream; give each event's time since the beginning, name and data as they come.

        Args:
            question: With ``stream: true``.

        Raises:
            RunError: The answer is no stream of events, or breaks off.
        """
        started = time.perf_counter()
        try:
            self.connection.request("POST", question.path, question.body, {"Content-Type": "application/json"})
            response = self.connection.getresponse()
            kind = response.headers.get_content_type()
            if response.status != 200 or kind != "text/event-stream":
                said = response.read(300).decode("utf-8", "replace")
                raise RunError(f"{question.path} answered {response.status} {kind}, no stream of events: {said}")
            name, data = "message", []
            while line := response.readline():
                text = line.decode("utf-8").rstrip("\r\n")
                if text.startswith("event:"):
                    name = text[6:].strip()
                elif text.startswith("data:"):
                    data.append(text[5:].removeprefix(" "))
                elif not text and data:
                    yield time.perf_counter() - started, name, json.loads("\n".join(data))
                    name, data = "message", []
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise RunError(f"The stream of {question.path} broke off: {type(error).__name__}: {error}") from None
        finally:
            self.connection.close()


def get_json(url: str, path: str) -> Any:
    """Return what a GET answers.

    Args:
        url: Of the server.
        path: Such as ``/models``.

    Raises:
        RunError: It does not answer 200 with JSON.
    """
    with Client(url) as client:
        reply = client.ask("GET", path)
    try:
        if reply.status == 200:
            return json.loads(reply.body)
    except ValueError:
        pass
    raise RunError(f"GET {path} answered {reply.status or 'nothing'}: {reply.error or reply.body[:300]!r}")


def models_of(url: str) -> dict[str, dict[str, Any]]:
    """Return what the server says of each of its models, by name.

    Args:
        url: Of the server.

    Raises:
        RunError: /models does not answer as it must.
    """
    said = get_json(url, "/models")
    models = said.get("models") if isinstance(said, dict) else None
    if not isinstance(models, list) or not all(isinstance(each, dict) and "name" in each for each in models):
        raise RunError(f"GET /models holds no list of models with names: {str(said)[:300]}")
    return {str(each["name"]): each for each in models}


def metrics_of(url: str, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    """Return the values of one metric of /metrics by its sorted labels.

    Args:
        url: Of the server.
        name: Of the sample, such as ``nlpladder_requests_total``.

    Raises:
        RunError: /metrics does not answer.
    """
    from prometheus_client.parser import text_string_to_metric_families

    with Client(url) as client:
        reply = client.ask("GET", "/metrics")
    if reply.status != 200:
        raise RunError(f"GET /metrics answered {reply.status or 'nothing'}: {reply.error or reply.body[:300]!r}")
    families = text_string_to_metric_families(reply.body.decode("utf-8"))
    samples = (sample for family in families for sample in family.samples)
    return {tuple(sorted(each.labels.items())): each.value for each in samples if each.name == name}


def question_about(task: str, model: str | None, texts: Sequence[str], **parameters: Any) -> Question:
    """Return the request that asks a model about texts.

    Args:
        task: Name of the endpoint.
        model: Its name; None where there is only one that can.
        texts: One or more; ``generate`` takes one.
        parameters: More fields of the body.
    """
    body: dict[str, Any] = {} if model is None else {"model": model}
    if task == "generate":
        body["prompt"] = texts[0]
    elif task == "answer":
        body["questions"] = [{"question": QUESTION, "context": text} for text in texts]
    else:
        body["texts"] = list(texts)
    return Question(f"/{task}", json.dumps({**body, **parameters}).encode(), len(texts))


def problem_of_answer(reply: Reply, question: Question) -> str:
    """Return what is wrong with an answer of status 200, or an empty text.

    Args:
        reply: The answer.
        question: What was asked.
    """
    try:
        said = json.loads(reply.body, parse_constant=_refuse_constant)
    except ValueError as error:
        return f"no JSON: {error}"
    if not isinstance(said, dict):
        return "no JSON object"
    if "items" not in said:
        return "" if "text" in said and question.path == "/generate" else "neither items nor a text"
    items = said["items"]
    if not isinstance(items, list) or [each.get("index") for each in items] != list(range(question.items)):
        return f"not one item for each of {question.items} texts, in their order"
    errors = [each["error"] for each in items if each.get("error")]
    return f"an item was refused: {errors[0]}" if errors else ""


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def read_texts(path: str, limit: int | None = None) -> list[str]:
    """Return the texts of a file that are not empty: .csv with a header, .jsonl, .txt with one a line; .gz of each.

    Args:
        path: Of the file.
        limit: Texts at most.

    Raises:
        DataError: There is no such file, no such column, or no text.
    """
    file = Path(path)
    kinds = [suffix for suffix in file.suffixes if suffix in (".csv", ".jsonl", ".txt")]
    if not file.is_file() or not kinds:
        raise DataError(f"{path} is no .csv, .jsonl or .txt file (or .gz of one).")
    with gzip.open(file, "rt", encoding="utf-8") if file.suffix == ".gz" else file.open(encoding="utf-8") as lines:
        texts: list[str] = []
        rows: Iterator[Any] = iter(lines)
        if kinds[-1] == ".csv":
            rows = csv.DictReader(lines)
        elif kinds[-1] == ".jsonl":
            rows = (json.loads(line) for line in lines if line.strip())
        for row in rows:
            text = row if isinstance(row, str) else _text_of(row, path)
            if text.strip():
                texts.append(text.rstrip("\n"))
            if limit is not None and len(texts) == limit:
                break
    if not texts:
        raise DataError(f"{path} holds no text.")
    return texts


def _text_of(row: Mapping[str, Any], path: str) -> str:
    found = next((row[name] for name in TEXT_COLUMNS if isinstance(row.get(name), str)), None)
    if found is None:
        raise DataError(f"{path} has no column {', '.join(TEXT_COLUMNS)}; it has {', '.join(map(str, row))}.")
    return str(found)
