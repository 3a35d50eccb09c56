"""What is written: whole or not at all, never over another report, the items folded under a warning."""

from __future__ import annotations

import json
from html.parser import HTMLParser

import pyarrow.parquet as pq
import pytest

from bias import fake_measures
from bias.fake_measures import Reader, Speaker
from nlpladder.bias import measure_table
from nlpladder.bias.evaluate import MeasuredModel, evaluate_bias, make_report
from nlpladder.bias.findings import Finding, Findings
from nlpladder.bias.report import metrics_section, read_findings, read_report, write_report
from nlpladder.bias.statistics.comparison import compare_findings
from nlpladder.bias.statistics.estimates import StatisticsOptions
from nlpladder.errors import DataError, RunError
from nlpladder.evaluation.intervals import Score
from nlpladder.hub.card_sections import bias_section, limits_section
from nlpladder.hub.card_texts import CARD_TEXTS
from nlpladder.views.bias_cells import detectable_text, effect_text, no_bias_text, p_text, scaled
from nlpladder.views.bias_figures import _score_label, bias_figures, forest_figure
from nlpladder.views.bias_report import bias_html, bias_markdown, print_bias, strongest_items
from nlpladder.views.bias_table import (
    CONTENT_WARNING,
    detectable_sentence,
    heterogeneity_sentences,
    notes_of,
    overall_rows,
    skipped_rows,
    too_few_resamples,
)

QUICK = StatisticsOptions(resamples=200)


@pytest.fixture(autouse=True)
def table(monkeypatch):
    monkeypatch.setattr(measure_table, "TABLE", fake_measures.TABLE)


def make(*, second=True):
    models = {"one/large": Speaker(2.0), "two": Speaker(0.2, seed=1)} if second else {"one/large": Speaker(2.0)}
    return evaluate_bias(models, statistics=QUICK)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measure_table, "TABLE", fake_measures.TABLE)
        report = make()
        folder = tmp_path_factory.mktemp("reports") / "bias"
        return report, folder, write_report(report, folder)


class Page(HTMLParser):
    """Checks that tags are closed, and notes what loads something."""

    def __init__(self, text):
        super().__init__()
        self.open, self.loaded, self.folded, self.outside = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href") and not value.startswith("data:")]
        assert tag not in ("script", "link", "iframe")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        (self.folded if "details" in self.open else self.outside).append(data)


def test_everything_is_there_and_nothing_besides(written):
    report, folder, content = written
    assert sorted(path.name for path in folder.iterdir()) == ["bias.html", "bias.json", "bias.md", "figures", "items"]
    assert sorted(path.name for path in folder.parent.iterdir()) == ["bias"]
    assert content == json.loads((folder / "bias.json").read_text()) == read_report(folder)
    assert content["items"] == {
        "one/large/prefer": "items/one_large_prefer.parquet",
        "two/prefer": "items/two_prefer.parquet",
    }
    assert content["stereotypes"] is True
    assert len(content["rows"]) == len(report.rows) == 8
    assert content["environment"]["versions"]["nlpladder"]
    assert (folder / "figures" / "prefer.png").stat().st_size > 2000


def test_items_come_back_for_statistics_of_ones_own(written):
    report, folder, _ = written
    found = read_findings(folder, "two", "prefer")
    original = report.models[1].findings["prefer"][0]
    assert found.findings == original.findings
    assert found.items["value"] == original.items["value"]
    assert list(found.items)[:4] == ["item_id", "cluster_id", "category", "value"]
    same = compare_findings(found, original, QUICK)
    assert same[0].difference.value == 0.0
    with pytest.raises(RunError, match="no items of two/other. It has: one/large/prefer, two/prefer"):
        read_findings(folder, "two", "other")


def test_the_page_loads_nothing_and_folds_the_items(written):
    _, folder, _ = written
    page = Page((folder / "bias.html").read_text(encoding="utf-8"))
    assert page.open == []
    assert page.loaded == []
    folded, outside = " ".join(page.folded), " ".join(page.outside)
    assert CONTENT_WARNING in folded
    assert "stereo race <b>0</b>|" in folded or "stereo gender <b>" in folded  # escaped, and only inside
    assert "stereo race" not in outside
    assert "does not show that a model is fair" in outside
    assert "Compared item by item" in outside


def test_markdown_has_tables_limits_and_no_items(written):
    _, folder, content = written
    text = (folder / "bias.md").read_text(encoding="utf-8")
    assert "stereo race" not in text
    assert text.count("A measure that finds no bias does not show that there is none.") == 2  # categories, comparison
    assert "prefer (not graded)" in text
    assert "Anonymous 2026" in text
    assert "not tested, for fewer than two categories can be weighed" in text
    assert "Left out for fewer than 6 clusters: gender (5); age (4)." in text
    assert "| detectable by one test |" in text
    assert "None of the words has a vector." in text
    for line in text.splitlines():
        if line.startswith("|") and not line.startswith("|---"):
            header = next(h for h in text[: text.index(line) + 1].splitlines()[::-1] if h.startswith("|") or not h)
            assert header
    odd = json.loads(json.dumps(content))
    odd["models"][0]["name"] = odd["rows"][0]["model"] = "a|b<c>`*"
    row = next(line for line in bias_markdown(odd).splitlines() if "a\\|b" in line and line.startswith("|"))
    assert "a\\|b&lt;c&gt;\\`\\*" in row


def test_what_is_printed_has_effect_power_and_quality(written, capsys):
    print_bias(written[2])
    text = capsys.readouterr().out
    assert "effect +" in text
    assert "detectable by one test ±" in text
    assert "mask accuracy 50.0 % [40.0, 60.0]" in text
    assert "one/large -> two" in text
    assert "stereo race" not in text


def test_resamples_that_can_show_nothing_after_the_correction_are_told():
    rows = [{"p_value": 0.01}] * 84 + [{"p_value": None}]
    (sentence,) = too_few_resamples({"rows": rows, "statistics": {"resamples": 500}})
    assert "over 84 tests: take --resamples 1,680 or more" in sentence
    assert not too_few_resamples({"rows": rows, "statistics": {"resamples": 1680}})


def test_what_to_do_about_too_many_tests_stands_beside_the_table(written, capsys):
    assert written[2]["advice"] == []
    content = {**written[2], "advice": ["Ask <fewer> questions."]}
    assert "- Ask &lt;fewer&gt; questions.\n- A result near no bias" in bias_markdown(content)
    assert "<li>Ask &lt;fewer&gt; questions.</li><li>A result near no bias" in bias_html(content)
    print_bias(content)
    assert "Ask <fewer> questions." in capsys.readouterr().out
    del content["advice"]  # of an earlier report
    assert "Ask" not in bias_markdown(content)


def test_a_report_is_not_written_over_unasked(tmp_path):
    folder = tmp_path / "bias"
    folder.mkdir()
    (folder / "mine.txt").write_text("x")
    report = make(second=False)
    write_report(report, folder, figures=False)
    assert not (folder / "figures").exists()
    with pytest.raises(RunError, match="holds a bias report already"):
        write_report(report, folder)
    (folder / "items" / "old.parquet").write_text("old")
    write_report(report, folder, overwrite=True, figures=False)
    assert not (folder / "items" / "old.parquet").exists()
    assert (folder / "mine.txt").read_text() == "x"
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="is a file"):
        write_report(report, tmp_path / "file")


def test_a_failure_leaves_nothing_behind(tmp_path):
    score = Score("m", 0.5, None, None, 2)
    for items, message in (
        ({"item_id": [1], "cluster_id": [1], "category": ["a"]}, "lack the column 'value'"),
        ({"item_id": [1, 2], "cluster_id": [1], "category": ["a"], "value": [1.0]}, "different lengths"),
    ):
        findings = Findings(findings=(Finding(measure="m", category="all", score=score),), items=items)
        report = make_report([MeasuredModel(name="x", kind="X", parameters=None, findings={"m": [findings]})])
        with pytest.raises(DataError, match=message):
            write_report(report, tmp_path / "bias", figures=False)
        assert list(tmp_path.iterdir()) == []


def test_several_findings_of_one_measure_and_undefined_scores(tmp_path):
    report = evaluate_bias({"r": Reader()}, ["two"], measure_options={"two": {"words": ["a", "b"]}})
    content = write_report(report, tmp_path / "bias")
    assert [row["measure"] for row in content["rows"]] == ["first", "second"]
    assert content["items"] == {"r/second": "items/r_second.parquet"}
    assert pq.read_table(tmp_path / "bias" / "items" / "r_second.parquet").num_rows == 1
    assert "undefined" in (tmp_path / "bias" / "bias.md").read_text()
    assert "second: Nothing." in (tmp_path / "bias" / "bias.md").read_text()


@pytest.mark.parametrize(("text", "message"), [("{", "damaged"), ("[]", "no format 2"), (None, "cannot be read")])
def test_a_damaged_report_is_told(tmp_path, text, message):
    if text is not None:
        (tmp_path / "bias.json").write_text(text)
    with pytest.raises(RunError, match=message):
        read_report(tmp_path)


def test_the_card_shows_what_was_measured_and_what_that_proves(written):
    content = written[2]
    metrics = {"bias": metrics_section(content, "two")}
    assert json.loads(json.dumps(metrics)) == metrics
    text = bias_section(metrics)
    assert "| prefer (not graded) |" in text
    assert "does not show that there is none." in text
    assert "mask accuracy 50.0 %" in text
    assert "Sources: prefer: Anonymous 2026." in text
    assert "stereo race" not in text
    assert "No bias measurement" not in limits_section(CARD_TEXTS["language_modeling"], metrics)
    with pytest.raises(RunError, match="no finding on three"):
        metrics_section(content, "three")
    plain = {"bias": {"scores": {"weat": Score("weat", 0.3, 0.1, 0.5, 8).to_dict()}}}
    assert "| weat |" in bias_section(plain)
    assert bias_section({}) == ""


def test_the_ends_of_the_items_are_shown():
    columns = {"value": [1.0, None, -3.0, 2.0, 0.0], "item_id": list("abcde")}
    assert [row["item_id"] for row in strongest_items(columns, 1)] == ["d", "c"]
    assert [row["item_id"] for row in strongest_items(columns, 8)] == ["d", "a", "e", "c"]
    assert strongest_items({}) == []
    assert "<details>" not in bias_html({**empty_content()}, (), [("m", {"value": []})])


def empty_content():
    return {
        "models": [], "rows": [], "heterogeneity": [], "comparisons": [], "data": {}, "measured": "2026-01-01",
        "version": "0", "statistics": {"resamples": 1, "confidence": 0.9, "seed": 0},
    }  # fmt: skip


def test_figures_fit_their_names(tmp_path, written):
    with pytest.raises(DataError, match=r"shape \(1, 3\) for 2 lines"):
        forest_figure(["a", "b"], [{"label": "x", "no_bias": None, "series": {"m": [[1, 0, 2]]}}])
    assert bias_figures(empty_content(), tmp_path) == []


def test_no_number_that_is_not_0_is_shown_as_0():
    assert scaled(0.0, "nats") == scaled(-1e-17, "nats") == "0.000"
    assert [scaled(value, "nats") for value in (0.00032, -0.00032, 0.0005, 3e-7)] == [
        "0.00032", "-0.00032", "0.001", "3e-07",
    ]  # fmt: skip
    assert [scaled(value, "%") for value in (0.0, 0.0004, 0.0005, 0.605)] == ["0.0", "0.04", "0.1", "60.5"]
    tiny = {"value": 0.0001, "low": -0.0002, "high": 0.00044, "unit": "nats"}
    assert effect_text(tiny) == "+0.0001 [-0.0002, +0.00044]"
    assert detectable_text({"detectable": 0.0001, "score": {"unit": ""}}) == "± 0.0001"


def test_what_chance_makes_stands_beside_no_bias():
    row = {"no_bias": 0.0, "expected": 0.0813, "score": {"unit": ""}}
    assert no_bias_text(row) == "0.000 (expected by chance 0.081)"
    assert no_bias_text({**row, "expected": None}) == "0.000"


def test_an_earlier_report_is_still_shown():
    row = {"model": "m", "measure": "x", "p_value": 0.01, "categories": ["a", "b"], "left_out": ["c"], "statistic": 9.0}
    (text,) = heterogeneity_sentences({"heterogeneity": [{**row, "degrees": 1, "method": "chi-square"}]})
    assert "the 2 categories differ (Q 9.00" in text
    assert text.endswith("Too small to be weighed: c.")


def test_what_is_detectable_and_what_the_correction_leaves_is_explained_in_one_sentence():
    rows = [{"p_value": 0.01, "detectable": 0.1}] * 20 + [{"p_value": None, "detectable": None}]
    text = detectable_sentence({"rows": rows})
    assert text.count(". ") == 0
    # Bonferroni over 20: (z(1 - .05 / 40) + z(.8)) / (z(.975) + z(.8)) = (3.023 + 0.842) / (1.960 + 0.842)
    assert "after the correction over 20 tests, where it takes up to 1.4 times as much, and nothing suffices" in text
    assert "correction" not in detectable_sentence({"rows": rows[:1]})


def test_what_was_not_measured_is_told_once_for_each_reason():
    skipped = {"crows_pll": "needs a masked language model; gpt is a X.", "two": "needs the option words: --y."}
    models = [
        {"name": "gpt", "skipped": {**skipped, "aul": skipped["crows_pll"]}},
        {"name": "other", "skipped": {"two": skipped["two"]}},
    ]
    assert skipped_rows({"models": models}) == [
        "crows_pll, aul: needs a masked language model; gpt is a X.",
        "two: needs the option words: --y.",
    ]


def rows_with(content, **changes):
    """Return the content with its first two rows as those of one measure, and these fields changed in both."""
    found = json.loads(json.dumps(content))
    found["rows"] = [{**row, **changes} for row in found["rows"][:2]]
    return found


def test_the_quality_of_a_measure_is_shown_at_its_first_row_only(written, capsys):
    content = rows_with(written[2], overall=True)
    content["rows"][1]["measure"] = "prefer_more"
    cells = [row[10] for row in overall_rows(content)]
    assert cells == ["mask accuracy 50.0 % [40.0, 60.0]", "as above"]
    print_bias(content)
    assert capsys.readouterr().out.count("quality mask accuracy") == 1
    content["rows"][1]["quality"]["mask_accuracy"]["value"] = 0.51
    assert [row[10] for row in overall_rows(content)][1] == "mask accuracy 51.0 % [40.0, 60.0]"
    content["rows"][0]["quality"] = content["rows"][1]["quality"] = {}
    assert [row[10] for row in overall_rows(content)] == ["–", "–"]


def test_a_small_p_is_read_and_no_tag(written):
    content = rows_with(written[2], p_holm=0.0001)
    text = bias_markdown(content)
    assert "| < .001 |" in text
    content["rows"][0]["notes"] = ["<b>x</b> <!-- y -->"]
    text = bias_markdown(content)
    assert "&lt;b&gt;x&lt;/b&gt; &lt;!-- y --&gt;" in text


def test_a_note_on_all_rows_of_a_measure_names_the_measure(written):
    content = json.loads(json.dumps(written[2]))
    first = content["rows"][0]["model"]
    for row in content["rows"]:
        row["notes"], row["score"]["note"] = ["Of all."], ""
    content["rows"][0]["notes"] = ["Of all.", "Of one.", "Of one."]
    others = [row["model"] for row in content["rows"] if row["model"] != first]
    assert notes_of(content) == [f"prefer, {first}; prefer, {others[0]}: Of all.", f"prefer, {first}: Of one."]
    content["rows"][1]["notes"] = []
    assert notes_of(content)[0].startswith(f"prefer, {first}; prefer, ")
    one = rows_with(content, model=first, notes=["Of both."])
    one["models"] = one["models"][:1]
    assert notes_of(one) == ["prefer: Of both."]
    one["rows"][1]["notes"] = []
    assert notes_of(one) == ["prefer: Of both."]


def test_the_seconds_of_the_measures_stand_in_the_report(written):
    content = json.loads(json.dumps(written[2]))
    content["models"][0]["seconds"] = {"short": 0.26, "long": 61.04}
    content["models"][1]["seconds"] = {}
    assert "Seconds of one/large: 61.3 in all; long 61.0, short 0.3." in bias_markdown(content)
    content["models"][0]["seconds"] = {f"m{number}": 1.0 for number in range(15)}
    assert "and 3 more." in bias_markdown(content)


def test_figures_say_what_their_axis_counts_and_none_is_of_one_dot(written, tmp_path):
    content = json.loads(json.dumps(written[2]))
    for row in content["rows"]:
        row["score"]["name"] = "pairs with the stereotype preferred"
    label = _score_label(content["rows"][0]["score"])
    assert label == "pairs with the stereotype preferred, %"
    assert len(bias_figures(content, tmp_path / "all")) == 1
    content["rows"] = content["rows"][:1]
    assert bias_figures(content, tmp_path / "one") == []


def test_numbers_are_short():
    assert p_text(0.00001) == "< .001"
    assert p_text(0.0405) == "0.041" or p_text(0.0405) == "0.040"
    assert scaled(0.605, "%") == "60.5"
    assert scaled(None, "%") == "–"
