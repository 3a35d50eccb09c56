"""Windows, the alarm, reports; false alarms and real ones."""

from __future__ import annotations

import itertools
import json
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from drift_profiles import WORDS, classifier_profile, random_answers, random_texts
from nlpladder.drift.comparison import Comparer, largest_difference
from nlpladder.drift.copies import chance_of_copies, effective_size, text_hash
from nlpladder.drift.hysteresis import Hysteresis
from nlpladder.drift.monitor import HISTORY, DriftMonitor
from nlpladder.drift.options import DriftOptions
from nlpladder.drift.profile import Profile, read_profile
from nlpladder.drift.saving import build_profile, save_text_profile
from nlpladder.errors import ConfigError, DataError
from nlpladder.serving.jobs import ItemError, ItemResult


@given(st.lists(st.booleans(), max_size=40), st.integers(1, 4), st.integers(1, 4))
def test_the_alarm_follows_runs_of_windows(windows, alarm_after, calm_after):
    state = Hysteresis(alarm_after=alarm_after, calm_after=calm_after)
    alarm, begin = False, 0
    for place, differs in enumerate(windows):
        change = state.add(differs)
        needed, wanted = (calm_after, False) if alarm else (alarm_after, True)
        run = windows[begin : place + 1][-needed:]
        if len(run) == needed and all(one is wanted for one in run):
            assert change == ("calmed" if alarm else "raised")
            alarm, begin = not alarm, place + 1
        else:
            assert change is None
        assert state.alarm is alarm


def columns_like(generator: np.random.Generator, rows: int) -> dict[str, np.ndarray]:
    """Features with all that is awkward: ties, a point mass, a constant, missing values, rare classes."""
    words = 1.0 + generator.poisson(12, rows)
    unknown = np.where(generator.random(rows) < 0.4, 0.0, generator.beta(1, 12, rows).round(4))
    unknown[generator.random(rows) < 0.02] = np.nan
    return {
        "words": words,
        "characters": words * 5 + generator.poisson(8, rows),
        "unknown_words": unknown,
        "capitals": np.where(generator.random(rows) < 0.97, 0.0, 0.25),
        "letters": np.full(rows, 0.8),
        "predicted_class": generator.choice(4, rows, p=[0.6, 0.37, 0.028, 0.002]).astype(float),
        "confidence": generator.beta(4, 2, rows).round(4),
    }


def false_alarms(windows: int, *, size: int = 250, rows: int = 872) -> tuple[int, int, int]:
    """Count windows of the same distribution that are significant at 5 %, at 0.1 %, and that differ."""
    generator = np.random.default_rng(windows)
    significant = strict = differ = 0
    for _ in range(windows):
        reference = Profile("classify", ("a", "b", "c", "d"), columns_like(generator, rows), None, "validation", rows)
        found = Comparer(reference).compare(columns_like(generator, size))
        smallest = min(one.p_holm for one in found)
        significant += smallest < 0.05
        strict += smallest < 0.001
        differ += any(one.differs for one in found)
    return significant, strict, differ


def test_windows_of_the_same_distribution_are_seldom_significant():
    significant, strict, differ = false_alarms(250)
    assert significant <= stats.binom.ppf(1 - 1e-6, 250, 0.05)
    assert strict <= stats.binom.ppf(1 - 1e-6, 250, 0.001)
    assert differ == 0


@pytest.mark.slow
def test_two_thousand_windows_raise_nothing():
    significant, strict, differ = false_alarms(2000)
    assert significant <= stats.binom.ppf(1 - 1e-6, 2000, 0.05)
    assert strict <= stats.binom.ppf(1 - 1e-6, 2000, 0.001)
    assert differ == 0


def test_a_small_reference_raises_nothing():
    assert false_alarms(60, rows=100)[2] == 0


def test_a_large_window_does_not_differ_for_a_trifle():
    generator = np.random.default_rng(0)
    rows = {"words": generator.normal(100, 10, 20_000).round()}
    profile = Profile("score", (), {"words": generator.normal(101, 10, 20_000).round()}, None, "validation", 20_000)
    (found,) = Comparer(profile).compare(rows)
    assert found.p_holm < 1e-6
    assert found.stability.psi < 0.05
    assert not found.differs


def test_a_constant_feature_is_seen_to_change():
    profile = Profile("score", (), {"capitals": np.zeros(500)}, None, "validation", 500)
    (same,) = Comparer(profile).compare({"capitals": np.zeros(250)})
    (other,) = Comparer(profile).compare({"capitals": np.where(np.arange(250) % 3, 0.0, 0.5)})
    assert (same.stability.bins, same.p_holm, same.differs) == (1, 1.0, False)
    assert other.differs


def test_the_same_constant_has_no_index_and_says_why():
    profile = Profile("score", (), {"capitals": np.zeros(500), "words": np.arange(500.0)}, None, "validation", 500)
    same, words = (one.to_dict() for one in Comparer(profile).compare({"capitals": np.zeros(250), "words": np.ones(9)}))
    assert (same["psi"], same["low"], same["p_value"], same["compared"]) == (None, None, None, False)
    assert "one bin" in same["reason"]
    assert (words["compared"], words["reason"]) == (True, None)
    assert words["psi"] > 0
    (none,) = found = Comparer(profile).compare({"capitals": np.full(250, np.nan)})
    assert largest_difference(found) is None
    assert none.to_dict()["psi"] is None
    assert "No text" in none.to_dict()["reason"]


@pytest.mark.parametrize("distinct", [8, 20, 50])
def test_capitals_are_seen_after_lower_case_training_texts_also_with_copies(distinct):
    texts = [text.lower() for text in random_texts(400, seed=1)]
    profile = build_profile(task="classify", train=texts, held_out=texts[:300])
    monitor = DriftMonitor(profile, DriftOptions(window=50), model="toy")
    monitor.observe([text.upper() for text in (texts[300 : 300 + distinct] * 50)[:50]])
    last = monitor.report()["last"]
    assert last["effective"] < 51
    assert last["differing"] == ["capitals"]
    found = last["features"]["capitals"]
    assert (found["reference"], found["window"], found["bins"], found["compared"]) == (0.0, 1.0, 2, True)
    assert monitor.psi()["capitals"] == found["psi"] > 1


def watch(monitor: DriftMonitor, count: int, *, seed: int, size: int = 10, **kind: float) -> None:
    for start in range(0, count, size):
        answers = random_answers(size, seed=seed + start)
        monitor.observe(random_texts(size, seed=seed + start, **kind), answers, task="classify")


def test_the_same_traffic_raises_nothing_and_other_traffic_raises_the_alarm_after_two_windows():
    events = []
    monitor = DriftMonitor(classifier_profile(), model="toy", alert=events.append, clock=lambda: 0.0)
    watch(monitor, 2500, seed=10_000)
    assert (monitor.alarm, events, monitor.report()["windows"]) == (False, [], 10)
    watch(monitor, 250, seed=20_000, length=60.0)
    assert monitor.report()["history"][-1]["differs"]
    assert not monitor.alarm
    watch(monitor, 250, seed=30_000, length=60.0)
    assert monitor.alarm
    (event,) = events
    assert (event.change, event.model, event.window, event.texts) == ("raised", "toy", 12, 3000)
    assert {"words", "characters"} <= set(event.features)
    assert "2 windows" in event.sentence
    assert event.time == monitor.report()["since"] == "1970-01-01T00:00:00+00:00"
    watch(monitor, 500, seed=40_000)
    assert monitor.alarm
    watch(monitor, 250, seed=50_000)
    assert not monitor.alarm
    assert [event.change for event in events] == ["raised", "calmed"]
    assert monitor.report()["since"] is None
    for event in events:
        json.dumps(event.to_dict(), allow_nan=False)


@pytest.mark.parametrize("kind", [{"unknown": 0.5}, {"length": 30.0}])
def test_what_has_changed_is_named(kind):
    monitor = DriftMonitor(classifier_profile(), model="toy")
    watch(monitor, 250, seed=10_000, **kind)
    expected = "unknown_words" if "unknown" in kind else "words"
    assert expected in monitor.report()["history"][-1]["differing"]


def test_answers_can_change_while_texts_do_not():
    monitor = DriftMonitor(classifier_profile(), model="toy")
    monitor.observe(random_texts(250, seed=9), random_answers(250, seed=9, positive=0.95))
    (window,) = monitor.report()["history"]
    assert window["differing"] == ["predicted_class"]


@pytest.mark.parametrize("sizes", [(1,), (64,), (249, 2), (1000,)])
def test_requests_of_any_size_make_the_same_windows(sizes):
    texts, answers = random_texts(1000, seed=5), random_answers(1000, seed=5)
    whole = DriftMonitor(classifier_profile(), model="toy", clock=lambda: 0.0)
    parts = DriftMonitor(classifier_profile(), model="toy", clock=lambda: 0.0)
    whole.observe(texts, answers)
    start = turn = 0
    while start < 1000:
        size = sizes[turn % len(sizes)]
        parts.observe(texts[start : start + size], answers[start : start + size])
        start, turn = start + size, turn + 1
    assert parts.report() == whole.report()
    assert whole.report()["windows"] == 4


HOSTILE = {
    "empty texts": [""] * 250,
    "long texts": ["word " * 4000] * 250,
    "one text": ["the same text"] * 250,
    "no words": ["\u200d \n"] * 250,
    "half pairs": ["\ud83d"] * 250,
}


@pytest.mark.parametrize("texts", HOSTILE.values(), ids=HOSTILE.keys())
@pytest.mark.parametrize("rows", [1, 3, 100])
@pytest.mark.parametrize("answer", [None, {"label": "negative", "probabilities": {"negative": 1.0}}, {"label": "new"}])
def test_any_window_has_a_report_without_nan(texts, rows, answer):
    profile = classifier_profile(rows)
    monitor = DriftMonitor(profile, DriftOptions(window=50, alarm_after=1), model="toy")
    monitor.observe(texts, None if answer is None else [answer] * 250)
    json.dumps(monitor.report(), allow_nan=False)
    assert monitor.report()["windows"] == 5
    assert all(np.isfinite(value) for value in monitor.psi().values())
    if rows < 10:
        assert not monitor.alarm  # too little to compare with


def test_refused_items_count_as_texts_without_answers():
    monitor = DriftMonitor(classifier_profile(), DriftOptions(window=50), model="toy")
    refused = ItemResult(None, ItemError("too_long", "too long"))
    monitor.observe(random_texts(50, seed=0), [refused] * 25 + [ItemResult(one) for one in random_answers(25, seed=0)])
    features = monitor.report()["last"]["features"]
    assert (features["words"]["rows"], features["confidence"]["rows"]) == (50, 25)


def test_other_tasks_are_passed_over():
    monitor = DriftMonitor(classifier_profile(), model="toy")
    monitor.observe(["a prompt"], task="generate")
    assert monitor.report()["texts"] == 0
    monitor.observe(["a text"], task="classify")
    assert monitor.report()["texts"] == 1
    with pytest.raises(DataError, match="1 texts and 2 answers"):
        monitor.observe(["a"], [None, None])


def test_a_tagger_is_asked_for_texts_as_people_write_them(tmp_path):
    words = [text.split() for text in random_texts(200, seed=1)]
    save_text_profile(tmp_path, "tag", train=[], held_out=[" ".join([*row, ",", "!", "?"]) for row in words])
    monitor = DriftMonitor(read_profile(tmp_path), DriftOptions(window=200), model="toy")
    monitor.observe([" ".join(row) + ",!?" for row in words], task="tag")
    assert set(monitor.psi().values()) == {0.0}


def test_before_the_first_window_the_report_says_so():
    monitor = DriftMonitor(classifier_profile(), model="toy")
    monitor.observe(["a text"])
    report = monitor.report()
    assert (report["state"], report["last"], report["window"]) == ("collecting", None, {"size": 250, "filled": 1})
    assert (monitor.psi(), monitor.last_window()) == ({}, {})


def test_a_report_counts_distinct_texts():
    monitor = DriftMonitor(classifier_profile(), DriftOptions(window=50), model="toy")
    monitor.observe(["one", "two"] * 25)
    assert monitor.report()["last"]["distinct"] == 2


@pytest.mark.parametrize("copies", [5, 10, 50, 250])
def test_texts_that_are_sent_again_and_again_raise_nothing(copies):
    profile, texts = classifier_profile(), random_texts(3000, seed=77)
    answers = random_answers(3000, seed=77)
    generator = np.random.default_rng(copies)
    monitor = DriftMonitor(profile, model="toy")
    for _ in range(20):
        sent = np.repeat(generator.choice(3000, 250 // copies, replace=False), copies)
        monitor.observe([texts[place] for place in sent], [answers[place] for place in sent])
    report = monitor.report()
    for window in report["history"]:
        assert window["effective"] == pytest.approx(250 / copies, rel=0.01)
    assert not any(window["differs"] for window in report["history"])


def test_copies_that_are_natural_count_in_full():
    generator = np.random.default_rng(0)
    common = ["yes", "no", "thank you so much", *random_texts(20, seed=4)]
    weights = np.array([0.4, 0.2, 0.1, *[0.015] * 20])
    texts = {size: generator.choice(common, size, p=weights).tolist() for size in (1000, 250)}
    profile = build_profile(task="classify", train=[" ".join(WORDS)], held_out=texts[1000])
    monitor = DriftMonitor(profile, model="toy")
    monitor.observe(texts[250])
    assert monitor.report()["last"]["effective"] == 250
    assert effective_size([text_hash(text) for text in texts[1000]], profile.copies) == 1000
    monitor.observe(random_texts(250, seed=6, length=30))
    assert monitor.report()["last"]["differs"]


@given(st.lists(st.integers(0, 4), min_size=2, max_size=30))
def test_pairs_of_copies_are_counted(hashes):
    pairs = [one == other for one, other in itertools.combinations(hashes, 2)]
    assert chance_of_copies(hashes) == pytest.approx(sum(pairs) / len(pairs))
    assert 1.0 <= effective_size(hashes, 0.0) <= len(hashes)
    assert effective_size(hashes, 1.0) == len(hashes)


def test_what_is_kept_does_not_grow():
    monitor = DriftMonitor(
        build_profile(task="tag", train=["a"], held_out=["a"] * 50), DriftOptions(window=50), model="t"
    )
    for _ in range(HISTORY + 20):
        monitor.observe(["a b"] * 50)
    report = monitor.report()
    assert (len(report["history"]), report["windows"]) == (HISTORY, HISTORY + 20)


def test_an_alert_that_fails_is_logged_and_watching_goes_on(caplog):
    def fail(event):
        raise RuntimeError("no way")

    monitor = DriftMonitor(classifier_profile(), DriftOptions(window=50, alarm_after=1), model="toy", alert=fail)
    monitor.observe(["x" * (500 + number) for number in range(60)])
    assert monitor.alarm
    assert "The alert of toy failed" in caplog.text
    assert monitor.report()["texts"] == 60


def test_many_threads_lose_no_text():
    monitor = DriftMonitor(classifier_profile(), DriftOptions(window=50), model="toy")
    texts = random_texts(125, seed=0)
    threads = [threading.Thread(target=lambda: [monitor.observe([text]) for text in texts]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    report = monitor.report()
    assert (report["texts"], report["windows"], report["window"]["filled"]) == (500, 10, 0)


@pytest.mark.parametrize(
    "wrong", [{"window": 10}, {"alarm_after": 0}, {"calm_after": 0}, {"alpha": 0.0}, {"floor": -1.0}]
)
def test_options_are_checked(wrong):
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        DriftOptions(**wrong)
