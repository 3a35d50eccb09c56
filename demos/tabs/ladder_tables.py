"""A climb as a table, as points, and as sentences; single runs as a list."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from nlpladder.errors import ConfigError
from nlpladder.ladder import LADDER, Rung, find_rung
from nlpladder.views.ladder_table import foot_notes, table_header, table_rows
from tabs.runs_reading import Climb, Run, is_score, without_folders
from tabs.runs_tables import harmless_markdown, leading_metric, score_text

#: What a score can be set against: the fact in ``ladder.json``, the unit of the tooltip, and what the axis says.
COSTS: Mapping[str, tuple[str, str, str]] = {
    "training time": ("training_seconds", "seconds", "seconds of training"),
    "parameters": ("parameters", "parameters", "parameters"),
    "speed of the trained model": ("inference_examples_per_second", "answers a second", "answers a second"),
}
_TINY = (
    "Tiny models, trained for seconds on a small made-up world: they show the way, not what a rung can do. `make "
    "ladder` and the recipes train in earnest."
)
#: Longest training of a model that counts as tiny: the tiny ladder's take half of it on two quiet cores.
_TINY_SECONDS = 60.0
#: How ``ladder.json`` calls what a world's grammar tells -> how people say it.
_CEILINGS = "Known from the grammar: "
_CEILING = re.compile(
    r"(?:^|(?<=, ))(?:(bayes|best (?:unigram|bigram|trigram|five gram)) )?([^,]+?) (\d[\d.]*(?: %)?)(?=[,.] )"
)
_SEES = {
    "bayes": "of any model", "best unigram": "of a model that sees single words",
    "best bigram": "of a model that sees two words at a time",
    "best trigram": "of a model that sees three words at a time",
    "best five gram": "of a model that sees five words at a time",
}  # fmt: skip
POINT_COLUMNS = ["rung", "cost", "score", "exact cost", "score with 95 % interval", "kind"]
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


def climb_notes(climb: Climb) -> str:
    """Return what one must know to read the table, as Markdown."""
    notes = [_ceilings_in_words(without_folders(note)) for note in foot_notes(climb.content)]
    return harmless_markdown("\n".join(f"- {note}" for note in ([_TINY, *notes] if is_tiny(climb) else notes)))


def is_tiny(climb: Climb) -> bool:
    """Tell whether networks were trained here for seconds on a made-up world, as `demos/tiny_ladder.py` does."""
    trained = [
        float(row["training_seconds"])
        for row in climb.content["rows"]
        if _kind(str(row["rung"])) in (KINDS["neural"], KINDS["pretrained"])
        and isinstance(row.get("training_seconds"), (int, float))
    ]
    made_up = str(climb.content["dataset"]).startswith("world:")
    return made_up and bool(trained) and max(trained) < _TINY_SECONDS


def _ceilings_in_words(note: str) -> str:
    """Return the note on what the grammar of a world tells, in words; another note as it is."""
    if not note.startswith(_CEILINGS):
        return note

    def said(found: re.Match[str]) -> str:
        return f"the best {found[2]} {_SEES[found[1] or 'bayes']} is {found[3]}"

    return _CEILINGS + _CEILING.sub(said, note.removeprefix(_CEILINGS))


def climb_points(climb: Climb, cost: str) -> tuple[pd.DataFrame, str, str]:
    """Return the points of score against cost, and the titles of both axes.

    Args:
        climb: The climb.
        cost: A key of `COSTS`. Its axis is the decimal logarithm: rungs differ by factors.

    Returns:
        A table with `POINT_COLUMNS`; the title of the cost's axis; that of the score's.
    """
    fact, unit, axis = COSTS[cost]
    metric = climb.content["columns"][0]
    points, share = [], False
    for row in climb.content["rows"]:
        score = (row["scores"].get(metric) or {}).get("mean") if row["runs"] else None
        amount = row.get(fact)
        if not is_score(score) or score["value"] is None or not isinstance(amount, (int, float)) or amount <= 0:
            continue
        share = score.get("unit") == "%"
        value = 100 * score["value"] if share else score["value"]
        points.append(
            (row["rung"], math.log10(amount), value, f"{_amount(amount)} {unit}", score_text(score), _kind(row["rung"]))
        )
    name = str(metric).replace("_", " ")
    return (
        pd.DataFrame(points, columns=POINT_COLUMNS).astype({"cost": float, "score": float}),
        f"{axis} (log scale: 0 is 1, 1 is 10, 2 is 100, 3 is 1,000)",
        f"{name} in %" if share else name,
    )


def score_limits(points: pd.DataFrame) -> list[float] | None:
    """Return the range of the score's axis, with a margin; None where there is nothing to show."""
    if points.empty:
        return None
    low, high = float(points["score"].min()), float(points["score"].max())
    margin = 0.08 * (high - low) or 1.0
    return [low - margin, high + margin]


def kinds_of(points: pd.DataFrame) -> list[str]:
    """Return the kinds of rungs among the points, in the order of the ladder."""
    return [kind for kind in (*KINDS.values(), "other") if kind in set(points["kind"])]


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
            lines.append(f"- {str(metric).replace('_', ' ').capitalize()}: {score_text(score)}, n = {score['n']:,}")
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
        score = f"{lead.replace('_', ' ')} {score_text(run.scores[lead])}" if lead else "not measured"
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


def known_rung(name: str) -> Rung | None:
    """Return the rung of this name, None where it is of another program."""
    try:
        return find_rung(name)
    except ConfigError:
        return None


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
    return KINDS[rung.kind] if rung is not None else "other"


def _paper(rung: Rung) -> str:
    return f"{rung.paper} ({rung.year})" if rung.year else rung.paper


def _module(rung: Rung) -> str:
    return rung.model.partition(":")[0].replace(".", "/") + ".py"


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _amount(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:,.2f}".rstrip("0").rstrip(".")
