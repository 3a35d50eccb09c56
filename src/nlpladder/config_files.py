"""Files of options: YAML mappings, and sentences about those that are none."""

from __future__ import annotations

import difflib
import os
from pathlib import Path
from typing import Any

from nlpladder.errors import ConfigError

_KINDS = {"list": "a list", "str": "a text", "int": "a number", "float": "a number", "bool": "true or false"}


def read_yaml(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        ConfigError: when the file is missing (the nearest file is named), is a folder, is empty, is not YAML (the line
            is named), or is not a mapping.
    """
    import yaml

    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"{path} is a folder; expected a YAML file of options.{_files_of(path)}")
    if not path.is_file():
        raise ConfigError(f"There is no config file {str(path)!r}.{_near(path)}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{path} is not valid YAML: byte {error.start} is not UTF-8. Save the file as UTF-8 text."
        ) from error
    except yaml.YAMLError as error:
        raise ConfigError(_sentence(path, error)) from error
    if values is None:
        raise ConfigError(f"{path} is empty; expected lines such as 'option: value'.")
    if not isinstance(values, dict):
        kind = _KINDS.get(type(values).__name__, f"a {type(values).__name__}")
        raise ConfigError(f"{path} must hold lines such as 'option: value', but holds {kind}.")
    return values


def _sentence(path: Path, error: Exception) -> str:
    """Say where a file is not YAML, without the words of the parser's own report."""
    mark = getattr(error, "problem_mark", None)
    if mark is None:  # a character that YAML does not allow, of which no line is told
        position = getattr(error, "position", None)
        where = "" if position is None else f" Look at character {position + 1}."
        return f"{path} is not valid YAML: it holds a character that is not allowed there.{where}"
    problem = str(getattr(error, "problem", "") or "it cannot be read")
    return (
        f"{path}, line {mark.line + 1}, column {mark.column + 1} is not valid YAML: {problem}. Expected lines such as "
        "'option: value'."
    )


def _near(path: Path) -> str:
    """Return which file was meant; endings alone make no two names alike."""
    if not path.parent.is_dir():
        return f" The folder {path.parent} is missing."
    names = {file.stem.lower(): file.name for file in _yaml_files(path.parent)}
    near = difflib.get_close_matches(path.stem.lower(), names, n=1)
    return f" Did you mean {str(path.parent / names[near[0]])!r}?" if near else ""


def _yaml_files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(file for ending in ("*.yaml", "*.yml") for file in folder.glob(ending))


def _files_of(folder: Path) -> str:
    names = [file.name for file in _yaml_files(folder)]
    return f" It holds: {', '.join(names[:8])}." if names else " It holds none."
