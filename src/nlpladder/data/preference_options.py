"""The data options of preference tuning, documented once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlpladder.config import option

if TYPE_CHECKING:
    from nlpladder.data.preferences import PreferenceText


@dataclass(frozen=True, kw_only=True)
class PreferenceOptions:
    """Which pairs of answers, which column is what, which splits."""

    dataset: str = option(
        help="prompts with a better and a worse answer: Hub id; csv/tsv/json/jsonl/parquet file or folder (also .gz) "
        "with chosen and rejected, and prompt, messages or conversations"
    )
    dataset_config: str | None = option(None, help="configuration of a Hub data set")
    revision: str | None = option(None, help="commit, tag or branch of a Hub data set")
    prompt_column: str | None = option(None, help="column with the prompt; found by name if not given")
    chosen_column: str | None = option(None, help="column with the better answer; found by name if not given")
    rejected_column: str | None = option(None, help="column with the worse answer; found by name if not given")
    validation_fraction: float = option(0.1, help="share for validation, where there is no such split")
    test_fraction: float = option(0.2, help="share for test, where there is no such split")
    split_seed: int = option(42, help="seed of the splits and subsets that are made")
    max_train_samples: int | None = option(None, help="use at most so many training pairs")
    max_eval_samples: int | None = option(None, help="use at most so many validation and test pairs each")
    drop_bad_rows: bool = option(False, help="drop rows that cannot be used (counted) instead of refusing them")
    encoding: str = option("utf-8", help="encoding of local text files")

    def load(self) -> PreferenceText:
        """Load the pairs; see `nlpladder.data.preferences.load_preferences`."""
        from nlpladder.data.preferences import load_preferences

        return load_preferences(
            self.dataset,
            config=self.dataset_config,
            prompt_column=self.prompt_column,
            chosen_column=self.chosen_column,
            rejected_column=self.rejected_column,
            validation_fraction=self.validation_fraction,
            test_fraction=self.test_fraction,
            split_seed=self.split_seed,
            max_train_samples=self.max_train_samples,
            max_eval_samples=self.max_eval_samples,
            drop_bad_rows=self.drop_bad_rows,
            encoding=self.encoding,
            revision=self.revision,
        )
