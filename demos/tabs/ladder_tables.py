"""A climb as a table, as points, and as sentences; single runs as a list."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from nlpladder.ladder import LADDER, Rung
from nlpladder.views.ladder_table import metric_title, table_header, table_rows
from tabs.ladder_notes import is_tiny, known_rung
from tabs.ladder_plot import Point
from tabs.runs_reading import Climb, Run, is_score, without_folders
from tabs.runs_tables import harmless_markdown, leading_metric, score_text

#: What a score can be set against: the fact in ``ladder.json``, the unit beside a number, and what the axis says.
COSTS: Mapping[str, tuple[str, str, str]] = {
    "training time": ("training_seconds", "seconds", "seconds of training"),
    "parameters": ("parameters", "parameters", "parameters"),
    "speed of the trained model": ("inference_examples_per_second", "answers a second", "answers a second"),
}
SINGLE_HEADER = ["run", "what", "data", "score [95 %]", "parameters", "training s"]
#: How a recipe of several rungs is told which one.
_CHOSEN_BY = {
    "recipes/climb_ladder.py": " --task {task} --rungs {name}",
    "recipes/train_text_classifier.py": " --rung {name}",
}
_MORE = {
    "unigram": "--order 1", "bigram": "--order 2", "trigram": "--order 3", "five_gram": "--order 5",
    "cbow": "--architecture cbow", "skipgram": "--architecture skipgram", "transformer_lm": "--task language_modeling",
    "seq2seq": "--attention none", "seq2seq_bahdanau": "--attention additive", "seq2seq_luong": "--attention general",
    "bert_lora": "--peft lora",
}  # fmt: skip
KINDS = {"classic": "counted or solved", "neural": "from scratch", "pretrained": "pretrained"}
_OTHER = "other"


def climb_title(climb: Climb) -> str:
    """Return one line on what was climbed."""
    content = climb.content
    state = "" if content.get("complete", True) else " (not finished)"
    task = str(content["task"]).replace("_", " ")
    if task in ("single label", "multi label"):
        task = f"classification, {task}"
    tiny = ", tiny models trained for seconds" if is_tiny(climb) else ""
    return f"{task}, on {short_data(str(content['dataset']))}, {len(content['rows'])} rungs{tiny}{state}"


def short_data(name: str) -> str:
    """Return the name of a data set without folders, and of a world without its sizes."""
    return without_folders(name).partition("?")[0] if name.startswith("world:") else without_folders(name)


def column_widths(header: Sequence[str]) -> list[str]:
    """Return the widths of the table's columns: rung and score stand on the screen of a phone together.

    Args:
        header: Of `climb_table`.
    """
    return ["190px", "165px", *(f"{max(115, 9 * len(name) + 24)}px" for name in header[2:])]


def climb_table(climb: Climb) -> tuple[list[str], list[list[str]]]:
    """Return the heading and the rows of the table of a climb; a rung that failed says why in its second cell."""
    header = table_header(climb.content)
    # The score beside the rung: on the screen of a phone the columns behind it lie beyond the edge.
    score = next(place for place, name in enumerate(header) if name.endswith("[95 %]"))
    order = [0, score, *(place for place in range(1, len(header)) if place != score)]
    rows = []
    for row in table_rows(climb.content):
        cells = [row[place] for place in order] if len(row) == len(header) else row
        rows.append([*map(without_folders, cells), *[""] * (len(header) - len(cells))])
    return [header[place] for place in order], rows


def climb_points(climb: Climb, cost: str) -> tuple[list[Point], str, str]:
    """Return the points of score against cost, and the titles of both axes.

    Args:
        climb: The climb.
        cost: A key of `COSTS`. Rungs without that cost, or where it is 0, have no point: its axis is a logarithm.

    Returns:
        The points, from the plainest rung up; the title of the cost's axis; that of the score's.
    """
    fact, unit, axis = COSTS[cost]
    metric = str(climb.content["columns"][0])
    points, share = [], False
    for row in climb.content["rows"]:
        score = (row["scores"].get(metric) or {}).get("mean") if row["runs"] else None
        amount = row.get(fact)
        if not is_score(score) or score["value"] is None or not isinstance(amount, (int, float)) or amount <= 0:
            continue
        share = score.get("unit") == "%"
        value, low, high = (
            None if score[key] is None else (100 if share else 1) * float(score[key])
            for key in ("value", "low", "high")
        )
        if value is None or not all(one is None or math.isfinite(one) for one in (amount, value, low, high)):
            continue
        points.append(
            Point(
                rung=str(row["rung"]), title=str(row["title"]), cost=float(amount), score=value, low=low, high=high,
                cost_text=f"{_amount(amount)} {unit}", score_text=score_text(score), kind=_kind(str(row["rung"])),
            )
        )  # fmt: skip
    name = metric_title(metric)
    return points, axis, f"{name} in %" if share else name


def row_of_title(climb: Climb, title: Any) -> Mapping[str, Any] | None:
    """Return the row of ``ladder.json`` that a cell of the table's first column stands for."""
    wanted = str(title).removesuffix(" *")
    return next((row for row in climb.content["rows"] if row["title"] == wanted), None)


def rung_text(climb: Climb, row: Mapping[str, Any]) -> str:
    """Return what there is to say of one rung of a climb, as Markdown.

    Args:
        climb: The climb.
        row: One of its rows.
    """
    lines = [f"### {row['title']}", ""]
    rung = known_rung(str(row["rung"]))
    if rung is not None:
        lines += [_sentence(rung.idea), "", f"- Paper: {_paper(rung)}", f"- Code: `src/{_module(rung)}`"]
    elif row.get("idea"):
        lines += [_sentence(str(row["idea"])), ""]
    if row["error"]:
        lines.append(f"- Not finished: {without_folders(str(row['error']))}")
    for metric in climb.content["columns"]:
        score = (row["scores"].get(metric) or {}).get("mean")
        if is_score(score):
            name = metric_title(str(metric))
            lines.append(f"- {name[:1].upper()}{name[1:]}: {score_text(score)}, n = {score['n']:,}")
    if row.get("against_rung_below"):
        lines.append(f"- {comparison_sentence(row['against_rung_below'])}")
    if rung is not None:
        data = without_folders(str(climb.content["dataset"]))
        lines.append(f"- Train it alone: `{recipe_command(rung, data)}`")
    lines += [f"- Its run: `{name}`" for name in runs_of_row(climb, row)]
    lines += [f"- Note: {without_folders(str(note))}" for note in row.get("notes") or []]
    return harmless_markdown("\n".join(lines))


def comparison_sentence(comparison: Mapping[str, Any]) -> str:
    """Say whether a rung differs from the one below it.

    Args:
        comparison: ``against_rung_below`` of ``ladder.json``.
    """
    p, n = float(comparison["p_holm"]), int(comparison["n"])
    below = str(comparison.get("system_b") or "the rung below")
    if p >= 0.05:
        return (
            f"Against `{below}`: no difference was shown (p = {p:.3f}, Holm-corrected, n = {n:,}). That is no proof "
            "that there is none."
        )
    better = (comparison["difference"] > 0) == comparison["higher_is_better"]
    shown = "p < .001" if p < 0.001 else f"p = {p:.3f}"
    return f"Against `{below}`: {'better ▲' if better else 'worse ▼'} ({shown}, Holm-corrected, n = {n:,})."


def runs_of_row(climb: Climb, row: Mapping[str, Any]) -> list[str]:
    """Return the names of a rung's runs that lie in the climb's folder, wherever it was made."""
    names = []
    for path in row["runs"]:
        seed = str(path).replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
        folder = climb.folder / str(row["rung"]) / seed
        if ".." not in (seed, str(row["rung"])) and (folder / "run.json").is_file():
            names.append(f"{climb.name}/{row['rung']}/{seed}".removeprefix("./"))
    return names


def single_runs(runs: Sequence[Run], climbs: Sequence[Climb]) -> list[list[str]]:
    """Return the finished runs that belong to no climb, as rows; see `SINGLE_HEADER`."""
    rows = []
    for run in runs:
        if not run.finished or any(run.folder.is_relative_to(climb.folder) for climb in climbs):
            continue
        lead = leading_metric(run)
        score = f"{metric_title(lead)} {score_text(run.scores[lead])}" if lead else "not measured"
        parameters, seconds = run.record.get("parameters"), run.record.get("training_seconds")
        rows.append(
            [
                run.name,
                run.title,
                run.data,
                score,
                _amount(parameters) if isinstance(parameters, (int, float)) else "",
                f"{seconds:,.1f}" if isinstance(seconds, (int, float)) else "",
            ]
        )
    return rows


def rung_sentences() -> list[list[str]]:
    """Return every rung of the ladder in one sentence: task, rung, what it can do, paper."""
    return [
        [rung.task.replace("_", " "), rung.title, _sentence(rung.idea), _paper(rung)]
        for rung in LADDER
        if rung.name != "loaded_vectors"
    ]


def recipe_command(rung: Rung, data: str) -> str:
    """Return the command that trains one rung alone on data of this name.

    Args:
        rung: The rung.
        data: As ``--dataset`` takes it.
    """
    chosen = _CHOSEN_BY.get(rung.recipe, "").format(name=rung.name, task=rung.task)
    if rung.name in _MORE:
        chosen += f" {_MORE[rung.name]}"
    return f"accelerate launch {rung.recipe} --dataset {shlex.quote(data)}{chosen} --output_dir outputs/{rung.name}"


def _kind(name: str) -> str:
    rung = known_rung(name)
    return KINDS[rung.kind] if rung is not None else _OTHER


def _paper(rung: Rung) -> str:
    return f"{rung.paper} ({rung.year})" if rung.year else rung.paper


def _module(rung: Rung) -> str:
    return rung.model.partition(":")[0].replace(".", "/") + ".py"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _amount(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:,.2f}".rstrip("0").rstrip(".")
