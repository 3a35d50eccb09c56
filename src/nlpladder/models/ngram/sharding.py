"""Counting in shards: pieces of a corpus counted apart, by processes or machines, and merged to the same counts.

A shard is a piece of consecutive sentences. Its counts are a file; what is merged are distinct n-grams, not text, and
the result is what one run over the whole text gives, to the bit: words are numbered in order of first appearance, and
levels are sorted. Nothing but the counts of n-grams is shared, so that any engine that can add up counts by key can do
the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import json
import mmap
import os
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from os import cpu_count
from pathlib import Path

import numpy as np

from nlpladder.errors import ConfigError, DataError, ModelError, RunError
from nlpladder.models.ngram.counting import CountLevel, NGramCounts, Progress, count_ngrams
from nlpladder.models.ngram.estimate import Estimate, estimate_from_counts
from nlpladder.models.ngram.levels import SPECIAL_WORDS
from nlpladder.models.ngram.options import NGramOptions
from nlpladder.models.ngram.workspace import AnyArray, Workspace
from nlpladder.text.encoding import EncodedCorpus, encode_corpus
from nlpladder.text.sentence_stream import SentenceStream
from nlpladder.text.text_tokenizer import TextTokenizer

ShardCounts = NGramCounts
_BLOCK_BYTES = 1 << 24
#: N-grams that are renamed at a time.
_CHUNK = 1 << 18
_LARGEST = (1 << 31) - 1
_FORMAT = "nlpladder n-gram counts 1"


def count_shard(corpus: EncodedCorpus, options: NGramOptions) -> ShardCounts:
    """Count the n-grams of one shard; see `count_ngrams`."""
    return count_ngrams(corpus, options)


def save_counts(counts: NGramCounts, path: str | Path) -> None:
    """Write counts to a new safetensors file.

    Raises:
        RunError: The file exists.
    """
    from safetensors.numpy import save_file

    path = Path(path)
    if path.exists():
        raise RunError(f"{path} exists already. Remove it or name another file.")
    tensors: dict[str, AnyArray] = {
        "words": np.frombuffer("\n".join(counts.words).encode("utf-8", "surrogatepass"), np.uint8)
    }
    for order, level in enumerate(counts.levels, start=1):
        for field in dataclasses.fields(level):
            tensors[f"{order}.{field.name}"] = np.ascontiguousarray(getattr(level, field.name))
    metadata = {
        "format": _FORMAT,
        "order": str(len(counts.levels)),
        "sentence_marks": json.dumps(counts.sentence_marks),
        "notes": json.dumps(counts.notes),
    }
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file(tensors, temporary, metadata=metadata)
        temporary.rename(path)
    finally:
        temporary.unlink(missing_ok=True)


def load_counts(path: str | Path) -> NGramCounts:
    """Open counts that `save_counts` wrote; the levels are mapped from the file, not read into memory.

    Raises:
        ModelError: The file is missing, damaged, or holds something else.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != _FORMAT:
                raise ModelError(f"{path} holds no n-gram counts of this version. Count the shard again.")
            words = file.get_tensor("words").tobytes().decode("utf-8", "surrogatepass").split("\n")
            mapped = _map_tensors(Path(path))
            levels = [
                CountLevel(*(mapped[f"{order}.{field.name}"] for field in dataclasses.fields(CountLevel)))
                for order in range(1, int(metadata["order"]) + 1)
            ]
    except FileNotFoundError:
        raise ModelError(f"There are no n-gram counts at {path}.") from None
    except SafetensorError as error:
        raise ModelError(f"{path} is damaged or no safetensors file ({error}). Count the shard again.") from error
    notes = tuple(json.loads(metadata["notes"]))
    return NGramCounts(words, levels, json.loads(metadata["sentence_marks"]), notes)


def _map_tensors(path: Path) -> dict[str, AnyArray]:
    """Map the tensors of a safetensors file that was found sound: eight bytes of length, a JSON header, the data."""
    types = {"I32": np.int32, "I64": np.int64, "U8": np.uint8}
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    data = np.memmap(path, dtype=np.uint8, mode="c", offset=8 + length) if path.stat().st_size > 8 + length else None
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            start, stop = entry["data_offsets"]
            bytes_of = np.empty(0, np.uint8) if data is None else np.asarray(data)[start:stop]
            tensors[name] = bytes_of.view(types[entry["dtype"]])
    return tensors


def merge_shards(shards: Sequence[ShardCounts], *, workspace: Workspace | None = None) -> NGramCounts:
    """Return the counts of the text whose consecutive pieces were counted.

    Args:
        shards: Counts, in the order of the text, all with the same options.
        workspace: Where large arrays go.

    Raises:
        DataError: There are no shards.
        ModelError: They were counted with different options, or have more than 2**31 n-grams of one order together.
    """
    if not shards:
        raise DataError("There are no shards to merge.")
    shapes = {(len(shard.levels), shard.sentence_marks) for shard in shards}
    if len(shapes) > 1:
        raise ModelError(
            "The shards were counted with different options: "
            + " and ".join(f"order {order}, sentence_marks {marks}" for order, marks in sorted(shapes))
            + ". Count them all alike."
        )
    workspace = workspace or Workspace()
    number = {word: place for place, word in enumerate(SPECIAL_WORDS)}
    renamed = [
        np.array([number.setdefault(word, len(number)) for word in shard.words], dtype=np.int32) for shard in shards
    ]
    counts = np.zeros(len(number), np.int64)
    for new_ids, shard in zip(renamed, shards, strict=True):
        counts[new_ids] += shard.levels[0].count
    dtype = np.dtype(np.int32 if int(counts.sum()) <= _LARGEST else np.int64)
    levels = [CountLevel(np.zeros(len(number), np.int32), np.arange(len(number), dtype=np.int32), counts.astype(dtype))]
    places = renamed
    for depth in range(1, len(shards[0].levels)):
        level, places = _merge_level([shard.levels[depth] for shard in shards], places, renamed, levels, workspace)
        levels.append(level)
    notes = [f"Shard {place}: {note}" for place, shard in enumerate(shards, start=1) for note in shard.notes]
    return NGramCounts(list(number), levels, shards[0].sentence_marks, tuple(notes))


def _merge_level(
    parts: Sequence[CountLevel],
    places: Sequence[AnyArray],
    renamed: Sequence[AnyArray],
    merged: Sequence[CountLevel],
    workspace: Workspace,
) -> tuple[CountLevel, list[AnyArray]]:
    """Merge one order.

    Args:
        parts: The order's level in each shard.
        places: Where each shard's n-grams of the level below stand in the merged level.
        renamed: The new id of each shard's words.
        merged: The merged levels so far.
        workspace: Where large arrays go.

    Returns:
        The merged level, and where each shard's n-grams stand in it.
    """
    from nlpladder.models.ngram.counting_kernels import count_words, group_entries, merge_entries

    total = sum(len(part) for part in parts)
    if total > _LARGEST:
        raise ModelError(
            f"The shards have {total:,} {len(merged) + 1}-grams together, more than 2**31. Merge fewer at a time, or "
            "lower the order."
        )
    prefix, word = workspace.empty(total, np.int32), workspace.empty(total, np.int32)
    count = workspace.empty(total, merged[0].count.dtype)
    cuts = [0, *itertools.accumulate(len(part) for part in parts)]
    for part, place, new_ids, (start, stop) in zip(parts, places, renamed, itertools.pairwise(cuts), strict=True):
        for first in range(start, stop, _CHUNK):
            piece = slice(first - start, min(first + _CHUNK, stop) - start)
            last = start + piece.stop
            prefix[first:last] = place[part.prefix[piece]]
            word[first:last] = new_ids[part.word[piece]]
        count[start:stop] = part.count
    borders = workspace.full(len(merged[-1]) + 1, 0, np.int64)
    count_words(prefix, borders[1:])
    np.cumsum(borders, out=borders)
    grouped = workspace.empty(total, np.int64)
    ends = workspace.empty(len(merged[-1]), np.int64)
    ends[:] = borders[:-1]
    group_entries(prefix, word, ends, grouped)
    del ends
    place = workspace.empty(total, np.int32)
    word_bits = int(len(merged[0]) - 1).bit_length()
    # The inputs are in `grouped` now; the distinct n-grams overwrite them.
    result_count = workspace.empty(total, count.dtype)
    found = merge_entries(grouped, borders, word_bits, count, prefix, word, result_count, place)
    level = CountLevel(*(_shortened(entries, found, workspace) for entries in (prefix, word, result_count)))
    return level, [place[start:stop] for start, stop in itertools.pairwise(cuts)]


def _shortened(entries: AnyArray, size: int, workspace: Workspace) -> AnyArray:
    short = workspace.empty(size, entries.dtype)
    short[:] = entries[:size]
    return short


def estimate_sharded(
    source: SentenceStream | Sequence[str | Path],
    options: NGramOptions | None = None,
    *,
    num_shards: int,
    folder: Path | None = None,
    progress: Progress | None = None,
) -> Estimate:
    """Estimate a model from shards that are counted in processes of their own; the result is that of `estimate`.

    As always with processes, a script that calls this needs ``if __name__ == "__main__":``.

    Args:
        source: Sentences, or paths of tokenised text files, a sentence a line.
        options: As for `estimate`; the processes at work share its memory and threads.
        num_shards: Into how many pieces the text is cut.
        folder: Where the text, the counts and large arrays go meanwhile; by default the system's folder for temporary
            files. Nothing stays behind in it, unless the program is killed: then a folder ``.shards-…`` may be removed.
        progress: Told what is being done.

    Raises:
        ConfigError: num_shards is below 1.
        DataError: As for `estimate`.
        RunError: A process was killed, for example for lack of memory, or the folder has no room.
    """
    options = options or NGramOptions()
    if num_shards < 1:
        raise ConfigError(f"num_shards is {num_shards}, expected at least 1.")
    stream = source if isinstance(source, SentenceStream) else SentenceStream.from_files(list(source))
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".shards-", dir=folder, ignore_cleanup_errors=True) as name:
        scratch = Path(name)
        text = scratch / "text"
        with text.open("wb") as file:
            for block in stream.blocks():
                file.write(block)
        pieces = _cut_at_newlines(text, num_shards)
        if progress:
            progress(f"counting {len(pieces)} shards")
        shards = _count_pieces(text, pieces, options, scratch)
        if not shards:
            raise DataError("The corpus has no words; expected text with a sentence on each line.")
        if progress:
            progress(f"merging {len(shards)} shards")
        with contextlib.closing(Workspace(options.memory, scratch)) as workspace:
            counts = merge_shards([load_counts(path) for path in shards], workspace=workspace)
            result = estimate_from_counts(counts, options, workspace=workspace, progress=progress)
    result.notes[:0] = stream.notes
    return result


def _count_pieces(text: Path, pieces: list[tuple[int, int]], options: NGramOptions, scratch: Path) -> list[Path]:
    """Count pieces of a file in processes; return the files of counts, in order, of pieces that have sentences."""
    threads = options.num_threads or cpu_count() or 1
    workers = max(1, min(len(pieces), threads))
    part = dataclasses.replace(
        options,
        num_threads=max(1, threads // workers),
        memory=None if options.memory is None else max(1, options.memory // workers),
    )
    targets = [scratch / f"shard-{number:05d}.safetensors" for number in range(len(pieces))]
    starts, stops = [start for start, _ in pieces], [stop for _, stop in pieces]
    many = len(pieces)
    try:
        with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as processes:
            counted = list(processes.map(_count_piece, [text] * many, starts, stops, [part] * many, targets))
    except BrokenProcessPool as error:
        raise RunError(
            "A process that counts a shard was killed, most likely for lack of memory. Use more shards, fewer threads, "
            "or set memory."
        ) from error
    return [target for target, done in zip(targets, counted, strict=True) if done]


def _count_piece(text: Path, start: int, stop: int, options: NGramOptions, target: Path) -> bool:
    """Count the sentences between two places of a file; return whether there are any."""
    stream = SentenceStream(lambda: _read_piece(text, start, stop), TextTokenizer(), lambda: "")
    spool = target.with_suffix(".ids") if options.memory is not None else None
    corpus = encode_corpus(stream, words=None, spool=spool)
    if corpus.num_sentences == 0:
        return False
    workspace = Workspace(options.memory, target.parent)
    save_counts(count_ngrams(corpus, options, workspace=workspace), target)
    workspace.close()
    return True


def _read_piece(path: Path, start: int, stop: int) -> Iterator[bytes]:
    """Yield a piece of a file in blocks that do not end inside a token."""
    tail = b""
    with path.open("rb") as file:
        file.seek(start)
        while start < stop:
            block = file.read(min(_BLOCK_BYTES, stop - start))
            start += len(block)
            block = tail + block
            cut = max(block.rfind(b"\n"), block.rfind(b" ")) + 1
            tail = block[cut:]
            yield block[:cut]
    yield tail


def _cut_at_newlines(path: Path, num_pieces: int) -> list[tuple[int, int]]:
    """Return pieces of about the same size that end after newlines; fewer where there are fewer lines."""
    size = path.stat().st_size
    if size == 0:
        return []
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as text:
        newlines = [text.find(b"\n", size * number // num_pieces) for number in range(1, num_pieces)]
    cuts = sorted({0, size, *(newline + 1 for newline in newlines if newline >= 0)})
    return list(itertools.pairwise(cuts))
