"""ROUGE of each text (Lin 2004): the F-measures of rouge-score, Google's port of the original script.

ROUGE-N counts shared n-grams (Lin 2004, section 2), ROUGE-L the longest common subsequence of words (section 3.1) and
ROUGE-Lsum that of every sentence of a reference with all sentences of the summary (section 3.2), a line being a
sentence. Of several references, the one with the best F-measure counts, for each kind by itself.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from nlpladder.errors import ConfigError

logger = logging.getLogger(__name__)

Words = Literal["english", "unicode"]
ROUGE_TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")
#: Scripts that are written without blanks, Thai and Lao, Burmese, Khmer, kana and Chinese characters: first, last.
_WITHOUT_BLANKS = (
    ("\u0e00", "\u0eff"), ("\u1000", "\u109f"), ("\u1780", "\u17ff"), ("\u3040", "\u30ff"), ("\u3400", "\u4dbf"),
    ("\u4e00", "\u9fff"), ("\uf900", "\ufaff"), ("\U00020000", "\U0003ffff"),
)  # fmt: skip


class UnicodeWords:
    """Words of any script, for rouge-score, whose own keep a to z and 0 to 9 only: Chinese would score 0."""

    def tokenize(self, text: str) -> list[str]:
        """Return the runs of letters, digits and their marks, case folded and composed (NFKC).

        Of scripts that are written without blanks, each character is a word.
        """
        words: list[str] = []
        open_word = False
        for character in unicodedata.normalize("NFKC", text).casefold():
            if not (character.isalnum() or unicodedata.category(character).startswith("M")):
                open_word = False
            elif any(first <= character <= last for first, last in _WITHOUT_BLANKS):
                words.append(character)
                open_word = False
            elif open_word:
                words[-1] += character
            else:
                words.append(character)
                open_word = True
        return words


def rouge_scores(
    predictions: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    stemmer: bool = False,
    words: Words = "english",
) -> npt.NDArray[np.float64]:
    """Return the F-measures of each text, shape (texts, 4), in the order of `ROUGE_TYPES`, 0 to 1.

    Args:
        predictions: The generated texts.
        references: For each text one reference or more.
        stemmer: Whether words lose their English suffixes first (Porter 1980), as published ROUGE scores often do.
        words: ``english`` are rouge-score's own, a to z and 0 to 9; ``unicode`` any script's letters and digits.

    Raises:
        ConfigError: If an option makes no sense.
    """
    from rouge_score.rouge_scorer import RougeScorer

    if words not in ("english", "unicode"):
        raise ConfigError(f"words is {words!r}: it is 'english' or 'unicode'.")
    if stemmer and words == "unicode":
        raise ConfigError("The stemmer knows English only: leave it out, or take words='english'.")
    tokenizer: Any = UnicodeWords() if words == "unicode" else None
    whole = RougeScorer(list(ROUGE_TYPES), use_stemmer=stemmer, tokenizer=tokenizer)
    # For texts of one line, ROUGE-Lsum is ROUGE-L: half of the dynamic programming is saved.
    of_one_line = RougeScorer(list(ROUGE_TYPES[:3]), use_stemmer=stemmer, tokenizer=tokenizer)
    scores = np.empty((len(predictions), len(ROUGE_TYPES)))
    blind = 0
    for row, (text, rights) in enumerate(zip(predictions, references, strict=True)):
        several_lines = "\n" in text or any("\n" in right for right in rights)
        found = (whole if several_lines else of_one_line).score_multi(list(rights), text)
        measured = [found[kind].fmeasure for kind in ROUGE_TYPES if kind in found]
        scores[row] = measured if several_lines else [*measured, measured[2]]
        blind += words == "english" and not any(_sees(right) for right in rights)
    if 2 * blind > len(predictions):
        logger.warning(
            "ROUGE's own words are a to z and 0 to 9: in %s of %s references it sees none. Take words='unicode'.",
            f"{blind:,}", f"{len(predictions):,}",
        )  # fmt: skip
    return scores


def _sees(text: str) -> bool:
    """Return whether a text has a word for rouge-score; one without letters of any script has nothing to see."""
    return not any(character.isalnum() for character in text) or re.search("[a-z0-9]", text.lower()) is not None
