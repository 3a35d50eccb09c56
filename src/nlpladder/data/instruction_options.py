"""The data options of instruction tuning, documented once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlpladder.config import option

if TYPE_CHECKING:
    from nlpladder.data.instructions import InstructionText


@dataclass(frozen=True, kw_only=True)
class InstructionOptions:
    """Which instructions, which column is what, which splits."""

    dataset: str = option(
        help="instructions with answers: Hub id; csv/tsv/json/jsonl/parquet file or folder (also .gz), with messages, "
        "conversations, instruction/input/output, prompt/completion or question/answer"
    )
    dataset_config: str | None = option(None, help="configuration of a Hub data set")
    revision: str | None = option(None, help="commit, tag or branch of a Hub data set")
    messages_column: str | None = option(None, help="column with whole conversations; found by name if not given")
    prompt_column: str | None = option(None, help="column with the instruction; found by name if not given")
    input_column: str | None = option(
        None, help="column with what the instruction is about, put under it; found by name if not given"
    )
    completion_column: str | None = option(None, help="column with the answer; found by name if not given")
    system_column: str | None = option(None, help="column with the system message; found by name if not given")
    validation_fraction: float = option(0.05, help="share for validation, where there is no such split")
    test_fraction: float = option(0.05, help="share for test, where there is no such split")
    split_seed: int = option(42, help="seed of the splits and subsets that are made")
    max_train_samples: int | None = option(None, help="use at most so many training conversations")
    max_eval_samples: int | None = option(None, help="use at most so many validation and test conversations each")
    drop_bad_rows: bool = option(False, help="drop rows that cannot be used (counted) instead of refusing them")
    encoding: str = option("utf-8", help="encoding of local text files")

    def load(self) -> InstructionText:
        """Load the instructions; see `nlpladder.data.instructions.load_instructions`."""
        from nlpladder.data.instructions import load_instructions

        return load_instructions(
            self.dataset,
            config=self.dataset_config,
            messages_column=self.messages_column,
            prompt_column=self.prompt_column,
            input_column=self.input_column,
            completion_column=self.completion_column,
            system_column=self.system_column,
            validation_fraction=self.validation_fraction,
            test_fraction=self.test_fraction,
            split_seed=self.split_seed,
            max_train_samples=self.max_train_samples,
            max_eval_samples=self.max_eval_samples,
            drop_bad_rows=self.drop_bad_rows,
            encoding=self.encoding,
            revision=self.revision,
        )
