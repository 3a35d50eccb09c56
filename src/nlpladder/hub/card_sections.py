"""The sections of a card that a run's record and metrics fill: results, bias, data, training, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nlpladder.evaluation.intervals import Score
from nlpladder.hub.card_names import public_name, public_text
from nlpladder.hub.card_settings import settings_section
from nlpladder.hub.card_texts import CardText
from nlpladder.hub.energy import energy_sentence
from nlpladder.hub.evaluation_results import scores_of
from nlpladder.views.bias_cells import detectable_text, effect_text, no_bias_text, p_text, quality_text, score_text

#: Parts of metrics.json that hold scores and are no further split of the data.
_NOT_SPLITS = ("before", "bias")
_SPLITS = ("train", "validation", "test")
_NO_BIAS = "No bias measurement was made in this run."
_NO_PROOF = (
    "A measurement that shows no bias does not show that there is none. It sees few groups, in the sentences of its "
    "authors, and may miss what this model does where it is used."
)
_HOW_TO_READ = (
    "Detectable by one test: the smallest distance from no bias that so many items would show in a single test; what a "
    "row shows is decided after the correction over all tests, which takes more. A model that is at chance in the "
    "quality beside a score shows nothing."
)


def results_section(text: CardText, metrics: Mapping[str, Any]) -> str:
    """Return the scores with intervals, n and units; then those of further splits, and those before the training.

    Args:
        text: Of the task.
        metrics: Content of ``metrics.json``.
    """
    scores = scores_of(metrics)
    tested = str(metrics.get("tested") or f"{metrics.get('split', 'test')} split, {metrics.get('n', 0):,} examples")
    parts = [f"Tested on: {public_text(tested).rstrip('.')}. {text.results}", score_table(scores.values())]
    parts += [public_text(str(metrics[key])) for key in ("scoring",) if metrics.get(key)]
    if metrics.get("signatures"):
        parts.append("\n".join(f"- {name}: `{signature}`" for name, signature in metrics["signatures"].items()))
    before = scores_of(metrics.get("before") or {})
    if before:
        parts.append(f"The same, before this training:\n\n{score_table(before.values())}")
    if (metrics.get("gain") or {}).get("sentence"):
        parts.append(f"{_sentence(metrics['gain']['sentence'])}.")
    for name, part in metrics.items():
        if isinstance(part, Mapping) and "scores" in part and name not in _NOT_SPLITS:
            what = part.get("tested") or f"split {name}, {part.get('n', 0):,} examples"
            parts.append(f"{_sentence(str(what))}:\n\n{score_table(scores_of(part).values())}")
    return "\n\n".join(part for part in parts if part)


def score_table(scores: Any) -> str:
    """Return a table of scores with their notes under it; a score without a value is named with its reason.

    Args:
        scores: `Score` objects.
    """
    listed = list(scores)
    rows = [
        f"| {one.name} | {one.format()} | {one.n:,} | {_unit(one)} | {'higher' if one.higher_is_better else 'lower'} |"
        for one in listed
        if one.value is not None
    ]
    if not rows:
        return "\n".join(f"- {one.name} has no value: {public_text(one.note)}" for one in listed)
    levels = sorted({one.confidence for one in listed if one.low is not None})
    head = f"value [{', '.join(f'{100 * level:g} %' for level in levels)} interval]" if levels else "value"
    table = "\n".join([f"| metric | {head} | n | unit | better |", "|---|---|---|---|---|", *rows])
    notes = [f"- {one.name}: {public_text(one.note)}" for one in listed if one.value is not None and one.note]
    notes += [f"- {one.name} has no value: {public_text(one.note)}" for one in listed if one.value is None]
    methods = sorted({one.method for one in listed if one.method})
    notes += [f"- Intervals: {'; '.join(methods)}."] if methods else []
    return "\n\n".join(part for part in (table, "\n".join(notes)) if part)


def climb_section(rung: str, folder: str, climb: Mapping[str, Any] | None) -> str:
    """Return what a climb adds to a run: the mean over its seeds, and the test against the rung below.

    Args:
        rung: Name of the rung.
        folder: Last part of the run folder, such as ``seed-0``.
        climb: Content of ``ladder.json``, None where the run belongs to no climb.
    """
    row = next((one for one in (climb or {}).get("rows", ()) if one["rung"] == rung and one["scores"]), None)
    if climb is None or row is None:
        return ""
    lines = []
    if row["seeds"] > 1:
        lines.append(f"This is one of {row['seeds']} runs with different seeds ({folder}). Over all of them:")
        cells = ["| metric | mean [interval] | deviation over seeds | n |", "|---|---|---|---|"]
        for name in climb["columns"]:
            if name in row["scores"] and row["scores"][name]["mean"]["value"] is not None:
                score = Score.from_dict(row["scores"][name]["mean"])
                deviation = row["scores"][name].get("deviation")
                factor = 100.0 if score.unit == "%" else 1.0
                shown = "–" if deviation is None else f"{deviation * factor:.3g}"
                cells.append(f"| {name} | {score.format()} | {shown} | {score.n:,} |")
        lines.append("\n".join(cells))
    if row.get("against_rung_below"):
        lines.append(_comparison(climb, rung, row["against_rung_below"]))
    return "\n\n".join(line for line in lines if line)


def _comparison(climb: Mapping[str, Any], rung: str, found: Mapping[str, Any]) -> str:
    below = next((one["title"] for one in climb["rows"] if one["rung"] == found["system_b"]), found["system_b"])
    factor, unit = (100.0, " percentage points") if found["unit"] == "%" else (1.0, "")
    between = ""
    if found["low"] is not None and found["high"] is not None:
        between = f" [{factor * found['low']:+.3g}, {factor * found['high']:+.3g}]"
    p_value = f"p = {found['p_holm']:.2g}" if found["p_holm"] >= 1e-4 else "p < 0.0001"
    return (
        f"Against the rung below ({below}), on the same {found['n']:,} {climb['test_unit']}: "
        f"{factor * found['difference']:+.3g}{between}{unit} in {found['metric'].replace('_', ' ')}, "
        f"two-sided {p_value} ({found['test'].replace('_', ' ')}, Holm-corrected over the climb). {found['note']}"
    ).rstrip()


def bias_section(metrics: Mapping[str, Any]) -> str:
    """Return what was measured of bias; empty where nothing was.

    Args:
        metrics: Content of ``metrics.json``.
    """
    found = metrics.get("bias")
    if not isinstance(found, Mapping) or not found.get("scores"):
        return ""
    parts = [public_text(str(found["tested"]))] if found.get("tested") else []
    findings = found.get("findings") or ()
    parts.append(_findings_table(findings) if findings else score_table(scores_of(found).values()))
    parts += [public_text(str(note)) for note in found.get("notes", ())]
    parts.append(_NO_PROOF)
    return "\n\n".join(parts)


def _findings_table(findings: Sequence[Mapping[str, Any]]) -> str:
    """Return findings as a table, with what each could have seen and what it shows, and their sources."""
    rows = []
    for one in findings:
        score = one["score"]
        cells = (
            public_text(_measure_name(one)), score_text(score), no_bias_text(one),
            effect_text(one["effect"]), f"{score['n']:,} / {one['clusters']:,}", p_text(one["p_holm"]),
            detectable_text(one), public_text(quality_text(one["quality"])), public_text(one["verdict"]),
        )  # fmt: skip
        rows.append(f"| {' | '.join(cells)} |")
    head = (
        "| measure | score, 95 % interval | no bias | effect, nats | items / clusters | p (Holm) "
        "| detectable by one test | quality | what it shows |\n|---|---:|---:|---:|---:|---:|---:|---|---|"
    )
    levels = {one["score"]["confidence"] for one in findings}
    if levels != {0.95}:
        head = head.replace("95 % interval", "interval")
    sources = list(
        dict.fromkeys(f"{one['measure']}: {public_text(str(one['source']))}" for one in findings if one.get("source"))
    )
    told = f"\n\nSources: {'; '.join(sources)}." if sources else ""
    return "\n".join([head, *rows]) + f"\n\n{_HOW_TO_READ}{told}"


def _measure_name(finding: Mapping[str, Any]) -> str:
    name = str(finding["measure"])
    if finding["category"] not in ("all", ""):
        name += f", {finding['category']}"
    return name if finding["graded"] else f"{name} (not graded)"


def limits_section(text: CardText, metrics: Mapping[str, Any]) -> str:
    """Return the limits, and that bias was not measured where it was not.

    Args:
        text: Of the task.
        metrics: Content of ``metrics.json``.
    """
    return text.limits if bias_section(metrics) else f"{text.limits} {_NO_BIAS}"


def data_section(record: Mapping[str, Any], name: str) -> str:
    """Return name, fingerprint, sizes of the splits, how they were made, and what is known of them.

    Args:
        record: Content of ``run.json``.
        name: Of the data.
    """
    data, told = record.get("data") or {}, record["identity"].get("data") or {}
    rows = data.get("rows") or {}
    order = sorted(rows, key=lambda split: _SPLITS.index(split) if split in _SPLITS else len(_SPLITS))
    sizes = ", ".join(f"{rows[split]:,} {split}" for split in order)
    if record.get("texts") and not sizes:
        sizes = f"{record['texts']:,} texts"
    fingerprint = f"fingerprint `{str(told['fingerprint'])[:16]}`" if told.get("fingerprint") else "no fingerprint"
    if told.get("unit"):
        sizes = f"{sizes} ({told['unit']}s)" if sizes else ""
    first = f"{name}: {'; '.join(part for part in (sizes, fingerprint) if part)}."
    notes = [f"- {public_text(str(note))}" for note in data.get("notes") or ()]
    ceilings = data.get("ceilings") or {}
    if ceilings:
        known = ", ".join(f"{key.replace('_', ' ')} {value:.4g}" for key, value in ceilings.items())
        notes.append(f"- Known of this data: {known}.")
    return "\n\n".join(part for part in (first, "\n".join(notes)) if part)


def training_section(record: Mapping[str, Any], metrics: Mapping[str, Any], base: str | None) -> str:
    """Return what was trained, how long, and with which settings.

    Args:
        record: Content of ``run.json``.
        metrics: Content of ``metrics.json``, whose sentence on the gain stands among the results.
        base: Name of the model that it started from.
    """
    total, trained = record.get("parameters"), record.get("trainable_parameters")
    seed = record["identity"].get("seed", 0)
    facts = [f"Started from {base}", f"seed {seed}"] if base else [f"Seed {seed}"]
    if total is not None:
        share = "" if trained in (None, total) else f", {trained:,} of them trained"
        facts.append(f"{total:,} parameters{share}")
    if record.get("steps"):
        planned = record.get("planned_steps") or record["steps"]
        facts.append(f"{record['steps']:,} steps" + (f" of {planned:,} planned" if planned != record["steps"] else ""))
    if record.get("training_precision"):
        facts.append(f"computed in {record['training_precision']}")
    gain = (metrics.get("gain") or {}).get("sentence")
    notes = "\n".join(f"- {_sentence(str(note)).rstrip('.')}." for note in record.get("notes") or () if note != gain)
    parts = (f"{'; '.join(facts)}.", notes, settings_section(record["identity"]))
    return "\n\n".join(part for part in parts if part)


def cost_section(record: Mapping[str, Any], text: CardText) -> str:
    """Return time, hardware, memory, energy, speed, versions and commit.

    Args:
        record: Content of ``run.json``.
        text: Of the task.
    """
    environment, seconds = record.get("environment") or {}, float(record.get("training_seconds") or 0.0)
    hardware = str(environment.get("hardware") or "unknown hardware")
    lines = [f"{_duration(seconds)} of training on {hardware}."]
    if record.get("inference_examples_per_second"):
        lines.append(
            f"{record['inference_examples_per_second']:,.0f} {text.speed_unit}/s at inference on the same machine."
        )
    elif record.get("tokens_per_second"):
        lines.append(f"{record['tokens_per_second']:,.0f} tokens/s in training.")
    if record.get("peak_memory_mib"):
        lines.append(f"Peak memory of the process up to then: {record['peak_memory_mib']:,.0f} MiB.")
    if energy := energy_sentence(hardware, seconds, record.get("energy")):
        lines.append(energy)
    versions = ", ".join(f"{name} {version}" for name, version in (environment.get("versions") or {}).items())
    made = [f"Versions: {versions}."] if versions else []
    if environment.get("git_commit"):
        made.append(f"Commit of nlpladder: `{environment['git_commit']}`.")
    if record.get("finished"):
        made.append(f"Finished {record['finished']}.")
    return "\n".join([*lines, *made])


def data_name(identity: Mapping[str, Any]) -> str:
    """Return the name of the data as a card may say it.

    Args:
        identity: Of ``run.json``.
    """
    data = identity.get("data") or {}
    return public_name(str(data.get("name") or data.get("dataset") or "unnamed data"))


def label_names(labels: Sequence[str], *, most: int = 12) -> str:
    """Return labels for a sentence, cut where there are many.

    Args:
        labels: By id.
        most: So many are named.
    """
    more = f" and {len(labels) - most:,} more" if len(labels) > most else ""
    return ", ".join(f"`{name}`" for name in labels[:most]) + more


def _sentence(text: str) -> str:
    text = public_text(text)
    return text[:1].upper() + text[1:]


def _unit(score: Score) -> str:
    return {"%": "percent"}.get(score.unit, score.unit) or "–"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    minutes = seconds / 60
    return f"{minutes:.1f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
