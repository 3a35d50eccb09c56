"""Run bias measures on one or several models, and gather what they found: one report, corrected over all its tests."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nlpladder.bias.findings import Finding, Findings
from nlpladder.bias.finished_measures import FinishedMeasures
from nlpladder.bias.measures import (
    MeasureEntry,
    check_data_keys,
    check_options,
    left_out_measures,
    offered_measures,
    offering_hint,
    open_given_data,
    selected_measures,
)
from nlpladder.bias.planning import work_sentence
from nlpladder.bias.statistics.category_tests import category_tests
from nlpladder.bias.statistics.comparison import Comparison, compare_findings
from nlpladder.bias.statistics.estimates import DEFAULT, StatisticsOptions
from nlpladder.bias.statistics.multiplicity import Heterogeneity, adjust
from nlpladder.bias.verdicts import verdict
from nlpladder.errors import ConfigError, DataError, LadderError


@dataclass(frozen=True, kw_only=True)
class MeasuredModel:
    """One model under all measures.

    Attributes:
        name: As the report shows it.
        kind: Name of its class.
        parameters: How many numbers it learnt; None where it does not say.
        findings: What each measure found, in order; a measure may find several things.
        offers: The measures that see such a model, whether or not they were run.
        skipped: Measures that were not run, with the reason, which follows the measure's name in a sentence.
        seconds: How long each measure took.
    """

    name: str
    kind: str
    parameters: int | None
    findings: Mapping[str, Sequence[Findings]] = field(default_factory=dict)
    offers: tuple[str, ...] = ()
    skipped: Mapping[str, str] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the report.

    Attributes:
        model: Name of the model.
        entry: Name of the measure in the table.
        finding: What it found.
        overall: Whether it is the measure's main finding, not one of its categories.
        p_holm: p after Holm's correction over the whole report.
        p_benjamini_hochberg: p after Benjamini and Hochberg's.
        verdict: What the line shows and does not show, in a few words.
    """

    model: str
    entry: str
    finding: Finding
    overall: bool
    p_holm: float | None
    p_benjamini_hochberg: float | None
    verdict: str


@dataclass(frozen=True, kw_only=True)
class Report:
    """What bias measures found.

    Attributes:
        models: In the order given.
        statistics: How intervals and p-values were computed.
        rows: One per finding, the p-values corrected over all of them.
        heterogeneity: Model, what is compared (a measure, or what several measures keep of the same items) and the test
            of whether its categories differ.
        comparisons: Name of the first model, of another, and what changed between them, item by item.
    """

    models: Sequence[MeasuredModel]
    statistics: StatisticsOptions
    rows: Sequence[Row]
    heterogeneity: Sequence[tuple[str, str, Heterogeneity]]
    comparisons: Sequence[tuple[str, str, Comparison]]


def evaluate_bias(
    models: Mapping[str, Any | Callable[[], Any]],
    names: Sequence[str] = ("all",),
    data: Mapping[str, Any] | None = None,
    *,
    statistics: StatisticsOptions = DEFAULT,
    measure_options: Mapping[str, Mapping[str, Any]] | None = None,
    margin: float | None = None,
    announce: bool = False,
    finished: FinishedMeasures | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Report:
    """Run measures on models and return the report. All data are opened before the first model is.

    Args:
        models: Models by name, or functions without arguments that open them, one after the other, so that only one is
            in memory at a time.
        names: Names of measures or of data, or ``all``: what the model offers and the data allow.
        data: Paths or Hub ids by key (``crows_pairs``, …), or data that a loader has opened already.
        statistics: How intervals and p-values are computed.
        measure_options: Further arguments of single measures, by the measure's name.
        margin: With several models: what change of the mean item is too small to matter.
        announce: Say before each measure how many passes of the model it takes, which reads its data one time more.
        finished: Measures of an interrupted run, which are not run again; those of this run are kept there too.
        say: Told what is going on, a line at a time.

    Raises:
        ConfigError: If a measure is unknown, lacks its data, or none of the models offers one that was asked for.
        DataError: If the data are not as their loader expects, or no measure could be run at all.
    """
    given = dict(data or {})
    extra = measure_options or {}
    entries = selected_measures(names, given, extra)
    check_data_keys(given, entries)
    check_options(extra, entries)
    left_out = left_out_measures(names, given, extra)
    given = open_given_data(entries, given)
    opened: dict[str, Any] = {}
    measured = []
    for name, source in models.items():
        model = source() if _is_opener(source) else source
        measured.append(
            _measure_model(name, model, entries, given, opened, left_out, statistics, extra, say, announce, finished)
        )
        del model
    _check_all_asked(measured, names, entries)
    return make_report(measured, statistics=statistics, margin=margin)


def measure_model(
    name: str,
    model: Any,
    names: Sequence[str] = ("all",),
    data: Mapping[str, Any] | None = None,
    *,
    statistics: StatisticsOptions = DEFAULT,
    measure_options: Mapping[str, Mapping[str, Any]] | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> MeasuredModel:
    """Run measures on one model.

    Args:
        name: As the report shows it.
        model: Any rung.
        names: As `evaluate_bias`.
        data: As `evaluate_bias`.
        statistics: How intervals and p-values are computed.
        measure_options: Further arguments of single measures, by the measure's name.
        say: Told what is going on.

    Raises:
        ConfigError: As `evaluate_bias`.
        DataError: As `evaluate_bias`.
    """
    given = dict(data or {})
    extra = measure_options or {}
    entries = selected_measures(names, given, extra)
    check_options(extra, entries)
    left_out = left_out_measures(names, given, extra)
    given = open_given_data(entries, given)
    return _measure_model(name, model, entries, given, {}, left_out, statistics, extra, say, False)


def make_report(
    models: Sequence[MeasuredModel], *, statistics: StatisticsOptions = DEFAULT, margin: float | None = None
) -> Report:
    """Gather what was found: correct the p-values, test categories against each other, compare models item by item.

    Args:
        models: What was measured; later models are compared with the first.
        statistics: How intervals and p-values are computed.
        margin: What change of the mean item is too small to matter.
    """
    found = [
        (model, entry, findings)
        for model in models
        for entry, several in model.findings.items()
        for findings in several
    ]
    flat = [
        (model.name, entry, finding, main)
        for model, entry, findings in found
        for finding, main in zip(findings.findings, _main_ones(findings), strict=True)
    ]
    everything = [one[2] for one in flat]
    p_values = sorted(one.p_value for one in everything if one.p_value is not None)
    rows = [
        Row(
            model=model, entry=entry, finding=finding, overall=overall, p_holm=adjusted.p_holm,
            p_benjamini_hochberg=adjusted.p_benjamini_hochberg, verdict=verdict(finding, adjusted.p_holm, p_values),
        )
        for (model, entry, finding, overall), adjusted in zip(flat, adjust(everything), strict=True)
    ]  # fmt: skip
    return Report(
        models=tuple(models), statistics=statistics, rows=tuple(rows), heterogeneity=category_tests(models, statistics),
        comparisons=tuple(_comparisons(models, statistics, margin)),
    )  # fmt: skip


def _measure_model(
    name: str,
    model: Any,
    entries: Sequence[MeasureEntry],
    given: Mapping[str, Any],
    opened: dict[str, Any],
    left_out: Mapping[str, str],
    statistics: StatisticsOptions,
    extra: Mapping[str, Mapping[str, Any]],
    say: Callable[[str], None],
    announce: bool,
    finished: FinishedMeasures | None = None,
) -> MeasuredModel:
    findings: dict[str, list[Findings]] = {}
    skipped: dict[str, str] = {}
    seconds: dict[str, float] = {}
    shared: dict[Any, Any] = {}  # of this model, so that it is asked nothing twice
    planned: dict[Any, Any] = {}  # the same of its stand-in
    offers = tuple(entry.name for entry in offered_measures(model))
    for entry in entries:
        if entry.name not in offers:
            skipped[entry.name] = f"needs {entry.needed}; {name} is a {type(model).__name__}."
            continue
        known = None if finished is None else finished.read(name, entry.name)
        if known is not None:
            findings[entry.name], seconds[entry.name] = known
            say(f"{name}: {entry.name} was measured before the interruption")
            continue
        items = _data_of(entry, given, opened)
        if announce:
            told = work_sentence(entry, model, items, extra.get(entry.name, {}), shared=planned)
            say(f"{name}: {told}")
        else:
            say(f"{name}: {entry.name} ({entry.title})")
        begin = time.monotonic()
        try:
            options = extra.get(entry.name, {})
            findings[entry.name] = entry.measure(model, items, shared=shared, statistics=statistics, **options)
        except LadderError as error:  # such as a vocabulary that has none of the words: the others may still be run
            skipped[entry.name] = str(error)
            continue
        seconds[entry.name] = time.monotonic() - begin
        if finished is not None:
            finished.keep(name, entry.name, findings[entry.name], seconds[entry.name])
    skipped |= {one: reason for one, reason in left_out.items() if one in offers and one not in findings}
    parameters = int(model.num_parameters()) if hasattr(model, "num_parameters") else None
    return MeasuredModel(
        name=name, kind=type(model).__name__, parameters=parameters, findings=findings, offers=offers,
        skipped=skipped, seconds=seconds,
    )  # fmt: skip


def _data_of(entry: MeasureEntry, given: Mapping[str, Any], opened: dict[str, Any]) -> Any:
    """Return what the user gave, or data of our own, which are made once for all models."""
    if entry.data and given.get(entry.data) is not None:
        return given[entry.data]
    if entry.built_in not in opened:
        opened[entry.built_in] = entry.open_data(None)
    return opened[entry.built_in]


def _is_opener(source: Any) -> bool:
    """Tell a function that opens a model from a model, which may be callable as every torch module is."""
    return callable(source) and not hasattr(source, "num_parameters") and not hasattr(source, "vectors")


def _check_all_asked(measured: Sequence[MeasuredModel], names: Sequence[str], entries: Sequence[MeasureEntry]) -> None:
    """Refuse where a measure that was asked for by its name ran on no model, or nothing ran at all."""
    by_name = {entry.name for entry in entries} & set(names)
    for entry in entries:
        if any(entry.name in model.findings for model in measured):
            continue
        if entry.name in by_name:
            for model in measured:
                reason = model.skipped.get(entry.name)
                if reason is not None and entry.name not in model.offers:
                    raise ConfigError(f"{entry.name} {reason} {offering_hint(model.offers, entry.name)}")
                if reason is not None:
                    raise ConfigError(reason)
    if measured and not any(model.findings for model in measured):
        told = [f"{name}: {reason}" for model in measured for name, reason in model.skipped.items()]
        raise DataError("No measure could be run. " + (told[0] if told else "There is none on these data."))


def _main_ones(findings: Findings) -> list[bool]:
    """Tell which findings are main ones: those on all items; each test, where tests have nothing in common."""
    first, seen, found = findings.findings[0], set(), []
    for finding in findings.findings:
        found.append(first.category != "all" or finding.category == "all" or finding.measure not in seen)
        seen.add(finding.measure)
    return found


def _comparisons(
    models: Sequence[MeasuredModel], statistics: StatisticsOptions, margin: float | None
) -> list[tuple[str, str, Comparison]]:
    """Compare each later model with the first, on the measures that both have and whose items match."""
    found: list[tuple[str, str, Comparison]] = []
    for other in models[1:]:
        for entry, several in other.findings.items():
            for before, after in zip(models[0].findings.get(entry, ()), several, strict=False):
                if before.findings[0].measure != after.findings[0].measure:
                    continue
                try:
                    main = before.findings[0]
                    unit = (main.effect or main.score).unit
                    pairs = compare_findings(before, after, statistics, margin=margin, unit=unit)
                except DataError:  # such as vocabularies that share no word: there is nothing to pair
                    continue
                found += [(models[0].name, other.name, one) for one in pairs]
    return found


def report_rows(report: Report) -> list[dict[str, Any]]:
    """Return the rows of a report as plain JSON values.

    Args:
        report: What was found.
    """
    return [
        {
            "model": row.model,
            "entry": row.entry,
            "overall": row.overall,
            "p_holm": row.p_holm,
            "p_benjamini_hochberg": row.p_benjamini_hochberg,
            "verdict": row.verdict,
            **row.finding.to_dict(),
        }
        for row in report.rows
    ]


def comparison_rows(report: Report) -> list[dict[str, Any]]:
    """Return the comparisons of a report as plain JSON values.

    Args:
        report: What was found.
    """
    return [
        {"before_model": before, "after_model": after, "verdict": one.verdict, **dataclasses.asdict(one)}
        for before, after, one in report.comparisons
    ]
