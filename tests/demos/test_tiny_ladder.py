"""The tiny ladder: its plan fits the rungs, it goes on where it stopped, and it overwrites nothing unasked."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nlpladder.data.worlds.stories import StoriesWorld
from nlpladder.errors import ConfigError, RunError
from tiny_benchmark import stories_benchmark
from tiny_climbs import CLIMBS, TinyClimb, build_task
from tiny_ladder import Progress, TinyLadderOptions, climb_plan, train
from tiny_lanes import Climber, lane_seconds, make_lanes, run_lanes

SMALL = TinyClimb(
    folder="small",
    title="a small one",
    task="classification",
    dataset="world:reviews?train=40&validation=10&test=20&unlabeled=0",
    rungs={"majority": 1.0, "naive_bayes": 3.0},
)


@pytest.fixture
def options(tmp_path: Path) -> TinyLadderOptions:
    return TinyLadderOptions(output_dir=str(tmp_path / "demo"))


@pytest.mark.parametrize("climb", CLIMBS, ids=lambda climb: climb.folder)
def test_every_option_of_the_plan_is_one_of_its_rung(climb: TinyClimb) -> None:
    from nlpladder.neural_rungs import sequence_training_options
    from nlpladder.train_embeddings import trainer_options
    from nlpladder.train_language_model import ngram_options
    from nlpladder.train_rung import training_options

    plan = climb_plan(climb, overwrite=False)
    assert set(climb.settings) <= set(climb.rungs)
    assert any(rung.kind == "pretrained" for rung in plan.rungs) == ("encoder" in climb.rungs)
    for rung in plan.rungs:
        settings = plan.settings.get(rung.name)
        if settings is None:
            continue
        if climb.task == "classification":
            training_options(rung, settings)
        elif climb.task == "embeddings":
            trainer_options(rung, settings, 0)
        else:
            (sequence_training_options if rung.kind == "neural" else ngram_options)(rung, settings)


def test_all_tasks_are_climbed_in_two_minutes_of_two_cores_by_plan() -> None:
    assert {climb.task for climb in CLIMBS} == {"classification", "embeddings", "language_modeling", "translation"}
    lanes = make_lanes(CLIMBS, 2)
    assert max(map(lane_seconds, lanes)) < 110
    assert lane_seconds(lanes[0]) / lane_seconds(lanes[1]) == pytest.approx(1, abs=0.25)
    assert len({climb.folder for climb in CLIMBS}) == len(CLIMBS)


def test_the_words_that_are_asked_for_stand_in_the_stories() -> None:
    known = set(re.findall(r"\w+", " ".join(StoriesWorld().generate("train", 4000, 0)["text"]).lower()))
    asked = stories_benchmark()
    pairs = asked.pairs["same_class"]
    assert set(pairs.first) | set(pairs.second) <= known
    assert set(pairs.scores) == {0.0, 1.0}
    assert len(set(zip(pairs.first, pairs.second, strict=True))) == len(pairs)
    (_, questions), = asked.analogies  # fmt: skip
    assert {word for question in questions for word in question} <= known
    assert all(len(set(question)) == 4 for question in questions)


def test_a_climb_is_written_and_read_again(options: TinyLadderOptions, capsys: pytest.CaptureFixture[str]) -> None:
    train(options, climbs=(SMALL,))
    first = capsys.readouterr().out
    assert re.search(r"\[ +0 %, .*\] 1 climbs into", first)
    assert re.search(r"\[ 25 %, .* s left\] small +\[ 2/2\] multinomial naive Bayes", first)
    assert "[100 %" in first
    table = json.loads(Path(options.output_dir, "small", "ladder.json").read_text())
    assert [row["rung"] for row in table["rows"]] == ["majority", "naive_bayes"]
    record = Path(options.output_dir, "small", "naive_bayes", "seed-0", "run.json")
    finished = json.loads(record.read_text())["finished"]
    train(options, climbs=(SMALL,))
    assert json.loads(record.read_text())["finished"] == finished


def test_other_data_are_refused_unless_told_to_overwrite(options: TinyLadderOptions) -> None:
    train(options, climbs=(SMALL,))
    other = dataclasses.replace(SMALL, dataset=SMALL.dataset.replace("train=40", "train=41"))
    with pytest.raises(RunError, match="--overwrite"):
        train(options, climbs=(other,))
    train(dataclasses.replace(options, overwrite=True), climbs=(other,))


def test_a_rung_that_fails_is_told_at_the_end(options: TinyLadderOptions) -> None:
    broken = dataclasses.replace(SMALL, settings={"majority": {"model": {"no_such_setting": 1}}})
    with pytest.raises(RunError, match="small/majority: .*no_such_setting"):
        train(options, climbs=(broken,))
    assert Path(options.output_dir, "small", "naive_bayes", "seed-0", "config.json").is_file()


def test_an_unknown_climb_is_told_with_the_nearest(options: TinyLadderOptions) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'reviews'"):
        train(dataclasses.replace(options, climbs=("review",)))


def test_several_processes_are_refused(options: TinyLadderOptions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="with python"):
        train(options, climbs=(SMALL,))


def test_progress_counts_what_is_done_and_what_is_at_work() -> None:
    lines: list[str] = []
    now = 0.0
    climb = dataclasses.replace(SMALL, folder="other", rungs={"majority": 1.0, "bert": 3.0, "encoder": 4.0})
    progress = Progress((climb, SMALL), lines.append, lambda: now)
    progress.hear(climb, "[ 1/2] majority class, seed 0 ")
    progress.hear(SMALL, "[ 1/2] majority class, seed 0 ")
    now = 3.0  # a second of each is all that counts
    progress.hear(climb, "        pretraining a tiny BERT")
    now = 5.0
    progress.hear(SMALL, "[ 2/2] multinomial naive Bayes, seed 0 ")
    now = 9.0
    progress.hear(climb, "[ 2/2] pretrained BERT, seed 0 (about 9 s left)")
    progress.hear(climb, None)
    progress.say("x")
    told = [re.search(r"\[ *(\d+) %, +(\d+) s(?:, about +(\d+) s left)?\]", line).groups() for line in lines]
    assert told == [
        ("0", "0", None), ("0", "0", None), ("17", "3", "15"), ("33", "5", "10"), ("75", "9", "3"), ("100", "9", None),
    ]  # fmt: skip
    assert lines[4].endswith("] other [ 2/2] pretrained BERT, seed 0")
    assert "] small [ 1/2]" in lines[1]


def test_the_tasks_read_their_worlds() -> None:
    climb = dataclasses.replace(CLIMBS[2], dataset="world:stories?train=20&validation=5&test=5")
    task = build_task(climb)
    assert task.describe()["test_size"] == 5
    assert task.describe()["task"] == "language_modeling"


def tell(climb: TinyClimb, say: Callable[[str], None]) -> list[str]:
    """Climb nothing; say where."""
    say(f"threads {os.environ['OMP_NUM_THREADS']}, first process {os.getpid() == climb.seconds}")
    return [f"{climb.folder} failed"] if climb.folder == "c" else []


def refuse(climb: TinyClimb, say: Callable[[str], None]) -> list[str]:
    raise ConfigError(f"No {climb.folder}.")


def vanish(climb: TinyClimb, say: Callable[[str], None]) -> list[str]:
    os._exit(7)


def press(climb: TinyClimb, say: Callable[[str], None]) -> list[str]:
    raise KeyboardInterrupt


def named(folder: str, seconds: float) -> TinyClimb:
    return dataclasses.replace(SMALL, folder=folder, rungs={"majority": seconds})


def test_lanes_are_as_long_as_each_other_and_none_is_empty() -> None:
    climbs = [named("a", 5.0), named("b", 9.0), named("c", 3.0), named("d", 2.0)]
    assert [[climb.folder for climb in lane] for lane in make_lanes(climbs, 2)] == [["b"], ["a", "c", "d"]]
    assert [len(lane) for lane in make_lanes(climbs, 8)] == [1, 1, 1, 1]


def test_lanes_are_climbed_in_processes_of_their_own() -> None:
    climbs = [named("a", float(os.getpid())), named("b", 2.0), named("c", 1.0)]
    heard: list[tuple[str, str | None]] = []
    failed = run_lanes(make_lanes(climbs, 2), tell, lambda climb, line: heard.append((climb.folder, line)), threads=3)
    assert failed == ["c failed"]
    assert sorted(heard, key=lambda one: (one[0], one[1] is None)) == [
        (name, line) for name in "abc" for line in ("threads 3, first process False", None)
    ]


@pytest.mark.parametrize(
    ("climber", "error", "sentence"),
    [(refuse, ConfigError, "No [ab]."), (vanish, RunError, "A process of the tiny ladder ended with code 7")],
)
def test_what_goes_wrong_in_a_lane_is_told(climber: Climber, error: type[Exception], sentence: str) -> None:
    with pytest.raises(error, match=sentence):
        run_lanes([[named("a", 1.0)], [named("b", 1.0)]], climber, lambda climb, line: None, threads=1)
    assert multiprocessing.active_children() == []


def test_ctrl_c_in_a_lane_shows_no_trace(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RunError, match="code 130"):
        run_lanes([[named("a", 1.0)], [named("b", 1.0)]], press, lambda climb, line: None, threads=1)
    assert "Traceback" not in capfd.readouterr().err
