"""Evidently's page: what it is given, and what is said without it. A stand-in takes its place: it is an extra."""

from __future__ import annotations

import sys
import types
from pathlib import Path

import numpy as np
import pytest

from drift_profiles import classifier_profile
from nlpladder.drift.evidently_report import write_evidently_report
from nlpladder.errors import DataError, RunError


@pytest.fixture
def given(monkeypatch):
    """Install a stand-in for Evidently; return what it was given."""
    kept: dict[str, object] = {}

    class DataDefinition:
        def __init__(self, *, numerical_columns, categorical_columns):
            kept["columns"] = (numerical_columns, categorical_columns)

    class Dataset:
        @classmethod
        def from_pandas(cls, frame, *, data_definition):
            return frame

    class Report:
        def __init__(self, metrics):
            kept["metrics"] = metrics

        def run(self, *, current_data, reference_data):
            kept.update(current=current_data, reference=reference_data)
            return self

        def save_html(self, path):
            Path(path).write_text("<html></html>")

    module = types.ModuleType("evidently")
    module.DataDefinition, module.Dataset, module.Report = DataDefinition, Dataset, Report
    presets = types.ModuleType("evidently.presets")
    presets.DataDriftPreset = lambda: "drift"
    monkeypatch.setitem(sys.modules, "evidently", module)
    monkeypatch.setitem(sys.modules, "evidently.presets", presets)
    return kept


def window(rows):
    columns = {name: column[:rows].copy() for name, column in classifier_profile(60, seed=8).columns.items()}
    columns["predicted_class"][:2] = (2, np.nan)
    return columns


def test_features_go_in_as_tables_with_the_names_of_the_classes(tmp_path, given):
    profile = classifier_profile(60)
    write_evidently_report(profile, window(20), tmp_path / "report.html")
    assert [entry.name for entry in tmp_path.iterdir()] == ["report.html"]
    assert given["metrics"] == ["drift"]
    numbers, categories = given["columns"]
    assert categories == ["predicted_class"]
    assert {*numbers, *categories} == set(profile.columns)
    assert len(given["reference"]) == 60
    classes = given["current"]["predicted_class"].tolist()
    assert classes[0] == "(another)"
    assert classes[1] is None or classes[1] != classes[1]
    assert set(classes[2:]) == {"negative", "positive"}


def test_columns_without_a_value_are_left_out(tmp_path, given):
    columns = window(20)
    columns["confidence"][:] = np.nan
    write_evidently_report(classifier_profile(60), columns, tmp_path / "report.html")
    assert "confidence" not in given["current"]
    with pytest.raises(DataError, match="no texts"):
        write_evidently_report(classifier_profile(60), {}, tmp_path / "other.html")


def test_a_report_is_not_replaced_unasked(tmp_path, given):
    path = tmp_path / "report.html"
    path.write_text("mine")
    with pytest.raises(RunError, match="there already"):
        write_evidently_report(classifier_profile(60), window(20), path)
    assert path.read_text() == "mine"
    write_evidently_report(classifier_profile(60), window(20), path, overwrite=True)
    assert path.read_text() == "<html></html>"


def test_without_evidently_the_command_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "evidently", None)
    with pytest.raises(RunError, match=r"pip install 'nlpladder\[drift\]'"):
        write_evidently_report(classifier_profile(60), window(20), tmp_path / "report.html")


def test_an_evidently_that_cannot_be_imported_is_told_apart(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "evidently", types.ModuleType("evidently"))
    with pytest.raises(RunError, match="DataDefinition"):
        write_evidently_report(classifier_profile(60), window(20), tmp_path / "report.html")
