"""The data options that every recipe shares, documented once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from nlpladder.config import option

if TYPE_CHECKING:
    from nlpladder.data.text_dataset import TextDataset


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Which data, which columns, which splits."""

    dataset: str = option(help="Hub id, csv/tsv/json/jsonl/parquet/txt file or folder (also .gz), or world:<name>")
    dataset_config: str | None = option(None, help="configuration of a Hub data set, for example mrpc of nyu-mll/glue")
    revision: str | None = option(None, help="commit, tag or branch of a Hub data set")
    text_column: str | None = option(
        None, help="column with the text; several, comma-separated, are joined; found by name if not given"
    )
    label_column: str | None = option(None, help="column with the label; found by name if not given")
    label_separator: str | None = option(
        None, help="what separates several labels in one field; makes the task multi-label"
    )
    task: Literal["single_label", "multi_label", "regression"] | None = option(
        None, help="what the labels are; found from their type if not given"
    )
    validation_fraction: float = option(
        0.1, help="share of the training rows for a validation split, where there is none"
    )
    test_fraction: float = option(0.2, help="share of the rows for a test split, where there is none")
    split_seed: int = option(42, help="seed of the splits that are made")
    max_train_samples: int | None = option(None, help="use at most so many training rows (stratified)")
    max_eval_samples: int | None = option(None, help="use at most so many validation and test rows each (stratified)")
    drop_bad_rows: bool = option(
        False, help="drop rows with an empty text or no label (counted) instead of refusing them"
    )
    streaming: bool = option(False, help="read the training rows while training, for sets larger than memory")
    encoding: str = option("utf-8", help="encoding of local text files")

    def load(self) -> TextDataset:
        """Load the data set; see `nlpladder.data.loading.load_text_dataset`."""
        from nlpladder.data.loading import load_text_dataset

        return load_text_dataset(
            self.dataset,
            config=self.dataset_config,
            text_column=self.text_column,
            label_column=self.label_column,
            label_separator=self.label_separator,
            task=self.task,
            validation_fraction=self.validation_fraction,
            test_fraction=self.test_fraction,
            split_seed=self.split_seed,
            max_train_samples=self.max_train_samples,
            max_eval_samples=self.max_eval_samples,
            drop_bad_rows=self.drop_bad_rows,
            streaming=self.streaming,
            encoding=self.encoding,
            revision=self.revision,
        )
