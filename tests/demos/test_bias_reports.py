"""The tab Bias: finished reports, whole, damaged and elsewhere."""

from __future__ import annotations

import pytest

from demos.bias_fakes import CONTENT, report
from nlpladder.views.bias_table import HEADER
from shell.limits import DemoError
from tabs import bias_reports


def test_reports_are_found_and_shown_with_what_they_do_not_show(tmp_path):
    report(tmp_path, CONTENT)
    report(tmp_path, CONTENT, ".hidden/bias")
    assert list(bias_reports.find_reports(tmp_path)) == ["run/bias"]
    main, parts, told, notes = bias_reports.report_tables(tmp_path, "run/bias")
    assert main.iloc[0]["what it shows"] == parts.iloc[0]["what it shows"] == "shown"
    assert main.iloc[0]["score [interval]"] == "61.0 % [55.0, 66.0]"
    assert main.iloc[0]["n"] == "120"
    first = ["score [interval]", "n", "p", "p (Holm)", "what it shows"]
    assert main.columns.tolist()[2:7] == parts.columns.tolist()[3:8] == first
    assert sorted(main.columns) == sorted(HEADER)
    assert len(bias_reports.widths(main.columns)) == len(main.columns)
    assert parts.iloc[0]["category"] == "gender"
    assert "A result near no bias does not show that a model is fair" in told
    assert "<img" not in told + notes
    assert "no \\*encoder\\*" in notes


def test_links_are_not_followed_and_nothing_is_needed(tmp_path):
    outside = tmp_path / "outside"
    report(outside, CONTENT)
    models = tmp_path / "models"
    models.mkdir()
    (models / "link").symlink_to(outside)
    assert bias_reports.find_reports(models) == {}
    assert bias_reports.find_reports(tmp_path / "nowhere") == {}
    with pytest.raises(DemoError, match="no 'link/run/bias'"):
        bias_reports.report_tables(models, "link/run/bias")
    with pytest.raises(DemoError):
        bias_reports.report_tables(models, "../outside/run/bias")
    assert bias_reports.report_tables(models, "")[2] == ""  # an empty picker: the page says it above
    main, parts, told, notes = bias_reports.report_tables(models, None)
    assert main.empty
    assert parts.empty
    assert told == notes == ""


def test_without_a_name_the_first_report_is_shown(tmp_path):
    report(tmp_path, CONTENT)
    assert len(bias_reports.report_tables(tmp_path, None)[0]) == 1


@pytest.mark.parametrize(
    "content", ["{", "[]", "null", '{"format": 2}', '{"format": 99}', '{"format": 2, "rows": [{}], "models": 3}']
)
def test_a_damaged_report_is_told_without_a_path_of_the_machine(tmp_path, content):
    report(tmp_path, content)
    with pytest.raises(DemoError, match="cannot be shown") as caught:
        bias_reports.report_tables(tmp_path, "run/bias")
    assert str(tmp_path) not in str(caught.value)


def test_a_report_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    report(tmp_path, CONTENT)
    monkeypatch.setattr(bias_reports, "_MAX_BYTES", 10)
    with pytest.raises(DemoError, match="too large"):
        bias_reports.report_tables(tmp_path, "run/bias")
