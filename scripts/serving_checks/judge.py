"""What is wrong with an answer, whatever was asked."""

from __future__ import annotations

import collections
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from serving_checks.client import Question, Reply
from serving_checks.hostile import CANARY
from serving_checks.report import counts_in_words

#: What nobody outside should read: traces, and paths of the machine.
LEAKS = re.compile(r'Traceback|File \\?"/|site-packages|/usr/lib/|\.py\\?", line \d|<object at 0x|<class \'')
#: Statuses of 500 and more that a server may give when it says so in its OpenAPI page.
ALLOWED = (503, 504)
#: How HTTP itself refuses a head that is malformed or too long; then there is no endpoint's error.
REFUSED_BY_HTTP = (400, 431)


@dataclass(frozen=True)
class Target:
    """An endpoint and an honest question to it.

    Attributes:
        question: That is answered.
        model: Name of the model; None where the server has only one that can.
    """

    question: Question
    model: str | None = None


@dataclass
class Tally:
    """What came of many requests.

    Attributes:
        statuses: How often each came.
        problems: What must not be, with an example of each kind.
        counts: How often each kind of problem came.
    """

    statuses: collections.Counter[int] = field(default_factory=collections.Counter)
    problems: dict[str, str] = field(default_factory=dict)
    counts: collections.Counter[str] = field(default_factory=collections.Counter)

    def add(self, status: int, problem: str, example: str) -> None:
        """Count one request; what it was, and what is wrong with its answer."""
        self.statuses[status] += 1
        if problem:
            self.counts[problem] += 1
            self.problems.setdefault(problem, example[:200])

    def in_words(self) -> str:
        """Return counts, and the problems with their examples."""
        told = [f"{self.counts[kind]} x {kind} ({self.problems[kind]})" for kind in self.problems]
        return "; ".join([counts_in_words(dict(self.statuses)), *told[:6]])


class Judge:
    """Says what is wrong with an answer, whatever was asked.

    Args:
        openapi: The server's OpenAPI document.
        secrets: Texts that no answer may hold, such as folders of this machine.
    """

    def __init__(self, openapi: Mapping[str, Any], secrets: Sequence[str]) -> None:
        self.paths: Mapping[str, Any] = openapi.get("paths", {})
        self.secrets = [secret for secret in secrets if len(secret) > 3]

    def declared(self, method: str, path: str) -> set[str]:
        """Return the statuses that the OpenAPI page names for an operation."""
        return set(self.paths.get(path, {}).get(method.lower(), {}).get("responses", {}))

    def problem(self, method: str, path: str, reply: Reply, *, odd_headers: bool = False) -> str:
        """Return what is wrong with an answer, or an empty text.

        Args:
            method: That was used.
            path: Of the endpoint.
            reply: What came.
            odd_headers: Whether the headers were such that HTTP itself may refuse them, before any endpoint is asked.
        """
        status = reply.status
        declared = self.declared(method, path)
        if status == 0:
            return f"no answer: {reply.error.split(':')[0]}"
        if status >= 500 and not (status in ALLOWED and str(status) in declared):
            return f"status {status}"
        by_http = odd_headers and status in REFUSED_BY_HTTP
        if declared and not by_http and not declared & {str(status), f"{status // 100}XX", "default"}:
            return f"status {status} is not in the OpenAPI page"
        text = reply.body.decode("utf-8", "replace")
        said = text + "\n".join(f"{name}: {value}" for name, value in reply.headers.items())
        if found := LEAKS.search(said):
            return f"leak of {found.group(0)!r}"
        if any(secret in said for secret in self.secrets):
            return "leak of a path"
        if status >= 400 and not by_http:
            return self._problem_of_error(method, text, reply)
        return ""

    def _problem_of_error(self, method: str, text: str, reply: Reply) -> str:
        if CANARY in text:
            return "an error repeats the text"
        if method == "HEAD":
            return ""
        try:
            said = json.loads(text)
            items = said.get("items")
            if isinstance(items, list):  # every text was refused: each with its own error
                return "" if all(each["error"]["code"] for each in items) else "an item without an error"
            if not (isinstance(said["error"]["code"], str) and isinstance(said["error"]["message"], str)):
                return "an error in another shape"
            if said["request_id"] != reply.headers.get("x-request-id"):
                return "an error with another request id than the header's"
        except (ValueError, KeyError, TypeError, AttributeError):
            return f"an error of status {reply.status} in another shape"
        return ""
