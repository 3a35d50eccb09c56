"""The data options of token classification, documented once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlpladder.config import option

if TYPE_CHECKING:
    from nlpladder.data.token_labels import TaggedText


@dataclass(frozen=True, kw_only=True)
class TokenLabelOptions:
    """Which sentences, which column holds the tags, which splits."""

    dataset: str = option(
        help="sentences with a tag for every word: CoNLL, CoNLL-U or IOB file or folder (also .gz), json/jsonl/parquet "
        "with lists of words and of tags, or Hub id"
    )
    dataset_config: str | None = option(None, help="configuration of a Hub data set, for example en_ewt")
    revision: str | None = option(None, help="commit, tag or branch of a Hub data set")
    tokens_column: str | None = option(None, help="column with the lists of words; found by name if not given")
    tag_column: str | None = option(
        None, help="column with the tags, for example ner_tags, pos_tags or upos; found by name if not given"
    )
    conll_columns: tuple[str, ...] | None = option(
        None, help="names of the columns of a CoNLL file of unusual width, tokens among them: tokens,lemma,ner_tags"
    )
    validation_fraction: float = option(0.1, help="share of the training rows for validation, if there is none")
    test_fraction: float = option(0.2, help="share of the rows for test, if there is neither validation nor test")
    split_seed: int = option(42, help="seed of the splits and subsets that are made")
    max_train_samples: int | None = option(None, help="use at most so many training rows")
    max_eval_samples: int | None = option(None, help="use at most so many validation and test rows each")
    drop_bad_rows: bool = option(False, help="drop broken rows (counted) instead of refusing them")
    encoding: str = option("utf-8", help="encoding of local text files")

    def load(self) -> TaggedText:
        """Load the sentences; see `nlpladder.data.token_labels.load_tagged_text`."""
        from nlpladder.data.token_labels import load_tagged_text

        return load_tagged_text(
            self.dataset,
            config=self.dataset_config,
            tokens_column=self.tokens_column,
            tag_column=self.tag_column,
            conll_columns=self.conll_columns,
            validation_fraction=self.validation_fraction,
            test_fraction=self.test_fraction,
            split_seed=self.split_seed,
            max_train_samples=self.max_train_samples,
            max_eval_samples=self.max_eval_samples,
            drop_bad_rows=self.drop_bad_rows,
            encoding=self.encoding,
            revision=self.revision,
        )
