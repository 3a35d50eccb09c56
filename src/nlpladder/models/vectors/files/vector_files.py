"""Read vectors from any of the usual files, told apart by their content, and write them by the ending of the name."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, get_args

from nlpladder.errors import ConfigError, DataError, did_you_mean
from nlpladder.models.vectors.files.binary_vectors import read_binary_vectors, write_binary_vectors
from nlpladder.models.vectors.files.compressed_files import open_for_reading, open_for_writing
from nlpladder.models.vectors.files.fasttext_files import MAGIC, read_fasttext_binary, write_fasttext_binary
from nlpladder.models.vectors.files.text_vectors import read_text_vectors, write_text_vectors
from nlpladder.models.vectors.vector_table import VectorTable

VectorFormat = Literal["word2vec", "word2vec_binary", "glove", "fasttext", "fasttext_binary"]
_HEAD_BYTES = 1 << 16


def read_vectors(path: str | os.PathLike[str], *, limit: int | None = None) -> VectorTable:
    """Read word2vec text or binary, GloVe text, fastText ``.vec`` or ``.bin``, also in gzip, bzip2 or xz.

    Repairs are counted in the result's `notes`: duplicate words (the first wins), words that hold blanks, bytes that
    are no UTF-8.

    Args:
        path: The file. Its name does not matter.
        limit: Read only this many words from the beginning, in files sorted by frequency the most frequent. fastText
            ``.bin`` is read whole.

    Raises:
        DataError: If the file is missing, damaged or of another kind; the message names the line or the word.
        ConfigError: If `limit` is below 1.
    """
    path = Path(path)
    if limit is not None and limit < 1:
        raise ConfigError(f"limit is {limit}: give the number of words to read, at least 1.")
    with open_for_reading(path) as stream:
        head = stream.read(_HEAD_BYTES)
    reader: Callable[..., VectorTable]
    with open_for_reading(path) as stream:
        if head[:4] == MAGIC.to_bytes(4, "little"):
            table = read_fasttext_binary(stream, path)
        else:
            reader = read_binary_vectors if _is_binary(head) else read_text_vectors
            table = reader(stream, path, limit=limit)
    if table.words and "" in table.words:
        raise DataError(f"{path}: word {table.words.index('') + 1} is empty. The file is damaged.")
    return table


def write_vectors(
    table: VectorTable,
    path: str | os.PathLike[str],
    *,
    format: VectorFormat | None = None,
    overwrite: bool = False,
) -> Path:
    """Write vectors in a format that the programs of the field read.

    Args:
        table: What to write.
        path: Ending in ``.gz``, ``.bz2`` or ``.xz``, it is compressed.
        format: ``word2vec`` (text with a header), ``word2vec_binary``, ``glove`` (text without a header), ``fasttext``
            (``.vec``, the same as ``word2vec``) or ``fasttext_binary``. By default ``.bin`` gives ``fasttext_binary``
            for vectors with sub-words and ``word2vec_binary`` for others, and all other names give ``word2vec``.
        overwrite: Whether a file of that name may be replaced.

    Raises:
        ConfigError: If the format is unknown.
        DataError: If a word cannot be written in the format.
        RunError: If the file exists.
    """
    target = Path(path)
    if format is None:
        name = target.name.lower()
        for ending in (".gz", ".bz2", ".xz"):
            name = name.removesuffix(ending)
        binary: VectorFormat = "word2vec_binary" if table.subwords is None else "fasttext_binary"
        format = binary if name.endswith(".bin") else "word2vec"
    if format not in get_args(VectorFormat):
        known = get_args(VectorFormat)
        raise ConfigError(
            f"Unknown format {format!r} of vectors; there are {', '.join(known)}.{did_you_mean(format, known)}"
        )
    with open_for_writing(target, overwrite=overwrite) as stream:
        if format == "fasttext_binary":
            write_fasttext_binary(table, stream, target)
        elif format == "word2vec_binary":
            write_binary_vectors(table, stream, target)
        else:
            write_text_vectors(table, stream, target, header=format != "glove")
    return target


def _is_binary(head: bytes) -> bool:
    """Whether a header line is followed by something that no line of text is."""
    header, _, rest = head.partition(b"\n")
    fields = header.split()
    if len(fields) != 2 or not all(field.isdigit() for field in fields) or int(fields[1]) == 0 or not rest:
        return False
    line = rest.partition(b"\n")[0]
    if len(line) == len(rest) and len(head) == _HEAD_BYTES:
        return _has_control_bytes(rest)  # a line longer than what was read
    try:
        [float(number) for number in line.split()[-int(fields[1]) :]]
    except ValueError:
        # A line of text can hold a bad number; the bytes of a vector are more than printable characters.
        return _has_control_bytes(rest[:4096])
    return _has_control_bytes(line)


def _has_control_bytes(text: bytes) -> bool:
    return any(byte < 9 or 13 < byte < 32 for byte in text)
