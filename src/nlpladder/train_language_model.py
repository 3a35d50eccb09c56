"""One language-model rung, from a corpus to a finished run folder: train, save, check the reload, score, describe."""

from __future__ import annotations

import dataclasses
import logging
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlpladder.config import build
from nlpladder.data.corpora import Corpus
from nlpladder.errors import CheckFailedError, ConfigError, DataError
from nlpladder.evaluation.language_modeling import COLUMNS, TextLosses, score_language_model
from nlpladder.ladder import Rung
from nlpladder.models.ngram.options import SOURCES, NGramOptions
from nlpladder.protocols import LanguageModel
from nlpladder.tasks.base import RungRun, RungSettings
from nlpladder.text.encoding import EncodedCorpus, encode_corpus
from nlpladder.training.run_folder import RunFolder, peak_memory_mib

logger = logging.getLogger(__name__)

LOSSES_FILE = "losses.parquet"
#: Lines on which a model read back from disk must answer as the trained one did.
RELOAD_LINES = 8
#: Of each, so many characters are scored once before the clock starts.
WARM_UP_CHARACTERS = 500

#: From test texts to the losses over which the scores and their intervals are taken.
Measure = Callable[[Sequence[str]], TextLosses]


def ngram_options(rung: Rung, settings: RungSettings) -> NGramOptions:
    """Return the rung's settings with those given on top, names and types checked."""
    return build(NGramOptions, {**rung.model_settings, **settings.model}, where=f"the model options of {rung.name}")


def language_model_identity(rung: Rung, corpus: Corpus, settings: RungSettings) -> dict[str, Any]:
    """Return everything that decides the result of a run, by which a folder is known again."""
    options = dataclasses.asdict(ngram_options(rung, settings))
    # They decide how fast, not what.
    del options["num_threads"], options["memory"]
    return {
        "rung": rung.name,
        "seed": 0,
        "data": {"name": corpus.name, "fingerprint": corpus.fingerprint},
        "corpus": corpus.train.tokenizer.to_config(),
        "model": options,
    }


def train_language_model(
    rung: Rung,
    corpus: Corpus,
    settings: RungSettings,
    *,
    output_dir: str | os.PathLike[str],
    overwrite: bool = False,
    encoded: EncodedCorpus | None = None,
    num_shards: int = 1,
    say: Callable[[str], None] = logger.info,
) -> RungRun:
    """Train and evaluate one n-gram rung; a finished folder of the same identity is read instead.

    Args:
        rung: Of the task ``language_modeling``.
        corpus: Train, validation and test.
        settings: What differs from the rung's defaults.
        output_dir: The run folder.
        overwrite: Replace an earlier run.
        encoded: The training text as ids, where it has been read already.
        num_shards: Count the training text in so many processes; the model is the same.
        say: Gets lines of progress.

    Raises:
        RunError: when the folder holds a run of other arguments.
        CheckFailedError: when the saved model does not answer as the trained one.
        DataError: when the corpus has no text.
    """
    from accelerate import PartialState

    if num_shards < 1:
        raise ConfigError(f"num_shards is {num_shards}, expected at least 1.")
    state = PartialState()
    options, identity = ngram_options(rung, settings), language_model_identity(rung, corpus, settings)
    with state.main_process_first():  # the others find a finished run
        folder = RunFolder.open(output_dir, identity, overwrite=overwrite and state.is_main_process)
        if not folder.finished:
            _train_and_evaluate(_described(rung, options), corpus, options, folder, encoded, num_shards, say)
    return RungRun(folder, folder.record, folder.read_metrics())


def _described(rung: Rung, options: NGramOptions) -> Rung:
    """Return the rung under the name of what is trained, where its order or smoothing was changed."""
    paper, year = SOURCES[options.smoothing]
    title = f"{options.order}-gram model, {options.smoothing.replace('_', ' ')}"
    defaults = NGramOptions(**rung.model_settings)
    if (options.order, options.smoothing) == (defaults.order, defaults.smoothing):
        return rung
    idea = f"sees up to {options.order - 1} words before each"
    return dataclasses.replace(rung, title=title, idea=idea, paper=paper, year=year)


def _train_and_evaluate(
    rung: Rung,
    corpus: Corpus,
    options: NGramOptions,
    folder: RunFolder,
    encoded: EncodedCorpus | None,
    num_shards: int,
    say: Callable[[str], None],
) -> None:
    """Train, save, check, score and finish the run."""
    from nlpladder.drift.saving import save_language_model_profile

    # Counting starts anew after an interruption; what it had put on disk is of no use.
    shutil.rmtree(folder.checkpoints, ignore_errors=True)
    started = time.perf_counter()
    try:
        model, notes = _train(corpus, options, encoded, num_shards, folder.checkpoints, say)
    except BaseException:
        shutil.rmtree(folder.checkpoints, ignore_errors=True)
        folder.discard_if_untouched()
        raise
    seconds = time.perf_counter() - started
    model.save_pretrained(folder.path)
    check_same_scores(model, folder.path, corpus.test[:RELOAD_LINES])
    evaluated = evaluate_language_model(model, corpus.test, folder)
    save_language_model_profile(folder.path, model, corpus)
    facts = {
        "title": rung.title,
        "parameters": model.num_parameters(),
        "trainable_parameters": model.num_parameters(),
        "training_seconds": round(seconds, 3),
        "inference_examples_per_second": round(evaluated["tokens_per_second"], 1),
        "peak_memory_mib": round(peak_memory_mib(), 1),
        "data": {"rows": {"validation": len(corpus.validation), "test": len(corpus.test)}, "notes": list(corpus.notes)},
        "notes": [*notes, *_warnings(options)],
    }
    _finish(rung, folder, facts)
    del model
    shutil.rmtree(folder.checkpoints, ignore_errors=True)


def _warnings(options: NGramOptions) -> list[str]:
    if options.smoothing != "stupid_backoff":
        return []
    return [
        "Stupid back-off gives scores that do not sum to 1: perplexity and bits per byte are computed as if they did, "
        "and compare with no other smoothing."
    ]


def _train(
    corpus: Corpus,
    options: NGramOptions,
    encoded: EncodedCorpus | None,
    num_shards: int,
    work: Path,
    say: Callable[[str], None],
) -> tuple[Any, list[str]]:
    from nlpladder.models.ngram.estimate import estimate
    from nlpladder.models.ngram.model import NGramLanguageModel

    work.mkdir(parents=True, exist_ok=True)
    say("reading the text (the first time on a machine some seconds more, for compilation)")
    if num_shards > 1:
        from nlpladder.models.ngram.sharding import estimate_sharded

        found = estimate_sharded(corpus.train, options, num_shards=num_shards, folder=work, progress=say)
    else:
        spool = work / "ids.bin" if options.memory is not None else None
        found = estimate(encoded or encode_corpus(corpus.train, spool=spool), options, folder=work, progress=say)
    model = NGramLanguageModel.from_levels(
        found.levels,
        found.words,
        tokenizer=corpus.train.tokenizer,
        sentence_marks=options.sentence_marks,
        suffix_closed=True,
    )
    return model, list(found.notes)


def evaluate_language_model(
    model: LanguageModel, lines: Sequence[str], folder: RunFolder, *, measure: Measure | None = None
) -> dict[str, Any]:
    """Score `lines`, write the loss of each and ``metrics.json``; return the scores and the speed.

    Args:
        model: What is evaluated.
        lines: The test texts.
        folder: The run folder.
        measure: How losses come from texts; each text by itself if not given.
    """
    model.score([line[:WARM_UP_CHARACTERS] for line in lines[:RELOAD_LINES]])  # the first call compiles or allocates
    started = time.perf_counter()
    losses = TextLosses.of(model.score(lines)) if measure is None else measure(lines)
    seconds = time.perf_counter() - started
    count = len(losses.columns)
    if count < 2:
        raise DataError(f"There are {count} test lines: an interval needs at least two.")
    folder.write_columns(LOSSES_FILE, dict(zip(COLUMNS, losses.columns.T, strict=True)))
    scores = {name: score.mean for name, score in score_language_model([losses]).items()}
    tokens = int(losses.columns[:, 1].sum())
    folder.write_metrics(
        {
            "split": "test",
            "n": count,
            "tested": f"test split, {count:,} lines, {tokens:,} tokens",
            "scores": {name: score.to_dict() for name, score in scores.items()},
        }
    )
    return {"scores": scores, "tokens_per_second": tokens / max(seconds, 1e-9)}


def read_losses(run: RungRun) -> TextLosses:
    """Return the losses that a run wrote."""
    columns = run.folder.read_columns(LOSSES_FILE)
    return TextLosses(np.column_stack([columns[name] for name in COLUMNS]))


def check_same_scores(model: LanguageModel, folder: Path, lines: Sequence[str]) -> None:
    """Compare the trained model with the one read back from `folder`, bit for bit.

    Raises:
        CheckFailedError: when any log-probability differs.
    """
    from nlpladder.hub.loading import load_unfinished

    reloaded: Any = load_unfinished(folder)
    for line, expected, found in zip(lines, model.score(lines), reloaded.score(lines), strict=True):
        if expected.tokens != found.tokens or not np.array_equal(expected.logprobs, found.logprobs):
            raise CheckFailedError(
                f"The model saved in {folder} scores {line[:40]!r} differently from the trained one. Do not use it."
            )


def _finish(rung: Rung, folder: RunFolder, facts: dict[str, Any]) -> None:
    from nlpladder.hub.cards import card_facts, write_card

    facts |= card_facts(rung, folder.record["identity"])
    write_card(folder.path, record={**folder.record, **facts})
    folder.finish(**facts)
