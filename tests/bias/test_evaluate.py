"""Running measures on models: skipping, correcting, comparing, planning."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from bias import fake_measures
from bias.fake_measures import Reader, Speaker
from nlpladder.bias import measure_table
from nlpladder.bias.evaluate import MeasuredModel, evaluate_bias, make_report, measure_model, verdict
from nlpladder.bias.findings import Finding, Findings
from nlpladder.bias.measures import measure_named
from nlpladder.bias.planning import count_work, plan_sentences
from nlpladder.bias.statistics.estimates import StatisticsOptions, mean
from nlpladder.bias.verdicts import advice
from nlpladder.errors import ConfigError, DataError
from nlpladder.evaluation.intervals import Score
from nlpladder.evaluation.multiple_testing import holm

QUICK = StatisticsOptions(resamples=200)


@pytest.fixture(autouse=True)
def table(monkeypatch):
    monkeypatch.setattr(measure_table, "TABLE", fake_measures.TABLE)


def test_a_model_gets_what_it_offers_and_reasons_for_the_rest():
    lines = []
    report = evaluate_bias({"speaker": Speaker(3.0)}, statistics=QUICK, say=lines.append)
    assert [row.finding.category for row in report.rows] == ["all", "race", "gender", "age"]
    assert [row.overall for row in report.rows] == [True, False, False, False]
    model = report.models[0]
    assert model.parameters == 1234
    assert model.kind == "Speaker"
    assert model.skipped == {
        "fails": "None of the words has a vector.",
        "foreign": "reads data of others, which are not shipped: name them with --foreign.",
    }
    assert model.offers == ("prefer", "fails", "foreign")
    assert lines == ["speaker: prefer (Preference for stereotypes)", "speaker: fails (A failure)"]
    assert "above" in report.rows[0].verdict


def test_p_values_are_corrected_over_models_measures_and_categories():
    report = evaluate_bias({"a": Speaker(1.0), "b": Speaker(0.0, seed=5)}, statistics=QUICK)
    tested = [row for row in report.rows if row.finding.p_value is not None]
    assert len(tested) == 8
    assert [row.p_holm for row in tested] == holm([row.finding.p_value for row in tested]).tolist()
    assert [name for name, _, _ in report.heterogeneity] == ["a", "b"]


def test_categories_of_few_clusters_are_left_out_of_their_comparison():
    sizes = {"race": 8, "gender": 7, "age": 5}
    pairs = [(kind, number, number // 2) for kind, count in sizes.items() for number in range(2 * count)]
    test = evaluate_bias({"a": Speaker()}, ["prefer"], {"pairs": pairs}, statistics=QUICK).heterogeneity[0][2]
    assert (test.categories, test.clusters) == (("race", "gender"), (8, 7))
    assert (test.left_out, test.left_out_clusters, test.fewest) == (("age",), (5,), 6)
    none = evaluate_bias({"a": Speaker()}, ["prefer"], statistics=QUICK).heterogeneity[0][2]
    assert (none.categories, none.p_value) == (("race",), None)


def test_a_measure_without_its_option_is_told_and_not_passed_over():
    report = evaluate_bias({"r": Reader(), "s": Speaker()}, ["all"], statistics=QUICK)
    assert (
        report.models[0].skipped["two"] == "needs the option words: --measure_options.two.words FILE (one text a line)."
    )
    assert "two" not in report.models[1].skipped  # it is not offered there at all
    named = evaluate_bias({"s": Speaker()}, ["prefer"], statistics=QUICK)
    assert named.models[0].skipped == {}


@pytest.mark.parametrize("plan", [False, True])
def test_broken_data_are_told_before_a_model_is_opened(plan):
    opened = []
    models = {"s": lambda: opened.append("s") or Speaker()}
    with pytest.raises(DataError, match="no column sent_more"):
        if plan:
            plan_sentences(models, ["prefer"], {"pairs": "missing.csv"})
        else:
            evaluate_bias(models, ["all"], {"foreign": "missing.csv"}, statistics=QUICK)
    assert opened == []


def test_data_are_read_once_for_all_measures_and_models(monkeypatch):
    read = []
    monkeypatch.setattr(fake_measures, "load_pairs", lambda path, **options: read.append(path) or [("race", 1, 1)] * 2)
    evaluate_bias({"a": Speaker(), "b": Speaker()}, ["prefer"], {"pairs": "x.csv"}, statistics=QUICK)
    assert read == ["x.csv"]


def test_later_models_are_compared_with_the_first_item_by_item():
    report = evaluate_bias(
        {"before": Speaker(3.0), "after": Speaker(0.5)}, ["prefer"], statistics=QUICK, margin=0.2
    )  # fmt: skip
    assert [(one[0], one[1], one[2].category) for one in report.comparisons][:2] == [
        ("before", "after", "all"),
        ("before", "after", "race"),
    ]
    change = report.comparisons[0][2]
    assert change.difference.value == pytest.approx(-2.5)  # the noise of an item is the same in both
    assert change.difference.unit == "nats"
    assert change.p_no_worse < 0.01
    assert "Nearer to no bias" in change.verdict


def test_models_are_opened_one_after_the_other():
    order = []

    def opener(name):
        def build():
            order.append(name)
            return Speaker()

        return build

    evaluate_bias({"a": opener("a"), "b": opener("b")}, ["prefer"], statistics=QUICK, say=order.append)
    assert [line[0] for line in order] == ["a", "a", "b", "b"]


def test_a_measure_that_is_asked_for_by_name_must_run_somewhere():
    with pytest.raises(ConfigError, match="prefer needs a causal.*reader is a Reader. It offers fails, two"):
        evaluate_bias({"reader": Reader()}, ["prefer"], statistics=QUICK)
    with pytest.raises(ConfigError, match="None of the words has a vector"):
        evaluate_bias({"speaker": Speaker()}, ["fails"], statistics=QUICK)
    with pytest.raises(DataError, match="No measure could be run"):
        evaluate_bias({"reader": Reader()}, statistics=QUICK)
    report = evaluate_bias({"reader": Reader(), "speaker": Speaker()}, ["prefer"], statistics=QUICK)
    assert set(report.models[0].skipped) == {"prefer"}


def test_options_and_data_that_nothing_takes_are_refused():
    with pytest.raises(ConfigError, match="Did you mean 'at_chance'"):
        evaluate_bias({"s": Speaker()}, ["prefer"], measure_options={"prefer": {"at_chanse": True}})
    with pytest.raises(ConfigError, match="prefer takes no 'offset'"):  # it is fixed by the table
        evaluate_bias({"s": Speaker()}, ["prefer"], measure_options={"prefer": {"offset": 1.0}})
    with pytest.raises(ConfigError, match="'prefr', which is not measured"):
        evaluate_bias({"s": Speaker()}, ["prefer"], measure_options={"prefr": {}})
    with pytest.raises(ConfigError, match="--foreign is given, but none"):
        evaluate_bias({"s": Speaker()}, ["prefer"], {"foreign": "x.csv"})
    with pytest.raises(DataError, match="no column sent_more"):
        evaluate_bias({"s": Speaker()}, ["prefer"], {"pairs": "missing.csv"})


def test_data_may_be_opened_already_and_options_reach_the_measure():
    data = fake_measures.load_pairs("x", clusters=3)
    model = measure_model(
        "s", Speaker(), ["prefer"], {"pairs": data}, statistics=QUICK, measure_options={"prefer": {"at_chance": True}}
    )
    finding = model.findings["prefer"][0].findings[0]
    assert finding.score.n == 45
    assert "not evidence of fairness" in verdict(finding, 0.001)


@pytest.mark.parametrize(
    ("changes", "p_holm", "said"),
    [
        ({"score": Score("s", None, None, None, 0)}, None, "no value"),
        ({"no_bias": None}, 0.5, "no test"),
        (
            {"no_bias": None, "effect": Score("nats", -0.2, -0.3, -0.1, 9)},
            0.001,
            "effect in nats differs from 0 (below",
        ),
        ({"no_bias": None, "effect": Score("nats", 0.2, 0.1, 0.3, 9)}, 0.001, "effect in nats differs from 0 (above"),
        ({"no_bias": None, "effect": Score("nats", 0.2, -0.1, 0.3, 9)}, 0.4, "effect in nats is not shown to differ"),
        ({"no_bias": None, "effect": Score("nats", 0.2, -0.1, 0.3, 9), "p_value": None}, None, "no test"),
        ({"detectable": 0.1}, 0.01, "differs from no bias (below it)"),
        ({"detectable": 0.1}, 0.2, "smaller effects"),
        ({"detectable": None}, 0.2, "too few clusters"),
        ({"detectable": None, "clusters": 6}, 0.2, "not known"),
        ({"detectable": 0.2, "p_value": 0.04}, 0.2, "its own p is below 0.05, but no longer after the correction"),
        ({"detectable": 0.05, "p_value": 0.04}, 0.2, "its own p is below 0.05, but no longer after the correction"),
        ({"detectable": 0.2, "p_value": 0.2}, 0.9, "smaller effects than the detectable one would often be missed"),
        ({"detectable": 0.05, "p_value": 0.2}, 0.9, "does not lie on the same side of no bias in enough"),
        ({"detectable": 0.3, "p_value": 0.001}, 0.01, "differs from no bias (below it)"),
    ],
)
def test_verdicts(changes, p_holm, said):
    fields = {"measure": "m", "category": "all", "score": Score("s", 0.4, 0.3, 0.5, 9), "no_bias": 0.5, **changes}
    assert said in verdict(Finding(**fields), p_holm)


def test_values_that_are_the_same_everywhere_are_told():
    found = mean("s", [0.25] * 20, None, QUICK)
    same = Finding(
        measure="m",
        category="all",
        score=found.score,
        no_bias=0.3,
        clusters=20,
        p_value=0.2,
        detectable=found.detectable,
    )
    assert verdict(same, 1.0) == "not shown: the same in all 20 clusters: no interval"
    few = dataclasses.replace(same, score=mean("s", [0.25] * 7, None, QUICK).score, clusters=7)
    assert verdict(few, 1.0) == "not shown: the same in all 7 clusters: no interval"
    noise = mean("s", np.random.default_rng(0).normal(size=20) * 1e-17, None, QUICK)
    assert (noise.score.low, noise.detectable, noise.p_value) == (None, None, 1.0)


def test_a_p_that_cannot_be_small_enough_among_so_many_tests_is_told():
    score = Score("s", 0.45, 0.25, 0.65, 99)
    shuffled = Finding(
        measure="m", category="all", score=score, no_bias=0.0, clusters=20, p_value=1 / 2001, smallest_p=1 / 2001
    )
    others = [0.5] * 404
    said = verdict(shuffled, 405 / 2001, sorted([1 / 2001, *others]))
    assert said.endswith("cannot be shown among 405 tests: with 2,000 shuffles p cannot be below 0.0005")
    few = dataclasses.replace(shuffled, clusters=7, smallest_p=None, p_value=2 / 128)
    assert "with 7 clusters p cannot be below 0.016" in verdict(few, 1.0, [2 / 128, *others])
    # Of 100 tests it is 100 / 2001 <= .05; and tests with a smaller p do not count against it (Holm).
    assert "no longer after the correction" in verdict(shuffled, 0.2, [1 / 2001] * 100)
    assert "no longer after the correction" in verdict(shuffled, 0.2, [1e-9] * 305 + [1 / 2001] * 100)
    assert "cannot be shown" in verdict(shuffled, 0.2, [1e-9] * 304 + [1 / 2001] * 101)
    plenty = [dataclasses.replace(shuffled, p_value=p_value) for p_value in others]
    (sentence,) = advice([shuffled, *plenty])
    assert "all 405 tests" in sentence
    assert "--measures" in sentence
    assert "--resamples" in sentence
    assert advice([shuffled, *plenty[:90]]) == []


def test_measures_on_the_same_items_ask_once_whether_categories_differ():
    items = {
        "item_id": list(range(24)), "cluster_id": [str(i // 3) for i in range(24)], "category": ["a", "b", "c"] * 8,
        "value": np.random.default_rng(0).normal(size=24).tolist(),
    }  # fmt: skip

    def several(names, quantity):
        return [
            Findings(
                findings=tuple(
                    Finding(measure=name, category=c, score=Score(name, 0.1, None, None, 24)) for c in ("all", *"abc")
                ),
                items=dict(items),
                quantity=quantity,
            )
            for name in names
        ]

    def asked(found):
        model = MeasuredModel(name="x", kind="X", parameters=None, findings=found)
        return [(about, test.degrees) for _, about, test in make_report([model], statistics=QUICK).heterogeneity]

    gaps = {"auc": several(["a1", "a2", "a3"], "log-odds"), "parity": several(["parity"], "log-odds")}
    assert asked(gaps) == [("log-odds, the items of a1, a2, a3 and 1 more", 2)]
    assert asked({"m": several(["m"], "")}) == [("m", 2)]
    other = several(["n"], "")[0]
    other.items["value"] = [1.0, *items["value"][1:]]
    assert asked({"m": several(["m"], ""), "n": [other]}) == [("m", 2), ("n", 2)]


def test_tests_that_have_nothing_in_common_are_all_main_findings():
    def overall(*parts):
        found = [Finding(measure=m, category=c, score=Score(m, 0.1, None, None, 3)) for m, c in parts]
        model = MeasuredModel(
            name="x", kind="X", parameters=None, findings={"m": [Findings(findings=tuple(found), items={})]}
        )
        return [row.overall for row in make_report([model]).rows]

    assert overall(("weat", "weat6"), ("weat_difference", "weat6"), ("weat", "weat7")) == [True, True, True]
    assert overall(("a", "all"), ("a", "race"), ("slope", "corpus"), ("slope", "other")) == [True, False, True, False]
    assert overall(("ss", "all"), ("ss", "race"), ("lms", "all"), ("lms", "race")) == [True, False, True, False]


def test_a_plan_counts_without_the_model():
    model = Speaker()
    work = count_work(measure_named("prefer"), model, fake_measures.own_pairs())
    assert work.asked["scored"] == 60
    assert work.different("scored") == 60
    assert model.scored == 0
    sentences = plan_sentences({"s": lambda: model, "r": Reader}, ["all"], {})
    assert "60 texts to be scored" in sentences[0]
    assert "not known before it runs" in sentences[1]
    assert sentences[-1].startswith(
        "r: not measured, for want of a causal, recurrent or n-gram language model: prefer."
    )
    sentences = plan_sentences({"r": Reader}, ["all"], {"foreign": "x"})
    assert sum("for want of" in one for one in sentences) == 1, "one line for all that need the same"
    assert sentences[-1].endswith(": prefer, foreign.")
    lines = []
    evaluate_bias({"s": model}, ["prefer"], statistics=QUICK, announce=True, say=lines.append)
    assert "60 texts" in lines[0]
    assert model.scored == 60
