"""The data options of preference tuning, documented once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlpladder.config import option
from nlpladder.data.source_options import SourceOptions

if TYPE_CHECKING:
    from nlpladder.data.preferences import PreferenceText


@dataclass(frozen=True, kw_only=True)
class PreferenceOptions(SourceOptions):
    """Which pairs of answers, which column is what, which splits."""

    dataset: str = option(
        help="prompts with a better and a worse answer: Hub id; csv/tsv/json/jsonl/parquet file or folder (also .gz) "
        "with chosen and rejected, and prompt, messages or conversations"
    )
    prompt_column: str | None = option(None, help="column with the prompt; found by name if not given")
    chosen_column: str | None = option(None, help="column with the better answer; found by name if not given")
    rejected_column: str | None = option(None, help="column with the worse answer; found by name if not given")

    def load(self) -> PreferenceText:
        """Load the pairs; see `nlpladder.data.preferences.load_preferences`."""
        from nlpladder.data.preferences import load_preferences

        return load_preferences(self.dataset, **self.loader_arguments(PreferenceOptions))
