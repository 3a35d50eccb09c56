"""Requests that schemathesis makes from a server's OpenAPI page, and whether the answers are what the page says."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator, Sequence
from typing import Any

from serving_checks.client import Reply
from serving_checks.judge import Judge, Tally, Target
from serving_checks.report import Finding

#: Conformance to the OpenAPI page that schemathesis checks beside what we look at ourselves.
CONFORMANCE = (
    "status_code_conformance", "content_type_conformance", "response_headers_conformance",
    "response_schema_conformance", "negative_data_rejection",
)  # fmt: skip


def check_schema(
    url: str, targets: Sequence[Target], judge: Judge, examples: int, seed: int, seconds: float
) -> Iterator[Finding]:
    """Send what schemathesis makes from the OpenAPI page: what it allows, and what it forbids.

    Args:
        url: Of the server.
        targets: Endpoints with a model's name, so that a model is reached.
        judge: Looks at each answer beside schemathesis.
        examples: Requests an endpoint; for a GET 20 at most.
        seed: Of what is made up.
        seconds: That one endpoint may take.
    """
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import CHECKS, load_all_checks
    from schemathesis.core.result import Err

    load_all_checks()
    checks = [CHECKS.get_one(name) for name in CONFORMANCE]
    models = {target.question.path: target.model for target in targets}
    schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
    for found in schema.get_all_operations():
        if isinstance(found, Err):
            yield Finding("fuzz", "the OpenAPI page", str(found.err()), "can be read", False)
            continue
        operation = found.ok()
        name = f"{operation.method.upper()} {operation.path}"
        if operation.method.lower() == "post" and operation.path in models:
            strategy = operation.as_strategy() | operation.as_strategy(generation_mode=GenerationMode.NEGATIVE)
            count = examples
        else:
            strategy, count = operation.as_strategy(), min(examples, 20)
        tally = _run_cases(url, strategy, count, seed, seconds, judge, checks, models.get(operation.path))
        sent = sum(tally.statuses.values())
        asked = "as the OpenAPI page says; no 5xx but declared 503, 504; no leak"
        # hypothesis ends early where there is little to make up, as for a GET without parameters.
        enough = sent >= count or count < examples or operation.method.lower() != "post"
        yield Finding(
            "fuzz", f"{name}: schemathesis, {sent:,} requests", tally.in_words(), asked, not tally.problems and enough
        )


def _run_cases(
    url: str, strategy: Any, count: int, seed: int, seconds: float, judge: Judge, checks: Sequence[Any],
    model: str | None,
) -> Tally:  # fmt: skip
    import hypothesis
    from schemathesis.core.failures import Failure, FailureGroup

    tally = Tally()
    numbers = itertools.count()
    end = time.perf_counter() + seconds

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, database=None, deadline=None, phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    @hypothesis.given(strategy)
    def send(case: Any) -> None:
        if time.perf_counter() > end:
            return
        positive = case.meta is None or case.meta.generation.mode.value == "positive"
        if positive and isinstance(case.body, dict) and "model" in case.body and next(numbers) % 4:
            case.body["model"] = model  # a made-up name would never reach a model
        started = time.perf_counter()
        answer = case.call(base_url=url, timeout=60)
        headers = {key.lower(): ", ".join(value) for key, value in answer.headers.items()}
        reply = Reply(answer.status_code, answer.content, headers, started, started, time.perf_counter())
        problem = judge.problem(case.method, case.operation.path, reply)
        if not problem:
            try:
                case.validate_response(answer, checks=list(checks))
            except FailureGroup as group:
                problem = "; ".join(sorted({str(each.title) for each in group.exceptions if isinstance(each, Failure)}))
            except Failure as failure:
                problem = str(failure.title)
        tally.add(reply.status, problem, f"{case.method} {str(case.body)[:120]!r} {reply.body[:80]!r}")

    send()
    return tally
