from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpladder.config import as_typed, build, option, parse, read_yaml, run_recipe, with_group
from nlpladder.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class Options:
    dataset: str = option(help="the data")
    epochs: float = option(3.0, help="passes")
    seeds: int = option(1, help="runs")
    flag: bool = option(False, help="a switch")
    kind: Literal["full", "lora"] = option("full", help="a choice")
    rungs: tuple[str, ...] = option(("all",), help="a list")
    limit: int | None = option(None, help="may be missing")
    rung_options: dict = option({}, help="nested")


def test_the_command_line_wins_over_the_file_and_the_file_over_the_defaults(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("dataset: a.csv\nepochs: 5\nrungs: [bert, majority]\nrung_options: {bert: {lr: 0.1}}\n")
    options = parse(Options, [str(file), "--epochs", "7", "--flag", "--rung_options.bert.steps", "4"])
    assert (options.dataset, options.epochs, options.flag) == ("a.csv", 7.0, True)
    assert options.rungs == ("bert", "majority")
    assert options.rung_options == {"bert": {"lr": 0.1, "steps": 4}}
    assert options.seeds == 1
    assert options.limit is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--dataset", "x", "--epoch", "3"], "Did you mean 'epochs'"),
        (["--dataset", "x", "--epochs", "many"], "expected a number"),
        (["--dataset", "x", "--seeds", "1.5"], "expected a whole number"),
        (["--dataset", "x", "--kind", "lorra"], "Did you mean 'lora'"),
        (["--dataset", "x", "--flag", "perhaps"], "expected true or false"),
        (["--dataset", "x", "--rung_options.bert.lr"], "needs a value"),
        (["--dataset", "x", "--rung_option.bert.lr", "1"], "Did you mean 'rung_options'"),
        (["--epochs", "3"], "no value for --dataset"),
    ],
)
def test_mistakes_are_told_with_the_nearest_valid_name(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stray.yaml").write_text("seeds: 1\n")
    with pytest.raises(ConfigError, match=message):
        parse(Options, arguments)


def test_an_unknown_key_in_the_file_names_file_and_neighbour(tmp_path):
    file = tmp_path / "c.yaml"
    file.write_text("dataset: a\nepocs: 3\n")
    with pytest.raises(ConfigError, match=r"c\.yaml.*'epocs'.*Did you mean 'epochs'"):
        parse(Options, [str(file)])


def test_a_missing_or_broken_file_is_named(tmp_path):
    (tmp_path / "reviews.yaml").write_text("dataset: [unclosed")
    with pytest.raises(ConfigError, match=r"Did you mean '.*reviews\.yaml'"):
        parse(Options, [str(tmp_path / "review.yaml")])
    with pytest.raises(ConfigError, match="not valid YAML"):
        parse(Options, [str(tmp_path / "reviews.yaml")])


@pytest.mark.parametrize(
    "text, said",
    [
        (b"", r"c\.yaml is empty; expected lines such as 'option: value'"),
        (b"# nothing\n", r"c\.yaml is empty"),
        (b"- a\n", "holds a list"),
        (b"just words", "holds a text"),
        (b"a: 1\nb: [c\nd: 2\n", r"c\.yaml, line 3, column 2 is not valid YAML: .*Expected lines such as"),
        (b"a: \xff\n", r"c\.yaml is not valid YAML: byte 3 is not UTF-8"),
        (b"a: \x00\n", r"c\.yaml is not valid YAML"),
    ],
)
def test_a_file_without_options_is_told_in_a_sentence(tmp_path, text, said):
    file = tmp_path / "c.yaml"
    file.write_bytes(text)
    with pytest.raises(ConfigError, match=said) as caught:
        read_yaml(file)
    assert "unicode string" not in str(caught.value)
    assert "NoneType" not in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_config_file_and_nothing_far_away_is_proposed(tmp_path):
    with pytest.raises(ConfigError, match=r"is a folder; expected a YAML file of options\. It holds none\."):
        read_yaml(tmp_path)
    (tmp_path / "zebra.yaml").write_text("a: 1\n")
    with pytest.raises(ConfigError, match=r"is a folder.*It holds: zebra\.yaml\."):
        read_yaml(tmp_path)
    with pytest.raises(ConfigError) as caught:
        read_yaml(tmp_path / "quiet.yml")
    assert "Did you mean" not in str(caught.value)
    with pytest.raises(ConfigError, match=r"The folder .*absent is missing\."):
        read_yaml(tmp_path / "absent" / "a.yaml")


def test_defaults_are_not_shared_between_instances():
    first, second = build(Options, {"dataset": "a"}, where="test"), build(Options, {"dataset": "b"}, where="test")
    first.rung_options["bert"] = 1
    assert second.rung_options == {}


@given(st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_values_survive_the_way_through_text(seeds, epochs, flag):
    options = parse(Options, ["--dataset", "x", f"--seeds={seeds}", f"--epochs={epochs!r}", f"--flag={flag}"])
    assert (options.seeds, options.epochs, options.flag) == (seeds, epochs, flag)


def test_help_lists_the_keys_of_a_mapping(capsys):
    @dataclass(frozen=True, kw_only=True)
    class Grouped:
        training: dict = option({}, help="settings that differ", keys=Options)

    with pytest.raises(SystemExit):
        parse(Grouped, ["--help"])
    shown = capsys.readouterr().out
    assert "--training.KEY VALUE" in shown
    assert "  epochs: passes (default: 3.0)" in shown


def test_an_option_that_belongs_to_a_mapping_is_told_so():
    @dataclass(frozen=True, kw_only=True)
    class Pairs:
        """Pairs of texts."""

        source_column: str = option("", help="the source")

    @dataclass(frozen=True, kw_only=True)
    class Text:
        """One text."""

        level: str = option("char", help="what a token is")

    @dataclass(frozen=True, kw_only=True)
    class Recipe:
        data: dict = option({}, help="options of the data", keys=(Pairs, Text))

    with pytest.raises(ConfigError, match=r"--source_column. It is a key of data: --data.source_column"):
        parse(Recipe, ["--source_column", "de"])
    with pytest.raises(ConfigError, match=r"'level'. It is a key of data"):
        build(Recipe, {"level": "word"}, where="a.yaml")


def test_errors_name_options_as_the_recipe_takes_them(capsys):
    """The data know nothing of the mapping into which a recipe has put their options."""

    @dataclass(frozen=True, kw_only=True)
    class Data:
        """One source of data."""

        drop_bad_rows: bool = option(False, help="drop them")
        dataset: str = option("", help="the source")
        size: int = option(1, help="rows")

    @dataclass(frozen=True, kw_only=True)
    class Model:
        """One model."""

        size: int = option(1, help="neurons")

    @dataclass(frozen=True, kw_only=True)
    class Recipe:
        dataset: str = option("x", help="the source")
        data: dict = option({}, help="options of the data", keys=Data)
        model: dict = option({}, help="options of the model", keys=Model)

    def typed(text):
        return as_typed(text, Recipe)

    assert typed("pass --drop_bad_rows true.") == "pass --data.drop_bad_rows true."
    assert typed("name it with --drop_bad_rows.") == "name it with --data.drop_bad_rows."
    assert typed("--data.drop_bad_rows, --dataset") == "--data.drop_bad_rows, --dataset"
    assert typed("--size, --other, a--drop_bad_rows") == "--size, --other, a--drop_bad_rows"  # size may be either's

    def main():
        parse(Recipe, ["--data.size", "3"])
        raise DataError("a.csv has a bad row; pass --drop_bad_rows true.")

    with pytest.raises(SystemExit) as ended:
        run_recipe(main)
    assert ended.value.code == 2
    assert "pass --data.drop_bad_rows true." in capsys.readouterr().err


def test_a_group_may_not_say_again_what_an_option_says():
    assert with_group("data", {"encoding": "latin-1"}, dataset="a.txt") == {"dataset": "a.txt", "encoding": "latin-1"}
    with pytest.raises(ConfigError, match=r"--data\.dataset says again what --dataset says"):
        with_group("data", {"dataset": "b.txt"}, dataset="a.txt")


def test_the_names_of_other_tools_lead_to_ours():
    @dataclass
    class Rates:
        learning_rate: float = option(0.1, help="rate")

    @dataclass
    class Flat:
        learning_rate: float = option(0.1, help="rate")
        lr_scheduler: str = option("linear", help="shape")

    @dataclass
    class Grouped:
        training: dict = option({}, help="group", keys=Rates)

    with pytest.raises(ConfigError, match="Unknown option --lr. Did you mean 'learning_rate'?"):
        parse(Flat, ["--lr", "3"])
    with pytest.raises(ConfigError, match="Unknown option --lr. It is a key of training: --training.learning_rate"):
        parse(Grouped, ["--lr", "3"])
