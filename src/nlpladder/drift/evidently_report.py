"""A report by Evidently on a window of traffic, for teams that read its pages; needs the extra ``drift``."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.drift.features import CATEGORIES, Float
from nlpladder.drift.profile import Profile
from nlpladder.errors import DataError, RunError

if TYPE_CHECKING:
    import pandas


def write_evidently_report(
    profile: Profile,
    window: Mapping[str, Float],
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
) -> None:
    """Write Evidently's page on the drift of every feature, with the tests that it chooses itself.

    Its tests and thresholds are not ours: it corrects for no number of tests and knows no floor, so that it calls
    a large window different sooner.

    Args:
        profile: The reference.
        window: Features of the texts of a window, each (texts,), as `DriftMonitor.last_window` gives them.
        path: The html file.
        overwrite: Replace the file if it is there.

    Raises:
        DataError: The window has no texts.
        RunError: Evidently is not installed, or the file is there already.
    """
    try:
        from evidently import DataDefinition, Dataset, Report
        from evidently.presets import DataDriftPreset
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError):
            sentence = "which is not installed: pip install 'nlpladder[drift]'."
        else:  # Evidently 0.7.23 cannot be imported beside pandas 3
            sentence = f"which is installed and cannot be imported ({error}). Try pip install 'pandas<3'."
        raise RunError(f"The report needs Evidently, {sentence}") from error
    from nlpladder.training.run_folder import replacing

    target = Path(path)
    if target.exists() and not overwrite:
        raise RunError(f"{target} is there already. Give another path, or overwrite=True.")
    names = [name for name in profile.columns if name in window and _some(profile.columns[name], window[name])]
    if not names:
        raise DataError("The window has no texts yet that could be compared with the profile.")
    categories = [name for name in names if name in CATEGORIES]
    definition = DataDefinition(
        numerical_columns=[name for name in names if name not in CATEGORIES], categorical_columns=categories
    )
    current, reference = (
        Dataset.from_pandas(_frame(columns, names, profile), data_definition=definition)
        for columns in (window, profile.columns)
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy and SciPy, on columns whose values are all equal
        snapshot = Report([DataDriftPreset()]).run(current_data=current, reference_data=reference)
    with replacing(target) as temporary:
        snapshot.save_html(str(temporary))


def _some(*columns: Float) -> bool:
    return all(bool(np.any(~np.isnan(column))) for column in columns)


def _frame(columns: Mapping[str, Any], names: list[str], profile: Profile) -> pandas.DataFrame:
    """Return the features as a table, classes by their names."""
    import pandas

    labels = (*profile.label_names, "(another)")
    return pandas.DataFrame(
        {
            name: [None if np.isnan(value) else labels[int(value)] for value in columns[name]]
            if name in CATEGORIES
            else np.asarray(columns[name])
            for name in names
        }
    )
