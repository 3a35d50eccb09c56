"""One tagger, from tagged sentences to a finished run folder: open, train, save, check, tag, score, describe."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.data.token_labels import TaggedText
from nlpladder.errors import ConfigError, ModelError
from nlpladder.evaluation.entities import EntityStatistics, score_entities
from nlpladder.evaluation.intervals import Score
from nlpladder.evaluation.tags import TagStatistics, score_tags
from nlpladder.finetuning.common import check_reload, facts_of, identity_of, say_on_main, start_model
from nlpladder.finetuning.encoder_options import EncoderOptions, TaggingOptions
from nlpladder.ladder import Rung, find_rung
from nlpladder.runs import carry_out
from nlpladder.tasks.base import RungRun
from nlpladder.train_rung import quiet_libraries
from nlpladder.training.neural import TrainingResult
from nlpladder.training.run_folder import RunFolder, write_text

if TYPE_CHECKING:
    from nlpladder.models.token_classifier import TokenClassifier

STATISTICS_FILE = "sentences.parquet"
#: Word, gold tag and predicted tag a line, as ``conlleval`` reads them.
PREDICTIONS_FILE = "predictions.conll"
#: Sentences on which a model read back from disk must answer as the trained one did.
RELOAD_SENTENCES = 8
MAX_LENGTH = 128


def finetune_token_classification(
    data: TaggedText, options: EncoderOptions, *, tagging: TaggingOptions | None = None
) -> RungRun:
    """Fine-tune an encoder to tag words; a finished folder of the same identity is read instead.

    Args:
        data: Sentences with splits train, validation and test.
        options: Model, adapter, training and folder.
        tagging: How long sentences are cut and which pieces are learnt.

    Raises:
        RunError: when the folder holds a run of other arguments.
        ModelError: for a model of the wrong kind, or one that cannot take the adapter.
        CheckFailedError: when the saved model does not answer as the trained one.
    """
    quiet_libraries()
    tagging = tagging or TaggingOptions()
    rung = find_rung("bert_tagger")
    options = options.completed(max_length=MAX_LENGTH, select_best_on="entity_f1" if data.has_entities else "accuracy")
    if tagging.window_overlap is not None and tagging.window_overlap < 0:
        raise ConfigError(f"window_overlap must not be negative, got {tagging.window_overlap}.")

    def train(folder: RunFolder) -> tuple[TokenClassifier, TrainingResult]:
        return _train(data, options, tagging, folder)

    def finish(trained: tuple[TokenClassifier, TrainingResult], folder: RunFolder) -> None:
        _finish(rung, data, options, *trained, folder)

    identity = identity_of(
        rung, data.name, data.fingerprint, options,
        data={"labels": list(data.tag_names), "task": data.tag_column}, tagging=dataclasses.asdict(tagging),
    )  # fmt: skip
    return carry_out(identity, options.output_dir, train=train, finish=finish, overwrite=options.overwrite)


def _train(
    data: TaggedText, options: EncoderOptions, tagging: TaggingOptions, folder: RunFolder
) -> tuple[TokenClassifier, TrainingResult]:
    """Open the model and train it, on every process of the launch."""
    from nlpladder.models.pretrained.adapters import trainable_share
    from nlpladder.models.token_classifier import TokenClassifier
    from nlpladder.training.labelled_windows import tagged_windows
    from nlpladder.training.token_tasks import train_token_task

    training = options.training()
    opened = start_model(
        options, "token_classification", folder=folder.path, label_names=data.tag_names
    )  # fmt: skip
    say_on_main(trainable_share(opened.model))

    train_split, validation = data.splits["train"], data.splits["validation"]
    valid = fit_together(data.tag_names, train_split.tags) if tagging.valid_tags is None else tagging.valid_tags

    def holder(model: Any) -> TokenClassifier:
        return TokenClassifier(
            model, opened.tokenizer, max_length=training.max_length, overlap=tagging.window_overlap, valid_tags=valid
        )

    train_set, notes = tagged_windows(
        holder(opened.model), train_split.words, train_split.tags, every_piece=tagging.label_every_piece
    )

    def measure(model: Any) -> dict[str, float]:
        return validation_scores(holder(model), validation.words, validation.tags, entities=data.has_entities)

    model, result = train_token_task(
        opened.model, opened.tokenizer, train_set, training, spans=False, measure=measure,
        folder=folder.checkpoints, seed=options.seed, name="bert_tagger", time_limit=options.time_limit,
    )  # fmt: skip
    result.notes += notes
    return holder(model), result


def fit_together(names: Sequence[str], tagged: Sequence[Sequence[str]]) -> bool:
    """Return whether the tags mark entities, and those of every sentence are whole: IOB2 or IOBES, and not IOB1.

    Args:
        names: All tags.
        tagged: The tags of each sentence.
    """
    from nlpladder.models.tag_decoding import TagGrammar

    try:
        grammar = TagGrammar.of(names)
    except ModelError:
        return False
    ids = {name: place for place, name in enumerate(names)}
    return all(grammar.allows([ids[tag] for tag in tags]) for tags in tagged)


def validation_scores(
    classifier: TokenClassifier, words: Sequence[Sequence[str]], tags: Sequence[Sequence[str]], *, entities: bool
) -> dict[str, float]:
    """Return the mean loss a word, in nats, and what decides between epochs.

    Args:
        classifier: Model with tokenizer.
        words: Of the validation sentences.
        tags: Their tags.
        entities: Whether the tags mark entities.
    """
    from scipy.special import log_softmax

    logits, known = classifier.word_logits(words)
    ids = {name: index for index, name in enumerate(classifier.tag_names)}
    total, count = 0.0, 0
    for row, there, right in zip(logits, known, tags, strict=True):
        own = np.array([ids[tag] for tag in right], dtype=np.int64)
        total -= float(log_softmax(row.astype(np.float64), axis=1)[np.arange(len(own)), own][there].sum())
        count += int(there.sum())
    predicted = [classifier.decode(row, there)[1] for row, there in zip(logits, known, strict=True)]
    loss = {"loss": total / max(count, 1)}
    if entities:
        scores = EntityStatistics.of(predicted, tags).corpus()
        return {**loss, **{name: scores[name] for name in ("entity_f1", "token_accuracy")}}
    scores = TagStatistics.of(predicted, tags).corpus()
    return {**loss, **{name: scores[name] for name in ("accuracy", "f1_macro")}}


def _finish(
    rung: Rung,
    data: TaggedText,
    options: EncoderOptions,
    classifier: TokenClassifier,
    result: TrainingResult,
    folder: RunFolder,
) -> None:
    """Save, check the reload, tag the test split, score it, draw, write the record."""
    from nlpladder.drift.saving import save_text_profile
    from nlpladder.finetuning.token_report import write_tagging_report
    from nlpladder.hub.cards import card_facts, write_card

    test = data.splits["test"]
    classifier.save_pretrained(folder.path)
    check_reload(classifier, folder.path, lambda one: one.word_logits(test.words[:RELOAD_SENTENCES])[0])
    started = time.perf_counter()
    found = classifier.predict(test.words)
    seconds = time.perf_counter() - started
    predicted = [sentence.tags for sentence in found]
    statistics, scores = score_tagging(predicted, test.tags, entities=data.has_entities)
    folder.write_columns(STATISTICS_FILE, statistics.to_columns())
    write_text(folder.path / PREDICTIONS_FILE, _as_conll(test.words, test.tags, predicted))
    folder.write_metrics(
        {
            "split": "test",
            "n": len(test),
            "tested": f"test split, {len(test):,} sentences, {sum(map(len, test.words)):,} words",
            "fingerprint": statistics.fingerprint,
            "scores": {name: score.to_dict() for name, score in scores.items()},
        }
    )
    without = sum(len(sentence.without_pieces) for sentence in found)
    if without:
        result.notes.append(f"{without:,} test words have no sub-word (control characters); see TaggedWords")
    facts = facts_of(
        rung, classifier, result, options,
        items_per_second=len(test) / max(seconds, 1e-9),
        rows={name: len(split) for name, split in data.splits.items()}, data_notes=data.notes,
    )  # fmt: skip
    write_tagging_report(folder.path, data, found, result.history)
    train, validation = ([" ".join(words) for words in data.splits[name].words] for name in ("train", "validation"))
    save_text_profile(folder.path, "tag", train=train, held_out=validation)
    facts |= card_facts(rung, folder.record["identity"])
    write_card(folder.path, record={**folder.record, **facts})
    folder.finish(**facts)


def score_tagging(
    predicted: Sequence[Sequence[str]], gold: Sequence[Sequence[str]], *, entities: bool
) -> tuple[EntityStatistics | TagStatistics, dict[str, Score]]:
    """Return the counts of each sentence, and every score with its interval: of entities, or of tags."""
    if entities:
        found = EntityStatistics.of(predicted, gold)
        return found, {name: score.mean for name, score in score_entities([found]).items()}
    counted = TagStatistics.of(predicted, gold)
    return counted, {name: score.mean for name, score in score_tags([counted]).items()}


def tagging_summary(run: RungRun, folder: str) -> str:
    """Return the closing lines of a recipe that tags words."""
    from nlpladder.views.run_summary import run_summary

    entities = "entity_f1" in run.metrics["scores"]
    use = "model.entities('Ada lives in Paris.')" if entities else "model.predict(['She came home.'])[0].tags"
    return run_summary(run.record, run.metrics, folder, use=use, speed_unit="sentences", was_there=run.was_there)


def _as_conll(words: Sequence[Sequence[str]], gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> str:
    """Return one word a line with its gold and predicted tag, a blank line after each sentence."""
    blocks = []
    for row in zip(words, gold, predicted, strict=True):
        lines = (" ".join(("".join(word.split()) or "_", right, ours)) for word, right, ours in zip(*row, strict=True))
        blocks.append("\n".join(lines) + "\n")
    return "\n".join(blocks)
