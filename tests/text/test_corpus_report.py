import numpy as np
import pytest

from nlpladder.errors import DataError
from nlpladder.text.statistics import compare
from nlpladder.views.corpus_report import corpus_report_markdown, plot_zipf, statistics_rows, text_table


def test_the_zipf_plot_shows_the_frequencies():
    frequencies = np.sort(np.random.default_rng(0).zipf(1.5, 5000))[::-1]
    figure = plot_zipf({"before": frequencies, "after": frequencies[:10], "empty": []}, {"before": 1.25})
    (axes,) = figure.axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["before, exponent 1.25", "after"]
    ranks, shown = axes.lines[0].get_data()
    assert ranks[0] == 1
    assert ranks[-1] == 5000
    assert (shown == frequencies[np.asarray(ranks) - 1]).all()
    with pytest.raises(DataError, match="not sorted"):
        plot_zipf({"before": [1, 2]})


def test_markdown_holds_the_numbers_and_cannot_be_broken_by_text():
    comparison = compare([["The", "|", "``x`", "end"]], [["the", "end"]])
    report = {
        "source": "a|b`c",
        "steps": [{"name": "lowercase"}, {"name": "replace_urls", "token": "<url>"}],
        "splits": {"train": comparison.to_dict()},
        "examples": [
            {"split": "train", "row": 0, "change": 0.5, "before": "The | ``x`\nend", "after": "the end" * 100}
        ],
    }
    markdown = corpus_report_markdown(report, figure="figures/zipf.png")
    assert "2. `replace_urls` (`token='<url>'`)" in markdown
    assert "| Tokens | 4 | 2 |" in markdown
    assert "3 types vanished, 1 are new." in markdown
    tables = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {line.replace("\\|", "").count("|") for line in tables} == {4, 5}
    row = next(line for line in tables if line.startswith("| train 0"))
    assert "| 50% |" in row
    assert "The \\| ``x` end" in row
    assert row.endswith("…` |")


def test_the_terminal_table_is_aligned():
    empty = compare([], []).to_dict()
    table = text_table(statistics_rows(empty["before"], empty["after"]), ("train", "before", "after"))
    assert len({len(line) for line in table.splitlines()}) == 1
    assert "Zipf exponent" in table
