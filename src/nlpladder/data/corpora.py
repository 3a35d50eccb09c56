"""Corpora for the rungs that need text and no labels: one stream of sentences, or train, validation and test."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from nlpladder.config import option
from nlpladder.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from nlpladder.text.sentence_stream import SentenceStream
    from nlpladder.text.text_tokenizer import TextTokenizer

_EVALUATION = ("validation", "test")
TOKENIZERS = ("whitespace", "regex", "treebank", "tweet", "char")


@dataclass(frozen=True, kw_only=True)
class CorpusOptions:
    """Which text, and what its tokens are."""

    dataset: str = option(help="text: Hub id, file or folder (a labelled one gives its texts; also .gz), world:<name>")
    dataset_config: str | None = option(None, help="configuration of a Hub data set, for example wikitext-2-raw-v1")
    revision: str | None = option(None, help="commit, tag or branch of a Hub data set")
    text_column: str | None = option(None, help="column with the text; found by name if not given")
    tokenizer: str = option(
        "regex",
        help="whitespace (for text that is tokenised already), regex, treebank, tweet, char, or a folder or Hub id "
        "of a sub-word tokenizer",
    )
    lowercase: bool = option(False, help="lower-case the text before it is tokenised")
    splits: tuple[str, ...] = option(
        (), help="word vectors: splits to read (train, unlabeled, validation, test); all but the last two by default"
    )
    preprocess: tuple[str, ...] = option(
        (), help="preprocessing steps before tokenisation, such as strip_html (see preprocess_text.py --help)"
    )
    split_sentences: bool = option(
        False, help="cut lines into sentences by punctuation; otherwise a line is a sentence"
    )
    max_samples: int | None = option(None, help="use only the first so many training lines or rows")
    encoding: str = option("utf-8", help="encoding of local text files")

    def text_tokenizer(self) -> TextTokenizer:
        """Return what `tokenizer` and `lowercase` name.

        Raises:
            ConfigError: for a name that is neither a method nor a tokenizer.
        """
        from nlpladder.text.text_tokenizer import TextTokenizer

        if self.tokenizer in TOKENIZERS:
            return TextTokenizer(self.tokenizer, lowercase=self.lowercase)  # type: ignore[arg-type]
        near = did_you_mean(self.tokenizer, TOKENIZERS)
        if near and "/" not in self.tokenizer and not Path(self.tokenizer).exists():
            raise ConfigError(f"There is no tokenizer {self.tokenizer!r}.{near} Known: {', '.join(TOKENIZERS)}.")
        try:
            return TextTokenizer.from_pretrained(self.tokenizer, lowercase=self.lowercase)
        except (OSError, ValueError) as error:
            raise ConfigError(
                f"--tokenizer {self.tokenizer!r} is none of {', '.join(TOKENIZERS)}, and no tokenizer can be loaded "
                f"from there ({str(error).splitlines()[0]})."
            ) from error


@dataclass(frozen=True)
class Corpus:
    """A corpus with splits, for language models.

    Attributes:
        name: The source.
        train: The training sentences.
        validation: Lines for choices such as interpolation weights.
        test: Lines that are scored.
        fingerprint: Of all that is read.
        notes: How the splits came about, in sentences.
    """

    name: str
    train: SentenceStream
    validation: list[str]
    test: list[str]
    fingerprint: str
    notes: tuple[str, ...]


def open_stream(options: CorpusOptions) -> SentenceStream:
    """Open the text of a data set as one stream: all its splits that carry no test label, else its only one.

    Raises:
        DataError: The source is absent, broken, or holds no text.
    """
    from nlpladder.text.sentence_stream import SentenceStream

    tokenizer = options.text_tokenizer()
    splits = text_splits(options)
    for name in options.splits:
        if name not in splits:
            raise DataError(
                f"{options.dataset} has no split {name!r}.{did_you_mean(name, splits)} It has: {', '.join(splits)}."
            )
    wanted: list[str] = [name for name in options.splits or ("train", "unlabeled") if name in splits] or list(splits)
    parts = [splits[name] for name in wanted]
    files = [part for part in parts if isinstance(part, list)]
    if len(files) == len(parts) and _as_written(options):
        paths = [path for part in files for path in part]
        return SentenceStream.from_files(paths, tokenizer=tokenizer, encoding=options.encoding)
    return SentenceStream.from_texts(_Lines(parts, options, options.max_samples), tokenizer=tokenizer)


def load_corpus(
    options: CorpusOptions,
    *,
    validation_fraction: float = 0.05,
    test_fraction: float = 0.05,
    max_eval: int | None = None,
) -> Corpus:
    """Load a corpus with train, validation and test.

    Missing splits are cut from the end of the training text, in whole lines and unshuffled, so that no document stands
    on both sides but at the two borders.

    Args:
        options: Which text.
        validation_fraction: Share of the lines for validation where the source has none.
        test_fraction: Share of the lines for test where the source has none.
        max_eval: At most so many lines of validation and of test each.

    Raises:
        DataError: The source cannot be read, or is too small to be cut.
        ConfigError: The shares leave nothing to train on.
    """
    from nlpladder.text.sentence_stream import SentenceStream

    tokenizer = options.text_tokenizer()
    found = read_line_splits(
        options, validation_fraction=validation_fraction, test_fraction=test_fraction, max_eval=max_eval
    )
    stream = (
        SentenceStream.from_files(found.train_files, tokenizer=tokenizer, encoding=options.encoding)
        if found.train_files is not None and _as_written(options)
        else SentenceStream.from_texts(found.train, tokenizer=tokenizer)
    )
    digest = hashlib.blake2b(stream.fingerprint().encode(), digest_size=16)
    for lines in (found.validation, found.test):
        digest.update("\n".join(lines).encode("utf-8", "surrogatepass"))
    return Corpus(options.dataset, stream, found.validation, found.test, digest.hexdigest(), found.notes)


@dataclass(frozen=True)
class LineSplits:
    """The lines of a source by split.

    Attributes:
        train: Read anew at each pass.
        validation: Those of the source, or cut from the end of its training text.
        test: Likewise.
        notes: How the splits came about, in sentences.
        train_files: The files that `train` is the whole of; None where it is anything else.
    """

    train: Iterable[str]
    validation: list[str]
    test: list[str]
    notes: tuple[str, ...]
    train_files: list[Path] | None = None


def read_line_splits(
    options: CorpusOptions,
    *,
    validation_fraction: float,
    test_fraction: float,
    max_eval: int | None = None,
    keep_empty: bool = False,
) -> LineSplits:
    """Read the lines of a source; missing splits are cut from the end of its training text.

    Args:
        options: Which text.
        validation_fraction: Share of the lines for validation where the source has none.
        test_fraction: Share of the lines for test where the source has none.
        max_eval: At most so many lines of validation and of test each.
        keep_empty: Keep blank lines.

    Raises:
        DataError: The source cannot be read, or is too small to be cut.
        ConfigError: The shares leave nothing to train on.
    """
    check_shares(validation_fraction, test_fraction)
    splits = text_splits(options)
    train = training_part(options, splits)
    held = {
        name: _kept(_Lines([splits[name]], options, None, keep_empty), max_eval)
        for name in _EVALUATION
        if name in splits
    }
    lines: Iterable[str] = _Lines([train], options, options.max_samples, keep_empty)
    notes = [f"{name}: {len(found):,} lines" for name, found in held.items()]
    missing = [name for name in _EVALUATION if name not in held]
    if missing:
        total = sum(1 for _ in lines)
        shares = {"validation": validation_fraction, "test": test_fraction}
        sizes = {name: int(total * shares[name]) for name in missing}
        if min(sizes.values()) < 1:
            raise DataError(
                f"{options.dataset} has {total} lines of text: too few to cut {' and '.join(missing)} from. Give files "
                "named train, validation and test."
            )
        first = total - sum(sizes.values())
        rest = list(_Slice(lines, first, total))
        for name in missing:
            held[name], rest = rest[: sizes[name]][:max_eval], rest[sizes[name] :]
        lines = _Slice(lines, 0, first)
        notes.append(
            f"{' and '.join(missing)} are the last {total - first:,} of {total:,} lines (the source has no such split)"
        )
    files = [Path(path) for path in train] if isinstance(train, list) and not missing else None
    return LineSplits(lines, held["validation"], held["test"], tuple(notes), files)


def check_shares(validation_fraction: float, test_fraction: float) -> None:
    """Raise ConfigError unless both shares are above 0 and leave something to train on."""
    if not (0 < validation_fraction < 1 and 0 < test_fraction < 1 and validation_fraction + test_fraction < 1):
        raise ConfigError(
            f"validation_fraction {validation_fraction} and test_fraction {test_fraction} must be above 0 and leave "
            "something to train on."
        )


def training_part(
    options: CorpusOptions, splits: Mapping[str, list[Path] | Sequence[str]]
) -> list[Path] | Sequence[str]:
    """Return the split to train on.

    Raises:
        DataError: There is none.
    """
    train = splits.get("train", splits.get("unlabeled"))
    if train is None:
        raise DataError(f"{options.dataset} has no training text, only {', '.join(splits)}.")
    return train


def text_splits(options: CorpusOptions) -> dict[str, list[Path] | Sequence[str]]:
    """Return each split of the source: plain text as files, anything else as a column of texts."""
    from nlpladder.data.sources import kind_of
    from nlpladder.data.unlabeled import load_text_splits, plain_files

    if kind_of(options.dataset) == "path":
        found = plain_files(Path(options.dataset).expanduser())
        if found:
            return dict(found)
    loaded = load_text_splits(
        options.dataset,
        config=options.dataset_config,
        text_column=options.text_column,
        encoding=options.encoding,
        revision=options.revision,
    )
    return {name: rows["text"] for name, rows in loaded.items()}


def _as_written(options: CorpusOptions) -> bool:
    """Tell whether files go to the tokenizer line by line, as they are."""
    return options.max_samples is None and not options.split_sentences and not options.preprocess


class _Lines:
    """The lines of some parts, or their sentences; read anew at each pass."""

    def __init__(
        self,
        parts: Sequence[list[Path] | Sequence[str]],
        options: CorpusOptions,
        limit: int | None,
        keep_empty: bool = False,
    ) -> None:
        self._parts, self._options, self._limit, self._keep_empty = parts, options, limit, keep_empty

    def __iter__(self) -> Iterator[str]:
        import itertools

        from nlpladder.text.sentences import split_sentences

        rows: Iterator[str] = itertools.islice((row for part in self._parts for row in self._rows(part)), self._limit)
        if self._options.preprocess:
            from nlpladder.text.preprocessing import Preprocessor

            rows = map(Preprocessor(self._options.preprocess), rows)
        if self._options.split_sentences:
            return (sentence for row in rows for sentence in split_sentences(row))
        # A line of a file still has its line end, behind which nothing is left.
        lines = (line for row in rows for line in row.removesuffix("\n").split("\n"))
        return lines if self._keep_empty else (line for line in lines if line.strip())

    def _rows(self, part: list[Path] | Sequence[str]) -> Iterator[str]:
        from nlpladder.data.text_files import read_lines

        if isinstance(part, list) and part and isinstance(part[0], Path):
            for path in part:
                lines = read_lines(Path(path), self._options.encoding, newline=None)
                yield from lines if self._keep_empty else (line for line in lines if line.strip())
        else:
            yield from part  # type: ignore[misc]


class _Slice:
    """Some lines of a source that can be read again."""

    def __init__(self, lines: Iterable[str], start: int, stop: int) -> None:
        self._lines, self._start, self._stop = lines, start, stop

    def __iter__(self) -> Iterator[str]:
        import itertools

        return itertools.islice(iter(self._lines), self._start, self._stop)


def _kept(lines: Iterable[str], limit: int | None) -> list[str]:
    import itertools

    return list(itertools.islice(iter(lines), limit))
