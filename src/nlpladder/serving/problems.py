"""Every error of the HTTP interface in one shape, and JSON that never fails to be written.

    {"error": {"code", "message", "field", "limit", "value"}, "request_id"}

Several mistakes in one request stand in ``errors`` beside the first of them. No message repeats a text of the request:
of a text only its length is told.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from nlpladder.errors import did_you_mean

#: Mistakes that one answer lists; a request of 64 wrong texts says enough with these.
_MOST_PROBLEMS = 16
#: Characters of a field's name that are repeated: it came from outside, and may be anything.
_MOST_NAME = 64
#: Whole numbers beyond this are not repeated: they may have thousands of digits.
_LARGEST_INTEGER = 2**53


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a request.

    Attributes:
        code: For programs.
        message: A sentence for people: what was expected, and what to do.
        field: Where it stands in the body, such as ``texts.3``; None for the request as a whole.
        limit: What is allowed, where a limit was exceeded.
        value: What came, in the same unit; the length of a text.
    """

    code: str
    message: str
    field: str | None = None
    limit: float | None = None
    value: float | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return all five fields, null where nothing is known."""
        return {
            "code": self.code, "message": self.message, "field": self.field, "limit": self.limit, "value": self.value,
        }  # fmt: skip


class ProblemError(Exception):
    """A request is refused before any model saw it.

    Attributes:
        status: Of HTTP.
        problems: At least one.
        headers: That the answer gets besides the usual ones.
    """

    def __init__(self, status: int, problems: Sequence[Problem], *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problems[0].message)
        self.status = status
        self.problems = tuple(problems)
        self.headers = dict(headers or {})


class ClientGoneError(Exception):
    """Nobody waits for the answer any more: the connection was closed."""


def error_body(problems: Sequence[Problem], request_id: str) -> dict[str, Any]:
    """Return the body of an error; ``errors`` is there when several things are wrong."""
    body: dict[str, Any] = {"error": problems[0].as_dict()}
    if len(problems) > 1:
        body["errors"] = [problem.as_dict() for problem in problems[:_MOST_PROBLEMS]]
    body["request_id"] = request_id
    return body


def to_json(value: Any) -> bytes:
    """Return compact JSON in UTF-8.

    A number that JSON cannot say, such as the log-probability -inf of an impossible text, becomes null; half a
    surrogate pair becomes a question mark.
    """
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_finite(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, (list, tuple)) else value


def shown_name(name: object) -> str:
    """Return a name that came from outside so that it can stand in a sentence: short, printable, one line."""
    text = str(name)
    cut = text if len(text) <= _MOST_NAME else text[:_MOST_NAME] + "…"
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in cut)


def problems_of(error: ValidationError, fields: Iterable[str]) -> list[Problem]:
    """Turn what Pydantic found into problems, in its order.

    Args:
        error: Of a request's model.
        fields: Names that the request may have, for ``did_you_mean``.
    """
    names = tuple(fields)
    found = error.errors(include_url=False)[: _MOST_PROBLEMS + 1]
    return [_problem_of(dict(one), names) for one in found]


#: Type of a Pydantic error -> what was expected.
_EXPECTED = {
    "string_type": "a text", "int_type": "a whole number", "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of usual size", "float_type": "a number", "bool_type": "true or false",
    "list_type": "a list", "dict_type": "an object", "model_type": "an object",
    "model_attributes_type": "an object",
}  # fmt: skip
#: Type of a Pydantic error -> key of its context that holds the limit, and how the limit is said.
_RANGES = {
    "greater_than": ("gt", "more than"), "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"), "less_than_equal": ("le", "at most"),
}  # fmt: skip


def _problem_of(error: dict[str, Any], names: tuple[str, ...]) -> Problem:
    kind, context, given = str(error["type"]), error.get("ctx") or {}, error.get("input")
    field = ".".join(shown_name(part) for part in error["loc"]) or None
    if kind == "missing":
        return Problem("missing", "This field is required.", field)
    if kind in ("extra_forbidden", "invalid_key"):
        inside = len(error["loc"]) > 1
        hint = "" if inside else did_you_mean(str(field), names) + f" The fields are: {', '.join(names)}."
        return Problem("unknown_field", f"There is no such field.{hint}", field)
    if kind in _EXPECTED:
        return Problem("wrong_type", f"Expected {_EXPECTED[kind]}, got {_name_of(given)}.", field)
    if kind in _RANGES:
        key, words = _RANGES[kind]
        limit = context.get(key)
        return Problem("out_of_range", f"Expected {words} {limit}.{_hint(field, kind)}", field, limit, _number(given))
    if kind in ("too_long", "too_short"):
        limit = context.get("max_length" if kind == "too_long" else "min_length")
        code, words = ("too_many", "at most") if kind == "too_long" else ("too_few", "at least")
        return Problem(code, f"Expected {words} {limit} of them.", field, limit, _length(given))
    if kind in ("string_too_long", "string_too_short"):
        limit = context.get("max_length" if kind == "string_too_long" else "min_length")
        words = "at most" if kind == "string_too_long" else "at least"
        return Problem(
            kind.removeprefix("string_"), f"Expected {words} {limit} characters.", field, limit, _length(given)
        )
    if kind == "finite_number":
        return Problem("out_of_range", "Expected a finite number.", field)
    if kind == "string_unicode":
        return Problem(
            "invalid_unicode",
            "The text holds half a surrogate pair, which is no character: write characters beyond U+FFFF as both "
            "halves, or as themselves.",
            field,
        )
    if kind.startswith("nlpladder_"):  # raised by `nlpladder.serving.schemas`, in our own words
        return Problem(
            str(context.get("code", "contradiction")), str(error["msg"]), str(context["field"]),
            context.get("limit"), context.get("value"),
        )  # fmt: skip
    return Problem("invalid", "This value cannot be used here; see /docs for what is expected.", field)


def _hint(field: str | None, kind: str) -> str:
    """Return what somebody wants who sends a number that is out of range."""
    if field == "temperature" and kind.startswith("greater"):
        return " For the most probable token each time, send do_sample: false."
    return ""


def _name_of(value: object) -> str:
    """Name a JSON value the way a user would, without repeating it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    names = {int: "a whole number", float: "a number with a fraction", str: "a text", list: "a list", dict: "an object"}
    return names.get(type(value), "something else")


def _number(value: object) -> float | None:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if type(value) is int and abs(value) <= _LARGEST_INTEGER else None


def _length(value: object) -> int | None:
    return len(value) if isinstance(value, (str, list, dict)) else None
