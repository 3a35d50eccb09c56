"""The data options of instruction tuning, documented once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlpladder.config import option
from nlpladder.data.source_options import SourceOptions

if TYPE_CHECKING:
    from nlpladder.data.instructions import InstructionText


@dataclass(frozen=True, kw_only=True)
class InstructionOptions(SourceOptions):
    """Which instructions, which column is what, which splits."""

    dataset: str = option(
        help="instructions with answers: Hub id; csv/tsv/json/jsonl/parquet file or folder (also .gz), with messages, "
        "conversations, instruction/input/output, prompt/completion or question/answer"
    )
    messages_column: str | None = option(None, help="column with whole conversations; found by name if not given")
    prompt_column: str | None = option(None, help="column with the instruction; found by name if not given")
    input_column: str | None = option(
        None, help="column with what the instruction is about, put under it; found by name if not given"
    )
    completion_column: str | None = option(None, help="column with the answer; found by name if not given")
    system_column: str | None = option(None, help="column with the system message; found by name if not given")
    validation_fraction: float = option(0.05, help="share for validation, where there is no such split")
    test_fraction: float = option(0.05, help="share for test, where there is no such split")

    def load(self) -> InstructionText:
        """Load the instructions; see `nlpladder.data.instructions.load_instructions`."""
        from nlpladder.data.instructions import load_instructions

        return load_instructions(self.dataset, **self.loader_arguments(InstructionOptions))
