"""One rung, from data to a finished run folder: build, train, save, check the reload, predict, score, describe.

Every classification recipe and the climb go through `train_rung`, so that all rungs see the same splits, scorer and
record.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlpladder.config import build
from nlpladder.data.loading import TextDataset
from nlpladder.errors import CheckFailedError, ConfigError, ModelError, did_you_mean
from nlpladder.ladder import Rung
from nlpladder.protocols import TextClassifier
from nlpladder.runs import carry_out
from nlpladder.tasks.base import RungRun, RungSettings
from nlpladder.training.neural import TrainingResult, train_classifier
from nlpladder.training.options import TrainingOptions
from nlpladder.training.run_folder import RunFolder, peak_memory_mib

logger = logging.getLogger(__name__)

#: Rows on which a model read back from disk must answer as the trained one did.
RELOAD_ROWS = 8


def train_rung(
    rung: Rung,
    data: TextDataset,
    settings: RungSettings,
    *,
    output_dir: str | os.PathLike[str],
    seed: int = 0,
    time_limit: float | None = None,
    overwrite: bool = False,
) -> RungRun:
    """Train and evaluate one rung; a finished folder of the same identity is read instead.

    Args:
        rung: From `nlpladder.ladder`.
        data: With splits train, validation and test.
        settings: What differs from the rung's defaults.
        output_dir: The run folder.
        seed: For weights, order, dropout and solvers.
        time_limit: Seconds of training after which a rung with gradients stops.
        overwrite: Replace an earlier run.

    Raises:
        RunError: when the folder holds a run of other arguments.
        CheckFailedError: when the saved model does not answer as the trained one.
        LadderError: for data or settings that do not fit the rung.
    """
    quiet_libraries()
    training = training_options(rung, settings)
    if data.streaming and not rung.streams:
        raise ModelError(
            f"The rung {rung.name!r} needs its whole training set in memory and cannot read a stream. Leave out "
            f"--streaming, cap it with --max_train_samples, or choose a rung that streams."
        )

    def train(folder: RunFolder) -> tuple[TextClassifier, TrainingResult] | None:
        if rung.kind != "classic":
            return _train_neural(rung, data, settings, training, folder, seed, time_limit)
        from accelerate import PartialState

        return _train_classic(rung, data, settings, seed) if PartialState().is_main_process else None

    def finish(trained: tuple[TextClassifier, TrainingResult] | None, folder: RunFolder) -> None:
        assert trained is not None
        _finish(rung, data, *trained, folder, training)

    identity = run_identity(rung, data, settings, seed)
    return carry_out(identity, output_dir, train=train, finish=finish, overwrite=overwrite)


def training_options(rung: Rung, settings: RungSettings) -> TrainingOptions:
    """Return the rung's training defaults with `settings.training` on top, names and types checked."""
    where = f"the training options of {rung.name}"
    if rung.kind == "classic" and settings.training:
        raise ConfigError(f"{rung.name} has no training options (it is solved, not trained by gradient steps).")
    return build(TrainingOptions, {**rung.training, **settings.training}, where=where)


def quiet_libraries() -> None:
    """Silence the progress bars and notices of the libraries below; our own lines say what happens."""
    import datasets
    from transformers.utils import logging as transformers_logging

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # What the libraries tell each other about coming versions is no user's business; the tests still show it.
    for library in ("transformers", "peft", "accelerate", "torch"):
        warnings.filterwarnings("ignore", category=FutureWarning, module=rf"{library}\..*")
    warnings.filterwarnings("ignore", message="Could not find a config file in", category=UserWarning)
    warnings.filterwarnings("ignore", message="The PEFT config's `base_model_name_or_path` was renamed")
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    datasets.disable_progress_bars()


def run_identity(rung: Rung, data: TextDataset, settings: RungSettings, seed: int) -> dict[str, Any]:
    """Return everything that decides the result of a run, by which a folder is known again."""
    training = training_options(rung, settings)
    return {
        "rung": rung.name,
        "seed": 0 if rung.deterministic else seed,
        "data": {
            "name": data.name,
            "fingerprint": data.fingerprint,
            "labels": list(data.label_names),
            "task": data.task,
        },
        "model": {**rung.model_settings, **settings.model},
        "training": dataclasses.asdict(training) if rung.kind != "classic" else {},
        "tokenizer": {**rung.tokenizer, **settings.tokenizer},
        "encoder": settings.encoder,
        "preprocessor": None if settings.preprocessor is None else list(settings.preprocessor),
    }


def _train_classic(
    rung: Rung, data: TextDataset, settings: RungSettings, seed: int
) -> tuple[TextClassifier, TrainingResult]:
    """Fit a rung that is solved in memory."""
    import inspect

    model_class = rung.load_class()
    accepted = inspect.signature(model_class.__init__).parameters
    wanted: dict[str, Any] = {**rung.model_settings, **settings.model}
    if "vectorizer" in rung.model_settings and "vectorizer" in settings.model:
        wanted["vectorizer"] = {**rung.model_settings["vectorizer"], **settings.model["vectorizer"]}
    if settings.preprocessor is not None and "preprocessor" in accepted:
        from nlpladder.text.preprocessing import Preprocessor

        wanted["preprocessor"] = Preprocessor(settings.preprocessor)
    for name in wanted:
        if name not in accepted:
            raise ConfigError(f"{rung.name} has no setting {name!r}.{did_you_mean(name, accepted)}")
    if "seed" in accepted:
        wanted["seed"] = seed
    model = model_class(label_names=data.label_names, task=data.task, **wanted)
    train, validation = data.splits["train"], data.splits["validation"]
    extra = {"unlabeled": data.splits["unlabeled"]["text"]} if _wants_unlabeled(model, data) else {}
    started = time.perf_counter()
    model.fit(
        list(train["text"]),
        list(train["label"]),
        validation=(list(validation["text"]), list(validation["label"])),
        **extra,
    )
    return model, TrainingResult(seconds=time.perf_counter() - started)


def _wants_unlabeled(model: Any, data: TextDataset) -> bool:
    import inspect

    return "unlabeled" in data.splits and "unlabeled" in inspect.signature(model.fit).parameters


def _train_neural(
    rung: Rung,
    data: TextDataset,
    settings: RungSettings,
    training: TrainingOptions,
    folder: RunFolder,
    seed: int,
    time_limit: float | None,
) -> tuple[TextClassifier, TrainingResult]:
    """Build and train a rung with gradients, on every process of the launch."""
    from nlpladder.training.trainer import set_all_seeds

    set_all_seeds(seed)
    wanted = {**rung.model_settings, **settings.model}
    if rung.kind == "pretrained":
        classifier = _build_pretrained(rung, data, settings, wanted, training, folder)
    else:
        classifier = _build_from_scratch(rung, data, settings, wanted, training)
    result = train_classifier(
        classifier, data, training, folder=folder.checkpoints, seed=seed, name=rung.name, time_limit=time_limit
    )
    return classifier, result


def _build_from_scratch(
    rung: Rung, data: TextDataset, settings: RungSettings, wanted: dict[str, Any], training: TrainingOptions
) -> Any:
    """Train the tokenizer on the training texts and build the model with random weights."""
    from nlpladder.models.sequence_classifier import SequenceClassifier
    from nlpladder.nn.losses import PROBLEM_TYPES
    from nlpladder.text.subwords import train_subword_tokenizer

    texts = (row["text"] for row in data.splits["train"]) if data.streaming else data.splits["train"]["text"]
    tokenizer = train_subword_tokenizer(
        texts, **{"model_max_length": training.max_length, **rung.tokenizer, **settings.tokenizer}
    )
    model_class = rung.load_class()
    config_class = model_class.config_class
    valid = config_class().to_dict()
    for name in wanted:
        if name not in valid:
            raise ConfigError(f"{rung.name} has no setting {name!r}.{did_you_mean(name, valid)}")
    names = list(data.label_names) or ["value"]
    config = config_class(
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        num_labels=len(names),
        id2label=dict(enumerate(names)),
        label2id={name: index for index, name in enumerate(names)},
        problem_type=PROBLEM_TYPES[data.task],
        **wanted,
    )
    return SequenceClassifier(model_class(config), tokenizer, max_length=training.max_length)


def _build_pretrained(
    rung: Rung,
    data: TextDataset,
    settings: RungSettings,
    wanted: dict[str, Any],
    training: TrainingOptions,
    folder: RunFolder,
) -> Any:
    """Open the encoder with a fresh head and, where one is asked for, put an adapter on it."""
    from nlpladder.models.pretrained.adapters import add_adapter
    from nlpladder.models.pretrained.opening import open_pretrained
    from nlpladder.models.pretrained.peft_options import PeftOptions, check_peft_settings
    from nlpladder.models.sequence_classifier import SequenceClassifier

    if settings.encoder is None:
        raise ConfigError(f"The rung {rung.name!r} starts from a pretrained encoder: name one with --encoder.")
    method = wanted.pop("peft", "none")
    given = dict(wanted.pop("peft_options", {}))
    check_peft_settings(method, given)
    options = build(PeftOptions, given, where="peft_options")
    opened = open_pretrained(
        settings.encoder,
        head="classification",
        encoder_only=rung.encoder_only,
        label_names=data.label_names,
        task=data.task,
        revision=wanted.pop("revision", None),
        quantization=options.quantization,
        **wanted,
    )
    base = settings.encoder
    if os.path.isdir(base):
        # A relative path survives when runs and encoder move together.
        base = os.path.join(".", os.path.relpath(base, folder.path))
    model = add_adapter(
        opened.model,
        method=method,
        options=options,
        head="classification",
        fresh=opened.fresh,
        base_name=base,
        tokenizer=opened.tokenizer,
    )
    return SequenceClassifier(model, opened.tokenizer, max_length=training.max_length)


def _finish(
    rung: Rung,
    data: TextDataset,
    classifier: Any,
    result: TrainingResult,
    folder: RunFolder,
    training: TrainingOptions,
) -> None:
    """Save, check the reload, predict the test split, score it, write the record."""
    from nlpladder.drift.saving import save_classifier_profile
    from nlpladder.evaluation.intervals import score_predictions
    from nlpladder.hub.cards import card_facts, write_card
    from nlpladder.models.sequence_classifier import SequenceClassifier
    from nlpladder.training.report import write_run_report

    trainable = None
    if isinstance(classifier, SequenceClassifier):
        trainable = classifier.num_trainable_parameters()
        classifier.model.to("cpu") if not _on_accelerator() else None
    classifier.save_pretrained(folder.path)
    test = data.splits["test"]
    texts, labels = list(test["text"]), np.asarray(list(test["label"]))
    check_reload(classifier, folder.path, texts[:RELOAD_ROWS])
    classifier.predict_proba(texts[:64])  # the first call pays for buffers and compiled kernels
    started = time.perf_counter()
    probabilities = classifier.predict_proba(texts)
    inference_seconds = time.perf_counter() - started
    scores = score_predictions(labels, probabilities, task=data.task, label_names=data.label_names or None)
    folder.write_predictions(probabilities, labels)
    folder.write_metrics(
        {"split": "test", "n": len(texts), "scores": {name: score.to_dict() for name, score in scores.items()}}
    )
    facts = {
        "title": rung.title,
        "parameters": classifier.num_parameters(),
        "trainable_parameters": trainable if trainable is not None else classifier.num_parameters(),
        "training_seconds": round(result.seconds, 3),
        "inference_examples_per_second": round(len(texts) / max(inference_seconds, 1e-9), 1),
        "peak_memory_mib": round(peak_memory_mib(), 1),
        "steps": result.steps,
        "planned_steps": result.planned_steps,
        "history": result.history,
        "best_validation": result.best,
        "data": {
            "rows": {name: len(split) for name, split in data.splits.items() if hasattr(split, "__len__")},
            "notes": list(data.notes),
            "ceilings": dict(data.ceilings),
        },
        "notes": result.notes,
        "training_precision": _precision(rung, training),
    }
    write_run_report(folder.path, data, texts, labels, probabilities, result.history)
    save_classifier_profile(folder.path, classifier, data)
    facts |= card_facts(rung, folder.record["identity"])
    write_card(folder.path, record={**folder.record, **facts})
    folder.finish(**facts)


def check_reload(classifier: TextClassifier, folder: Path, texts: Sequence[str]) -> None:
    """Compare the trained model with the one read back from `folder`, bit for bit.

    Raises:
        CheckFailedError: when any probability differs.
    """
    from nlpladder.hub.loading import load

    reloaded: Any = load(folder)
    if hasattr(reloaded, "max_length"):
        trained: Any = classifier
        reloaded.max_length = trained.max_length
        reloaded.model.to(next(trained.model.parameters()).device)
    expected, found = classifier.predict_proba(texts), reloaded.predict_proba(texts)
    if not np.array_equal(expected, found):
        raise CheckFailedError(
            f"The model saved in {folder} answers differently from the trained one (largest difference "
            f"{np.abs(expected - found).max():.3g} on {len(texts)} texts). Some weights were not saved; do not use it."
        )


def _on_accelerator() -> bool:
    from nlpladder.training.options import accelerator_available

    return accelerator_available()


def _precision(rung: Rung, training: TrainingOptions) -> str:
    from nlpladder.training.options import resolve_precision

    return "float64" if rung.kind == "classic" else resolve_precision(training.precision)
