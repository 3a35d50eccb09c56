"""Translate sentences typed in, or a file line by line, with a trained model; any other text for a text as well.

    python recipes/translate.py --model outputs/transformer
    python recipes/translate.py --model outputs/transformer --input news.de --output news.en --num_beams 5
    cat news.de | python recipes/translate.py --model outputs/transformer > news.en

Models of recipes/finetune_t5.py write summaries or texts for data in the same way, prefix and lengths included. A
file, a batch and a typed sentence give the same translation: the preprocessing is part of the model. With --n_best
or --show_alignment each line is followed by indented lines with alternatives, scores and source words.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpladder.config import option, parse, run_recipe
from nlpladder.errors import ConfigError, DataError, ModelError, RunError


@dataclass(frozen=True, kw_only=True)
class TranslateOptions:
    """Options of translation."""

    model: str = option(help="run folder or Hub id of a translation model")
    input: str | None = option(None, help="a text file with one sentence a line; standard input if not given")
    output: str | None = option(None, help="the file to write, a line for each line of input; the screen if not given")
    num_beams: int = option(5, help="hypotheses kept at each step; 1 is greedy")
    length_penalty: float = option(1.0, help="score = log probability / length ** length_penalty")
    coverage_penalty: float = option(0.0, help="weight of the penalty for source words left out (Wu et al. 2016)")
    n_best: int = option(1, help="show so many hypotheses of each sentence")
    show_alignment: bool = option(False, help="show which source token each target token looked at most")
    encoding: str = option("utf-8", help="encoding of the files")
    overwrite: bool = option(False, help="replace the output file")


def main() -> None:
    options = parse(TranslateOptions, description=__doc__)
    if options.input is not None and not Path(options.input).is_file():
        raise DataError(f"There is no input file {options.input!r}.")
    if options.output is not None and Path(options.output).exists() and not options.overwrite:
        raise RunError(f"{options.output} exists already. Name another file, or --overwrite to replace it.")
    if not 1 <= options.n_best <= options.num_beams:
        raise ConfigError(f"n_best is {options.n_best}, expected 1 to num_beams, which is {options.num_beams}.")

    from nlpladder.hub.loading import load
    from nlpladder.train_rung import quiet_libraries
    from nlpladder.training.run_folder import write_text

    quiet_libraries()
    translator = load(options.model)
    if not hasattr(translator, "translate"):
        raise ModelError(f"{options.model} holds a {type(translator).__name__}, which does not translate.")
    if options.input is None and sys.stdin.isatty():
        _converse(translator, options)
        return
    if options.input is None:
        lines = sys.stdin.read().splitlines()
    else:
        from nlpladder.data.text_files import read_lines

        lines = [line.rstrip("\n") for line in read_lines(Path(options.input), options.encoding, newline=None)]
    translations = _translate(translator, lines, options)
    text = "".join(f"{line}\n" for found in translations for line in _shown(found, options))
    _warn(translations, translator)
    if options.output is None:
        sys.stdout.write(text)
    else:
        write_text(Path(options.output), text)
        print(f"{len(lines):,} lines translated to {options.output}")


def _translate(translator: Any, lines: list[str], options: TranslateOptions) -> Any:
    return translator.translate(
        lines,
        num_beams=options.num_beams,
        length_penalty=options.length_penalty,
        coverage_penalty=options.coverage_penalty,
        n_best=options.n_best,
        alignments=options.show_alignment,
    )


def _warn(translations: Any, translator: Any) -> None:
    """Say on standard error what a reader of the translations alone would not know."""
    unknown = translator.tokenizer.unk_token
    strange = sum(unknown in found.source_tokens for found in translations)
    if strange:
        sys.stderr.write(f"{strange:,} of {len(translations):,} lines hold characters that the model never saw.\n")
    for number, found in enumerate(translations, 1):
        if found.note:
            sys.stderr.write(f"line {number}: {found.note}\n")


def _shown(translation: Any, options: TranslateOptions) -> Iterator[str]:
    yield translation.text
    for number, other in enumerate(translation.alternatives, 2):
        yield f"    {number}. {other.text}  ({other.score:.3f})"
    if options.show_alignment and translation.alignment is not None:
        best = translation.alignment.argmax(axis=1)
        pairs = zip(translation.target_tokens, best.tolist(), strict=True)
        yield "    " + "  ".join(f"{token}<-{translation.source_tokens[place]}" for token, place in pairs)


def _converse(translator: Any, options: TranslateOptions) -> None:
    """Translate what is typed, until an empty line or the end of the input."""
    print("Type a sentence and press Enter; an empty line ends.")
    while True:
        try:
            line = input("> ").strip()
        except EOFError:
            break
        if not line:
            break
        found = _translate(translator, [line], options)
        print(*_shown(found[0], options), sep="\n")
        _warn(found, translator)


if __name__ == "__main__":
    run_recipe(main)
