"""The data options of token classification, documented once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from nlpladder.config import option
from nlpladder.data.source_options import SourceOptions

if TYPE_CHECKING:
    from nlpladder.data.token_labels import TaggedText


@dataclass(frozen=True, kw_only=True)
class TokenLabelOptions(SourceOptions):
    """Which sentences, which column holds the tags, which splits."""

    dataset: str = option(
        help="sentences with a tag for every word: CoNLL, CoNLL-U or IOB file or folder (also .gz), json/jsonl/parquet "
        "with lists of words and of tags, or Hub id"
    )
    tokens_column: str | None = option(None, help="column with the lists of words; found by name if not given")
    tag_column: str | None = option(
        None, help="column with the tags, for example ner_tags, pos_tags or upos; found by name if not given"
    )
    conll_columns: tuple[str, ...] | None = option(
        None, help="names of the columns of a CoNLL file of unusual width, tokens among them: tokens,lemma,ner_tags"
    )

    def load(self) -> TaggedText:
        """Load the sentences; see `nlpladder.data.token_labels.load_tagged_text`."""
        from nlpladder.data.token_labels import load_tagged_text

        return load_tagged_text(self.dataset, **self.loader_arguments(TokenLabelOptions))
