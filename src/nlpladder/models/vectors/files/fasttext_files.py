"""fastText's own binary format (version 12): settings, dictionary, input matrix (words, buckets), output matrix."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO

import numpy as np

from nlpladder.errors import DataError
from nlpladder.models.vectors.unseen_words import SubwordVectors
from nlpladder.models.vectors.vector_table import (
    VectorTable,
    check_finite,
    check_words_writable,
    decode_words,
    drop_duplicates,
)

MAGIC = 793712314
_VERSION = 12
_SETTINGS = ("dim", "ws", "epoch", "min_count", "neg", "word_ngrams", "loss", "model", "bucket", "minn", "maxn")
_SETTINGS_FORMAT = "<12id"  # the eleven above, lr_update_rate, and the threshold t
_SUPERVISED = 3


def read_fasttext_binary(stream: BinaryIO, path: Path) -> VectorTable:
    """Read a model of ``fasttext skipgram`` or ``fasttext cbow``.

    The vector of a known word is the mean of its own row and the rows of its n-grams, as ``fasttext
    print-word-vectors`` writes it; the output matrix is not read.

    Args:
        stream: At its beginning, decompressed.
        path: What messages name.

    Raises:
        DataError: If the file is cut short, a classifier, or quantised (``.ftz``).
    """
    from nlpladder.models.vectors.files.binary_vector_kernels import scan_dictionary
    from nlpladder.models.vectors.files.text_vector_kernels import join_spans

    magic, version = _unpack(stream, "<2i", path)
    if magic != MAGIC:
        raise DataError(f"{path} is no fastText model: it begins with {magic} instead of {MAGIC}.")
    if not 11 <= version <= _VERSION:
        raise DataError(
            f"{path} has version {version} of fastText's format; 11 and 12 are known. Convert it with fastText."
        )
    settings = dict(zip(_SETTINGS, _unpack(stream, _SETTINGS_FORMAT, path), strict=False))
    entries, num_words, num_labels, _tokens, pruned = _unpack(stream, "<3i2q", path)
    if settings["model"] == _SUPERVISED or num_labels > 0:
        raise DataError(
            f"{path} is a fastText classifier with {num_labels:,} labels. Only unsupervised models (fasttext skipgram, "
            "fasttext cbow) hold vectors that compare words."
        )
    dimensions, buckets = settings["dim"], settings["bucket"]
    if min(dimensions, entries, num_words) <= 0 or entries != num_words or buckets < 0:
        raise DataError(f"{path} is damaged: it announces {num_words:,} words of {dimensions} dimensions.")
    raw, spans, counts = _read_dictionary(stream, entries, path, scan_dictionary)
    joined = np.empty(int((spans[:, 1] - spans[:, 0]).sum()) + entries, np.uint8)
    join_spans(np.frombuffer(raw, np.uint8), spans, joined)
    notes: list[str] = []
    words = decode_words(joined.tobytes(), entries, path, notes)
    if pruned > 0:
        raise DataError(
            f"{path} was pruned, which fastText only does when it quantises. Use the .bin it was made from."
        )
    (quantised,) = _unpack(stream, "<?", path)
    if quantised:
        raise DataError(f"{path} is quantised (.ftz); only the full .bin can be read.")
    rows, columns = _unpack(stream, "<2q", path)
    if columns != dimensions or rows != num_words + buckets:
        raise DataError(f"{path} is damaged: a matrix of {rows:,} x {columns} does not fit {num_words:,} words.")
    vectors = _read_matrix(stream, num_words, dimensions, path)
    subwords = None
    if buckets and settings["maxn"] > 0:
        if settings["minn"] > settings["maxn"]:
            raise DataError(f"{path} is damaged: n-grams of {settings['minn']} to {settings['maxn']} characters.")
        ngram_vectors = _read_matrix(stream, buckets, dimensions, path)
        check_finite(ngram_vectors, path)
        subwords = SubwordVectors(ngram_vectors, max(1, settings["minn"]), settings["maxn"], buckets)
        for start in range(0, num_words, 100_000):
            some = vectors[start : start + 100_000]
            numbers = subwords.add_to(some, words[start : start + 100_000])
            some /= (numbers + 1)[:, None].astype(np.float32)
    check_finite(vectors, path)
    return drop_duplicates(VectorTable(words, vectors, counts, subwords, "fastText binary", notes))


def write_fasttext_binary(table: VectorTable, stream: BinaryIO, path: Path) -> None:
    """Write a model that ``fasttext nn``, ``print-word-vectors`` and gensim's ``load_facebook_vectors`` open.

    A word's own row is its vector times (n-grams + 1) minus the sum of its n-grams' rows, so that readers find the same
    vector but for the rounding of float32. The output matrix, which only more training needs, is written as zeros.

    Raises:
        DataError: If a word holds a blank, a line's end or NUL.
    """
    words, subwords = table.words, table.subwords
    check_words_writable(words, " \n\t\0", path, "fastText's dictionary ends words with NUL and never holds blanks")
    check_finite(table.vectors, path)
    dimensions = table.vectors.shape[1]
    counts = np.ones(len(words), np.int64) if table.counts is None else table.counts
    buckets, min_n, max_n = (subwords.num_buckets, subwords.min_n, subwords.max_n) if subwords else (0, 0, 0)
    stream.write(struct.pack("<2i", MAGIC, _VERSION))
    # window, epochs, min_count, negatives, word n-grams, loss (2: negative sampling), model (2: skip-gram)
    stream.write(struct.pack(_SETTINGS_FORMAT, dimensions, 5, 5, 1, 5, 1, 2, 2, buckets, min_n, max_n, 100, 1e-4))
    stream.write(struct.pack("<3i2q", len(words), len(words), 0, int(counts.sum()), -1))
    stream.write(
        b"".join(
            word.encode("utf-8") + struct.pack("<bqb", 0, count, 0)
            for word, count in zip(words, counts.tolist(), strict=True)
        )
    )
    stream.write(struct.pack("<?2q", False, len(words) + buckets, dimensions))
    for start in range(0, len(words), 100_000):
        some = table.vectors[start : start + 100_000]
        if subwords is not None:
            sums, numbers = subwords.sums(words[start : start + 100_000])
            some = some * (numbers + 1)[:, None].astype(np.float32) - sums
        stream.write(np.ascontiguousarray(some, "<f4").tobytes())
    if subwords is not None:
        _write_buckets(subwords, stream)
    stream.write(struct.pack("<?2q", False, len(words), dimensions))
    for start in range(0, len(words), 100_000):
        stream.write(bytes(4 * dimensions * len(words[start : start + 100_000])))


def _write_buckets(subwords: SubwordVectors, stream: BinaryIO) -> None:
    for start in range(0, subwords.num_buckets, 100_000):
        stop = min(start + 100_000, subwords.num_buckets)
        if subwords.buckets is None:
            rows = subwords.vectors[start:stop]
        else:
            rows = np.zeros((stop - start, subwords.vectors.shape[1]), np.float32)
            first, last = np.searchsorted(subwords.buckets, [start, stop])
            rows[subwords.buckets[first:last] - start] = subwords.vectors[first:last]
        stream.write(np.ascontiguousarray(rows, "<f4").tobytes())


def _read_dictionary(stream: BinaryIO, entries: int, path: Path, scan: object) -> tuple[bytes, np.ndarray, np.ndarray]:
    """Read blocks until all entries are there, and put the stream back behind them."""
    start = stream.tell()
    raw = b""
    size = 1 << 20
    while True:
        block = stream.read(size)
        raw += block
        size = min(2 * size, 1 << 26)
        # An entry takes at least ten bytes: a dictionary that announces more than the file holds is not allocated for.
        if len(raw) >= 10 * entries or not block:
            if len(raw) < 10 * entries:
                raise DataError(f"{path} ends inside the dictionary of {entries:,} words: it was cut short.")
            spans = np.empty((entries, 2), np.int64)
            counts = np.empty(entries, np.int64)
            used = scan(np.frombuffer(raw, np.uint8), entries, spans, counts, np.empty(entries, np.int8))  # type: ignore[operator]
            if used >= 0:
                stream.seek(start + used)
                return raw[:used], spans, counts
        if not block:
            raise DataError(f"{path} ends inside the dictionary of {entries:,} words: it was cut short.")


def _read_matrix(stream: BinaryIO, rows: int, columns: int, path: Path) -> np.ndarray:
    """Read float32 in pieces, so that a wrong header meets the end of the file before it takes all memory."""
    matrix = np.empty((0, columns), "<f4")
    filled = 0
    while filled < rows:
        wanted = min(rows - filled, max(1, (1 << 26) // (4 * columns)))
        raw = stream.read(4 * columns * wanted)
        if len(raw) < 4 * columns * wanted:
            raise DataError(
                f"{path} ends inside a matrix of {rows:,} x {columns}: it was cut short. Download it again."
            )
        matrix.resize((filled + wanted, columns), refcheck=False)
        matrix[filled:] = np.frombuffer(raw, "<f4").reshape(wanted, columns)
        filled += wanted
    return matrix.astype(np.float32, copy=False)


def _unpack(stream: BinaryIO, layout: str, path: Path) -> tuple:
    size = struct.calcsize(layout)
    raw = stream.read(size)
    if len(raw) < size:
        raise DataError(f"{path} ends inside the settings of a fastText model: it was cut short. Download it again.")
    return struct.unpack(layout, raw)
