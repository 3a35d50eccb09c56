"""Reads a Dockerfile: the part of the language that deploy/Dockerfile uses; anything else is an error, not a guess."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from nlpladder.errors import ConfigError, did_you_mean

#: What is understood; `RUN --mount`, heredocs, ADD, ONBUILD, SHELL and parser directives are not.
KEYWORDS = (
    "FROM", "ARG", "ENV", "WORKDIR", "COPY", "RUN", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
    "ENTRYPOINT", "CMD", "LABEL",
)  # fmt: skip
_FLAGS = {
    "FROM": ("platform",),
    "COPY": ("from", "chown"),
    "HEALTHCHECK": ("interval", "timeout", "start-period", "retries"),
}
_VARIABLE = re.compile(r"\\\$|\$(?:(\w+)|\{(\w+)(?:(:[-+])([^}]*))?\})")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0, "ms": 0.001}


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        line: Its first line in the file, from 1.
        keyword: In capitals.
        text: What follows keyword and flags, lines joined.
        flags: ``--name=value`` before it.
    """

    line: int
    keyword: str
    text: str
    flags: Mapping[str, str] = field(default_factory=dict)

    @property
    def words(self) -> list[str] | None:
        """The JSON list that `text` is (the exec form); None where it is a line for the shell."""
        if not self.text.startswith("["):
            return None
        try:
            words = json.loads(self.text)
        except json.JSONDecodeError as error:
            raise ConfigError(
                f"Line {self.line}: {self.keyword} begins like a JSON list and is none ({error}). Docker would take it "
                "for a shell line; put the words into double quotes."
            ) from error
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ConfigError(f"Line {self.line}: {self.keyword} must be a JSON list of texts.")
        return words


@dataclass(frozen=True)
class Stage:
    """One ``FROM`` and what follows it.

    Attributes:
        name: Of ``AS``, or the number of the stage.
        base: What it begins with, variables filled in.
        line: Of the FROM.
        instructions: Without the FROM.
    """

    name: str
    base: str
    line: int
    instructions: tuple[Instruction, ...]


def parse(text: str, build_args: Mapping[str, str] | None = None) -> list[Stage]:
    """Return the stages of a Dockerfile.

    Args:
        text: Its content.
        build_args: Values for ARG before the first FROM.

    Raises:
        ConfigError: An instruction or a flag is not understood, or stands in the wrong place.
    """
    stages: list[tuple[Instruction, list[Instruction]]] = []
    known: dict[str, str] = {}
    for one in instructions_of(text):
        if one.keyword == "FROM":
            stages.append((one, []))
        elif stages:
            stages[-1][1].append(one)
        elif one.keyword == "ARG":
            known.update(argument_of(one, known, build_args or {}))
        else:
            raise ConfigError(f"Line {one.line}: {one.keyword} stands before the first FROM.")
    if not stages:
        raise ConfigError("There is no FROM, so this is no Dockerfile.")
    found = []
    for number, (begin, inside) in enumerate(stages):
        words = begin.text.split()
        if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
            raise ConfigError(f"Line {begin.line}: expected FROM image or FROM image AS name.")
        name = words[2].lower() if len(words) == 3 else str(number)
        found.append(Stage(name, substitute(words[0], known), begin.line, tuple(inside)))
    return found


def instructions_of(text: str) -> list[Instruction]:
    """Return all instructions, comments left out and continued lines joined.

    Args:
        text: Of the file.

    Raises:
        ConfigError: See `parse`.
    """
    found, pending, first = [], "", 0
    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        stripped = line.strip()
        if stripped.startswith("#") or (not stripped and not pending):
            continue  # comments between continued lines are left out, as Docker does
        first = first or number
        if stripped.endswith("\\") and number < len(lines):
            pending += stripped[:-1].rstrip() + " "
            continue
        found.append(_instruction(first, (pending + stripped).strip()))
        pending, first = "", 0
    if pending:
        raise ConfigError(f"Line {first}: the last instruction is continued, and nothing follows.")
    return found


def _instruction(line: int, text: str) -> Instruction:
    keyword, _, rest = text.partition(" ")
    upper = keyword.upper()
    if upper not in KEYWORDS:
        raise ConfigError(
            f"Line {line}: {keyword!r} is no instruction that is understood.{did_you_mean(upper, KEYWORDS)}"
        )
    flags = {}
    rest = rest.strip()
    while rest.startswith("--"):
        flag, _, rest = rest.partition(" ")
        name, _, value = flag[2:].partition("=")
        if name not in _FLAGS.get(upper, ()):
            raise ConfigError(f"Line {line}: {upper} with --{name} is not understood.")
        flags[name], rest = value, rest.strip()
    if not rest:
        raise ConfigError(f"Line {line}: {upper} says nothing.")
    if upper in ("RUN", "COPY") and "<<" in rest:
        raise ConfigError(f"Line {line}: here-documents are not understood.")
    return Instruction(line, upper, rest, flags)


def substitute(text: str, values: Mapping[str, str]) -> str:
    """Fill in ``$X``, ``${X}``, ``${X:-else}`` and ``${X:+instead}``; unknown names are empty, as for Docker.

    Args:
        text: Of an instruction other than RUN, whose variables the shell fills in.
        values: By name.
    """

    def fill(found: re.Match[str]) -> str:
        if found.group() == "\\$":
            return "$"
        name, sign, other = found[1] or found[2], found[3], found[4] or ""
        value = values.get(name, "")
        if sign == ":-":
            return value or other
        return (other if value else "") if sign == ":+" else value

    return _VARIABLE.sub(fill, text)


def argument_of(one: Instruction, known: Mapping[str, str], build_args: Mapping[str, str]) -> dict[str, str]:
    """Return the name and value that an ARG declares; nothing where it has no value.

    Args:
        one: The instruction.
        known: Variables that its default may name; a value of an earlier ARG of this name, too.
        build_args: What the builder was told.
    """
    words = shlex.split(substitute(one.text, known))
    if len(words) != 1:
        raise ConfigError(f"Line {one.line}: expected ARG name or ARG name=value.")
    name, equals, default = words[0].partition("=")
    if name in build_args:
        return {name: build_args[name]}
    if equals:
        return {name: default}
    return {name: known[name]} if name in known else {}


def assignments_of(one: Instruction, known: Mapping[str, str]) -> dict[str, str]:
    """Return what an ENV or LABEL sets.

    Args:
        one: The instruction.
        known: Variables before it; one instruction does not see what it sets itself.
    """
    found = {}
    for word in shlex.split(substitute(one.text, known)):
        name, equals, value = word.partition("=")
        if not equals or not name:
            raise ConfigError(
                f"Line {one.line}: expected {one.keyword} name=value; the form without = is not understood."
            )
        found[name] = value
    return found


def seconds_of(text: str) -> float:
    """Return the seconds that a duration such as ``1m30s`` means."""
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ConfigError(f"{text!r} is no duration; expected one such as 30s or 1m30s.")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


class Ignore:
    """What a ``.dockerignore`` keeps out of the build.

    Args:
        text: Of the file: one pattern a line, ``!`` takes one back, the last that fits decides.
    """

    def __init__(self, text: str) -> None:
        self._rules: list[tuple[bool, re.Pattern[str]]] = []
        for line in text.splitlines():
            pattern = line.strip()
            if not pattern or pattern.startswith("#"):
                continue
            keep = pattern.startswith("!")
            self._rules.append((keep, _pattern(pattern.removeprefix("!").strip("/"))))

    def ignores(self, path: str) -> bool:
        """Tell whether the build does not see a file.

        Args:
            path: From the context's root, with ``/``.
        """
        ignored = False
        parts = PurePosixPath(path).parts
        names = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
        for keep, pattern in self._rules:
            if any(pattern.fullmatch(name) for name in names):  # what holds for a folder holds for all in it
                ignored = not keep
        return ignored


def _pattern(text: str) -> re.Pattern[str]:
    result = ""
    position = 0
    while position < len(text):
        if text.startswith("**/", position):
            result, position = result + "(?:.*/)?", position + 3
        elif text.startswith("**", position):
            result, position = result + ".*", position + 2
        else:
            sign = text[position]
            result += {"*": "[^/]*", "?": "[^/]"}.get(sign, re.escape(sign))
            position += 1
    return re.compile(result)
