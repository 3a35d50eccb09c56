"""The data options that jobs with structured rows share: the source's version, its splits, its broken rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nlpladder.config import option, options_of


@dataclass(frozen=True, kw_only=True)
class SourceOptions:
    """Which version of a source, which splits, how many rows."""

    dataset_config: str | None = option(None, help="configuration of a Hub data set, for example en_ewt")
    revision: str | None = option(None, help="commit, tag or branch of a Hub data set")
    validation_fraction: float = option(0.1, help="share of the training rows for validation, if there is none")
    test_fraction: float = option(0.2, help="share of the rows for test, if there is neither validation nor test")
    split_seed: int = option(42, help="seed of the splits and subsets that are made")
    max_train_samples: int | None = option(None, help="use at most so many training rows")
    max_eval_samples: int | None = option(None, help="use at most so many validation and test rows each")
    drop_bad_rows: bool = option(False, help="drop rows that cannot be used (counted) instead of refusing them")
    encoding: str = option("utf-8", help="encoding of local text files")

    def loader_arguments(self, declared_by: type) -> dict[str, Any]:
        """Return the loader's arguments behind the source: every option that `declared_by` has, by the same name.

        Args:
            declared_by: The options of the job; a recipe's own options beside them are left out.
        """
        arguments = options_of(self, declared_by)
        arguments.pop("dataset")
        return {"config": arguments.pop("dataset_config"), **arguments}
