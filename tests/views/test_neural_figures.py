"""Figures and coloured text of neural models: what is drawn is what was given, whatever the tokens are."""

from __future__ import annotations

import re
import warnings
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest

from nlpladder.errors import DataError
from nlpladder.evaluation.sentence_statistics import SentenceStatistics
from nlpladder.evaluation.translation_slices import bleu_by_length
from nlpladder.views.attention_figures import alignment_comparison_figure, attention_figure, attention_heads_figure
from nlpladder.views.coloured_text import activation_html, surprisal_html
from nlpladder.views.figures import save_figure
from nlpladder.views.gate_figures import gate_figure, most_varying_units
from nlpladder.views.token_figures import next_token_figure, surprisal_figure
from nlpladder.views.token_labels import token_labels
from nlpladder.views.training_figures import loss_figure, score_by_epoch_figure
from nlpladder.views.translation_figures import score_by_length_figure

HOSTILE = (
    "<script>alert(1)</script>", "$x^{2$", "$", "a\nb", "\t", "", "日本語", "שלום", "مرحبا", "\u202eabc", "\x00",
    "\ud800", "👩\u200d👩\u200d👧", "&amp;\"'", "\\frac", "▁the", "Ġa", "x" * 200, "%s {0}", "e\u0301",
)  # fmt: skip


def attention(rng, *shape):
    weights = np.exp(rng.normal(0, 2, shape))
    return weights / weights.sum(axis=-1, keepdims=True)


def tick_labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def write(figure, tmp_path):
    """Write the figure with every warning an error: a missing glyph or a formula would be one."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for ending in ("png", "svg"):
            path = save_figure(figure, tmp_path / f"figure.{ending}")
            assert path.stat().st_size > 1000
    assert sorted(path.name for path in tmp_path.iterdir()) == ["figure.png", "figure.svg"]
    return (tmp_path / "figure.svg").read_text(encoding="utf-8")


def test_labels_of_tokens_are_one_line_of_characters_that_can_be_drawn():
    found = dict(zip(HOSTILE, token_labels(HOSTILE), strict=True))
    assert found["▁the"] == "▁the"
    assert found["a\nb"] == "a⏎b"
    assert found["\t"] == "⇥"
    assert found[""] == "∅"
    assert found["\x00"] == found["\ud800"] == "�"
    assert found["\u202eabc"] == "�abc"
    assert found["$x^{2$"] == "$x^{2$"  # written as it is: labels are never read as formulas
    assert found["x" * 200] == "x" * 15 + "…"
    assert len(found["日本語"]) == 3
    assert all(len(label) <= 16 and label for label in found.values())
    assert token_labels([" a b\u00a0"]) == ["␣a␣b␣"]
    assert token_labels(["abcdef"], length=3) == ["ab…"]


def test_an_attention_map_draws_its_weights_and_tokens(tmp_path):
    rng = np.random.default_rng(0)
    weights = attention(rng, 3, 4)
    figure = attention_figure(weights, ["a", "b", "c"], ["w", "x", "y", "z"], title="one $map")
    axes = figure.axes[0]
    assert np.array_equal(axes.images[0].get_array(), weights)
    assert axes.images[0].get_clim() == (0.0, weights.max())
    assert tick_labels(axes.xaxis) == ["w", "x", "y", "z"]
    assert tick_labels(axes.yaxis) == ["a", "b", "c"]
    assert axes.yaxis_inverted()  # the first target token is on top
    write(figure, tmp_path)


@pytest.mark.parametrize("tokens", [HOSTILE, HOSTILE[:1], ("a",)])
def test_hostile_tokens_can_be_drawn(tokens, tmp_path):
    rng = np.random.default_rng(1)
    figure = attention_heads_figure(attention(rng, 2, 2, len(tokens), len(tokens)), tokens, tokens, title=tokens[0])
    labels = tick_labels(figure.axes[0].xaxis)
    assert labels == token_labels(tokens)
    write(figure, tmp_path)


def test_every_head_has_its_panel():
    rng = np.random.default_rng(2)
    weights = attention(rng, 3, 4, 5, 6)
    figure = attention_heads_figure(weights, list("abcde"), list("uvwxyz"), layers=[2, 0], heads=[1, 3, 0])
    panels = figure.axes[:6]
    drawn = [panel.images[0].get_array() for panel in panels]
    expected = [weights[layer, head] for layer in (2, 0) for head in (1, 3, 0)]
    assert all(np.array_equal(one, other) for one, other in zip(drawn, expected, strict=True))
    assert len({panel.images[0].get_clim() for panel in panels}) == 1
    assert [panel.get_ylabel() for panel in panels] == ["", "", "layer 2", "", "", "layer 0"]
    assert [panel.get_xlabel() for panel in panels] == ["", "", "", "head 1", "head 3", "head 0"]
    assert [len(tick_labels(panel.xaxis)) for panel in panels] == [6, 6, 6, 0, 0, 0]
    assert [len(tick_labels(panel.yaxis)) for panel in panels] == [5, 0, 0, 5, 0, 0]


def test_labels_of_the_inner_panels_are_no_formulas_either(tmp_path):
    """Trap: axes that share their ticks copy the labels, but not that a dollar sign begins no formula."""
    rng = np.random.default_rng(3)
    write(attention_heads_figure(attention(rng, 2, 2, 2, 2), ["$x^{2$"] * 2, ["$x^{2$"] * 2), tmp_path)


def test_long_sentences_grow_the_figure_and_keep_their_labels_apart():
    rng = np.random.default_rng(4)
    short = attention_figure(attention(rng, 5, 5), ["token"] * 5, ["token"] * 5)
    long = attention_figure(attention(rng, 60, 80), ["token"] * 60, ["token"] * 80)
    assert long.get_figwidth() > 3 * short.get_figwidth()
    assert len(tick_labels(long.axes[0].xaxis)) == 80
    figure = attention_figure(attention(rng, 20, 400), ["token"] * 20, [str(place) for place in range(400)])
    assert figure.get_figwidth() < 35
    axes = figure.axes[0]
    places = axes.get_xticks()
    assert tick_labels(axes.xaxis) == [str(int(place)) for place in places]  # thinned out, but each at its place
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in axes.get_xticklabels()]
    assert all(left.x1 <= right.x0 + 1 for left, right in pairwise(boxes))


def test_alignments_of_two_models_stand_side_by_side_on_one_scale():
    rng = np.random.default_rng(5)
    first, second = attention(rng, 3, 4), attention(rng, 5, 6)
    figure = alignment_comparison_figure(
        {"RNN": (first, list("abc"), list("wxyz")), "Transformer": (second, list("abcde"), list("uvwxyz"))}
    )
    left, right = figure.axes[:2]
    assert (left.get_title(), right.get_title()) == ("RNN", "Transformer")
    assert np.array_equal(left.images[0].get_array(), first)
    assert np.array_equal(right.images[0].get_array(), second)
    assert left.images[0].get_clim() == right.images[0].get_clim() == (0.0, max(first.max(), second.max()))
    assert tick_labels(right.yaxis) == list("abcde")


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: attention_figure(np.ones((2, 2)), ["a"], ["b", "c"]), r"shape \(2, 2\).*= \(1, 2\)"),
        (lambda: attention_figure([[np.nan]], ["a"], ["b"]), r"not finite at \(0, 0\)"),
        (lambda: attention_figure(np.ones((0, 2)), [], ["a", "b"]), r"\(0, 2\)"),
        (lambda: attention_heads_figure(np.ones((2, 2)), ["a"] * 2, ["b"] * 2), "expected .layers, heads"),
        (lambda: attention_heads_figure(np.ones((1, 2, 1, 1)), ["a"], ["b"], heads=[2]), "no head 2"),
        (lambda: attention_heads_figure(np.ones((1, 2, 1, 1)), ["a"], ["b"], layers=[]), "No layer"),
        (lambda: alignment_comparison_figure({}), "at least one"),
        (lambda: alignment_comparison_figure({"RNN": (np.ones((1, 1)), ["a"], [])}), "alignment 'RNN'"),
    ],
)
def test_attention_that_does_not_fit_is_refused(call, message):
    with pytest.raises(DataError, match=message):
        call()


def gates(rng, tokens, units):
    found = {name: rng.random((tokens, units)) for name in ("input", "forget", "output")}
    return found | {"cell": rng.normal(0, 5, (tokens, units))}


def test_gates_show_the_most_varying_units_first(tmp_path):
    rng = np.random.default_rng(6)
    activations = {name: 0.1 * table + 0.4 for name, table in gates(rng, 7, 30).items()}
    for table in activations.values():
        table[:, 17] = [0, 1, 0, 1, 0, 1, 0]
        table[:, 4] = [0.2, 0.8, 0.2, 0.8, 0.2, 0.8, 0.2]
    activations["cell"] = activations["cell"] * 100
    assert most_varying_units(activations, 2).tolist() == [17, 4]
    figure = gate_figure(activations, list("abcdef$"), units=5, title="layer 0")
    units = most_varying_units(activations, 5)
    for axes, (name, table) in zip(figure.axes[:4], activations.items(), strict=True):
        assert axes.get_ylabel() == name
        assert np.array_equal(axes.images[0].get_array(), table[:, units].T)
        assert tick_labels(axes.yaxis) == [str(unit) for unit in units]
    assert figure.axes[0].images[0].get_clim() == (0.0, 1.0)
    low, high = figure.axes[3].images[0].get_clim()
    assert -low == high == np.abs(activations["cell"][:, units]).max()
    assert [len(tick_labels(axes.xaxis)) for axes in figure.axes[:4]] == [0, 0, 0, 7]
    write(figure, tmp_path)
    write(gate_figure(gates(rng, len(HOSTILE), 3), HOSTILE), tmp_path)


def test_gates_that_do_not_fit_are_refused():
    rng = np.random.default_rng(7)
    for broken, message in (
        ({}, "nothing to draw"),
        ({"input": np.ones((2, 3, 4))}, r"\(tokens, units\)"),
        ({"input": np.ones((3, 4)), "forget": np.ones((3, 5))}, r"forget has shape \(3, 5\)"),
        ({"input": np.array([[0.0], [np.inf], [0.0]])}, "at token 1"),
    ):
        with pytest.raises(DataError, match=message):
            gate_figure(broken, ["a", "b", "c"])
    with pytest.raises(DataError, match="at least one"):
        gate_figure(gates(rng, 3, 4), ["a", "b", "c"], units=0)


HISTORY = [
    *({"step": step, "epoch": step / 10, "loss": 5 / step, "learning_rate": 1e-3 * step} for step in range(1, 31)),
    {"step": 31, "epoch": 3.1, "loss": float("nan")},
    *(
        {"step": 10 * epoch, "epoch": epoch, "eval_loss": 4 / epoch, "eval_bleu": score, "eval_note": "text"}
        for epoch, score in ((1, 10.0), (2, 30.0), (3, 25.0))
    ),
]


def test_losses_and_the_learning_rate_are_drawn_as_logged(tmp_path):
    figure = loss_figure(HISTORY, title="run")
    losses, rate = figure.axes
    training, validation = losses.lines
    assert training.get_xydata().tolist() == [[step, 5 / step] for step in range(1, 31)]
    assert validation.get_xydata().tolist() == [[10, 4.0], [20, 2.0], [30, 4 / 3]]
    assert rate.lines[0].get_xydata().tolist() == [[step, 1e-3 * step] for step in range(1, 31)]
    assert rate.get_ylabel() == "learning rate"
    shown = [text.get_text() for text in losses.get_legend().get_texts()]
    assert shown == ["training", "validation", "learning rate"]
    write(figure, tmp_path)
    assert len(loss_figure([{"step": 1, "eval_loss": 2.0}]).axes) == 1
    with pytest.raises(DataError, match="no loss"):
        loss_figure([{"step": 1, "loss": float("inf")}, {"loss": 1.0}])


def test_the_best_epoch_of_each_run_carries_a_ring(tmp_path):
    figure = score_by_epoch_figure({"a": HISTORY, HOSTILE[1]: HISTORY[:-1]})
    axes = figure.axes[0]
    curves, rings = axes.lines[0::2], axes.lines[1::2]
    assert curves[0].get_xydata().tolist() == [[1, 10], [2, 30], [3, 25]]
    assert [ring.get_xydata().tolist() for ring in rings] == [[[2, 30]], [[2, 30]]]
    assert axes.get_ylabel() == "validation BLEU"
    assert all(tick == round(tick) for tick in axes.get_xticks())
    write(figure, tmp_path)
    lowest = score_by_epoch_figure({"a": HISTORY}, metric="loss", higher_is_better=False).axes[0].lines[1]
    assert lowest.get_xydata().tolist() == [[3, 4 / 3]]
    with pytest.raises(DataError, match="no eval_chrf; it holds eval_bleu, eval_loss, eval_note"):
        score_by_epoch_figure({"a": HISTORY}, metric="chrf")
    with pytest.raises(DataError, match="at least one"):
        score_by_epoch_figure({})


def test_a_single_epoch_stands_at_a_whole_number():
    axes = score_by_epoch_figure({"a": [{"epoch": 6, "eval_bleu": 31.7}]}).axes[0]
    shown = [tick for tick in axes.get_xticks() if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
    assert shown == [5, 6, 7]


def test_next_tokens_are_sorted_and_the_true_one_is_marked(tmp_path):
    shares = np.array([0.05, 0.5, 0.1, 0.3, 0.04, 0.01])
    words = ["a", "the", "$", "\n", "e", "true"]
    axes = next_token_figure(shares, words, top=3, true_token=5).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [0.5, 0.3, 0.1, 0.01]
    assert tick_labels(axes.yaxis) == ["the", "⏎", "$", "true"]
    assert [bool(bar.get_hatch()) for bar in axes.patches] == [False, False, False, True]
    assert [text.get_text() for text in axes.texts][-1] == "1 %, the true token, rank 6"
    figure = next_token_figure(shares, words, top=2, true_token=1, title="$ the old")
    assert [bool(bar.get_hatch()) for bar in figure.axes[0].patches] == [True, False]
    write(figure, tmp_path)
    write(next_token_figure(np.full(len(HOSTILE), 1 / len(HOSTILE)), HOSTILE, top=50), tmp_path)


@pytest.mark.parametrize(
    "shares, options, message",
    [
        ([0.5, 0.5, 0.0], {}, r"expected \(2,\)"),
        ([0.5, -0.1], {}, "token 1 is -0.1"),
        ([np.nan, 1.0], {}, "token 0 is nan"),
        ([0.5, 0.5], {"true_token": 2}, "true token is 2"),
        ([0.5, 0.5], {"top": 0}, "at least one"),
    ],
)
def test_what_is_no_distribution_is_refused(shares, options, message):
    with pytest.raises(DataError, match=message):
        next_token_figure(shares, ["a", "b"], **options)


def test_surprisal_is_drawn_token_by_token_over_lines(tmp_path):
    rng = np.random.default_rng(8)
    values = rng.gamma(2, 2, 95)
    values[0], values[50] = np.nan, np.inf
    figure = surprisal_figure([f"t{place}" for place in range(95)], values)
    assert len(figure.axes) == 3
    heights = [bar.get_height() for axes in figure.axes for bar in axes.patches]
    finite = np.isfinite(values)
    assert np.allclose(np.asarray(heights)[finite], values[finite])
    assert heights[0] == 0
    assert heights[50] > values[finite].max()
    assert [text.get_text() for text in figure.axes[1].texts] == ["∞"]
    assert [label for axes in figure.axes for label in tick_labels(axes.xaxis)] == [f"t{place}" for place in range(95)]
    write(surprisal_figure(HOSTILE, np.arange(len(HOSTILE)), title="$"), tmp_path)
    write(surprisal_figure(["a"], [np.nan]), tmp_path)
    with pytest.raises(DataError, match=r"expected \(2,\)"):
        surprisal_figure(["a", "b"], [1.0])
    with pytest.raises(DataError, match="token 1 is -1"):
        surprisal_figure(["a", "b"], [1.0, -1.0])
    with pytest.raises(DataError, match="and tokens"):
        surprisal_figure([], [])


class Spans(HTMLParser):
    """Collects the coloured pieces, and refuses any element that was not put there on purpose."""

    def __init__(self, document):
        super().__init__()
        self.pieces, self.open = [], None
        self.feed(document)

    def handle_starttag(self, tag, attributes):
        assert tag in ("style", "section", "h2", "p", "span", "html", "head", "meta", "title", "body"), tag
        if tag == "span" and "title" in dict(attributes):
            self.open = [dict(attributes), ""]
            self.pieces.append(self.open)

    def handle_endtag(self, tag):
        if tag == "span":
            self.open = None

    def handle_data(self, data):
        if self.open is not None:
            self.open[1] += data


def opacity(attributes):
    return float(re.search(r"([\d.]+)\)$", attributes["style"]).group(1))


def test_coloured_text_is_the_text_and_nothing_more():
    tokens = ["The ", "old\n", "  man", *HOSTILE]
    values = np.linspace(0, 9, len(tokens))
    for page in (False, True):
        document = surprisal_html(tokens, values, page=page, title="<b>")
        document.encode("utf-8")  # a lone surrogate could not be written
        pieces = Spans(document).pieces
        shown = "".join(text for _, text in pieces)
        assert shown == "".join(tokens).replace("\x00", "�").replace("\ud800", "�").replace("\u202e", "�")
        assert [attributes["title"] for attributes, _ in pieces] == [f"{value:.2f} bits" for value in values]
        depths = [opacity(attributes) for attributes, _ in pieces]
        assert depths == sorted(depths)
        assert (depths[0], depths[-1]) == (0.0, 0.75)
        assert document.startswith("<!doctype html>") == page


def test_tokens_without_a_number_say_why():
    pieces = Spans(surprisal_html(["a", "b", "c"], [np.nan, np.inf, 2.0], strongest=4.0)).pieces
    assert [attributes["title"] for attributes, _ in pieces] == [
        "not predicted", "impossible for the model", "2.00 bits",
    ]  # fmt: skip
    assert [opacity(attributes) for attributes, _ in pieces] == [0.0, 0.75, 0.375]
    assert len(Spans(surprisal_html(["a"], [0.0])).pieces) == 1
    with pytest.raises(DataError, match="expected"):
        surprisal_html(["a"], [1.0, 2.0])


def test_numbers_stand_over_the_words_and_blanks_between_them():
    tokens = ["The", " <old>", "\n", " ", "man"]
    document = surprisal_html(tokens, [1.0, 2.26, np.inf, np.nan, 123.4], numbers=True, title="x")
    rubies = re.findall(r"(\s*)<ruby><span [^>]*>([^<]*)</span><rt>([^<]*)</rt></ruby>(\n?)", document)
    assert rubies == [
        ("", "The", "1.0", ""), (" ", "&lt;old&gt;", "2.3", ""), ("", "⏎", "∞", "\n"), ("", "␣", "–", ""),
        ("", "man", "123", ""),
    ]  # fmt: skip
    assert "<ruby>" not in surprisal_html(tokens, np.ones(5), title="x")
    dark = surprisal_html(["a"], [1.0])
    assert "color: var(--body-text-color, #111)" in dark


def test_activations_have_two_colours():
    pieces = Spans(activation_html(["a", "<b>"], [-2.0, 1.0], title="cell 3")).pieces
    assert [text for _, text in pieces] == ["a", "<b>"]
    assert pieces[0][0]["style"] == "background:rgba(0,114,178,0.750)"
    assert pieces[1][0]["style"] == "background:rgba(213,94,0,0.375)"
    with pytest.raises(DataError, match="token 1 is not finite"):
        activation_html(["a", "b"], [1.0, np.nan])
    with pytest.raises(DataError, match="one per token"):
        activation_html(["a", "b"], [[1.0, 2.0]])


def test_score_by_length_draws_means_and_intervals(tmp_path):
    references = [" ".join("abcdefghij"[place % 10] * 2 for place in range(size)) for size in range(4, 34)]
    hypotheses = [text[:-3] + " x" for text in references]
    statistics = SentenceStatistics.of(hypotheses, references, translation_edit_rate=False)
    bins = bleu_by_length([statistics], [len(text.split()) for text in references], bins=3, resamples=100)
    figure = score_by_length_figure({"RNN": bins, "$Transformer": bins[1:]}, title="by length")
    curve = figure.axes[0].containers[0]
    assert curve.lines[0].get_xydata().tolist() == [[one.mean_length, one.score.mean.value] for one in bins]
    ends = [segment[:, 1].tolist() for segment in curve.lines[2][0].get_segments()]
    assert np.allclose(ends, [[one.score.mean.low, one.score.mean.high] for one in bins])
    write(figure, tmp_path)
    with pytest.raises(DataError, match="no score by length"):
        score_by_length_figure({})


def test_figures_leave_no_global_state():
    import matplotlib
    from matplotlib import _pylab_helpers

    before = dict(matplotlib.rcParams)
    attention_figure([[1.0]], ["日本"], ["$"])
    surprisal_figure(["a"], [1.0])
    assert not _pylab_helpers.Gcf.figs
    assert dict(matplotlib.rcParams) == before
