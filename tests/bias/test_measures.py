"""The registry: every entry resolves, protocols decide what is offered, mistakes end in sentences."""

from __future__ import annotations

import ast
import inspect

import numpy as np
import pytest

from bias import fake_measures
from bias.fake_measures import Reader, Speaker
from helpers import REPOSITORY, run_python
from nlpladder import protocols
from nlpladder.bias import measure_table
from nlpladder.bias.findings import Findings
from nlpladder.bias.measures import (
    all_measures,
    measure_named,
    offered_measures,
    offering_hint,
    open_given_data,
    resolve,
    selected_measures,
)
from nlpladder.bias.statistics.estimates import StatisticsOptions
from nlpladder.errors import ConfigError, DataError

ENTRIES = list(all_measures().values())


@pytest.fixture
def table(monkeypatch):
    monkeypatch.setattr(measure_table, "TABLE", fake_measures.TABLE)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_entry_is_whole(entry):
    """Its functions are there, and take what evaluation gives them."""
    assert entry.title
    assert entry.source
    assert entry.needs
    assert all(hasattr(protocols, name) for name in entry.needs)
    parameters = inspect.signature(resolve(entry.function)).parameters
    assert list(parameters)[:2] == ["model", "data"]
    assert parameters["statistics"].kind is inspect.Parameter.KEYWORD_ONLY
    for name in (*entry.arguments, *entry.needed_options):
        assert parameters[name].kind is inspect.Parameter.KEYWORD_ONLY, name
    filled = {*entry.arguments, *entry.needed_options}
    needed = {name for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY and one.default is one.empty}
    assert needed <= filled
    assert (entry.loader == "") == (entry.data == "")
    if entry.loader:
        assert callable(resolve(entry.loader))
    if entry.built_in:
        assert entry.open_data(None) is not None


def test_names_are_told_apart():
    names = [entry.name for entry in measure_table.TABLE]
    assert len(set(names)) == len(names)
    assert not {entry.data for entry in ENTRIES} - {""} & set(names) - {
        "weat",
        "winobias",
        "winogender",
        "bbq",
        "honest",
    }


def test_the_recipe_has_an_option_for_every_data_set():
    tree = ast.parse((REPOSITORY / "recipes" / "evaluate_bias.py").read_text(encoding="utf-8"))
    options = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "DataOptions")
    fields = {node.target.id for node in options.body if isinstance(node, ast.AnnAssign)}
    assert fields == {entry.data for entry in ENTRIES if entry.data}


def test_protocols_decide_what_is_offered():
    speaker = {entry.name for entry in offered_measures(Speaker())}
    reader = {entry.name for entry in offered_measures(Reader())}
    assert "crows_causal_sum" in speaker
    assert "occupation_log_odds" in speaker
    assert "crows_pll" not in speaker
    assert "subgroup_auc" in reader
    assert not speaker & reader

    class Vectors:
        words = ("he",)
        vectors = np.ones((1, 2))

        def embed(self, words):
            return self.vectors

    assert "weat" in {entry.name for entry in offered_measures(Vectors())}


def test_all_takes_what_has_its_data(table):
    assert [entry.name for entry in selected_measures(["all"], [])] == ["prefer", "fails"]
    assert [entry.name for entry in selected_measures(["all"], ["foreign"])] == ["prefer", "fails", "foreign"]
    options = {"two": {"words": ["a"]}}
    assert [entry.name for entry in selected_measures(["all"], [], options)] == ["prefer", "fails", "two"]
    assert [entry.name for entry in selected_measures(["pairs"], ["pairs"])] == ["prefer"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["prefers"], "Did you mean 'prefer'"),
        (["foreign"], "--foreign"),
        (["two"], "--measure_options.two.words"),
    ],
)
def test_a_wrong_choice_is_a_sentence(table, names, message):
    with pytest.raises(ConfigError, match=message):
        selected_measures(names, [])


def test_data_are_opened_from_a_path_or_are_our_own(table):
    entry = measure_named("prefer")
    assert len(entry.open_data(None)) == 30
    assert len(entry.open_data("file.csv")) == 30
    quick = StatisticsOptions(resamples=50)
    assert isinstance(entry.measure(Speaker(), entry.open_data(None), statistics=quick)[0], Findings)
    with pytest.raises(DataError, match="no column sent_more"):
        entry.open_data("missing.csv")
    with pytest.raises(DataError, match="not shipped: name them with --foreign"):
        measure_named("foreign").open_data(None)
    with pytest.raises(ConfigError, match="items of its own"):
        measure_named("fails").open_data("x.csv")
    with pytest.raises(ConfigError, match="Did you mean 'prefer'"):
        measure_named("prefr")


def test_the_registry_imports_nothing_heavy():
    code = (
        "import sys, nlpladder.bias.measures as m, nlpladder.bias.statistics.estimates; m.all_measures();"
        "heavy = ('torch', 'transformers', 'datasets', 'sklearn', 'numba', 'matplotlib', 'scipy');"
        "print([x for x in heavy if x in sys.modules])"
    )
    result = run_python("-c", code)
    assert result.stdout.strip() == "[]", result.stderr


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("rmd", "rnd"), ("mca", "mac"), ("wea", "weat"), ("weet", "weat"), ("seatt", "seat"), ("crow_pll", "crows_pll"),
        ("rnx", "rnd"), ("xyz", ""), ("mbb", ""), ("crw", ""), ("a", ""),
    ],
)  # fmt: skip
def test_to_short_names_only_one_slip_is_near(name, hint):
    with pytest.raises(ConfigError) as caught:
        selected_measures([name], {})
    assert ("Did you mean" in str(caught.value)) == bool(hint)
    assert f"Did you mean {hint!r}" in str(caught.value) or not hint


def test_a_measure_that_the_model_does_not_offer_has_no_namesake():
    """`mac` was no typing error of `rnd`: it is a measure, of other models."""
    assert offering_hint(["lpbs", "bbq"], "mac") == "It offers lpbs, bbq."
    assert offering_hint(["lpbs", "crows_causal_sum"], "crows_pll") == (
        "On --crows_pairs it offers crows_causal_sum; in all lpbs, crows_causal_sum."
    )
    assert offering_hint([], "mac") == "No bias measure sees such a model."


def test_all_measures_on_one_key_read_it_alike():
    """What the first of them opens is given to all."""
    for key in {entry.data for entry in ENTRIES} - {""}:
        assert len({entry.loader for entry in ENTRIES if entry.data == key}) == 1


@pytest.mark.parametrize("key", sorted({entry.data for entry in ENTRIES} - {""}))
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe\x00nonsense"])
def test_missing_and_broken_files_are_told_in_a_sentence(key, content, tmp_path):
    entry = next(entry for entry in ENTRIES if entry.data == key)
    path = tmp_path / "there.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught:
        open_given_data([entry], {key: str(path)})
    assert "there.csv" in str(caught.value)
    assert "Errno" not in str(caught.value)


def test_a_file_that_is_not_there_is_named_once(tmp_path):
    with pytest.raises(DataError) as caught:
        open_given_data([all_measures()["crows_pll"]], {"crows_pairs": str(tmp_path / "a.csv")})
    assert str(caught.value) == f"{tmp_path / 'a.csv'} cannot be read: No such file or directory."


@pytest.mark.parametrize("key", ["crows_pairs", "stereoset", "text"])
def test_a_folder_where_one_file_is_read_says_what_lies_in_it(key, tmp_path):
    entry = next(entry for entry in ENTRIES if entry.data == key)
    with pytest.raises(DataError, match="is a folder without a file"):
        open_given_data([entry], {key: str(tmp_path)})
    for name in ("b.csv", "a.csv.gz", ".hidden", *(f"c{number}" for number in range(6))):
        (tmp_path / name).write_text("x")
    with pytest.raises(DataError) as caught:
        open_given_data([entry], {key: str(tmp_path)})
    assert str(caught.value) == (
        f"{tmp_path} is a folder; name the file in it, such as {tmp_path}/a.csv.gz. It holds a.csv.gz, b.csv, c0, c1, "
        "c2, c3 and 2 more."
    )
