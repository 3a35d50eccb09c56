"""Give a model the profile with which its traffic is compared: for runs of before there were profiles, and others'.

    python scripts/save_profile.py outputs/sst2 --dataset data/sst2                 # a text classifier
    python scripts/save_profile.py outputs/lstm --dataset data/wikitext2            # a language model: lines of text
    python scripts/save_profile.py outputs/en-de --dataset sources/                 # others: lines of what they read

A run that is trained now writes profile.json itself. The texts must be divided as they were for the training: the
vocabulary comes from the training split, everything else from the validation split, and a validation text that was
trained on would be no held-out text. Where the data set has no validation split, one is cut as a recipe cuts it; give
the same fraction and seed. Predictions are the model's, on at most 1,000 validation texts.

For translators, taggers and readers only the texts are described. `python -m nlpladder serve` finds the file in the
folder of the model.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpladder.config import build, option, run_recipe
from nlpladder.data.options import DataOptions
from nlpladder.errors import ModelError, RunError

#: Kind of a model, see `nlpladder.hub.describing`, and what it is asked for.
TASKS = {"token_classifier": "tag", "question_answerer": "answer", "translator": "translate"}


@dataclass(frozen=True, kw_only=True)
class ScriptOptions(DataOptions):
    """Which model, which data."""

    run: str = option(help="a run folder or the folder of a saved model")
    overwrite: bool = option(False, help="replace a profile that is there")


def save(options: ScriptOptions) -> Path:
    """Write the profile; return its path.

    Args:
        options: Model and data.

    Raises:
        RunError: There is a profile already, or no folder.
        ModelError: The model is of a kind that has no profile.
    """
    from nlpladder.drift.profile import PROFILE_FILE
    from nlpladder.drift.saving import save_classifier_profile, save_language_model_profile, save_text_profile
    from nlpladder.hub.describing import describe_model
    from nlpladder.hub.loading import load

    folder = Path(options.run)
    if not folder.is_dir():
        raise RunError(f"There is no folder {folder}. A model of the Hub must be downloaded first (hf download).")
    if (folder / PROFILE_FILE).exists() and not options.overwrite:
        raise RunError(f"{folder / PROFILE_FILE} is there already; --overwrite replaces it.")
    kind = describe_model(folder).kind
    written: Path | None
    if kind == "classifier":
        written = save_classifier_profile(folder, load(folder), options.load())
    elif kind == "language_model":
        written = save_language_model_profile(folder, load(folder), _lines(options))
    elif kind in TASKS:
        text = _lines(options)
        written = save_text_profile(folder, TASKS[kind], train=text.train, held_out=text.validation)
    else:
        raise ModelError(f"{folder} holds a model of the kind {kind!r}, whose traffic is not compared with a profile.")
    if written is None:
        raise RunError(f"{options.dataset} has no validation text, so there is nothing to compare traffic with.")
    return written


def _lines(options: ScriptOptions) -> Any:
    """Return text with splits, a line a text."""
    from nlpladder.data.corpora import CorpusOptions
    from nlpladder.data.running_text import load_running_text

    return load_running_text(
        CorpusOptions(
            dataset=options.dataset, dataset_config=options.dataset_config, revision=options.revision,
            text_column=options.text_column, encoding=options.encoding,
        ),
        unit="line",
    )  # fmt: skip


def main() -> None:
    import argparse
    import dataclasses

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run folder or the folder of a saved model")
    for field in dataclasses.fields(DataOptions):
        parser.add_argument(f"--{field.name}", help=field.metadata.get("help"), default=argparse.SUPPRESS)
    parser.add_argument("--overwrite", action="store_true", help="replace a profile that is there")
    options = build(ScriptOptions, vars(parser.parse_args()), where="the command line")
    written = save(options)
    print(f"Wrote {written} ({written.stat().st_size / 1000:.0f} kB).")


if __name__ == "__main__":
    run_recipe(main)
