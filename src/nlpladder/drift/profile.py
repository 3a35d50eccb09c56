"""The profile of a model: features of held-out texts and of the model's answers to them, in one small file."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nlpladder.drift.features import ANSWER_FEATURES, TEXT_FEATURES, Float
from nlpladder.drift.vocabulary import Vocabulary
from nlpladder.errors import DataError

PROFILE_FILE = "profile.json"
FORMAT = 1
_ABOUT = (
    "Features of held-out texts and of the model's answers to them, with which traffic is compared: numbers only. "
    "Words of the training texts are kept as hashes."
)


@dataclass(frozen=True)
class Profile:
    """What a model met at the end of its training.

    Attributes:
        task: What it is asked for: ``classify``, ``score``, ``translate``, ``tag``, ``answer`` or ``generate``.
        label_names: Of a classifier, in the order of their numbers; empty for others.
        columns: Features of the held-out texts, each (rows,), NaN where one is not defined.
        vocabulary: Words of the training texts; None where they are not known.
        split: Which split the rows are from.
        rows_of: Rows that the split has.
        copies: Share of the pairs of held-out texts that are copies, see `nlpladder.drift.copies`.

    Raises:
        DataError: Columns are unknown, of unequal length, or have no rows.
    """

    task: str
    label_names: tuple[str, ...]
    columns: Mapping[str, Float]
    vocabulary: Vocabulary | None
    split: str
    rows_of: int
    copies: float = 0.0

    def __post_init__(self) -> None:
        unknown = [name for name in self.columns if name not in TEXT_FEATURES and name not in ANSWER_FEATURES]
        lengths = {name: len(column) for name, column in self.columns.items()}
        if unknown:
            raise DataError(f"the profile has a feature {unknown[0]!r} that this version does not know")
        if len(set(lengths.values())) != 1 or 0 in lengths.values():
            raise DataError(f"the columns of a profile must be equally long and not empty, got {lengths}")

    @property
    def rows(self) -> int:
        """Held-out texts that are described."""
        return len(next(iter(self.columns.values())))

    @property
    def answer_features(self) -> tuple[str, ...]:
        """The features of answers."""
        return tuple(name for name in self.columns if name in ANSWER_FEATURES)

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` reads; NaN becomes null."""
        return {
            "format": FORMAT,
            "about": _ABOUT,
            "task": self.task,
            "labels": list(self.label_names),
            "split": self.split,
            "rows": self.rows,
            "rows_of": self.rows_of,
            "copies": self.copies,
            "columns": {name: [_plain(value) for value in column.tolist()] for name, column in self.columns.items()},
            "vocabulary": None if self.vocabulary is None else self.vocabulary.to_json(),
        }

    @classmethod
    def from_json(cls, content: Any) -> Profile:
        """Read what `to_json` wrote.

        Raises:
            DataError: It is no profile, damaged, or of a later version.
        """
        if not isinstance(content, dict) or "format" not in content:
            raise DataError("it is no profile")
        if content["format"] != FORMAT:
            raise DataError(f"it has format {content['format']!r}, this version of nlpladder reads {FORMAT}")
        try:
            columns = {
                str(name): np.array([math.nan if value is None else float(value) for value in column], dtype=np.float64)
                for name, column in content["columns"].items()
            }
            words = content["vocabulary"]
            return cls(
                task=str(content["task"]),
                label_names=tuple(map(str, content["labels"])),
                columns=columns,
                vocabulary=None if words is None else Vocabulary.from_json(words),
                split=str(content["split"]),
                rows_of=int(content["rows_of"]),
                copies=float(content["copies"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            if isinstance(error, DataError):
                raise
            raise DataError(f"it is damaged ({type(error).__name__}: {error})") from error

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write the profile into `folder` in one step; return the path of the file."""
        from nlpladder.training.run_folder import write_text

        path = Path(folder) / PROFILE_FILE
        write_text(path, json.dumps(self.to_json(), separators=(",", ":"), allow_nan=False) + "\n")
        return path


def read_profile(folder: str | os.PathLike[str]) -> Profile | None:
    """Return the profile of a run folder or saved model, None where it has none.

    Raises:
        DataError: The file is damaged.
    """
    path = Path(folder) / PROFILE_FILE
    if not path.is_file():
        return None
    try:
        return Profile.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, DataError) as error:
        raise DataError(
            f"{path} cannot be read: {error}. Write it anew with python scripts/save_profile.py, or remove it."
        ) from error


def _plain(value: float) -> float | int | None:
    if math.isnan(value):
        return None
    return int(value) if value.is_integer() else value
