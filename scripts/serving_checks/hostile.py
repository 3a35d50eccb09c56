"""Requests that no honest client sends, made from the honest one of an endpoint."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

#: Stands in hostile texts; no error message and no log may repeat it.
CANARY = "canary-6e1f0c-must-not-be-repeated"
JSON_TYPE = "application/json"
TEXTS = (
    "", " ", "\x00", "a\x00b", "\ud83d", "\udc00\ud800", "\u202e\u2066abc", "\U0001f600" * 50, "\ufeff", "\uffff",
    "e\u0301" * 200, "<script>alert(1)</script>", "${7*7}{{7*7}}", "'; DROP TABLE x;--", "../../etc/passwd",
    "file:///etc/passwd", "%s%n%d", "{0.__class__}", "\\", "\r\n\r\nHTTP/1.1 200 OK", "\n" * 100, "NaN", "1e999",
    "null", "[MASK] [SEP] </s> <pad>", "a" * 30_000, "a " * 9_000, "\u00ad" * 500, "\u0600" * 300,
)  # fmt: skip
NUMBERS = (
    0, -1, 1, 2**31, 2**63, -(2**63) - 1, 2**64, 10**30, 10**400, -0.0, 0.5, 1e-320, 1e308, -1e308, True, False,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
CONTENT_TYPES = (
    "", "text/plain", "application/xml", "application/json; charset=utf-16", "application/json; charset=nonsense",
    "multipart/form-data; boundary=x", "multipart/form-data", "application/x-www-form-urlencoded",
    "application/json/json", "image/png", "application/vnd.api+json", "*/*", ";",
    "application/json, text/plain", "APPLICATION/JSON",
)  # fmt: skip


@dataclass(frozen=True)
class Hostile:
    """A request to one endpoint.

    Attributes:
        kind: What is wrong with it, for the table.
        body: As it is sent.
        headers: The content type among them.
    """

    kind: str
    body: bytes
    headers: Mapping[str, str]


def make_hostile(base: Mapping[str, Any], count: int, number: int) -> list[Hostile]:
    """Return `count` requests; the same for the same `number`.

    Args:
        base: The body of an honest request.
        count: How many.
        number: Seed.
    """
    made: list[Hostile] = []

    @seed(number)
    @settings(
        max_examples=count,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(hostile(base))
    def collect(one: Hostile) -> None:
        made.append(one)

    collect()
    # hypothesis ends early where there is little to make up: the same ones come again.
    return [made[place % len(made)] for place in range(count)]


def hostile(base: Mapping[str, Any]) -> st.SearchStrategy[Hostile]:
    """Return the strategy of all hostile requests of an endpoint.

    Args:
        base: The body of an honest request.
    """
    return st.one_of(
        _wrong_values(base), _wrong_values(base), _wrong_shapes(base), _wrong_bytes(base), _wrong_headers(base)
    )


def values() -> st.SearchStrategy[Any]:
    """Return the strategy of JSON values with all that is odd in them."""
    texts = st.sampled_from(TEXTS) | st.text(st.characters(codec=None), max_size=60)
    plain = (
        st.none()
        | texts
        | texts.map(lambda text: CANARY + text)
        | st.sampled_from(NUMBERS)
        | st.integers()
        | st.floats()
    )
    return st.recursive(
        plain,
        lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
        max_leaves=12,
    )


def _json(value: Any) -> bytes:
    # With ASCII: a lone surrogate is sent as an escape, NaN and Infinity by the names that Python gives them.
    return json.dumps(value).encode("ascii")


def _plain(kind: str, body: bytes) -> Hostile:
    return Hostile(kind, body, {"Content-Type": JSON_TYPE})


def _wrong_values(base: Mapping[str, Any]) -> st.SearchStrategy[Hostile]:
    """A field with a value that it should not have, deep inside a list, too."""
    names = st.sampled_from(sorted(base))

    def replaced(name: str, value: Any, inside: bool) -> Hostile:
        whole = [value] if inside and isinstance(base[name], list) else value
        return _plain("value", _json({**base, name: whole}))

    return st.builds(replaced, names, values(), st.booleans())


def _wrong_shapes(base: Mapping[str, Any]) -> st.SearchStrategy[Hostile]:
    """Fields too few, too many or unknown; bodies that are no object; far too many or too long texts."""
    missing = st.sampled_from(sorted(base)).map(lambda name: {key: base[key] for key in base if key != name})
    unknown = st.builds(lambda name, value: {**base, name: value}, st.text(max_size=30), values())
    many = st.sampled_from((65, 1_000, 20_000)).map(lambda size: _stretched(base, size))
    long = st.sampled_from((20_001, 300_000, 2_200_000)).map(lambda size: _lengthened(base, size))
    return st.one_of(missing, unknown, values(), unknown, many, long).map(lambda body: _plain("shape", _json(body)))


def _stretched(base: Mapping[str, Any], size: int) -> dict[str, Any]:
    return {key: (value * size)[:size] if isinstance(value, list) else value for key, value in base.items()}


def _lengthened(base: Mapping[str, Any], size: int) -> dict[str, Any]:
    def longer(value: Any) -> Any:
        if isinstance(value, str):
            return (CANARY + " word" * (size // 5))[:size]
        if isinstance(value, list):
            return [longer(each) for each in value]
        return {key: longer(each) for key, each in value.items()} if isinstance(value, dict) else value

    return {key: value if key == "model" else longer(value) for key, value in base.items()}


def _wrong_bytes(base: Mapping[str, Any]) -> st.SearchStrategy[Hostile]:
    """What is no JSON, or JSON that parsers stumble over."""
    good = _json(base)
    name = next(iter(base))
    field = f'"{name}":'.encode()
    deep = st.sampled_from((100, 1_000, 30_000, 200_000)).flatmap(
        lambda depth: st.sampled_from((b"[" * depth, b'{"a":' * depth, field + b"[" * depth + b"]" * depth))
    )
    fixed = st.sampled_from(
        (
            b"", b"\xef\xbb\xbf" + good, good.decode().encode("utf-16"), good + b"x", good + good, good[:-1] + b",}",
            good.replace(b'"', b"'"), b"{" + field + b"NaN}", b"{" + field + b"-Infinity}", b"{" + field + b"1e999999}",
            b"{" + field + b"9" * 5_000 + b"}", good[:-1] + b"," + field + b'"second"}', b'"\\ud800"', b'"\\u0000"',
            b"{" + field + b'"' + CANARY.encode() + b"\xff\xfe" + b'"}', b"\x00" * 64,
            b"\x1f\x8b\x08\x00" + b"\x00" * 32, b"null", b"true",
            b"0", b"[]", b"{}", b"-", b'{"":""}', b'{"__proto__":{}}', b"/*" + good + b"*/",
        )
    )  # fmt: skip
    cut = st.integers(0, len(good) - 1).map(lambda end: good[:end])
    changed = st.builds(
        lambda place, byte: good[:place] + bytes([byte]) + good[place + 1 :],
        st.integers(0, len(good) - 1), st.integers(0, 255),
    )  # fmt: skip
    return st.one_of(fixed, fixed, cut, changed, deep, st.binary(max_size=200)).map(lambda body: _plain("bytes", body))


def _wrong_headers(base: Mapping[str, Any]) -> st.SearchStrategy[Hostile]:
    """The right body under the wrong name, and headers that nobody needs."""
    good = _json(base)
    printable = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=80)
    extra = st.one_of(
        st.fixed_dictionaries({"X-Request-Id": printable | st.just("a" * 5_000)}),
        st.fixed_dictionaries({"Content-Encoding": st.sampled_from(("gzip", "br", "deflate", "nonsense"))}),
        st.fixed_dictionaries({"Accept": printable}),
        st.fixed_dictionaries({"Accept-Charset": printable, "Range": st.just("bytes=0-1")}),
        st.fixed_dictionaries({"Host": st.sampled_from(("", "a" * 300, "[::1", "x:99999999"))}),
        st.fixed_dictionaries({"Authorization": printable, "Cookie": printable}),
        st.integers(50, 150).map(lambda size: {f"X-Flood-{number}": "v" * 40 for number in range(size)}),
        st.sampled_from((4_000, 20_000, 70_000)).map(lambda size: {"X-Long": "v" * size}),
        st.just({"Expect": "200-nothing"}),
    )
    kinds = st.sampled_from(CONTENT_TYPES).map(lambda name: Hostile("content type", good, {"Content-Type": name}))
    headers = extra.map(lambda more: Hostile("headers", good, {"Content-Type": JSON_TYPE, **more}))
    return kinds | headers


def raw_requests(path: str, body: bytes) -> list[tuple[str, bytes]]:
    """Return a name and the bytes of requests that break HTTP itself; after each the writing end is closed.

    Args:
        path: Of an endpoint.
        body: Of an honest request.
    """
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {JSON_TYPE}\r\n".encode()
    length = b"Content-Length: %d\r\n\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n"
    return [
        ("nothing", b""),
        ("half a head", head[:20]),
        ("head without an end", head),
        ("truncated body", head + length % (len(body) + 100) + body),
        ("half a body", head + length % len(body) + body[: len(body) // 2]),
        ("negative length", head + b"Content-Length: -5\r\n\r\n" + body),
        ("huge length", head + b"Content-Length: 99999999999999999999\r\n\r\n" + body),
        ("length in words", head + b"Content-Length: five\r\n\r\n" + body),
        ("two lengths", head + b"Content-Length: 3\r\n" + length % len(body) + body),
        ("length and chunks", head + b"Transfer-Encoding: chunked\r\n" + length % len(body) + body),
        ("broken chunk size", chunked + b"zz\r\n" + body),
        ("chunk cut off", chunked + b"ffff\r\n" + body),
        ("chunks without an end", chunked + b"%x\r\n" % len(body) + body + b"\r\n"),
        ("huge chunk size", chunked + b"ffffffffffffffffff\r\n" + body),
        ("no HTTP", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64),
        ("old HTTP", b"GET /health\r\n\r\n"),
        ("unknown version", b"GET /health HTTP/9.9\r\nHost: x\r\n\r\n"),
        ("unknown method", b"BREW /health HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("long path", b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("bytes in the path", b"GET /\xff\xfe%00%ff HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("up and out", b"GET /docs/../../../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("up and out, encoded", b"GET /docs/%2e%2e%2f%2e%2e%2fetc%2fpasswd HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("absolute path", b"GET http://127.0.0.1:1/ HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("connect", b"CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n"),
        ("no host", b"GET /health HTTP/1.1\r\n\r\n"),
        ("space in a header", b"GET /health HTTP/1.1\r\nHost : x\r\n\r\n"),
        ("folded header", b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: 1\r\n 2\r\n\r\n"),
        ("bytes in a header", b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: \x00\x01\xff\r\n\r\n"),
        ("2,000 headers", b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X-A: 1\r\n" * 2_000 + b"\r\n"),
        ("head of 200 kB", b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: " + b"a" * 200_000 + b"\r\n\r\n"),
        ("upgrade", b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
         b"Sec-WebSocket-Key: eA==\r\nSec-WebSocket-Version: 13\r\n\r\n"),
        ("50 at once", (head + length % len(body) + body) * 50),
    ]  # fmt: skip
