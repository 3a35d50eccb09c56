"""Preprocess a text data set and report what that did to it.

    accelerate launch recipes/preprocess_text.py recipes/configs/preprocess_text/reviews.yaml
    accelerate launch recipes/preprocess_text.py --dataset path/to/train.csv --steps strip_html,lowercase,word_tokenize

Writes into --output_dir: one parquet file per split with the text replaced, preprocessor.json (so that the same steps
can run elsewhere), report.md, report.json and figures/zipf.png. The folder appears only when all of it is written.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nlpladder.config import option, parse, run_recipe
from nlpladder.data.options import DataOptions
from nlpladder.errors import RunError

if TYPE_CHECKING:
    from datasets import Dataset

    from nlpladder.text.preprocessing import Preprocessor
    from nlpladder.text.statistics import CorpusComparison

DEFAULT_STEPS = (
    "unicode_nfkc",
    "clean_control_characters",
    "strip_html",
    "lowercase",
    "clean_whitespace",
    "word_tokenize",
)


@dataclass(frozen=True, kw_only=True)
class PreprocessOptions(DataOptions):
    """Options of this recipe."""

    steps: tuple[Any, ...] = option(
        DEFAULT_STEPS, help="steps in order: names, or in YAML mappings with a name and the step's parameters."
    )
    preprocessor: str | None = option(None, help="a preprocessor.json to use instead of steps.")
    num_examples: int = option(5, help="how many of the most changed texts the report shows, per split.")
    window: int = option(500, help="tokens of a window of the moving-average type-token ratio.")
    output_dir: str = option("outputs/preprocessed", help="the folder to write.")
    overwrite: bool = option(False, help="whether an existing output_dir is replaced.")


def main() -> None:
    options = parse(PreprocessOptions, description=__doc__)
    output = Path(options.output_dir)
    if output.exists() and not options.overwrite:
        raise RunError(f"{output} exists. Choose another --output_dir, or replace it with --overwrite.")
    if output.exists() and not (output / "preprocessor.json").is_file() and any(output.iterdir()):
        raise RunError(f"{output} does not hold the output of this recipe, so --overwrite leaves it alone.")

    # Options first: a misspelt step should not cost the loading of the data.
    from nlpladder.text.preprocessing import Preprocessor

    preprocessor = Preprocessor.load(options.preprocessor) if options.preprocessor else Preprocessor(options.steps)

    data = options.load()
    print(data.describe(), end="\n\n")

    output.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{output.name}.", dir=output.parent))
    try:
        comparisons: dict[str, CorpusComparison] = {}
        examples: list[dict[str, Any]] = []
        for split, rows in data.splits.items():
            processed, comparison, changed = preprocess_split(rows, preprocessor, options)
            processed.to_parquet(str(temporary / f"{split}.parquet"))
            comparisons[split] = comparison
            examples += [{"split": split, **example} for example in changed]
        preprocessor.save(temporary / "preprocessor.json")
        report = {
            "source": data.name,
            "fingerprint": data.fingerprint,
            "steps": preprocessor.to_config()["steps"],
            "splits": {split: comparison.to_dict() for split, comparison in comparisons.items()},
            "examples": examples,
        }
        write_report(temporary, report, comparisons["train"])
        publish(temporary, output)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    print_table(report)
    print(f"\nWrote {output}/ with {', '.join(data.splits)} as parquet, report.md, report.json and figures/zipf.png.")


def preprocess_split(
    rows: Dataset, preprocessor: Preprocessor, options: PreprocessOptions
) -> tuple[Dataset, CorpusComparison, list[dict[str, Any]]]:
    """Return the rows with their texts preprocessed, the comparison, and the texts that changed most."""
    from nlpladder.text.statistics import compare
    from nlpladder.text.tokenization import regex_tokenize

    texts = rows["text"][:]
    processed = rows.map(lambda batch: {"text": preprocessor.batch(batch["text"])}, batched=True, desc="Preprocessing")
    new_texts = processed["text"][:]
    # The source is split by the regex tokeniser, so that a word with a comma does not count as another type.
    before = [regex_tokenize(text) for text in texts]
    comparison = compare(before, [text.split() for text in new_texts], window=options.window)
    examples = [
        {"row": row, "change": float(comparison.change[row]), "before": texts[row], "after": new_texts[row]}
        for row in comparison.most_changed(options.num_examples)
    ]
    return processed, comparison, examples


def write_report(folder: Path, report: dict[str, Any], train: CorpusComparison) -> None:
    """Write report.json, report.md and figures/zipf.png."""
    from nlpladder.views.corpus_report import corpus_report_markdown, plot_zipf
    from nlpladder.views.figures import save_figure

    (folder / "report.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    parts = {"before": train.before, "after": train.after}
    figure = plot_zipf(
        {name: part.frequencies for name, part in parts.items()},
        {name: part.zipf_exponent() for name, part in parts.items()},
    )
    save_figure(figure, folder / "figures" / "zipf.png")
    (folder / "report.md").write_text(corpus_report_markdown(report, figure="figures/zipf.png"), encoding="utf-8")


def publish(temporary: Path, output: Path) -> None:
    """Rename the finished folder into place; what stood there goes only then."""
    umask = os.umask(0)
    os.umask(umask)
    temporary.chmod(0o777 & ~umask)  # mkdtemp makes folders that only the owner can read
    if output.exists():
        retired = Path(tempfile.mkdtemp(prefix=f".{output.name}.old.", dir=output.parent))
        output.replace(retired)
        temporary.replace(output)
        shutil.rmtree(retired)
    else:
        temporary.replace(output)


def print_table(report: dict[str, Any]) -> None:
    """Print the statistics of the training split before and after."""
    from nlpladder.views.corpus_report import statistics_rows, text_table

    train = report["splits"]["train"]
    print(text_table(statistics_rows(train["before"], train["after"]), ("train", "before", "after")))


if __name__ == "__main__":
    run_recipe(main)
