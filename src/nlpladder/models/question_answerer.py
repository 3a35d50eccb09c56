"""A reader as a user holds it: model and tokenizer together, questions and texts in, spans of the texts out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np

from nlpladder.errors import ConfigError, DataError
from nlpladder.models.model_with_tokenizer import ModelWithTokenizer
from nlpladder.models.sequence_classifier import usable_length
from nlpladder.models.span_decoding import SpanScores, best_spans, log_normalizer, span_scores
from nlpladder.models.targets import check_texts
from nlpladder.models.text_windows import (
    Frame,
    Pieces,
    Window,
    by_row,
    check_tokenizer,
    find_frame,
    read_windows,
    split_pieces,
    window_starts,
)

#: A window with less room for the text would show hardly any of it: longer questions are cut.
_LEAST_ROOM = 16


@dataclass(frozen=True)
class Answer:
    """The answer to a question.

    Attributes:
        text: The characters ``context[start:end]``; empty for "no answer".
        start: Its first character in the context.
        end: Behind its last character.
        score: Its probability among all spans of the context (and "no answer", where the model knows it).
        alternatives: The next best spans, the best first.
        no_answer_score: By how much the score of "no answer" exceeds that of the best span; above the model's
            threshold the answer is empty. None where the model was never shown a question without an answer.
    """

    text: str
    start: int
    end: int
    score: float
    alternatives: tuple[Answer, ...] = ()
    no_answer_score: float | None = None


class QuestionAnswerer(ModelWithTokenizer):
    """Wraps any ``…ForQuestionAnswering`` (or a peft adapter around one) with its tokenizer.

    Args:
        model: Takes ``input_ids`` and ``attention_mask``, returns ``start_logits`` and ``end_logits`` (batch, tokens).
        tokenizer: A fast ``PreTrainedTokenizerBase``.
        max_length: Tokens of a window, question included; as in training, or what the model takes, when not given.
        doc_stride: Tokens of the context that neighbouring windows share; as in training, or a third of the window.
        max_answer_length: Tokens of an answer at most; as in training, or 30.
        no_answer_threshold: See `Answer.no_answer_score`; None always answers. As in training when not given.
        tokens_per_batch: Padded tokens of one forward pass.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        max_length: int | None = None,
        doc_stride: int | None = None,
        max_answer_length: int | None = None,
        no_answer_threshold: float | None = None,
        tokens_per_batch: int = 8192,
    ) -> None:
        check_tokenizer(tokenizer)
        self.model = model
        self.tokenizer = tokenizer
        saved = getattr(model.config, "answer_reading", None) or {}
        self.max_length = usable_length(model, tokenizer, max_length or saved.get("length"))
        self.doc_stride = int(saved.get("stride", self.max_length // 3) if doc_stride is None else doc_stride)
        self.max_answer_length = int(max_answer_length or saved.get("longest_answer", 30))
        self.no_answer_threshold = saved.get("threshold") if no_answer_threshold is None else no_answer_threshold
        self.tokens_per_batch = tokens_per_batch
        self.frame = find_frame(tokenizer, pair=True)
        check_window(self.max_length, self.doc_stride, self.frame)
        if self.max_answer_length < 1:
            raise ConfigError(f"max_answer_length must be at least 1, got {self.max_answer_length}.")

    def answer(self, questions: Sequence[str] | str, contexts: Sequence[str] | str, *, n_best: int = 1) -> list[Answer]:
        """Answer questions, each about its own context.

        Args:
            questions: What is asked.
            contexts: As many texts; one text serves all questions.
            n_best: Spans to return for each question, the answer included.

        Raises:
            DataError: The numbers of questions and contexts differ.
            ConfigError: n_best is below 1.
        """
        if n_best < 1:
            raise ConfigError(f"n_best must be at least 1, got {n_best}.")
        asked = check_texts([questions] if isinstance(questions, str) else questions)
        given = [contexts] * len(asked) if isinstance(contexts, str) else check_texts(contexts)
        if len(asked) != len(given):
            raise DataError(f"There are {len(asked)} questions and {len(given)} contexts; give one context each.")
        found = self.scores(asked, given)
        return [
            self.decode(scores, pieces, text, n_best=n_best)
            for (scores, pieces), text in zip(found, given, strict=True)
        ]

    def scores(self, questions: Sequence[str], contexts: Sequence[str]) -> list[tuple[SpanScores, Pieces]]:
        """Return the scores of all spans of each context, with its pieces."""
        pieces = context_pieces(self.tokenizer, contexts)
        windows = question_windows(
            split_pieces(self.tokenizer, questions), pieces, self.frame, length=self.max_length, overlap=self.doc_stride
        )
        read = read_windows(
            self.model, self.tokenizer, windows, tokens_per_batch=self.tokens_per_batch,
            read=lambda output: (output.start_logits, output.end_logits),
        )  # fmt: skip
        return [
            (
                span_scores(
                    [windows[number] for number in numbers],
                    [read[number][0] for number in numbers],
                    [read[number][1] for number in numbers],
                    pieces=len(found),
                    longest=self.max_answer_length,
                ),
                found,
            )
            for numbers, found in zip(by_row(windows, len(questions)), pieces, strict=True)
        ]

    def decode(self, scores: SpanScores, pieces: Pieces, context: str, *, n_best: int = 1) -> Answer:
        """Choose the answer among the spans of one context.

        Args:
            scores: From `scores`.
            pieces: Of the context.
            context: The text.
            n_best: Spans wanted.
        """
        knows_none = self.no_answer_threshold is not None
        total = log_normalizer(scores, with_null=knows_none)
        spans = [
            Answer(context[start:end], start, end, float(np.exp(score - total)))
            for start, end, score in best_spans(scores, pieces.starts, pieces.ends, count=n_best)
        ]
        best = float(scores.scores.max(initial=-np.inf))
        difference = scores.null - best if knows_none else None
        empty = Answer("", 0, 0, float(np.exp(scores.null - total)) if knows_none else 0.0)
        if not spans:
            return Answer("", 0, 0, 1.0 if knows_none else 0.0, (), difference)
        if difference is not None and difference > float(self.no_answer_threshold or 0.0):
            return Answer("", 0, 0, empty.score, tuple(spans), difference)
        first = spans[0]
        return Answer(first.text, first.start, first.end, first.score, tuple(spans[1:]), difference)

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str], *, base_model: str | None = None, **arguments: Any) -> Self:
        """Load from a folder or a Hub id; see `nlpladder.models.pretrained.loading`."""
        from nlpladder.models.pretrained.loading import load_model

        model, tokenizer = load_model(os.fspath(path), head="question_answering", base_model=base_model, **arguments)
        return cls(model, tokenizer)

    def _write_settings(self, folder: Path) -> None:
        """Put how texts are read into the config, where a reload finds it."""
        self.model.config.answer_reading = {
            "length": self.max_length,
            "stride": self.doc_stride,
            "longest_answer": self.max_answer_length,
            "threshold": self.no_answer_threshold,
        }


def check_window(length: int, overlap: int, frame: Frame) -> None:
    """Refuse windows in which hardly anything of the context would be new.

    Raises:
        ConfigError: The sentence says which lengths fit.
    """
    room = length - frame.size - _LEAST_ROOM
    if not 0 <= overlap <= room - 1:
        raise ConfigError(
            f"doc_stride is {overlap} and max_length {length}: windows that share so much leave no room for a question "
            f"and new text. Take a doc_stride from 0 to {max(0, length // 3)}, or a larger max_length."
        )


def context_pieces(tokenizer: Any, contexts: Sequence[str]) -> list[Pieces]:
    """Split contexts into pieces, each different one once: many questions are asked about one text."""
    different = list(dict.fromkeys(contexts))
    pieces = dict(zip(different, split_pieces(tokenizer, different), strict=True))
    return [pieces[context] for context in contexts]


def question_windows(
    questions: Sequence[Pieces], contexts: Sequence[Pieces], frame: Frame, *, length: int, overlap: int
) -> list[Window]:
    """Put each question before the windows of its context.

    A question is cut where fewer than 16 new pieces of the context would find room beside it.

    Args:
        questions: Pieces of the questions.
        contexts: Pieces of the contexts.
        frame: Special tokens of a pair.
        length: Tokens of a window.
        overlap: Pieces of the context that neighbours share.
    """
    windows = []
    longest = length - frame.size - overlap - _LEAST_ROOM
    for row, (question, context) in enumerate(zip(questions, contexts, strict=True)):
        asked = question.ids[: max(1, longest)]
        head = np.concatenate([np.array(frame.before, dtype=np.int64), asked, np.array(frame.between, dtype=np.int64)])
        head_types = np.repeat(
            np.array(frame.types[:3], dtype=np.int64), [len(frame.before), len(asked), len(frame.between)]
        )
        tail = np.array(frame.after, dtype=np.int64)
        capacity = length - len(head) - len(tail)
        for first in window_starts(len(context), capacity, overlap):
            inside = context.ids[first : first + capacity]
            if not len(head) + len(inside) + len(tail):
                continue  # neither text has a piece, and the tokenizer adds none
            types = np.repeat(np.array(frame.types[3:], dtype=np.int64), [len(inside), len(tail)])
            windows.append(
                Window(
                    row, first, len(inside), len(head), np.concatenate([head, inside, tail]),
                    np.concatenate([head_types, types]),
                )
            )  # fmt: skip
    return windows
