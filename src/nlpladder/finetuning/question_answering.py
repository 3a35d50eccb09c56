"""One reader, from questions on texts to a finished run folder: open, train, save, check, answer, score, describe."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.data.questions import Question, QuestionText
from nlpladder.evaluation.answers import AnswerStatistics, Version, score_answers
from nlpladder.finetuning.common import check_reload, facts_of, identity_of, say_on_main, start_model
from nlpladder.finetuning.encoder_options import EncoderOptions, ReadingOptions
from nlpladder.ladder import Rung, find_rung
from nlpladder.runs import carry_out
from nlpladder.tasks.base import RungRun
from nlpladder.train_rung import quiet_libraries
from nlpladder.training.neural import TrainingResult
from nlpladder.training.run_folder import RunFolder, write_json

if TYPE_CHECKING:
    from nlpladder.models.question_answerer import Answer, QuestionAnswerer

STATISTICS_FILE = "questions.parquet"
#: ``{id: text}``, which the official scripts of SQuAD read.
PREDICTIONS_FILE = "predictions.json"
#: ``{id: score of "no answer" minus that of the best span}``, for the official script of SQuAD 2.0.
NO_ANSWER_FILE = "no_answer_scores.json"
#: Questions on which a model read back from disk must answer as the trained one did.
RELOAD_QUESTIONS = 8
MAX_LENGTH = 384


def finetune_question_answering(
    data: QuestionText, options: EncoderOptions, *, reading: ReadingOptions | None = None
) -> RungRun:
    """Fine-tune an encoder to find answers in texts; a finished folder of the same identity is read instead.

    Args:
        data: Questions with splits train, validation and test.
        options: Model, adapter, training and folder.
        reading: How long texts are cut, and how long an answer may be.

    Raises:
        RunError: when the folder holds a run of other arguments.
        ModelError: for a model of the wrong kind, or one that cannot take the adapter.
        CheckFailedError: when the saved model does not answer as the trained one.
    """
    quiet_libraries()
    reading = reading or ReadingOptions()
    rung = find_rung("bert_reader")
    options = options.completed(max_length=MAX_LENGTH, select_best_on="f1")

    def train(folder: RunFolder) -> tuple[QuestionAnswerer, TrainingResult]:
        return _train(data, options, reading, folder)

    def finish(trained: tuple[QuestionAnswerer, TrainingResult], folder: RunFolder) -> None:
        _finish(rung, data, options, *trained, folder)

    identity = identity_of(
        rung, data.name, data.fingerprint, options,
        data={"unanswerable": data.has_unanswerable}, reading=dataclasses.asdict(reading),
    )  # fmt: skip
    return carry_out(identity, options.output_dir, train=train, finish=finish, overwrite=options.overwrite)


def _train(
    data: QuestionText, options: EncoderOptions, reading: ReadingOptions, folder: RunFolder
) -> tuple[QuestionAnswerer, TrainingResult]:
    """Open the model and train it, on every process of the launch."""
    from nlpladder.models.pretrained.adapters import trainable_share
    from nlpladder.models.question_answerer import QuestionAnswerer
    from nlpladder.training.labelled_windows import answered_windows
    from nlpladder.training.token_tasks import train_token_task

    training = options.training()
    opened = start_model(options, "question_answering", folder=folder.path)
    say_on_main(trainable_share(opened.model))
    threshold = 0.0 if data.has_unanswerable else None

    def holder(model: Any) -> QuestionAnswerer:
        return QuestionAnswerer(
            model, opened.tokenizer, max_length=training.max_length, doc_stride=reading.doc_stride,
            max_answer_length=reading.max_answer_length, no_answer_threshold=threshold,
        )  # fmt: skip

    rows = data.splits["train"]
    train_set, notes = answered_windows(
        holder(opened.model),
        [row.question for row in rows],
        [row.context for row in rows],
        [row.learnt_span() for row in rows],
    )

    def measure(model: Any) -> dict[str, float]:
        return validation_scores(holder(model), data.splits["validation"], version=version_of(data))

    model, result = train_token_task(
        opened.model, opened.tokenizer, train_set, training, spans=True, measure=measure,
        folder=folder.checkpoints, seed=options.seed, name="bert_reader", time_limit=options.time_limit,
    )  # fmt: skip
    result.notes += notes
    return holder(model), result


def version_of(data: QuestionText) -> Version:
    """Return whose arithmetic scores the data: SQuAD 2.0 where any question may be without an answer, else 1.1."""
    return "2.0" if any(not row.answers for rows in data.splits.values() for row in rows) else "1.1"


def answer_all(reader: QuestionAnswerer, questions: Sequence[Question], *, n_best: int = 1) -> list[Answer]:
    """Answer the questions of a split."""
    return reader.answer(
        [row.question for row in questions], [row.context for row in questions], n_best=n_best
    )  # fmt: skip


def validation_scores(reader: QuestionAnswerer, questions: Sequence[Question], *, version: Version) -> dict[str, float]:
    """Return exact match, F1 and the mean of -log p of the learnt answers (or of "no answer"), in nats.

    Args:
        reader: Model with tokenizer.
        questions: Of the validation split.
        version: Of SQuAD's arithmetic.
    """
    from nlpladder.models.span_decoding import answer_pieces, log_normalizer

    found = reader.scores([row.question for row in questions], [row.context for row in questions])
    knows_none = reader.no_answer_threshold is not None
    answers, losses = [], []
    for row, (scores, pieces) in zip(questions, found, strict=True):
        answers.append(reader.decode(scores, pieces, row.context).text)
        span = row.learnt_span()
        place = answer_pieces(pieces.starts, pieces.ends, span)
        score = -np.inf
        if place is not None and place[1] - place[0] < reader.max_answer_length:
            score = float(scores.scores[place[0], place[1] - place[0]])
        elif span is None and knows_none:
            score = scores.null
        if np.isfinite(score):  # an answer that is too long, or stands whole in no window, has no probability
            losses.append(log_normalizer(scores, with_null=knows_none) - score)
    measured = AnswerStatistics.of(answers, [row.answers for row in questions], version=version).corpus()
    return {
        "loss": float(np.mean(losses)) if losses else float("nan"),
        "f1": measured["f1"],
        "exact_match": measured["exact_match"],
    }


def best_threshold(reader: QuestionAnswerer, questions: Sequence[Question], *, version: Version) -> tuple[float, float]:
    """Return the threshold of "no answer" with the best F1, and that F1 (``find_best_thresh`` of SQuAD 2.0's script).

    Args:
        reader: Model with tokenizer.
        questions: Of the validation split, never of the test split.
        version: Of SQuAD's arithmetic.
    """
    found = reader.scores([row.question for row in questions], [row.context for row in questions])
    gold = [row.answers for row in questions]
    spans = []
    differences = np.empty(len(questions))
    for number, (row, (scores, pieces)) in enumerate(zip(questions, found, strict=True)):
        kept, reader.no_answer_threshold = reader.no_answer_threshold, float("inf")
        answer = reader.decode(scores, pieces, row.context)
        reader.no_answer_threshold = kept
        spans.append(answer.text)
        differences[number] = float("-inf") if answer.no_answer_score is None else answer.no_answer_score
    place = AnswerStatistics.of(spans, gold, version=version)
    f1 = place.columns[:, place.names.index("f1")]
    empty = np.array([float(not answers) for answers in gold])
    # Sorted by difference: with the threshold at the k-th, the first k questions are answered, the others are not.
    order = np.argsort(differences, kind="stable")
    answered = np.concatenate([[0.0], np.cumsum(f1[order])])
    refused = np.concatenate([np.cumsum(empty[order][::-1])[::-1], [0.0]])
    sorted_differences = differences[order]
    total = answered + refused
    # Equal differences fall together; a cut between them is none.
    cuts = [0, *(np.flatnonzero(np.diff(sorted_differences) > 0) + 1).tolist(), len(order)]
    best = max(cuts, key=lambda cut: total[cut])
    if best == len(order):
        threshold = float(sorted_differences[-1]) + 1.0
    elif best == 0:
        threshold = float(sorted_differences[0]) - 1.0
    else:
        threshold = float(sorted_differences[best - 1] + sorted_differences[best]) / 2
    return threshold, float(total[best] / len(order))


def _finish(
    rung: Rung,
    data: QuestionText,
    options: EncoderOptions,
    reader: QuestionAnswerer,
    result: TrainingResult,
    folder: RunFolder,
) -> None:
    """Save, check the reload, answer the test questions, score them, draw, write the record."""
    from nlpladder.drift.saving import question_text, save_text_profile
    from nlpladder.finetuning.question_report import write_reading_report
    from nlpladder.hub.cards import card_facts, write_card

    test, version = data.splits["test"], version_of(data)
    if data.has_unanswerable:
        threshold, f1 = best_threshold(reader, data.splits["validation"], version=version)
        reader.no_answer_threshold = threshold
        result.notes.append(
            f"a question is left without an answer where that scores {threshold:+.3f} above the best span: the best "
            f"threshold on validation, F1 {100 * f1:.1f}"
        )
    reader.save_pretrained(folder.path)

    def spans(one: QuestionAnswerer) -> list[np.ndarray]:
        found = one.scores(
            [row.question for row in test[:RELOAD_QUESTIONS]], [row.context for row in test[:RELOAD_QUESTIONS]]
        )
        return [scores.scores for scores, _ in found]

    check_reload(reader, folder.path, spans)
    started = time.perf_counter()
    answers = answer_all(reader, test, n_best=5)
    seconds = time.perf_counter() - started
    statistics = AnswerStatistics.of([found.text for found in answers], [row.answers for row in test], version=version)
    scores = {name: score.mean for name, score in score_answers([statistics]).items()}
    folder.write_columns(STATISTICS_FILE, statistics.to_columns())
    names = [row.identity for row in test]
    write_json(folder.path / PREDICTIONS_FILE, {name: found.text for name, found in zip(names, answers, strict=True)})
    if data.has_unanswerable:
        odds = {name: found.no_answer_score for name, found in zip(names, answers, strict=True)}
        write_json(folder.path / NO_ANSWER_FILE, odds)
    folder.write_metrics(
        {
            "split": "test",
            "n": len(test),
            "tested": f"test split, {len(test):,} questions, arithmetic of SQuAD {version}",
            "fingerprint": statistics.fingerprint,
            "scores": {name: score.to_dict() for name, score in scores.items()},
        }
    )
    facts = facts_of(
        rung, reader, result, options,
        items_per_second=len(test) / max(seconds, 1e-9),
        rows={name: len(rows) for name, rows in data.splits.items()}, data_notes=data.notes,
    )  # fmt: skip
    write_reading_report(folder.path, test, answers, statistics, result.history)
    train, validation = (
        [question_text(row.question, row.context) for row in data.splits[name]] for name in ("train", "validation")
    )
    save_text_profile(folder.path, "answer", train=train, held_out=validation)
    facts |= card_facts(rung, folder.record["identity"])
    write_card(folder.path, record={**folder.record, **facts})
    folder.finish(**facts)


def reading_summary(run: RungRun, folder: str) -> str:
    """Return the closing lines of a recipe that answers questions."""
    from nlpladder.views.run_summary import run_summary

    use = "model.answer('Who came?', 'Yesterday Ada came.')[0].text"
    return run_summary(run.record, run.metrics, folder, use=use, speed_unit="questions", was_there=run.was_there)
