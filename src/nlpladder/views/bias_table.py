"""The cells of a bias report, for Markdown, HTML and the screen: plain JSON values in, text out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

from nlpladder.views.bias_cells import (
    NOTHING,
    detectable_text,
    effect_text,
    no_bias_text,
    number,
    p_text,
    quality_text,
    score_text,
)

#: Stands before any stereotype is shown.
CONTENT_WARNING = (
    "Content warning: the items below hold stereotypes and offensive language. They were written to measure bias and "
    "state nobody's view."
)

#: Stands for the quality of a measure that an earlier row of it has shown.
AS_ABOVE = "as above"
#: Of tests, after the correction, and the power at which an effect counts as detectable.
LEVEL = 0.05
POWER = 0.8

#: Stands beside every table.
NOT_SHOWN = (
    "A result near no bias does not show that a model is fair: these measures find some biases where they are, and "
    "prove the absence of none. They see few groups, mostly in English, in the sentences of their authors.",
    "A percentage says how often, not how much: pairs that differ by a hair count as much as pairs that differ widely. "
    "The effect in nats says how much.",
    "A measure that is not graded says that there is a bias, not how large it is: do not rank models by it.",
    "A model that is at chance at the task behind a measure (quality) is at no bias as well: this is not evidence of "
    "fairness.",
    "A bias inside a model need not show in what it is used for, and the other way round: measure the task itself too.",
)

HEADER = (
    "model",
    "measure",
    "score [interval]",
    "no bias",
    "effect, nats",
    "n",
    "clusters",
    "p",
    "p (Holm)",
    "detectable by one test",
    "quality",
    "what it shows",
)
CATEGORY_HEADER = (
    "model",
    "category",
    "score [interval]",
    "effect, nats",
    "n",
    "clusters",
    "p",
    "p (Holm)",
    "detectable by one test",
    "what it shows",
)
CHANGE_HEADER = (
    "from",
    "to",
    "measure",
    "category",
    "before",
    "after",
    "difference [interval]",
    "distance to no bias",
    "p",
    "n",
    "quality",
    "what it shows",
)


def overall_rows(content: Mapping[str, Any]) -> list[list[str]]:
    """Return the cells of the main finding of each model and measure, under `HEADER`.

    Args:
        content: What ``bias.json`` holds.
    """
    shown: set[tuple[str, str, str]] = set()
    return [
        [
            row["model"],
            row["measure"] + ("" if row["graded"] else " (not graded)") + _part(row),
            score_text(row["score"]),
            no_bias_text(row),
            effect_text(row["effect"]),
            f"{row['score']['n']:,}",
            f"{row['clusters']:,}",
            p_text(row["p_value"]),
            p_text(row["p_holm"]),
            detectable_text(row),
            _quality_once(row, shown),
            row["verdict"],
        ]
        for row in content["rows"]
        if row["overall"]
    ]


def _quality_once(row: Mapping[str, Any], shown: set[tuple[str, str, str]]) -> str:
    """Return the qualities of a row, or that they are those of a row of the same measure above it."""
    text = quality_text(row["quality"])
    key = (row["model"], row["entry"], text)
    if text == NOTHING or key not in shown:
        shown.add(key)
        return text
    return AS_ABOVE


def category_tables(content: Mapping[str, Any]) -> dict[str, list[list[str]]]:
    """Return the cells of the categories of each measure that has any, under `CATEGORY_HEADER`.

    Args:
        content: What ``bias.json`` holds.
    """
    tables: dict[str, list[list[str]]] = {}
    for row in content["rows"]:
        if row["overall"]:
            continue
        name = row["entry"] if row["entry"] == row["measure"] else f"{row['entry']}: {row['measure']}"
        tables.setdefault(name, []).append(
            [
                row["model"],
                row["category"],
                score_text(row["score"]),
                effect_text(row["effect"]),
                f"{row['score']['n']:,}",
                f"{row['clusters']:,}",
                p_text(row["p_value"]),
                p_text(row["p_holm"]),
                detectable_text(row),
                row["verdict"],
            ]
        )
    return tables


def change_rows(content: Mapping[str, Any]) -> list[list[str]]:
    """Return the cells of the comparisons, under `CHANGE_HEADER`.

    Args:
        content: What ``bias.json`` holds.
    """
    return [
        [
            row["before_model"],
            row["after_model"],
            row["measure"],
            row["category"],
            number(row["before"]),
            number(row["after"]),
            score_text(row["difference"]),
            score_text(row["distance"]),
            p_text(row["p_value"]),
            f"{row['items']:,}",
            "; ".join(
                f"{name.replace('_', ' ')} {score_text(first, interval=False)} → {score_text(second, interval=False)}"
                for name, (first, second) in row["quality"].items()
            )
            or NOTHING,
            row["verdict"],
        ]
        for row in content["comparisons"]
    ]


def heterogeneity_sentences(content: Mapping[str, Any]) -> list[str]:
    """Return a sentence a model and measure on whether its categories differ.

    Args:
        content: What ``bias.json`` holds.
    """
    sentences = []
    for row in content["heterogeneity"]:
        about = f"{row['model']}, {row['measure']}"
        counted = "fewest" in row  # not in earlier reports
        few = [(name, count) for name, count in _left_out(row) if count < row["fewest"]] if counted else []
        alike = [name for name, count in _left_out(row) if count >= row["fewest"]] if counted else []
        parts = []
        if row["p_value"] is None:
            parts.append(f"{about}: not tested, for fewer than two categories can be weighed.")
        else:
            verdict = "differ" if row["p_value"] <= LEVEL else "are not shown to differ"
            parts.append(
                f"{about}: the {len(row['categories'])} categories{_of_clusters(row)} "
                f"{verdict} (Q {row['statistic']:.2f}, {row['degrees']} degrees of freedom, "
                f"p {p_text(row['p_value'])}, {row['method']})."
            )
        if few:
            told = _listed((f"{name} ({count:,})" for name, count in few), most=12)
            parts.append(f"Left out for fewer than {row['fewest']} clusters: {told}.")
        if alike:
            parts.append(f"Left out because all their clusters agree: {_listed(alike, most=12)}.")
        if row["left_out"] and not counted:
            parts.append(f"Too small to be weighed: {', '.join(row['left_out'])}.")
        sentences.append(" ".join(parts))
    return sentences


def _of_clusters(row: Mapping[str, Any]) -> str:
    return f", of {min(row['clusters']):,} clusters or more," if row.get("clusters") else ""


def _left_out(row: Mapping[str, Any]) -> list[tuple[str, int]]:
    return list(zip(row["left_out"], row["left_out_clusters"], strict=True))


def notes_of(content: Mapping[str, Any]) -> list[str]:
    """Return what a reader must know of single findings, each sentence once with those that it is about.

    Args:
        content: What ``bias.json`` holds.
    """
    about: dict[str, dict[tuple[str, str], list[str]]] = {}
    rows_of: dict[tuple[str, str], int] = {}
    several = len(content["models"]) > 1
    for row in content["rows"]:
        one = (row["measure"], row["model"])
        rows_of[one] = rows_of.get(one, 0) + 1
        part = _part(row) if row["overall"] else f", {row['category']}"
        where = f"{row['measure']}{part}" + (f", {row['model']}" if several else "")
        for note in dict.fromkeys((*row["notes"], row["score"]["note"])):
            if note:
                about.setdefault(note, {}).setdefault(one, []).append(where)
    sentences = []
    for note, found in about.items():
        names: list[str] = []
        for (measure, model), places in found.items():
            # What is true of all rows of a measure is a note on the measure.
            whole = f"{measure}, {model}" if several else measure
            names += [whole] if len(places) == rows_of[measure, model] else places
        sentences.append(f"{_listed(names)}: {note}")
    return sentences


def skipped_rows(content: Mapping[str, Any]) -> list[str]:
    """Return what was not measured: a sentence for each reason and all measures that it holds for.

    Args:
        content: What ``bias.json`` holds.
    """
    by_reason: dict[str, list[str]] = {}
    for model in content["models"]:
        for name, reason in model["skipped"].items():
            by_reason.setdefault(reason, []).append(name)
    return [f"{', '.join(dict.fromkeys(names))}: {reason}" for reason, names in by_reason.items()]


def method_sentences(content: Mapping[str, Any]) -> list[str]:
    """Return how the numbers were computed.

    Args:
        content: What ``bias.json`` holds.
    """
    statistics = content["statistics"]
    tests = sum(row["p_value"] is not None for row in content["rows"])
    return [
        f"Intervals have a level of {statistics['confidence']:.0%} and treat clusters (target terms, occupations, "
        "templates) as the independent units; each row of bias.json says how its own was computed.",
        "n counts items, clusters the units that were resampled: where attribute words, sentiment words or pairs are "
        "resampled instead of the items, there may be more of them.",
        f"p is two-sided, of no bias; p (Holm) is corrected over all {tests:,} tests of this report.",
        detectable_sentence(content),
        *(
            ["Expected by chance: the mean over shuffled groups. The worst of several groups is off by noise alone."]
            if any(row.get("expected") is not None for row in content["rows"])
            else []
        ),
        f"Seed {statistics['seed']}, {statistics['resamples']:,} resamples.",
        *_seconds(content),
        *too_few_resamples(content),
    ]


def _seconds(content: Mapping[str, Any]) -> list[str]:
    """Return how long the measures of each model took, the longest first."""
    sentences = []
    for model in content["models"]:
        seconds = sorted(model.get("seconds", {}).items(), key=lambda one: -one[1])
        if seconds:
            told = ", ".join(f"{name} {value:.1f}" for name, value in seconds[:12])
            more = f" and {len(seconds) - 12} more" if len(seconds) > 12 else ""
            total = sum(value for _, value in seconds)
            sentences.append(f"Seconds of {model['name']}: {total:.1f} in all; {told}{more}.")
    return sentences


def detectable_sentence(content: Mapping[str, Any]) -> str:
    """Return how the detectable distance and the verdict after the correction go together.

    Args:
        content: What ``bias.json`` holds.
    """
    tests = sum(row["p_value"] is not None for row in content["rows"])
    first = (
        f"Detectable by one test: the smallest distance from no bias that a single test of level {LEVEL:g} finds with "
        f"a power of {POWER:g}; a smaller one is found now and then"
    )
    if tests < 2:
        return f"{first}."
    normal = NormalDist()
    sides = [normal.inv_cdf(1.0 - LEVEL / 2.0 / count) + normal.inv_cdf(POWER) for count in (1, tests)]
    return (
        f"{first}, and what a row shows is decided after the correction over {tests:,} tests, where it takes up to "
        f"{sides[1] / sides[0]:.1f} times as much, and nothing suffices where clusters or words are too "
        "few for a p that small."
    )


def too_few_resamples(content: Mapping[str, Any]) -> list[str]:
    """Return a sentence where no random p-value can be small enough to remain after the correction.

    Args:
        content: What ``bias.json`` holds.
    """
    tests = sum(row["p_value"] is not None for row in content["rows"])
    resamples = content["statistics"]["resamples"]
    if tests <= LEVEL * (resamples + 1):
        return []
    return [
        f"Of {resamples:,} random resamples no p-value is below {1 / (resamples + 1):.2g}, which is above "
        f"{LEVEL:g} after Holm's correction over {tests:,} tests: take --resamples {math.ceil(tests / LEVEL):,} or "
        "more."
    ]


def _part(row: Mapping[str, Any]) -> str:
    return "" if row["category"] in ("all", "") else f", {row['category']}"


def _listed(names: Iterable[str], most: int = 4) -> str:
    found: Sequence[str] = list(dict.fromkeys(names))
    return "; ".join(found) if len(found) <= most else f"{'; '.join(found[:most])} and {len(found) - most} more"
