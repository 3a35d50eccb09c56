"""The data options of extractive question answering, documented once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlpladder.config import option

if TYPE_CHECKING:
    from nlpladder.data.questions import QuestionText


@dataclass(frozen=True, kw_only=True)
class QuestionOptions:
    """Which questions, in which columns, which splits."""

    dataset: str = option(
        help="questions on texts: SQuAD's nested json, or json/jsonl/parquet rows with context, question and answers "
        "(text and answer_start); file, folder or Hub id"
    )
    dataset_config: str | None = option(None, help="configuration of a Hub data set")
    revision: str | None = option(None, help="commit, tag or branch of a Hub data set")
    question_column: str | None = option(None, help="column with the questions; found by name if not given")
    context_column: str | None = option(None, help="column with the texts; found by name if not given")
    answers_column: str | None = option(None, help="column with the answers; found by name if not given")
    validation_fraction: float = option(0.1, help="share of the training rows for validation, if there is none")
    test_fraction: float = option(0.2, help="share of the rows for test, if there is neither validation nor test")
    split_seed: int = option(42, help="seed of the splits and subsets that are made")
    max_train_samples: int | None = option(None, help="use at most so many training rows")
    max_eval_samples: int | None = option(None, help="use at most so many validation and test rows each")
    drop_bad_rows: bool = option(False, help="drop broken rows (counted) instead of refusing them")
    encoding: str = option("utf-8", help="encoding of local text files")

    def load(self) -> QuestionText:
        """Load the questions; see `nlpladder.data.questions.load_questions`."""
        from nlpladder.data.questions import load_questions

        return load_questions(
            self.dataset,
            config=self.dataset_config,
            question_column=self.question_column,
            context_column=self.context_column,
            answers_column=self.answers_column,
            validation_fraction=self.validation_fraction,
            test_fraction=self.test_fraction,
            split_seed=self.split_seed,
            max_train_samples=self.max_train_samples,
            max_eval_samples=self.max_eval_samples,
            drop_bad_rows=self.drop_bad_rows,
            encoding=self.encoding,
            revision=self.revision,
        )
