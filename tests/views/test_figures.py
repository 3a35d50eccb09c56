"""Figures from plain arrays, and the HTML of an error analysis."""

from html.parser import HTMLParser

import numpy as np
import pytest

from nlpladder.errors import DataError
from nlpladder.evaluation.error_analysis import analyse
from nlpladder.views import figures
from nlpladder.views.attention_figures import attention_heads_figure
from nlpladder.views.error_report import error_report_html
from nlpladder.views.labels import overlap

HOSTILE = "<script>alert(1)</script> & \"'| $x^{$ \u202eabc\x00\n`*_[a](javascript:x)"


def boxes(figure):
    figure.draw_without_rendering()
    texts = [child for child in figure.axes[0].texts if child.get_text() and child.get_text() != "best possible"]
    extents = [text.get_window_extent() for text in texts]
    return texts, [np.asarray([box.x0, box.y0, box.x1, box.y1]) for box in extents]


@pytest.mark.parametrize("systems, seed", [(1, 0), (5, 1), (14, 2), (14, 3)])
def test_names_do_not_cover_each_other_and_stay_inside(systems, seed):
    generator = np.random.default_rng(seed)
    values = 0.8 + 0.1 * generator.random(systems)
    costs = 10 ** generator.normal(1.0, 0.4, systems)
    names = [f"Model number {index}" for index in range(systems)]
    figure = figures.score_against_cost(names, values, values - 0.01, values + 0.01, costs, ceiling=0.95)
    texts, extents = boxes(figure)
    assert sorted(text.get_text() for text in texts) == sorted(names)
    frame = figure.axes[0].get_window_extent()
    for index, first in enumerate(extents):
        assert all(overlap(first, second) == 0 for second in extents[index + 1 :])
        assert first[0] >= frame.x0 - 1
        assert first[2] <= frame.x1 + 1
        assert first[1] >= frame.y0 - 1
        assert first[3] <= frame.y1 + 1


def test_even_equal_points_get_separate_names():
    figure = figures.score_against_cost(["a"] * 6, [0.5] * 6, [None] * 6, [None] * 6, [10.0] * 6)
    _, extents = boxes(figure)
    assert len(extents) == 6
    assert not any(overlap(a, b) for index, a in enumerate(extents) for b in extents[index + 1 :])


def test_systems_differ_by_shape_and_colour_and_cost_is_logarithmic():
    figure = figures.score_against_cost(["a", "b"], [0.5, 0.6], [0.4, 0.5], [0.6, 0.7], [0.0, 100.0])
    axes = figure.axes[0]
    assert axes.get_xscale() == "log"
    points = [line for line in axes.lines if line.get_markersize() == 7]
    assert len({line.get_marker() for line in points}) == 2
    assert len({line.get_color() for line in points}) == 2
    assert any("cost 0" in text.get_text() for text in axes.texts)


@pytest.mark.parametrize("value, cost", [(float("nan"), 1.0), (0.5, -1.0), (0.5, float("inf"))])
def test_a_point_that_cannot_be_drawn_is_named(value, cost):
    with pytest.raises(DataError, match="tfidf: score"):
        figures.score_against_cost(["tfidf"], [value], [None], [None], [cost])
    with pytest.raises(DataError, match="equally long"):
        figures.score_against_cost([], [], [], [], [])


def test_confusion_matrix_shows_every_count():
    figure = figures.confusion_matrix_figure([[1200, 3], [0, 0]], [HOSTILE, "pos"])
    figure.draw_without_rendering()
    assert [text.get_text() for text in figure.axes[0].texts] == ["1,200", "3", "0", "0"]
    assert np.allclose(figure.axes[0].images[0].get_array(), [[1200 / 1203, 3 / 1203], [0, 0]])
    with pytest.raises(DataError, match=r"expected \(3, 3\)"):
        figures.confusion_matrix_figure([[1, 2], [3, 4]], ["a", "b", "c"])
    many = figures.confusion_matrix_figure(np.eye(30), [str(index) for index in range(30)])
    assert not many.axes[0].texts


def test_reliability_diagram_leaves_out_empty_bins():
    figure = figures.reliability_diagram(
        [None, 0.55, 0.9], [None, 0.5, 1.0], [0, 4, 6], intervals=[(None, None), (0.2, 0.8), (0.6, 1.0)], error=0.08
    )
    model = figure.axes[0].lines[1]
    assert model.get_xydata().tolist() == [[0.55, 0.5], [0.9, 1.0]]
    assert [bar.get_height() for bar in figure.axes[1].patches] == [4, 6]
    assert "8.0 %" in figure.axes[0].get_legend().get_texts()[1].get_text()
    with pytest.raises(DataError, match="Every bin is empty"):
        figures.reliability_diagram([None], [None], [0])
    with pytest.raises(DataError, match="not equal"):
        figures.reliability_diagram([0.5], [0.5], [1, 2])


def test_learning_curves_sort_the_log_into_panels():
    logs = [{"step": step, "loss": 1 / step, "learning_rate": 0.1, "epoch": step / 10} for step in range(1, 20)]
    logs += [{"step": 10, "eval_loss": 0.2, "eval_accuracy": 0.8, "eval_runtime": 3.0, "eval_note": "text"}]
    logs += [{"step": 19, "loss": float("nan"), "train_runtime": 12.0, "train_loss": 0.5}]
    figure = figures.learning_curves(logs, title="run")
    assert [axes.get_ylabel() for axes in figure.axes] == ["loss", "score", "learning rate"]
    labels = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in figure.axes[:2]]
    assert labels == [["eval_loss", "loss", "train_loss"], ["accuracy"]]
    assert len(figure.axes[0].lines[1].get_xdata()) == 19
    assert figures.learning_curves([{"epoch": 1, "loss": 0.5}]).axes[0].get_xlabel() == "epoch"
    with pytest.raises(DataError, match="nothing to draw"):
        figures.learning_curves([{"step": 1}])


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_files_are_whole_and_repeatable(tmp_path, ending):
    written = []
    for name in ("a", "b"):
        figure = figures.confusion_matrix_figure([[1, 2], [3, 4]], [HOSTILE, "pos"], title=HOSTILE)
        written.append(figures.save_figure(figure, tmp_path / "new" / f"{name}.{ending}").read_bytes())
    assert written[0] == written[1]
    assert len(written[0]) > 1000
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == [f"a.{ending}", f"b.{ending}"]


@pytest.mark.parametrize("grid", [False, True])
def test_laying_out_only_once_changes_no_byte(tmp_path, grid):
    """`savefig` draws a figure with a layout twice; the first drawing is not needed."""

    def draw():
        if grid:
            weights = np.random.default_rng(0).dirichlet(np.ones(7), size=(2, 3, 7))
            return attention_heads_figure(weights, list("abcdefg"), ["a long token", *"bcdefg"], title="attention")
        return figures.confusion_matrix_figure(np.eye(5), ["a long name", *"bcde"], title="counts")

    found = figures.save_figure(draw(), tmp_path / "once.png").read_bytes()
    draw().savefig(tmp_path / "twice.png", metadata={"Software": None})
    assert found == (tmp_path / "twice.png").read_bytes()


def test_an_unknown_ending_leaves_nothing_behind(tmp_path):
    with pytest.raises(DataError, match=r"\.png, \.svg or \.pdf"):
        figures.save_figure(figures.new_figure(), tmp_path / "a.bmp")
    assert not list(tmp_path.iterdir())


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found, self.text = [], ""

    def handle_starttag(self, tag, attrs):
        self.found.append(tag)

    def handle_data(self, data):
        self.text += data


def test_the_report_escapes_every_text():
    probabilities = np.asarray([[0.9, 0.1], [0.2, 0.8]] * 10)
    names = [HOSTILE, "</table><img src=x onerror=1>"]
    report = analyse([HOSTILE] * 20, [1, 1] * 10, probabilities, names, {HOSTILE: ["<b>", "<i>"] * 10}).to_dict()
    parser = Tags()
    parser.feed(error_report_html(report, page=True, title="<script>"))
    assert not {"script", "img", "b", "i"} & set(parser.found)
    assert "<script>alert(1)</script>" in parser.text
    assert "10 of 20 examples are wrong" in parser.text
    assert "\x00" not in parser.text
    assert "\u202e" not in parser.text
    del report["slices"]
    with pytest.raises(DataError, match="lacks 'slices'"):
        error_report_html(report)
