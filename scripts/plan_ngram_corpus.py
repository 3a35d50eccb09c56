"""What an n-gram model of a larger corpus would take: n-grams, disk, memory and hours, from a sample of its text.

    python scripts/plan_ngram_corpus.py --corpus sample.txt --tokens 1e9 1e11
    python scripts/plan_ngram_corpus.py --corpus sample.txt --tokens 1e11 --num_shards 100 --order 5

The sample is counted in nested parts (1/8, 1/4, 1/2, all of it). The number of distinct n-grams of each order grows as
K tokens^b (Heaps 1978); b is taken from the last doubling, and since it falls as a corpus grows, the figures are upper
bounds. Time per token and per n-gram is measured on this machine on the sample.

How a corpus that no one machine holds is split: by documents, into shards of at most 2^31 tokens, each counted by a
process of its own (`train_ngram_lm.py --num_shards`, or `nlpladder.models.ngram.sharding` on machines of their own),
whose sorted n-grams are merged by key. The same map and reduce on an existing engine: `datasets.Dataset.map` over
shards of documents emits (n-gram, count) rows in Arrow, sorted and summed within a shard; a range partition by the
first word sends equal n-grams to one reducer, which adds the counts of the sorted runs and writes one parquet file a
partition. Everything after counting reads n-grams in that order: adjusted counts need the same n-grams sorted by their
last words (one more exchange), context sums and back-off are then local.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: Bytes: a token as an id; an n-gram while counting (prefix, word, count), and in a table of 16-byte slots, 3/4 full.
ID_BYTES, COUNT_BYTES, SLOT_BYTES = 4, 12, 16 / 0.75
#: Most tokens of one shard: positions are int32.
LARGEST_SHARD = 2**31 - 1


@dataclass(frozen=True)
class Growth:
    """How a sample grows.

    Attributes:
        tokens: Tokens of each nested part; shape (parts,).
        ngrams: Distinct n-grams of each part and order; shape (parts, orders).
        encode_seconds: A token, for reading text into ids.
        count_seconds: A token, for counting all orders.
        estimate_seconds: An n-gram, for smoothing.
        arpa_bytes: An n-gram, in an ARPA file.
    """

    tokens: np.ndarray
    ngrams: np.ndarray
    encode_seconds: float
    count_seconds: float
    estimate_seconds: float
    arpa_bytes: float

    def expected_ngrams(self, tokens: float) -> np.ndarray:
        """Return the expected number of distinct n-grams of each order, shape (orders,)."""
        last = np.log(self.ngrams[-1] / self.ngrams[-2]) / np.log(self.tokens[-1] / self.tokens[-2])
        grown = self.ngrams[-1] * (tokens / self.tokens[-1]) ** np.minimum(last, 1.0)
        return np.minimum(grown, tokens)


def measure(corpus: Path, order: int) -> Growth:
    """Count nested parts of a tokenised text file."""
    from nlpladder.models.ngram.counting import count_ngrams
    from nlpladder.models.ngram.estimate import estimate_from_counts
    from nlpladder.models.ngram.options import NGramOptions
    from nlpladder.text.encoding import SENTENCE_END, EncodedCorpus, encode_corpus
    from nlpladder.text.sentence_stream import SentenceStream

    options = NGramOptions(order=order, special_words="skip")
    encode_corpus([["compile", "the", "kernels"]])
    started = time.perf_counter()
    whole = encode_corpus(SentenceStream.from_files([corpus]))
    encoded = time.perf_counter() - started
    ends = np.flatnonzero(whole.ids == SENTENCE_END)
    if len(ends) < 800:
        raise SystemExit(f"{corpus} has {len(ends)} lines: a sample needs at least 800, one sentence a line.")
    tokens, ngrams = [], []
    for part in (0.125, 0.25, 0.5, 1.0):
        last = ends[int(len(ends) * part) - 1]
        ids = np.ascontiguousarray(whole.ids[: last + 1])
        sentences = int((ids == SENTENCE_END).sum())
        used = np.bincount(ids[ids >= 0], minlength=len(whole.words))
        counted = EncodedCorpus(ids, whole.words, used, ids.size - sentences, sentences)
        started = time.perf_counter()
        counts = count_ngrams(counted, options)
        seconds = time.perf_counter() - started
        tokens.append(counted.num_tokens)
        ngrams.append([int((used > 0).sum()), *(len(level) for level in counts.levels[1:])])
    started = time.perf_counter()
    estimate_from_counts(counts, options)
    total = sum(ngrams[-1])
    # An ARPA line: two numbers of about 10 characters, and the words with a separator each.
    letters = corpus.stat().st_size / max(whole.num_tokens, 1)
    arpa = sum(count * (21 + letters * size) for size, count in enumerate(ngrams[-1], 1)) / total
    return Growth(
        np.array(tokens, float), np.array(ngrams, float), encoded / tokens[-1], seconds / tokens[-1],
        (time.perf_counter() - started) / total, arpa,
    )  # fmt: skip


def plan(growth: Growth, tokens: float, num_shards: int) -> dict[str, float]:
    """Return what a corpus of `tokens` tokens would take; sizes in GiB, times in hours of this machine."""
    ngrams = growth.expected_ngrams(tokens)
    gib = 2.0**30
    a_shard = tokens / num_shards
    shard_ngrams = growth.expected_ngrams(a_shard).sum()
    return {
        "tokens": tokens,
        "shards": num_shards,
        **{f"{order}-grams": count for order, count in enumerate(ngrams.tolist(), 1)},
        "ids on disk, GiB": tokens * ID_BYTES / gib,
        "a shard's counts, GiB": shard_ngrams * COUNT_BYTES / gib,
        "merged counts, GiB": ngrams.sum() * COUNT_BYTES / gib,
        "model, GiB": ngrams.sum() * SLOT_BYTES / gib,
        "ARPA, GiB": ngrams.sum() * growth.arpa_bytes / gib,
        "counting a shard, hours": a_shard * (growth.encode_seconds + growth.count_seconds) / 3600,
        "counting all on one machine, hours": tokens * (growth.encode_seconds + growth.count_seconds) / 3600,
        "smoothing, hours": ngrams.sum() * growth.estimate_seconds / 3600,
    }


def as_markdown(plans: list[dict[str, float]]) -> str:
    """Return the plans as a table, one a column."""
    lines = ["| |" + " |" * len(plans), "|---|" + "---:|" * len(plans)]
    for name in plans[0]:
        lines.append(f"| {name} | " + " | ".join(_figure(column[name]) for column in plans) + " |")
    return "\n".join(lines)


def _figure(value: float) -> str:
    for size, suffix in ((1e9, " G"), (1e6, " M")):
        if value >= size:
            return f"{value / size:,.1f}{suffix}"
    return f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.2g}"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True, help="a sample: tokenised text, one sentence a line")
    parser.add_argument("--tokens", type=float, nargs="+", default=[1e9, 1e11], help="sizes to plan for")
    parser.add_argument("--order", type=int, default=5, help="longest n-grams (default: 5)")
    parser.add_argument("--num_shards", type=int, help="parts that are counted apart (default: as few as possible)")
    options = parser.parse_args(arguments)
    if not options.corpus.is_file():
        parser.error(f"there is no file {options.corpus}")
    growth = measure(options.corpus, options.order)
    plans = []
    for tokens in options.tokens:
        fewest = int(np.ceil(tokens / LARGEST_SHARD))
        if options.num_shards is not None and options.num_shards < fewest:
            parser.error(f"{tokens:,.0f} tokens need at least {fewest} shards of {LARGEST_SHARD:,} tokens")
        plans.append(plan(growth, tokens, options.num_shards or fewest))
    print(f"From {growth.tokens[-1]:,.0f} tokens of {options.corpus.name}; upper bounds (see --help).\n")
    print(as_markdown(plans))
    return 0


if __name__ == "__main__":
    sys.exit(main())
