"""A pretrained causal model goes on learning on text: from running text to a finished run folder.

The model is scored on the test text before and after, in the same windows, so that the run shows what it gained; each
token is one of the model's own tokenizer. See `nlpladder.finetuning.text_rows` for the two readings of a text.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.data.running_text import RunningText
from nlpladder.errors import DataError
from nlpladder.evaluation.language_modeling import COLUMNS, TextLosses, split_by_line
from nlpladder.finetuning.causal import describe_cost, hold_model, move, start_causal_model, training_for
from nlpladder.finetuning.common import base_answers, check_reload, facts_of, identity_of, rung_of_method
from nlpladder.finetuning.language_model_report import (
    SAMPLES_FILE,
    Sample,
    gain_of,
    language_model_samples,
    samples_table,
    scores_of,
    write_text_report,
)
from nlpladder.finetuning.options import CausalFinetuningOptions
from nlpladder.finetuning.text_rows import (
    Documents,
    check_end_mark,
    choose_documents,
    document_rows,
    running_ids,
    texts_for_scores,
)
from nlpladder.ladder import Rung, find_rung
from nlpladder.runs import carry_out
from nlpladder.tasks.base import RungRun
from nlpladder.train_language_model import LOSSES_FILE, RELOAD_LINES, evaluate_language_model
from nlpladder.train_neural_language_model import losses_of_documents
from nlpladder.train_rung import quiet_libraries
from nlpladder.training.neural import TrainingResult
from nlpladder.training.run_folder import RunFolder, write_text
from nlpladder.training.sequence_options import SequenceTrainingOptions

if TYPE_CHECKING:
    from nlpladder.models.neural_language_model import NeuralLanguageModel
    from nlpladder.training.sequence_data import RunningTokens, TargetRows, TokenBlocks

logger = logging.getLogger(__name__)

#: Losses of the test texts before the training; those after it stand in ``losses.parquet``.
LOSSES_BEFORE_FILE = "losses_before.parquet"


@dataclass(frozen=True, kw_only=True)
class TextReading:
    """How the text is read and scored.

    Attributes:
        documents: ``separate``, ``running``, or ``auto`` for running where there is a single document.
        context_window: Tokens that the model reads at once when it scores; by default its positions.
        stride: Tokens by which that window moves; by default half the window.
        prompts: What the sample texts begin with; an empty one gives texts from their beginning.
    """

    documents: str = "auto"
    context_window: int | None = None
    stride: int | None = None
    prompts: tuple[str, ...] = ("",)


@dataclass(frozen=True)
class _Trained:
    """What the training hands to what follows it."""

    model: NeuralLanguageModel
    result: TrainingResult
    before: TextLosses
    samples_before: list[Sample]


def finetune_language_model(
    text: RunningText,
    options: CausalFinetuningOptions,
    *,
    reading: TextReading | None = None,
    say: Callable[[str], None] = logger.info,
) -> RungRun:
    """Fine-tune a causal language model on text; a finished folder of the same identity is read instead.

    Args:
        text: Train, validation and test.
        options: Model, adapter, training, run folder.
        reading: How text is read and scored.
        say: Gets lines of progress, such as what the training will cost.

    Returns:
        The run: ``metrics.json`` has bits per byte and perplexities after (``scores``) and before (``before``), and
        their difference with its interval (``gain``).

    Raises:
        RunError: when the folder holds a run of other arguments.
        ModelError: for a model of the wrong kind, without end mark, or with fewer positions than the rows have tokens.
        DataError: for a text that is too short.
        CheckFailedError: when the saved model does not answer as the trained one.
    """
    quiet_libraries()
    reading = reading or TextReading()
    documents = choose_documents(reading.documents, text.train)
    full = dataclasses.replace(find_rung("gpt"), idea="has read far more text than yours; every weight adapts to it")
    rung = rung_of_method(full, find_rung("gpt_lora"), options.peft)
    if texts_for_scores(text.test) < 2:
        raise DataError(
            f"The test text of {text.name} is a single line: an interval needs at least two texts or lines. Give more "
            "text, or files named train, validation and test."
        )

    def train(folder: RunFolder) -> _Trained:
        return _train(text, options, reading, documents, folder, say)

    def finish(trained: _Trained, folder: RunFolder) -> None:
        _finish(rung, text, options, reading, documents, trained, folder)

    identity = identity_of(
        rung, text.name, text.fingerprint, options, data={"unit": text.unit},
        text={**dataclasses.asdict(reading), "documents": documents, "eos_token": options.eos_token},
    )  # fmt: skip
    return carry_out(identity, options.output_dir, train=train, finish=finish, overwrite=options.overwrite)


def _train(
    text: RunningText,
    options: CausalFinetuningOptions,
    reading: TextReading,
    documents: Documents,
    folder: RunFolder,
    say: Callable[[str], None],
) -> _Trained:
    """Open, score what was opened, train; on every process of the launch."""
    from accelerate import PartialState

    from nlpladder.models.pretrained.adapters import trainable_share
    from nlpladder.training.hooks import only_training
    from nlpladder.training.sequence_training import train_sequence_model

    opened = start_causal_model(options, folder.path)
    state = PartialState()

    def hold(model: Any) -> NeuralLanguageModel:
        window, stride = reading.context_window, reading.stride
        return hold_model(model, opened.tokenizer, options, context_window=window, stride=stride)

    model = hold(opened.model)
    training, notes = training_for(model, options, running=documents == "running")
    train_set = rows_of(text.train, model, training, documents, name="train")
    validation_set = rows_of(text.validation, model, training, documents, name="validation")
    say(f"{options.model}: {trainable_share(opened.model)}")
    say(describe_cost(train_set, training, documents))
    before, samples = TextLosses(np.zeros((0, len(COLUMNS)))), []
    if state.is_main_process and not only_training():
        move(opened.model, state.device, options)
        with base_answers(opened.model):
            before = measure_for(documents)(model, text.test)
            samples = language_model_samples(model, reading.prompts)
        found = scores_of(before)["bits_per_byte"]
        say(f"before training: {found.format()} bits per byte of the test text")
    trained, result = train_sequence_model(
        opened.model, train_set=train_set, validation_set=validation_set, options=training, folder=folder.checkpoints,
        seed=options.seed, name=options.peft if options.peft != "none" else "fine-tuning",
        pad_token_id=model.encoder.pad_id, time_limit=options.time_limit,
    )  # fmt: skip
    result.notes[:0] = notes
    return _Trained(hold(trained), result, before, samples)


def rows_of(
    texts: Any, model: NeuralLanguageModel, training: SequenceTrainingOptions, documents: Documents, *, name: str
) -> TargetRows | RunningTokens | TokenBlocks:
    """Return what is trained or validated on.

    Args:
        texts: Of one split.
        model: Gives tokenizer and marks.
        training: Lengths of windows and blocks.
        documents: How texts are read.
        name: Of the split, for errors.

    Raises:
        ModelError: Separate documents need an end mark that the model does not have.
        DataError: There is too little text.
    """
    from nlpladder.training.sequence_data import RunningTokens, TokenBlocks

    if documents == "separate":
        check_end_mark(model.encoder, why="Documents that are read separately")
        return document_rows(texts, model.encoder, max_length=training.max_length)
    ids = running_ids(texts, model.encoder)
    if len(ids) < 3:
        raise DataError(f"The {name} text has {len(ids)} tokens, marks included: too few to learn from.")
    if training.carry_state:
        return RunningTokens(ids, batch_size=training.batch_size, block_length=training.block_length)
    return TokenBlocks(ids, block_length=training.block_length)


def measure_for(documents: Documents) -> Callable[[Any, Sequence[str]], TextLosses]:
    """Return how losses come from texts: as the training read them."""
    return losses_of_documents if documents == "running" else losses_of_texts


def losses_of_texts(model: NeuralLanguageModel, texts: Sequence[str]) -> TextLosses:
    """Score each text by itself; of a single one the loss of each line is kept, over which intervals are computed."""
    scores = model.score(texts)
    if len(texts) > 1:
        return TextLosses.of(scores)
    encoded = model.tokenizer(list(texts), add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    starts = np.array([start for start, _ in encoded["offset_mapping"][0]], dtype=np.int64)
    return TextLosses.of(split_by_line(scores[0], texts[0], starts))


def _finish(
    rung: Rung,
    text: RunningText,
    options: CausalFinetuningOptions,
    reading: TextReading,
    documents: Documents,
    trained: _Trained,
    folder: RunFolder,
) -> None:
    """Save, check the reload, score the test text, write samples, figures, card and record."""
    from nlpladder.drift.saving import save_language_model_profile
    from nlpladder.hub.cards import card_facts, write_card

    model, result = trained.model, trained.result
    model.save_pretrained(folder.path)
    lines = [line[:500] for line in text.test[:RELOAD_LINES]]
    check_reload(model, folder.path, lambda held: [score.logprobs for score in held.score(lines)])
    evaluated = evaluate_language_model(model, text.test, folder, measure=partial(measure_for(documents), model))
    after = TextLosses(np.column_stack([folder.read_columns(LOSSES_FILE)[name] for name in COLUMNS]))
    folder.write_columns(LOSSES_BEFORE_FILE, dict(zip(COLUMNS, trained.before.columns.T, strict=True)))
    unit = "documents" if documents == "separate" and len(text.test) > 1 else "lines"
    gain = gain_of(trained.before, after, unit=unit)
    metrics = folder.read_metrics()
    metrics["tested"] = (
        f"test text, {metrics['n']:,} {unit}, {int(after.columns[:, 1].sum()):,} tokens of the model's tokenizer"
    )
    metrics["scoring"] = model.describe_scoring(running=documents == "running")
    metrics["before"] = {"scores": {name: score.to_dict() for name, score in scores_of(trained.before).items()}}
    metrics["gain"] = gain
    folder.write_metrics(metrics)
    samples = trained.samples_before + language_model_samples(model, reading.prompts, when="after")
    write_text(folder.path / SAMPLES_FILE, samples_table(samples))
    facts = facts_of(
        rung, model, result, options, items_per_second=evaluated["tokens_per_second"],
        rows={"validation": len(text.validation), "test": len(text.test)}, data_notes=text.notes,
    )  # fmt: skip
    facts["notes"] = [*facts["notes"], gain["sentence"]]
    write_text_report(folder.path, model, text.test, result.history)
    save_language_model_profile(folder.path, model, text)
    facts |= card_facts(rung, folder.record["identity"])
    write_card(folder.path, record={**folder.record, **facts})
    folder.finish(**facts)
