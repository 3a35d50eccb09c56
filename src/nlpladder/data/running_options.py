"""Which text a neural language model reads, and what its tokens and its texts are."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from nlpladder.config import option

if TYPE_CHECKING:
    from nlpladder.data.running_text import RunningText

Level = Literal["char", "byte", "word", "subword"]
#: level -> scheme of the tokenizer; sub-words are byte pairs, so that no text is unknown and line breaks survive.
SCHEMES: dict[str, str] = {"char": "char", "byte": "byte", "word": "whitespace", "subword": "byte_bpe"}

Settings = TypeVar("Settings")


@dataclass(frozen=True, kw_only=True)
class RunningTextOptions:
    """Text for a neural language model."""

    dataset: str = option(help="text: Hub id, file or folder (a labelled one gives its texts; also .gz), world:<name>")
    dataset_config: str | None = option(None, help="configuration of a Hub data set, for example wikitext-2-v1")
    revision: str | None = option(None, help="commit, tag or branch of a Hub data set")
    text_column: str | None = option(None, help="column with the text; found by name if not given")
    level: Level = option(
        "subword", help="what a token is: char, byte, word (between white space, as written) or subword (byte pairs)"
    )
    text_unit: Literal["auto", "line", "document"] = option(
        "auto",
        help="line: every line is a text with an end mark; document: files and rows are kept whole, line breaks are "
        "tokens; auto takes document for char and byte, line otherwise",
    )
    keep_empty_lines: bool = option(
        False, help="text_unit line: an empty line is a text, too, as WikiText's published perplexities count"
    )
    preprocess: tuple[str, ...] = option(
        (), help="preprocessing steps first, such as strip_html (see preprocess_text.py --help)"
    )
    max_samples: int | None = option(None, help="use only the first so many training lines or rows")
    max_eval_samples: int | None = option(None, help="score at most so many validation and test lines each")
    validation_fraction: float = option(0.05, help="share of the text for validation, where there is no such split")
    test_fraction: float = option(0.05, help="share of the text for test, taken from its end, where there is no split")
    encoding: str = option("utf-8", help="encoding of local text files")

    @property
    def unit(self) -> Literal["line", "document"]:
        """What a text is."""
        if self.text_unit == "auto":
            return "document" if self.level in ("char", "byte") else "line"
        return self.text_unit

    def with_level(self, settings: Settings) -> Settings:
        """Return `settings` (with a mapping ``tokenizer``) whose tokenizer is that of the level, unless it says one."""
        tokenizer: dict[str, Any] = {"scheme": SCHEMES[self.level]}
        if self.level in ("char", "word"):
            tokenizer["vocab_size"] = 1_000_000  # all that occur
        given: Any = settings
        return dataclasses.replace(given, tokenizer={**tokenizer, **given.tokenizer})

    def load(self) -> RunningText:
        """Load the text; see `nlpladder.data.running_text.load_running_text`."""
        from nlpladder.data.corpora import CorpusOptions
        from nlpladder.data.running_text import load_running_text

        shared = {field.name for field in dataclasses.fields(CorpusOptions)}
        given = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return load_running_text(
            CorpusOptions(**{name: value for name, value in given.items() if name in shared}),
            unit=self.unit,
            validation_fraction=self.validation_fraction,
            test_fraction=self.test_fraction,
            max_eval=self.max_eval_samples,
            keep_empty_lines=self.keep_empty_lines,
        )
