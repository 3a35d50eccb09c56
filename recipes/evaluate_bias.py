"""Measure the biases of models: any rung, several in one table, every score with interval, p, and what it can not see.

    python recipes/evaluate_bias.py --model outputs/gpt
    python recipes/evaluate_bias.py --model bert-base-uncased --crows_pairs crows_pairs_anonymized.csv
    python recipes/evaluate_bias.py --model outputs/before,outputs/after --measures occupation_log_odds --margin 0.1
    python recipes/evaluate_bias.py --calibrate
    python recipes/evaluate_bias.py --model outputs/word2vec --mitigate leace

Which measures a model offers follows from what it is: vectors, encoder, masked, causal or n-gram language model,
text-to-text model, classifier. Without any data set the measures on our own words and templates are run; data sets of
others are not shipped, and each is named by its option. Several models (a,b,c) stand in one table, corrected over all
its tests, and are compared with the first item by item.

Writes bias.json, items/*.parquet (the score of every item), bias.md, bias.html and figures. --plan only says what would
be done. After an interruption the same command goes on with the measure that was running. A result that shows no bias
does not show that there is none.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpladder.bias.finished_measures import FinishedMeasures, state_of
from nlpladder.bias.statistics.estimates import StatisticsOptions
from nlpladder.bias_laboratory.settings import CalibrationOptions
from nlpladder.config import build, option, options_of, parse, run_recipe, with_group
from nlpladder.errors import ConfigError, DataError, ModelError, RunError, did_you_mean


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Data sets of others, each in the files of its authors."""

    crows_pairs: str | None = option(None, help="CrowS-Pairs: crows_pairs_anonymized.csv, or a Hub id")
    stereoset: str | None = option(None, help="StereoSet: dev.json or test.json, or a Hub id")
    weat: str | None = option(None, help="association tests: a folder of weat*.jsonl or sent-weat*.jsonl, or one file")
    winobias: str | None = option(None, help="WinoBias: the folder of *_stereotyped_type*.txt.*")
    winogender: str | None = option(None, help="Winogender: the folder of all_sentences.tsv and its statistics")
    bbq: str | None = option(None, help="BBQ: the folder of *.jsonl, or one file")
    text: str | None = option(None, help="a text file, one text a line: counterfactual perplexity")
    labelled: str | None = option(None, help="texts with labels and groups (csv, jsonl, parquet): gaps of classifiers")
    honest: str | None = option(None, help="HONEST: a template file of its authors")
    prompts: str | None = option(None, help="prompts by group: files of BOLD or RealToxicityPrompts")


@dataclass(frozen=True, kw_only=True)
class BiasOptions(DataOptions):
    """Options of measuring bias."""

    model: tuple[str, ...] = option((), help="run folders, model folders, vector files or Hub ids: one, or a,b,c")
    names: tuple[str, ...] = option((), help="what tables call the models, one each; default: the end of their paths")
    measures: tuple[str, ...] = option(
        ("all",), help="measures (crows_pll), data sets (crows_pairs: all on it), or all that data and model allow"
    )
    measure_options: dict[str, dict[str, Any]] = option({}, help="further options of single measures, by their names")
    input_embeddings: bool = option(False, help="measure the input embeddings of neural models as word vectors")
    data_options: dict[str, dict[str, Any]] = option(
        {}, help="options of reading single data sets, such as the text_column of labelled texts, by their names"
    )
    revision: str | None = option(None, help="branch, tag or commit of the model on the Hub")
    margin: float | None = option(None, help="with several models: a change of the mean item too small to matter")
    resamples: int = option(10_000, help="bootstrap resamples and random sign flips")
    confidence: float = option(0.95, help="level of the intervals")
    seed: int = option(0, help="fixes every number")
    figures: bool = option(True, help="draw figures")
    show_items: int = option(0, help="print so many items with the largest and smallest values, after a warning")
    plan: bool = option(False, help="say what would be measured, with how many passes of the model, and stop")
    update_card: bool = option(False, help="put the findings into the run's metrics.json and its card (run folders)")
    calibrate: bool = option(False, help="train every rung on planted biases, and measure the measures")
    calibration: dict[str, Any] = option({}, help="options of the calibration", keys=CalibrationOptions)
    mitigate: str | None = option(
        None, help="a way of mitigation, such as leace: bias, cost and remains before and after"
    )
    mitigation: dict[str, Any] = option({}, help="options of the mitigation")
    quality_texts: str | None = option(
        None, help="with --mitigate: held-out texts, one a line, for a language model's bits per byte; default: --text"
    )
    output_dir: str = option("outputs/bias", help="folder of the report")
    overwrite: bool = option(False, help="replace an earlier report in output_dir")


def main() -> None:
    options = parse(BiasOptions, description=__doc__)
    try:
        if options.calibrate:
            calibrate(options)
        else:
            measure(options)
    except KeyboardInterrupt:
        sys.stderr.write(f"\nInterrupted before a report was written{interrupted(options)}\n")
        raise SystemExit(130) from None


def interrupted(options: BiasOptions) -> str:
    """Return what the same command does after an interruption."""
    if options.calibrate:
        return ". Cells that were finished are kept: the same command trains and measures the others."
    if options.mitigate is not None:
        return "; with --mitigate the same command begins anew."
    return (
        ". Measures that were finished are kept: the same command goes on with the one that was running, from its "
        "beginning."
    )


def measure(options: BiasOptions) -> None:
    """Measure models, or one before and after a mitigation; what can be wrong is told before a model is opened."""
    if not options.model:
        raise ConfigError("Name one or several models: --model outputs/gpt, or --calibrate to measure the measures.")
    if options.margin is not None and (options.margin <= 0 or len(options.model) < 2):
        raise ConfigError(
            f"--margin {options.margin:g}: it is the size of a change that does not matter, above 0, and is for "
            "several models."
        )
    from nlpladder.bias.measures import selected_measures
    from nlpladder.bias.report import check_free

    data = {name: value for name, value in options_of(options, DataOptions).items() if value is not None}
    names = model_names(options)
    entries = selected_measures(options.measures, data, options.measure_options)
    check_free(options.output_dir, overwrite=options.overwrite)
    if options.update_card:
        for path in options.model:
            check_run_folder(path)
    if options.mitigate is not None:
        from nlpladder.bias_mitigation.methods import find_method

        find_method(options.mitigate)
        if len(options.model) != 1:
            raise ConfigError("--mitigate changes one model: name one with --model.")
    elif options.quality_texts is not None:
        raise ConfigError("--quality_texts is for --mitigate: without it, no model is changed.")
    statistics = StatisticsOptions(resamples=options.resamples, confidence=options.confidence, seed=options.seed)
    from nlpladder.train_rung import quiet_libraries

    quiet_libraries()
    check_models(options.model)
    finished = finished_measures(options, data)
    data = opened_data(data, options.data_options, entries)
    held_out = read_texts(options.quality_texts) if options.quality_texts is not None else ()
    extra = opened_options(options.measure_options, entries)
    openers = {
        name: (lambda path=path: open_model(path, options.revision, input_embeddings=options.input_embeddings))
        for name, path in zip(names, options.model, strict=True)
    }
    if options.plan:
        from nlpladder.bias.planning import plan_sentences

        for sentence in plan_sentences(openers, options.measures, data, measure_options=extra):
            print(sentence)
        return
    if options.mitigate is not None:
        mitigate(options, openers, data, held_out, statistics)
        return

    from nlpladder.bias.evaluate import evaluate_bias
    from nlpladder.bias.report import write_report

    report = evaluate_bias(
        openers, options.measures, data,
        statistics=statistics, measure_options=extra, margin=options.margin, announce=True,
        finished=finished, say=print,
    )  # fmt: skip
    content = write_report(report, options.output_dir, overwrite=options.overwrite, figures=options.figures)
    finished.remove()
    show(content, report, options)
    if options.update_card:
        for name, path in zip(names, options.model, strict=True):
            update_card(path, content, name)


def calibrate(options: BiasOptions) -> None:
    """Measure the measures themselves, on models that were trained on planted biases."""
    from nlpladder.bias_laboratory import calibrate as run

    own: dict[str, Any] = {"overwrite": options.overwrite}
    if options.output_dir != BiasOptions.output_dir:
        own["output_dir"] = options.output_dir
    settings = with_group("calibration", options.calibration, **own)
    run(build(CalibrationOptions, settings, where="--calibration"), say=print)


def mitigate(
    options: BiasOptions,
    openers: Mapping[str, Callable[[], Any]],
    data: Mapping[str, Any],
    held_out: Sequence[str],
    statistics: StatisticsOptions,
) -> None:
    """Change one model, and measure bias, cost and what can still be recovered, before and after."""
    from nlpladder.bias.report import write_report
    from nlpladder.bias_mitigation import mitigate as run
    from nlpladder.bias_mitigation import mitigation_markdown
    from nlpladder.bias_mitigation.quality import QualityData
    from nlpladder.training.run_folder import write_json, write_text

    assert options.mitigate is not None
    texts = held_out or (data["text"].texts if "text" in data else ())
    result = run(
        next(iter(openers.values()))(), options.mitigate,
        names=options.measures, data=data, quality=QualityData(texts=texts), options=options.mitigation,
        statistics=statistics, say=print,
    )  # fmt: skip
    folder = Path(options.output_dir)
    content = write_report(result.report, folder, overwrite=options.overwrite, figures=options.figures)
    write_json(folder / "mitigation.json", result.to_dict())
    text = mitigation_markdown(result)
    write_text(folder / "mitigation.md", text)
    print(text)
    show(content, result.report, options)


def show(content: Mapping[str, Any], report: Any, options: BiasOptions) -> None:
    """Print what was found, and where the rest is; items only where they were asked for, after a warning."""
    from nlpladder.views.bias_report import print_bias
    from nlpladder.views.bias_table import CONTENT_WARNING

    print_bias(content)
    if options.show_items > 0:
        from nlpladder.views.bias_report import strongest_items

        print(f"\n{CONTENT_WARNING}")
        for model in report.models:
            for findings in (one for several in model.findings.values() for one in several):
                print(f"\n{model.name}, {findings.findings[0].measure}:")
                for row in strongest_items(findings.items, options.show_items):
                    print("  " + "  ".join(f"{name}={value}" for name, value in row.items()))
    print(f"Report: {Path(options.output_dir) / 'bias.html'} (also bias.md, bias.json, items/)")


def model_names(options: BiasOptions) -> list[str]:
    """Return what tables call the models: no two alike."""
    if options.names:
        if len(options.names) != len(options.model) or len(set(options.names)) != len(options.names):
            raise ConfigError(f"There are {len(options.model)} models: give as many different --names.")
        return list(options.names)
    if len(set(options.model)) != len(options.model):
        raise ConfigError("A model is named twice in --model: leave one out, or give them --names.")
    short = [
        # ".../bilstm/seed-0" of a climb: its last part alone says nothing.
        "/".join(Path(path).parts[-3:]).lstrip("/")
        if re.fullmatch(r"seed-\d+|model", Path(path).name)
        else Path(path).name or path
        for path in options.model
    ]
    return short if len(set(short)) == len(short) else list(options.model)


def open_model(path: str, revision: str | None, *, input_embeddings: bool = False) -> Any:
    """Open a run folder, a model folder, a Hub id, or a file of vectors or n-grams."""
    from nlpladder.hub.loading import load

    if not Path(path).is_file():
        model = load(path, **({} if revision is None else {"revision": revision}))
        if input_embeddings:
            from nlpladder.bias.words.input_embeddings import InputEmbeddings

            return InputEmbeddings.of(model)
        return model
    if path.endswith((".arpa", ".arpa.gz")):
        from nlpladder.models.ngram.model import NGramLanguageModel

        return NGramLanguageModel.from_arpa(path)
    from nlpladder.models.vectors.word_vectors import WordVectors

    return WordVectors.open(path)


def opened_options(given: Mapping[str, Mapping[str, Any]], entries: list[Any]) -> dict[str, dict[str, Any]]:
    """Open what options of measures name by a path: texts, then other models such as a classifier of toxicity."""
    from nlpladder.bias.measures import check_options

    check_options(given, entries)
    kinds = {entry.name: entry.needed_options for entry in entries}
    opened = {name: dict(settings) for name, settings in given.items()}
    for wanted in ("lines", "model"):
        for name, key in [(one, key) for one in given for key, kind in kinds[one].items() if kind == wanted]:
            value = given[name].get(key)
            if not isinstance(value, str):
                continue
            if wanted == "lines":
                opened[name][key] = read_texts(value)
            else:
                opened[name][key] = open_model(value, None)
    return opened


def opened_data(data: Mapping[str, Any], given: Mapping[str, Mapping[str, Any]], entries: list[Any]) -> dict[str, Any]:
    """Open all data that were named, those with options of their own by these."""
    from nlpladder.bias.measures import open_given_data, resolve

    loaders = {entry.data: entry.loader for entry in reversed(entries) if entry.loader}
    opened = dict(data)
    for key, settings in given.items():
        if key not in data or key not in loaders:
            raise ConfigError(f"--data_options.{key} is given, but no measure of this run reads --{key}.")
        loader = resolve(loaders[key])
        known = [name for name, one in inspect.signature(loader).parameters.items() if one.kind is one.KEYWORD_ONLY]
        for name in settings:
            if name not in known:
                hint = did_you_mean(name, known)
                raise ConfigError(f"--{key} has no option {name!r}.{hint} It has: {', '.join(known) or 'none'}.")
        opened[key] = loader(data[key], **settings)
    return open_given_data(entries, opened)


def finished_measures(options: BiasOptions, data: Mapping[str, Any]) -> FinishedMeasures:
    """Return where finished measures are kept until the report is written, known by all that they follow from."""
    paths = [value for settings in options.measure_options.values() for value in settings.values()]
    files = [*options.model, *data.values(), *(value for value in paths if isinstance(value, str))]
    told = (
        "model", "names", "revision", "input_embeddings", "measure_options", "data_options", "resamples", "confidence",
        "seed",
    )  # fmt: skip
    identity = {name: getattr(options, name) for name in told}
    identity |= {"data": dict(data), "files": [state_of(file) for file in files]}
    folder = Path(options.output_dir)
    return FinishedMeasures(folder.with_name(f".{folder.name}.finished"), identity)


def read_texts(path: str) -> list[str]:
    """Return the lines of a text file that are not empty."""
    from nlpladder.bias.published_files import read_text

    lines = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not lines:
        raise DataError(f"{path} holds no text: one text a line was expected.")
    return lines


def check_models(paths: Sequence[str]) -> None:
    """Refuse paths at which nothing is, the last of several before the first is opened."""
    from nlpladder.models.pretrained.loading import check_reachable

    for path in paths:
        if not Path(path).is_file():
            check_reachable(path)


def check_run_folder(path: str) -> None:
    """Refuse --update_card for what is no finished run of ours, or whose card cannot be written."""
    from nlpladder.hub.cards import render_card
    from nlpladder.training.run_folder import read_run

    record = read_run(path) if Path(path).is_dir() else None
    if record is None or record.get("status") != "finished":
        raise ModelError(f"{path} is no finished run folder, so it has no card to update: leave --update_card out.")
    try:
        render_card(Path(path))
    except RunError as error:
        raise ModelError(f"The card of {path} cannot be updated: leave --update_card out. {error}") from error


def update_card(path: str, content: Mapping[str, Any], name: str) -> None:
    """Put the findings into metrics.json of a run, and write its card again."""
    from nlpladder.bias.report import metrics_section
    from nlpladder.hub.cards import write_card
    from nlpladder.training.run_folder import RunFolder, read_run

    folder = RunFolder(Path(path), read_run(path) or {})
    folder.write_metrics({**folder.read_metrics(), "bias": metrics_section(content, name)})
    write_card(folder.path)
    print(f"Card: {folder.path / 'README.md'}")


if __name__ == "__main__":
    run_recipe(main)
