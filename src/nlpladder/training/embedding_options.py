"""What the word-vector recipes share besides the corpus: how vectors are kept and on what they are scored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nlpladder.config import option


@dataclass(frozen=True, kw_only=True)
class SavingOptions:
    """How vectors are kept."""

    storage: Literal["float32", "float16", "int8"] = option(
        "float32", help="numbers on disk; what the smaller ones lose is measured and printed"
    )
    keep_state: bool = option(
        False, help="keep what continue_from needs to go on with new text (output vectors, step sizes)"
    )
    continue_from: str | None = option(
        None, help="run folder of a training with keep_state, to go on with on this text; new words join"
    )


@dataclass(frozen=True, kw_only=True)
class EmbeddingRunOptions(SavingOptions):
    """One run of a word-vector recipe."""

    spool: bool = option(
        False, help="keep the token ids (4 bytes a token) in a file of the run folder, for text larger than memory"
    )
    similarity: tuple[str, ...] = option(
        (), help="files of word pairs with judgements (MEN, RareWords, your own), besides WordSim-353 and SimLex-999"
    )
    analogies: str | None = option(None, help="file of analogies in Google's format; theirs by default")
    overwrite: bool = option(False, help="replace an earlier run in output_dir")
