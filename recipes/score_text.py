"""Score text with a trained language model: how surprising each token is, and how well the model predicts the whole.

    python recipes/score_text.py --model outputs/lstm --input my_text.txt
    python recipes/score_text.py --model outputs/transformer --input my_text.txt --running --window 128 --stride 64
    echo "the plot is dull" | python recipes/score_text.py --model outputs/ngram --output surprisal.tsv

Prints perplexity per token of the model, per word, and bits per byte, with what the tokens are and how much context
they had. --running reads the lines as one text; by default each line stands alone. --output writes one row a token.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpladder.config import option, parse, run_recipe
from nlpladder.errors import ConfigError, DataError, ModelError, RunError


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """Options of scoring."""

    model: str = option(help="run folder or Hub id of a language model")
    input: str | None = option(None, help="a text file, one text a line; standard input if not given")
    running: bool = option(False, help="read all lines as one running text, so that earlier lines are context")
    window: int | None = option(None, help="with running: tokens of context a model of limited length sees at most")
    stride: int | None = option(None, help="with running: tokens the window moves by; smaller is slower and better")
    output: str | None = option(None, help="write one row a token to this tsv file: line, token, surprisal in bits")
    encoding: str = option("utf-8", help="encoding of the file")
    overwrite: bool = option(False, help="replace the output file")


def main() -> None:
    options = parse(ScoreOptions, description=__doc__)
    if options.input is not None and not Path(options.input).is_file():
        raise DataError(f"There is no input file {options.input!r}.")
    if options.output is not None and Path(options.output).exists() and not options.overwrite:
        raise RunError(f"{options.output} exists already. Name another file, or --overwrite to replace it.")
    if not options.running and (options.window or options.stride):
        raise ConfigError("--window and --stride are about running text: add --running.")

    from nlpladder.evaluation.language_modeling import TextLosses, metric_values
    from nlpladder.hub.loading import load
    from nlpladder.train_rung import quiet_libraries
    from nlpladder.training.run_folder import write_text

    quiet_libraries()
    model = load(options.model)
    if not hasattr(model, "score"):
        raise ModelError(f"{options.model} holds a {type(model).__name__}, which gives text no probability.")
    if options.running and not hasattr(model, "score_running"):
        raise ConfigError(f"{options.model} scores line by line; --running is for neural models.")
    lines = [line for line in _read(options) if line.strip()]
    if not lines:
        raise DataError("There is no text to score: every line is empty.")
    scores = (
        model.score_running(lines, window=options.window, stride=options.stride)
        if options.running
        else model.score(lines)
    )
    values = metric_values(TextLosses.of(scores).columns.sum(axis=0))
    tokens, words = sum(len(score.tokens) for score in scores), sum(score.num_words for score in scores)
    size = sum(score.num_bytes for score in scores)
    print(f"{len(lines):,} lines that are not empty, {words:,} words, {tokens:,} tokens, {size:,} bytes")
    if hasattr(model, "describe_scoring"):
        how = {"window": options.window, "stride": options.stride} if options.running else {}
        print(model.describe_scoring(running=options.running, **how))
    print(f"perplexity per token  {_readable(float(values['perplexity']))}")
    print(f"perplexity per word   {_readable(float(values['perplexity_per_word']))}")
    print(f"bits per byte         {float(values['bits_per_byte']):.4f}")
    unknown = float(values["unknown_rate"])
    if unknown:
        print(f"unknown tokens        {100 * unknown:.2f} % (bits per byte and per word count their letters)")
    if options.output is not None:
        write_text(Path(options.output), _table(scores))
        print(f"surprisal of every token: {options.output}")


def _readable(perplexity: float) -> str:
    return f"{perplexity:.3f}" if perplexity < 1e6 else f"{perplexity:.3g}"


def _read(options: ScoreOptions) -> Sequence[str]:
    if options.input is None:
        return sys.stdin.read().splitlines()
    from nlpladder.data.text_files import read_lines

    return [line.rstrip("\n") for line in read_lines(Path(options.input), options.encoding, newline=None)]


def _table(scores: Sequence[Any]) -> str:
    rows = ["line\ttoken\tsurprisal_bits"]
    for number, score in enumerate(scores, 1):
        for token, logprob in zip(score.tokens, score.logprobs.tolist(), strict=True):
            shown = token.replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r")
            rows.append(f"{number}\t{shown}\t{-logprob / math.log(2):.4f}")
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    run_recipe(main)
