"""The data options of the translation recipes, documented once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlpladder.config import option

if TYPE_CHECKING:
    from nlpladder.data.parallel import ParallelText


@dataclass(frozen=True, kw_only=True)
class ParallelOptions:
    """Which pairs of texts, which side is which, which splits."""

    dataset: str = option(
        help="pairs of texts: Hub id; csv/tsv/json/jsonl/parquet file or folder (also .gz); folder of train.de + "
        "train.en; two aligned files, comma-separated (a.de,a.en); or world:phrasebook"
    )
    dataset_config: str | None = option(None, help="configuration of a Hub data set, for example de-en of wmt/wmt14")
    revision: str | None = option(None, help="commit, tag or branch of a Hub data set")
    source_column: str | None = option(
        None, help="column (or file ending) to translate from, for example de; found by name if not given"
    )
    target_column: str | None = option(
        None, help="column (or file ending) to translate into, for example en; found by name if not given"
    )
    source_language: str | None = option(None, help="language code of the source, where no column name says it")
    target_language: str | None = option(None, help="language code of the target, where no column name says it")
    validation_fraction: float = option(0.05, help="share of the pairs for validation, where there is no such split")
    test_fraction: float = option(0.05, help="share of the pairs for test, where there is no such split")
    split_seed: int = option(42, help="seed of the splits and subsets that are made")
    max_train_samples: int | None = option(None, help="use at most so many training pairs")
    max_eval_samples: int | None = option(None, help="use at most so many validation and test pairs each")
    max_length_ratio: float | None = option(
        None, help="leave out training pairs with one side more than so many times as long as the other (characters)"
    )
    drop_bad_rows: bool = option(False, help="drop pairs with an empty side (counted) instead of refusing them")
    encoding: str = option("utf-8", help="encoding of local text files")

    def load(self) -> ParallelText:
        """Load the pairs; see `nlpladder.data.parallel.load_parallel_text`."""
        from nlpladder.data.parallel import load_parallel_text

        return load_parallel_text(
            self.dataset,
            config=self.dataset_config,
            source_column=self.source_column,
            target_column=self.target_column,
            source_language=self.source_language,
            target_language=self.target_language,
            validation_fraction=self.validation_fraction,
            test_fraction=self.test_fraction,
            split_seed=self.split_seed,
            max_train_samples=self.max_train_samples,
            max_eval_samples=self.max_eval_samples,
            max_length_ratio=self.max_length_ratio,
            drop_bad_rows=self.drop_bad_rows,
            encoding=self.encoding,
            revision=self.revision,
        )
