"""The data options of extractive question answering, documented once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlpladder.config import option
from nlpladder.data.source_options import SourceOptions

if TYPE_CHECKING:
    from nlpladder.data.questions import QuestionText


@dataclass(frozen=True, kw_only=True)
class QuestionOptions(SourceOptions):
    """Which questions, in which columns, which splits."""

    dataset: str = option(
        help="questions on texts: SQuAD's nested json, or json/jsonl/parquet rows with context, question and answers "
        "(text and answer_start); file, folder or Hub id"
    )
    question_column: str | None = option(None, help="column with the questions; found by name if not given")
    context_column: str | None = option(None, help="column with the texts; found by name if not given")
    answers_column: str | None = option(None, help="column with the answers; found by name if not given")

    def load(self) -> QuestionText:
        """Load the questions; see `nlpladder.data.questions.load_questions`."""
        from nlpladder.data.questions import load_questions

        return load_questions(self.dataset, **self.loader_arguments(QuestionOptions))
