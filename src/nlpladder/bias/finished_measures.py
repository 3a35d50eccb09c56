"""Measures that are done, kept on disk until the report is written: the same command goes on behind them.

A measure is known by everything that its result follows from: the model, the data and their files (size and time of
each), the options and the version of nlpladder. Where one of them is another, it is measured anew.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlpladder.bias.findings import Finding, Findings


class FinishedMeasures:
    """What was found so far, one file a model and measure.

    Args:
        folder: Where they are kept; made with the first.
        identity: What all results follow from, as plain JSON values.
    """

    def __init__(self, folder: str | os.PathLike[str], identity: Mapping[str, Any]) -> None:
        import nlpladder

        self.folder = Path(folder)
        self._identity = json.dumps([nlpladder.__version__, identity], sort_keys=True, default=str)

    def read(self, model: str, measure: str) -> tuple[list[Findings], float] | None:
        """Return what a measure found, and in how many seconds; None where it is not done, or its file is damaged.

        Args:
            model: Name of the model.
            measure: Name of the measure.
        """
        try:
            content = json.loads(self._file(model, measure).read_text(encoding="utf-8"))
            return [_findings(one) for one in content["findings"]], float(content["seconds"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def keep(self, model: str, measure: str, findings: Sequence[Findings], seconds: float) -> None:
        """Write what a measure found, whole or not at all.

        Args:
            model: Name of the model.
            measure: Name of the measure.
            findings: What it found.
            seconds: How long it took.
        """
        kept = [
            {
                "findings": [_plain(one.to_dict()) for one in several.findings],
                "items": {name: [_plain(cell) for cell in column] for name, column in several.items.items()},
                "data": _plain(dict(several.data)),
                "quantity": several.quantity,
            }
            for several in findings
        ]
        file = self._file(model, measure)
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary = file.with_suffix(f".{os.getpid()}.tmp")
        try:
            temporary.write_text(json.dumps({"findings": kept, "seconds": seconds}), encoding="utf-8")
            temporary.replace(file)
        finally:
            temporary.unlink(missing_ok=True)

    def remove(self) -> None:
        """Remove all that was kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _file(self, model: str, measure: str) -> Path:
        digest = hashlib.sha256(json.dumps([self._identity, model, measure]).encode()).hexdigest()
        return self.folder / f"{digest[:24]}.json"


def state_of(path: str) -> list[Any]:
    """Return the name, size and time of change of a file, or of all files of a folder; the name alone of a Hub id.

    Args:
        path: A file, a folder or a Hub id.
    """
    place = Path(path)
    files = sorted(one for one in place.rglob("*") if one.is_file()) if place.is_dir() else [place]
    states = [(str(one), one.stat().st_size, one.stat().st_mtime_ns) for one in files if one.is_file()]
    return [path, *states]


def _findings(content: Mapping[str, Any]) -> Findings:
    return Findings(
        findings=tuple(Finding.from_dict(_restored(one)) for one in content["findings"]),
        items={name: [_restored(cell) for cell in column] for name, column in content["items"].items()},
        data=_restored(content["data"]),
        quantity=content.get("quantity", ""),
    )


def _plain(value: Any) -> Any:
    """Return a value as JSON has it; a tuple, which may name a cluster and has to be hashable, is marked."""
    if isinstance(value, (np.generic, np.ndarray)):
        return value.tolist()
    if isinstance(value, tuple):
        return {"": [_plain(one) for one in value]}
    if isinstance(value, Mapping):
        return {str(key): _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(map(_restored, value[""])) if set(value) == {""} else {k: _restored(v) for k, v in value.items()}
    return [_restored(one) for one in value] if isinstance(value, list) else value
