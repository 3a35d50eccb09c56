"""One neural language-model rung, from running text to a finished run folder: tokenise, train, save, check, score."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.config import build
from nlpladder.data.running_text import RunningText, encode_running_text
from nlpladder.errors import ConfigError
from nlpladder.evaluation.language_modeling import TextLosses, score_language_model, split_by_line
from nlpladder.ladder import Rung
from nlpladder.neural_rungs import (
    build_model,
    sequence_training_options,
    training_facts,
)
from nlpladder.runs import carry_out
from nlpladder.tasks.base import RungRun, RungSettings
from nlpladder.train_language_model import RELOAD_LINES, check_same_scores, evaluate_language_model
from nlpladder.train_rung import quiet_libraries
from nlpladder.training.neural import TrainingResult
from nlpladder.training.run_folder import RunFolder
from nlpladder.training.sequence_options import SequenceTrainingOptions

if TYPE_CHECKING:
    from nlpladder.models.neural_language_model import NeuralLanguageModel

#: Name under which metrics.json keeps the scores of the test text read as one running text.
RUNNING = "running"
#: Length of the texts that a recipe prints at its end.
SAMPLE_TOKENS = 60


@dataclasses.dataclass(frozen=True, kw_only=True)
class TextTokenizerOptions:
    """How the vocabulary is made: see `nlpladder.text.subwords.train_subword_tokenizer`.

    Attributes:
        scheme: bpe, byte_bpe, unigram, wordpiece, word, whitespace, char or byte.
        vocab_size: Entries at most.
        lowercase: Fold case.
        min_frequency: How often a word or pair must occur to become an entry.
    """

    scheme: str = "bpe"
    vocab_size: int = 4000
    lowercase: bool = False
    min_frequency: int = 1


def tokenizer_options(rung: Rung, settings: RungSettings) -> TextTokenizerOptions:
    """Return the rung's tokenizer settings with those given on top, names and types checked."""
    wanted = {**rung.tokenizer, **settings.tokenizer}
    return build(TextTokenizerOptions, wanted, where=f"the tokenizer options of {rung.name}")


def neural_identity(rung: Rung, text: RunningText, settings: RungSettings, seed: int) -> dict[str, Any]:
    """Return everything that decides the result of a run, by which a folder is known again."""
    return {
        "rung": rung.name,
        "seed": seed,
        "data": {"name": text.name, "fingerprint": text.fingerprint, "unit": text.unit},
        "model": {**rung.model_settings, **settings.model},
        "training": dataclasses.asdict(sequence_training_options(rung, settings)),
        "tokenizer": dataclasses.asdict(tokenizer_options(rung, settings)),
    }


def train_neural_language_model(
    rung: Rung,
    text: RunningText,
    settings: RungSettings,
    *,
    output_dir: str | os.PathLike[str],
    seed: int = 0,
    time_limit: float | None = None,
    overwrite: bool = False,
) -> RungRun:
    """Train and evaluate one neural language model; a finished folder of the same identity is read instead.

    Args:
        rung: Of the task ``language_modeling`` and the kind ``neural``.
        text: Train, validation and test.
        settings: What differs from the rung's defaults.
        output_dir: The run folder.
        seed: For weights, order and dropout.
        time_limit: Seconds of training after which it stops.
        overwrite: Replace an earlier run.

    Raises:
        RunError: when the folder holds a run of other arguments.
        CheckFailedError: when the saved model does not answer as the trained one.
        ConfigError: for settings that the rung does not have.
    """
    quiet_libraries()
    training = sequence_training_options(rung, settings)

    def train(folder: RunFolder) -> tuple[NeuralLanguageModel, TrainingResult]:
        return _train(rung, text, settings, training, folder, seed, time_limit)

    def finish(trained: tuple[NeuralLanguageModel, TrainingResult], folder: RunFolder) -> None:
        _finish(rung, text, *trained, folder, training)

    identity = neural_identity(rung, text, settings, seed)
    return carry_out(identity, output_dir, train=train, finish=finish, overwrite=overwrite)


def _train(
    rung: Rung,
    text: RunningText,
    settings: RungSettings,
    training: SequenceTrainingOptions,
    folder: RunFolder,
    seed: int,
    time_limit: float | None,
) -> tuple[NeuralLanguageModel, TrainingResult]:
    """Train tokenizer and model, on every process of the launch."""
    from nlpladder.models.neural_language_model import NeuralLanguageModel
    from nlpladder.text.subwords import train_subword_tokenizer
    from nlpladder.training.sequence_data import RunningTokens, TokenBlocks
    from nlpladder.training.sequence_training import train_sequence_model
    from nlpladder.training.trainer import set_all_seeds

    options: Any = dataclasses.asdict(tokenizer_options(rung, settings))
    tokenizer = train_subword_tokenizer(text.train, **options, template="none", model_max_length=10**9)
    set_all_seeds(seed)
    eos = int(tokenizer.eos_token_id)
    model = build_model(
        rung,
        _with_window({**rung.model_settings, **settings.model}, rung, training.block_length),
        vocab_size=len(tokenizer),
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=eos,  # every text begins after an end mark
        eos_token_id=eos,
    )

    def tokens(texts: Any) -> RunningTokens | TokenBlocks:
        ids = encode_running_text(texts, tokenizer, eos)
        if training.carry_state:
            return RunningTokens(ids, batch_size=training.batch_size, block_length=training.block_length)
        return TokenBlocks(ids, block_length=training.block_length)

    model, result = train_sequence_model(
        model, train_set=tokens(text.train), validation_set=tokens(text.validation), options=training,
        folder=folder.checkpoints, seed=seed, name=rung.name, pad_token_id=tokenizer.pad_token_id,
        time_limit=time_limit,
    )  # fmt: skip
    return NeuralLanguageModel(model, tokenizer), result


def _with_window(wanted: dict[str, Any], rung: Rung, block_length: int) -> dict[str, Any]:
    """Let a model of limited context see as many tokens as its training blocks have, unless it says a number itself."""
    name = "max_position_embeddings"
    if name not in rung.load_class().config_class().to_dict():
        return wanted
    if (wanted.get(name) or block_length) < block_length:
        raise ConfigError(
            f"The training blocks have {block_length} tokens (block_length), but the model takes {wanted[name]} "
            f"({name}). Make the two equal."
        )
    return {**wanted, name: wanted.get(name) or block_length}


def _finish(
    rung: Rung,
    text: RunningText,
    model: NeuralLanguageModel,
    result: TrainingResult,
    folder: RunFolder,
    training: SequenceTrainingOptions,
) -> None:
    """Save, check the reload, score the test text, draw, write the record."""
    from nlpladder.drift.saving import save_language_model_profile
    from nlpladder.hub.cards import card_facts, write_card
    from nlpladder.training.sequence_report import write_language_model_report

    model.save_pretrained(folder.path)
    check_same_scores(model, folder.path, [line[:500] for line in text.test[:RELOAD_LINES]])
    documents = text.unit == "document"
    evaluated = evaluate_language_model(
        model, text.test, folder, measure=partial(losses_of_documents, model) if documents else None
    )
    metrics = folder.read_metrics()
    metrics["scoring"] = model.describe_scoring()
    if not documents:
        metrics[RUNNING] = _running_scores(model, text)
    folder.write_metrics(metrics)
    facts = training_facts(rung, model, result, training, items_per_second=evaluated["tokens_per_second"])
    facts |= {
        "data": {"rows": {"validation": len(text.validation), "test": len(text.test)}, "notes": list(text.notes)},
    }
    write_language_model_report(folder.path, model, text.test, result.history)
    save_language_model_profile(folder.path, model, text)
    facts |= card_facts(rung, folder.record["identity"])
    write_card(folder.path, record={**folder.record, **facts})
    folder.finish(**facts)


def _running_scores(model: NeuralLanguageModel, text: RunningText) -> dict[str, Any]:
    """Score the test lines with the lines before them as context, as published perplexities are measured."""
    scores = score_language_model([TextLosses.of(model.score_running(text.test))])
    return {
        "tested": f"the {len(text.test):,} test lines as one running text",
        "scores": {name: score.mean.to_dict() for name, score in scores.items()},
    }


def losses_of_documents(model: NeuralLanguageModel, texts: Sequence[str]) -> TextLosses:
    """Score running text and keep the loss of each line, over which intervals are computed."""
    scores = []
    for text, score in zip(texts, model.score_running(texts), strict=True):
        encoded = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        starts = np.array([start for start, _ in encoded["offset_mapping"]], dtype=np.int64)
        scores.extend(split_by_line(score, text, starts))
    return TextLosses.of(scores)


def language_model_summary(run: RungRun, folder: str, *, prompt: str = "", samples: int = 3) -> str:
    """Return the closing lines of a recipe: scores, how they were taken, and texts of the model's own."""
    from nlpladder.evaluation.intervals import Score
    from nlpladder.generation import GenerationOptions
    from nlpladder.hub.loading import load
    from nlpladder.views.run_summary import run_summary

    use = "model.generate(['the'])"
    lines = [run_summary(run.record, run.metrics, folder, use=use, speed_unit="tokens scored", was_there=run.was_there)]
    lines.append(f"scored:     {run.metrics['scoring']}")
    if RUNNING in run.metrics:
        found = run.metrics[RUNNING]
        shown = (Score.from_dict(found["scores"][name]) for name in ("perplexity", "perplexity_per_word"))
        parts = ", ".join(f"{score.name.replace('_', ' ')} {score.format()}" for score in shown)
        lines.append(f"{found['tested']}: {parts}")
    model = load(folder)
    positions = getattr(model.model.config, "max_position_embeddings", None) or SAMPLE_TOKENS + 1
    tokens = max(1, min(SAMPLE_TOKENS, positions - 1))
    for number in range(samples):
        (text,) = model.generate([prompt], GenerationOptions(max_new_tokens=tokens, temperature=0.8, seed=number))
        lines.append(f"sample {number + 1}:   {prompt}{text}".rstrip())
    lines.append(f"more:       python recipes/generate_text.py --model {folder} --prompt '…'")
    return "\n".join(lines)
