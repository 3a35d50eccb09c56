"""Running text for neural language models: whole lines or whole documents, and the one long row of ids they learn from.

Two readings of a text:

- ``line``: every line is a text of its own, followed by the end mark, as WikiText-2 and Penn Treebank are read.
- ``document``: a file or a row is one text, its line breaks as written, as nanoGPT reads tiny Shakespeare.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from nlpladder.data.corpora import CorpusOptions, check_shares, read_line_splits, text_splits, training_part
from nlpladder.errors import ConfigError, DataError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TextUnit = Literal["line", "document"]

_EVALUATION = ("validation", "test")
#: Longer texts are encoded piece by piece, cut at a line break between two characters that are no white space.
_PIECE_CHARACTERS = 2**16
_LINE_BREAK = re.compile(r"(?<=\S\n)(?=\S)")
#: So many characters go to the tokenizer at once, which spreads them over its threads.
_BATCH_CHARACTERS = 2**22


@dataclass(frozen=True)
class RunningText:
    """Text with splits.

    Attributes:
        name: The source.
        train: The training texts; read anew at each pass.
        validation: Texts for choices such as when to stop.
        test: Texts that are scored.
        unit: What a text is.
        fingerprint: Of all that is read.
        notes: How the splits came about, in sentences.
    """

    name: str
    train: Iterable[str]
    validation: list[str]
    test: list[str]
    unit: TextUnit
    fingerprint: str
    notes: tuple[str, ...]


def load_running_text(
    options: CorpusOptions,
    *,
    unit: TextUnit,
    validation_fraction: float = 0.05,
    test_fraction: float = 0.05,
    max_eval: int | None = None,
    keep_empty_lines: bool = False,
) -> RunningText:
    """Load text for a neural language model.

    Missing splits are cut from the end of the training text in whole lines and unshuffled: the test text last, the
    validation text before it. A line counts as one for ``line`` and by its characters for ``document``.

    Args:
        options: Which text. Its `tokenizer`, `lowercase` and `splits` are of no meaning here: a neural model's tokens
            are its tokenizer's.
        unit: What a text is.
        validation_fraction: Share of the text for validation where the source has none.
        test_fraction: Share of the text for test where the source has none.
        max_eval: At most so many lines of validation and of test each.
        keep_empty_lines: With ``line``, a blank line is a text, too. The published perplexities of WikiText-2 count
            the end marks of blank lines. (Only plain text files have them.)

    Raises:
        DataError: The source cannot be read, or is too small to be cut.
        ConfigError: The shares leave nothing to train on, or an option has no meaning for the unit.
    """
    if unit == "line":
        found = read_line_splits(
            options,
            validation_fraction=validation_fraction,
            test_fraction=test_fraction,
            max_eval=max_eval,
            keep_empty=keep_empty_lines,
        )
        train, validation, test, notes = found.train, found.validation, found.test, found.notes
    elif unit == "document":
        if options.split_sentences or keep_empty_lines:
            name = "split_sentences" if options.split_sentences else "keep_empty_lines"
            raise ConfigError(f"{name} is about lines; documents are kept as they are written. Leave it out.")
        check_shares(validation_fraction, test_fraction)
        train, validation, test, notes = _documents(options, validation_fraction, test_fraction, max_eval)
    else:
        raise ConfigError(f"There is no text unit {unit!r}; it is line or document.")
    for name, texts in zip(_EVALUATION, (validation, test), strict=True):
        if not any(text.strip() for text in texts):
            raise DataError(f"The {name} text of {options.dataset} is empty.")
    return RunningText(
        options.dataset, train, validation, test, unit, _fingerprint(unit, train, validation, test), notes
    )


def encode_running_text(texts: Iterable[str], tokenizer: PreTrainedTokenizerFast, eos_id: int) -> npt.NDArray[np.int32]:
    """Return the ids of all texts as one row: ``</s> w1 … wn </s> w1' … </s>``.

    Every text stands after an end mark, the first one too, so that all are learnt, and scored, in the same way.

    Args:
        texts: In their order.
        tokenizer: A fast tokenizer; its own special tokens are not added.
        eos_id: The end mark.

    Returns:
        Shape (1 + tokens + texts,).

    Raises:
        DataError: A text is not a string.
    """
    backend: Any = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    end = np.array([eos_id], dtype=np.int32)
    parts = [end]
    for batch in _batches(_pieces(texts, backend)):
        encoded = backend.encode_batch_fast([piece for piece, _ in batch], add_special_tokens=False)
        for encoding, (_, closes) in zip(encoded, batch, strict=True):
            parts.append(np.array(encoding.ids, dtype=np.int32))
            if closes:
                parts.append(end)
    return np.concatenate(parts)


def _pieces(texts: Iterable[str], backend: Any) -> Iterator[tuple[str, bool]]:
    """Yield the pieces of each text and whether the text ends with it."""
    cuttable: bool | None = None
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise DataError(f"Text {number} (counted from 0) is {text!r}, a {type(text).__name__}, not a string.")
        if not text.isascii():  # a lone surrogate is no character; no tokenizer takes it
            text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        begin = 0
        while len(text) - begin > _PIECE_CHARACTERS:
            found = _LINE_BREAK.search(text, begin + _PIECE_CHARACTERS)
            if found is None or found.start() == len(text):
                break
            if cuttable is None:
                cuttable = _can_be_cut(text[begin : found.start() + 1000], found.start() - begin, backend)
            if not cuttable:
                break
            yield text[begin : found.start()], False
            begin = found.start()
        yield text[begin:], True


def _can_be_cut(text: str, place: int, backend: Any) -> bool:
    """Tell whether the tokens of two pieces are those of the whole; a tokenizer may put a blank before each piece."""

    def ids(piece: str) -> list[int]:
        return list(backend.encode(piece, add_special_tokens=False).ids)

    around = text[max(0, place - 1000) :]
    place = min(place, 1000)
    return ids(around[:place]) + ids(around[place:]) == ids(around)


def _batches(pieces: Iterator[tuple[str, bool]]) -> Iterator[list[tuple[str, bool]]]:
    batch: list[tuple[str, bool]] = []
    characters = 0
    for piece in pieces:
        batch.append(piece)
        characters += len(piece[0]) + 1
        if characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _documents(
    options: CorpusOptions, validation_fraction: float, test_fraction: float, max_eval: int | None
) -> tuple[list[str], list[str], list[str], tuple[str, ...]]:
    splits = text_splits(options)
    texts = _read_documents(training_part(options, splits), options, options.max_samples)
    held = {name: _read_documents(splits[name], options, None) for name in _EVALUATION if name in splits}
    notes = [f"{name}: {sum(map(len, found)):,} characters" for name, found in held.items()]
    missing = [name for name in _EVALUATION if name not in held]
    if missing:
        total = sum(map(len, texts))
        shares = {"validation": validation_fraction, "test": test_fraction}
        for name in reversed(missing):
            texts, held[name] = _cut_end(texts, int(total * shares[name]))
            if not held[name] or not any(text.strip() for text in texts):
                raise DataError(
                    f"{options.dataset} has {total:,} characters in {sum(text.count(chr(10)) + 1 for text in texts):,} "
                    f"lines: too few to cut {' and '.join(missing)} from in whole lines. Give files named train, "
                    "validation and test."
                )
        cut = sum(sum(map(len, held[name])) for name in missing)
        notes.append(
            f"{' and '.join(missing)} are the last {cut:,} of {total:,} characters (the source has no such split)"
        )
    for name in _EVALUATION:
        held[name] = _first_lines(held[name], max_eval)
    return texts, held["validation"], held["test"], tuple(notes)


def _read_documents(part: list[Path] | Sequence[str], options: CorpusOptions, limit: int | None) -> list[str]:
    """Return the documents of a part that are not blank; `limit` counts rows, or the lines of files."""
    from nlpladder.data.text_files import read_lines

    if isinstance(part, list) and part and isinstance(part[0], Path):
        texts = ["".join(read_lines(Path(path), options.encoding, newline="")) for path in part]
        texts = _first_lines(texts, limit)
    else:
        texts = list(itertools.islice(iter(part), limit))
    if options.preprocess:
        from nlpladder.text.preprocessing import Preprocessor

        texts = list(map(Preprocessor(options.preprocess), texts))
    return [text for text in texts if text.strip()]


def _cut_end(texts: list[str], characters: int) -> tuple[list[str], list[str]]:
    """Cut about the last so many characters off, at the line break that follows, over as many texts as it takes."""
    kept, cut = list(texts), []
    while kept and characters > 0:
        last = kept.pop()
        if len(last) <= characters:
            cut.append(last)
            characters -= len(last)
            continue
        # The cut may fall on the beginning of a line itself, hence the character before.
        place = last.find("\n", len(last) - characters - 1) + 1
        if 0 < place < len(last):
            kept.append(last[:place])
            cut.append(last[place:])
        else:
            kept.append(last)
        break
    return kept, cut[::-1]


def _first_lines(texts: list[str], limit: int | None) -> list[str]:
    if limit is None:
        return texts
    kept = []
    for text in texts:
        lines = text.splitlines(keepends=True)[:limit]
        limit -= len(lines)
        if lines:
            kept.append("".join(lines))
    return kept


def _fingerprint(unit: str, *parts: Iterable[str]) -> str:
    digest = hashlib.blake2b(unit.encode(), digest_size=16)
    for number, part in enumerate(parts):
        for text in part:
            digest.update(text.encode("utf-8", "surrogatepass"))
            digest.update(b"\xff\n")  # no byte of a text
        digest.update(f"\xff{number}\n".encode("latin-1"))
    return digest.hexdigest()
