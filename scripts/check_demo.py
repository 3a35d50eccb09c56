"""Check a running demo as its worst and its most numerous visitors would: fuzzed payloads, and many clients at once.

    python demos/app.py --port 7860 &
    python scripts/check_demo.py --check fuzz --examples 1000
    python scripts/check_demo.py --check load --endpoint classify --clients 32 --seconds 60

`fuzz` sends to every endpoint, the undocumented ones too, what hypothesis makes up from hostile texts, numbers, lists
and the endpoint's own default values. No answer may be a server error (5xx), tell of the program's insides (a trace, a
path) or take longer than a minute, and the demo has to answer afterwards. A call that "failed without a word" ended in
an exception that is meant for nobody: of gradio for inputs that no page sends, or of the demo, whose log then has the
trace. `load` calls one endpoint with its default values (a picker's first models) from many clients; it prints times,
errors and the memory of the server.
"""

from __future__ import annotations

import collections
import json
import re
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from nlpladder.config import option, parse, run_recipe
from nlpladder.errors import CheckFailedError, ConfigError

#: What nobody outside should read: traces, and paths of the machine.
LEAKS = re.compile(r'Traceback|File \\?"/|site-packages|/usr/lib/|\.py\\?", line \d')
HOSTILE = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "${7*7}", "{{7*7}}", "`x`", "'; DROP TABLE x;--",
    "../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "=cmd|'/c calc'!A0", "\x00", "\u202e\u2066abc",
    "\U0001f600" * 50, "\ud83d", "a" * 6_000, "é\u0301" * 200, "%s%n%d", "{0.__class__}", "\\", "\n" * 100, "NaN", " ",
    "[MASK] [SEP] </s> <pad>", "1e999", "-0", "null",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """Options of the check."""

    url: str = option("http://127.0.0.1:7860", help="of the running demo")
    check: Literal["fuzz", "load"] = option("fuzz", help="what is sent")
    examples: int = option(1000, help="fuzzed payloads an endpoint")
    endpoint: str | None = option(None, help="one endpoint only; load: classify if not given")
    clients: int = option(32, help="load: clients at the same time; fuzz: senders")
    seconds: float = option(60.0, help="load: how long")
    seed: int = option(0, help="fuzz: of the payloads")

    def __post_init__(self) -> None:
        """Check what no type can say."""
        if self.examples < 1 or self.clients < 1 or self.seconds <= 0:
            raise ConfigError("examples and clients are 1 or more, seconds more than 0.")


def main() -> None:
    options = parse(CheckOptions, description=__doc__)
    if options.check == "fuzz":
        fuzz(options)
    else:
        load(options)


@dataclass(frozen=True)
class Endpoint:
    """A function of the demo.

    Attributes:
        name: Its API name; None for one that has none.
        number: Its number in the app.
        defaults: What its inputs hold when the page is opened.
    """

    name: str | None
    number: int
    defaults: tuple[Any, ...]


def endpoints_of(url: str) -> list[Endpoint]:
    """Return everything that can be called, with or without a name: what is on no list can be called all the same.

    Args:
        url: Of the demo.
    """
    import httpx

    config = httpx.get(f"{url}/config", timeout=60).raise_for_status().json()
    values = {part["id"]: part["props"].get("value") for part in config["components"]}
    return [
        Endpoint(
            name=each["api_name"] if each.get("api_visibility") == "public" else None,
            number=each["id"],
            defaults=tuple(values.get(number) for number in each["inputs"]),
        )
        for each in config["dependencies"]
        if each["backend_fn"]
    ]


# ---- fuzz


def fuzz(options: CheckOptions) -> None:
    """Send made-up payloads to every endpoint.

    Raises:
        CheckFailedError: If an answer is a server error, leaks, or does not come, or the demo does not answer any more.
    """
    import httpx

    bad: list[str] = []
    for endpoint in endpoints_of(options.url):
        if options.endpoint is not None and endpoint.name != options.endpoint:
            continue
        payloads = make_payloads(endpoint.defaults, options.examples, options.seed)
        started = time.perf_counter()
        with httpx.Client(timeout=60) as client, ThreadPoolExecutor(options.clients) as senders:
            told = list(senders.map(lambda data, to=endpoint, by=client: _send(by, options.url, to, data), payloads))
        counts = collections.Counter(kind for kind, _ in told)
        wrong = [text for kind, text in told if kind in ("server error", "leak", "no answer")]
        bad += [f"{endpoint.name or endpoint.number}: {text[:300]}" for text in wrong[:3]]
        name = endpoint.name or f"(function {endpoint.number})"
        seconds = time.perf_counter() - started
        print(f"{name:28} {len(told):6,} payloads {seconds:7.1f} s  {dict(counts)}", flush=True)
    httpx.get(options.url, timeout=60).raise_for_status()
    if bad:
        raise CheckFailedError("\n".join(["The demo gave answers that it must not give:", *bad]))
    print("The demo answers.")


def make_payloads(defaults: Sequence[Any], count: int, seed: int) -> list[list[Any]]:
    """Return lists of inputs: the defaults with one of them replaced, or several, and now and then too few or too many.

    Args:
        defaults: Of the endpoint.
        count: How many.
        seed: The same payloads for the same seed.
    """
    import hypothesis
    from hypothesis import strategies as st

    plain = st.one_of(
        st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False),
        st.sampled_from(HOSTILE), st.text(max_size=200),
    )  # fmt: skip
    values = st.recursive(
        plain, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=4)
    )
    files = st.builds(
        lambda path: {"path": path, "meta": {"_type": "gradio.FileData"}},
        st.sampled_from(HOSTILE) | st.text(max_size=30),
    )
    # A call with one odd input comes further than one that is odd all over: what is left of it is read and computed.
    # Drawn in two steps, for hypothesis makes one list of nested choices, in which few would be of the right kind.
    near = [st.sampled_from([_near(default)] * 3 + [values, files]).flatmap(lambda kind: kind) for default in defaults]
    inputs = [st.one_of(st.just(default), made_up) for default, made_up in zip(defaults, near, strict=True)]
    one_odd = [
        st.tuples(*[made_up if place == odd else st.just(default) for place, default in enumerate(defaults)]).map(list)
        for odd, made_up in enumerate(near)
    ]
    whole = st.one_of(
        *[st.one_of(*one_odd)] * 3 if one_odd else [],
        st.tuples(*inputs).map(list),
        st.lists(values, max_size=len(defaults) + 2),
    )
    made: list[list[Any]] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, database=None, deadline=None, suppress_health_check=list(hypothesis.HealthCheck),
        phases=[hypothesis.Phase.generate],
    )  # fmt: skip
    @hypothesis.given(whole)
    def collect(payload: list[Any]) -> None:
        made.append(payload)

    collect()
    # Where there is little to make up, hypothesis ends early: the same ones come again.
    return [made[place % len(made)] for place in range(count)]


def _near(default: Any) -> Any:
    """Return a strategy of values of the same kind as `default`: those are not refused for their type alone."""
    from hypothesis import strategies as st

    if isinstance(default, bool):
        return st.booleans()
    if isinstance(default, (int, float)):
        return st.integers(-3, 2_000) | st.floats(-3, 2_000, allow_nan=False)
    if isinstance(default, str):
        words = st.sampled_from([*default.split(), *HOSTILE])
        return st.lists(words, max_size=12).map(" ".join)
    if isinstance(default, list) and default:
        return st.lists(st.sampled_from(default), max_size=6)
    return st.text(max_size=50)


def _send(client: Any, url: str, endpoint: Endpoint, data: list[Any]) -> tuple[str, str]:
    """Call an endpoint; return how it went and what was said."""
    import httpx

    try:
        return _answer(client, url, endpoint, data)
    except (httpx.HTTPError, OSError) as error:
        return "no answer", f"{type(error).__name__}: {error}"


def _answer(client: Any, url: str, endpoint: Endpoint, data: list[Any]) -> tuple[str, str]:
    # json.dumps with ASCII: a lone surrogate is sent as an escape.
    session = f"check-{threading.get_ident()}-{time.perf_counter_ns()}"
    body = json.dumps({"data": data, "fn_index": endpoint.number, "session_hash": session})
    headers = {"content-type": "application/json"}
    joined = client.post(f"{url}/gradio_api/queue/join", content=body, headers=headers)
    if joined.status_code >= 500:
        return "server error", f"{joined.status_code} {joined.text}"
    if joined.status_code >= 400:
        return ("leak" if LEAKS.search(joined.text) else "refused"), joined.text
    said = ""
    with client.stream("GET", f"{url}/gradio_api/queue/data", params={"session_hash": session}) as stream:
        if stream.status_code >= 500:
            return "server error", f"{stream.status_code}"
        for line in stream.iter_lines():
            if not line.startswith("data:"):
                continue
            said = line
            if LEAKS.search(line):
                return "leak", line
            message = json.loads(line[len("data:") :])
            if message.get("msg") == "process_completed":
                if message.get("success"):
                    return "answered", line
                return ("refused" if (message.get("output") or {}).get("error") else "failed without a word"), line
            if message.get("msg") in ("close_stream", "unexpected_error"):
                break
    return "refused", said


# ---- load


def load(options: CheckOptions) -> None:
    """Call one endpoint from many clients at once.

    Raises:
        ConfigError: There is no such endpoint.
        CheckFailedError: If a call was not answered.
    """
    name = options.endpoint or "classify"
    found = [endpoint for endpoint in endpoints_of(options.url) if endpoint.name == name]
    if not found:
        raise ConfigError(f"The demo has no endpoint {name!r}.")
    server = _server_process(options.url)
    before = server.memory_info().rss if server else None
    times: list[float] = []
    failed: list[str] = []
    middle: list[int] = []
    end = time.perf_counter() + options.seconds
    with ThreadPoolExecutor(options.clients + 1) as clients:
        if server is not None:
            clients.submit(lambda: [middle.append(server.memory_info().rss) for _ in _until(end, pause=1.0)])
        for _ in range(options.clients):
            clients.submit(_call_until, end, options.url, found[0], times, failed)
    if not times:
        raise CheckFailedError(f"No call of {name} was answered: {failed[:1]}")
    ranked = sorted(times)
    print(
        f"{name}: {options.clients} clients for {options.seconds:g} s: {len(times):,} answers, {len(failed)} errors, "
        f"{len(times) / options.seconds:.1f} a second; median {statistics.median(ranked):.3f} s, 95th percentile "
        f"{ranked[int(0.95 * (len(ranked) - 1))]:.3f} s, longest {ranked[-1]:.3f} s"
    )
    if server is not None and before is not None and middle:
        half = middle[len(middle) // 2]
        print(
            f"memory of the server: {before / 2**20:,.0f} MiB before, {half / 2**20:,.0f} at half time, "
            f"{middle[-1] / 2**20:,.0f} at the end"
        )
    if failed:
        raise CheckFailedError(f"{len(failed)} calls failed; the first: {failed[0][:300]}")


def _call_until(end: float, url: str, endpoint: Endpoint, times: list[float], failed: list[str]) -> None:
    import httpx

    with httpx.Client(timeout=60) as client:
        while time.perf_counter() < end:
            started = time.perf_counter()
            kind, said = _send(client, url, endpoint, list(endpoint.defaults))
            if kind == "answered":
                times.append(time.perf_counter() - started)
            else:
                failed.append(f"{kind}: {said}")


def _until(end: float, *, pause: float) -> Iterator[None]:
    while time.perf_counter() < end:
        time.sleep(pause)
        yield


def _server_process(url: str) -> Any:
    """Return the process of this machine that listens at the port; None where it cannot be told."""
    import psutil

    port = int(url.rstrip("/").rsplit(":", 1)[-1])
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port and connection.pid:
                return psutil.Process(connection.pid)
    except psutil.Error:
        return None
    return None


if __name__ == "__main__":
    run_recipe(main)
