"""Give a model the profile with which its traffic is compared: for runs of before there were profiles, and others'.

    python scripts/save_profile.py outputs/sst2                                     # with the data that the run names
    python scripts/save_profile.py outputs/sst2 --dataset data/sst2                 # a text classifier
    python scripts/save_profile.py outputs/lstm --dataset data/wikitext2            # a language model: lines of text
    python scripts/save_profile.py outputs/en-de --dataset sources/                 # others: lines of what they read

A run that is trained now writes profile.json itself. The texts must be divided as they were for the training: the
vocabulary comes from the training split, everything else from the validation split, and a validation text that was
trained on would be no held-out text. Where the data set has no validation split, one is cut as a recipe cuts it; give
the same fraction and seed. So the fingerprint of the data is compared with that in run.json, and other data are
refused, unless --other_data true is said. Predictions are the model's, on at most 1,000 validation texts.

For translators, taggers and readers only the texts are described; the data of their runs are pairs, words or
questions, with which lines of text are not compared. `python -m nlpladder serve` finds the file in the folder of the
model.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpladder.config import build, option, run_recipe
from nlpladder.data.options import DataOptions
from nlpladder.errors import ConfigError, ModelError, RunError

#: Kind of a model, see `nlpladder.hub.describing`, and what it is asked for.
TASKS = {"token_classifier": "tag", "question_answerer": "answer", "translator": "translate"}


@dataclass(frozen=True, kw_only=True)
class ScriptOptions(DataOptions):
    """Which model, which data."""

    run: str = option(help="a run folder or the folder of a saved model")
    overwrite: bool = option(False, help="replace a profile that is there")
    other_data: bool = option(False, help="take data that the run was not trained on, or other splits of them")


def save(options: ScriptOptions) -> Path:
    """Write the profile; return its path.

    Args:
        options: Model and data.

    Raises:
        RunError: There is a profile already, or no validation text; or the data are not those of the run.
        ModelError: There is no model, or it is of a kind that has no profile.
    """
    from nlpladder.drift.profile import PROFILE_FILE
    from nlpladder.drift.saving import save_classifier_profile, save_language_model_profile, save_text_profile
    from nlpladder.hub.describing import describe_model
    from nlpladder.hub.loading import load

    folder = Path(options.run)
    kind = describe_model(folder).kind
    if (folder / PROFILE_FILE).exists() and not options.overwrite:
        raise RunError(f"{folder / PROFILE_FILE} is there already; --overwrite replaces it.")
    identity = _identity(folder)
    written: Path | None
    if kind == "classifier":
        data = options.load()
        _check_data(options, identity, data.fingerprint)
        written = save_classifier_profile(folder, load(folder), data)
    elif kind == "language_model":
        text, comparable = _text(options, identity)
        _check_data(options, identity, text.fingerprint if comparable else None)
        written = save_language_model_profile(folder, load(folder), text)
    elif kind in TASKS:
        lines, _ = _text(options, {})
        written = save_text_profile(folder, TASKS[kind], train=lines.train, held_out=lines.validation)
    else:
        raise ModelError(f"{folder} holds a model of the kind {kind!r}, whose traffic is not compared with a profile.")
    if written is None:
        raise RunError(f"{options.dataset} has no validation text, so there is nothing to compare traffic with.")
    return written


def dataset_of(run: str) -> str | None:
    """Return which data a run was trained on, where those can be described as they are.

    Args:
        run: Its folder.

    Raises:
        ModelError: The folder holds no model.
        ConfigError: The model reads something else than the rows of its data, so lines of text must be named.
    """
    from nlpladder.hub.describing import describe_model

    kind = describe_model(run).kind
    name = _data(_identity(Path(run))).get("name")
    if kind in TASKS:
        raise ConfigError(
            f"{run} holds a {kind.replace('_', ' ')}: name texts as it reads them, a line each, with --dataset. The "
            "data of its run are read in another way."
        )
    return name if isinstance(name, str) and name else None


def describe(options: ScriptOptions, written: Path) -> str:
    """Return what was written, for a reader.

    Args:
        options: Model and data.
        written: The profile.
    """
    from nlpladder.drift.profile import read_profile

    profile = read_profile(written.parent)
    if profile is None:
        raise RunError(f"{written} is gone.")
    lines = [
        f"Wrote {written} ({written.stat().st_size / 1000:.0f} kB).",
        f"  described: {profile.rows:,} of the {profile.rows_of:,} texts of the split {profile.split} of "
        f"{options.dataset}",
        f"  features: {', '.join(profile.columns)}",
    ]
    words = profile.vocabulary
    if words is not None:
        lines.append(f"  known words: {len(words.hashes):,} of {words.texts:,} training texts")
    recorded = _data(_identity(written.parent)).get("fingerprint")
    if profile.task not in ("classify", "score") or not recorded:
        lines.append("  The folder does not tell whether the model was trained on these data.")
    elif options.other_data:
        lines.append("  Whether these are the data that the run was trained on was left open (--other_data).")
    else:
        lines.append(f"  These are the data and splits that the run was trained on (fingerprint {recorded[:16]}).")
    return "\n".join(lines)


def _identity(folder: Path) -> Mapping[str, Any]:
    """Return what a run says that it is; empty where there is no record."""
    try:
        found = json.loads((folder / "run.json").read_text(encoding="utf-8"))["identity"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _data(identity: Mapping[str, Any]) -> Mapping[str, Any]:
    found = identity.get("data")
    return found if isinstance(found, dict) else {}


def _check_data(options: ScriptOptions, identity: Mapping[str, Any], fingerprint: str | None) -> None:
    """Refuse data that a run was not trained on: a held-out text might be one that it learnt."""
    recorded, name = _data(identity).get("fingerprint"), _data(identity).get("name")
    if options.other_data or not recorded or fingerprint == recorded:
        return
    if fingerprint is None:
        raise RunError(
            f"Whether {options.run} was trained on {options.dataset} cannot be told: its text was cut by a tokenizer "
            "of its own. If it was, with the same splits, say --other_data true."
        )
    raise RunError(
        f"{options.dataset} as it is read here (fingerprint {fingerprint[:16]}) is not what {options.run} was trained "
        f"on ({name}, fingerprint {str(recorded)[:16]}). With other rows, columns or splits, texts that it was trained "
        "on could pass for held-out ones. Give the data, fractions, seed and columns of the run, or say --other_data "
        "true."
    )


def _text(options: ScriptOptions, identity: Mapping[str, Any]) -> tuple[Any, bool]:
    """Return text with splits, read as the run read it, and whether its fingerprint can be that of the run."""
    from nlpladder.data.corpora import TOKENIZERS, CorpusOptions, load_corpus
    from nlpladder.data.running_text import load_running_text

    source: dict[str, Any] = {
        "dataset": options.dataset, "dataset_config": options.dataset_config, "revision": options.revision,
        "text_column": options.text_column, "encoding": options.encoding, "max_samples": options.max_train_samples,
    }  # fmt: skip
    # Fractions of lines have other defaults than those of labelled rows: only what was said goes on.
    usual = {field.name: field.default for field in dataclasses.fields(DataOptions)}
    cuts: dict[str, Any] = {
        name: getattr(options, name)
        for name in ("validation_fraction", "test_fraction")
        if getattr(options, name) != usual[name]
    }
    cuts |= {} if options.max_eval_samples is None else {"max_eval": options.max_eval_samples}
    words = identity.get("corpus")
    if isinstance(words, dict) and words.get("method") in TOKENIZERS:
        corpus = CorpusOptions(**source, tokenizer=words["method"], lowercase=bool(words.get("lowercase")))
        return load_corpus(corpus, **cuts), True
    unit = _data(identity).get("unit")
    if unit in ("line", "document"):
        return load_running_text(CorpusOptions(**source), unit=unit, **cuts), True
    return load_running_text(CorpusOptions(**source), unit="line", **cuts), False


def main() -> None:
    import argparse

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", help="a run folder or the folder of a saved model")
    for field in dataclasses.fields(DataOptions):
        known = " (by default those of the run)" if field.name == "dataset" else ""
        parser.add_argument(f"--{field.name}", help=f"{field.metadata.get('help')}{known}", default=argparse.SUPPRESS)
    for name in ("overwrite", "other_data"):
        field = ScriptOptions.__dataclass_fields__[name]
        parser.add_argument(
            f"--{name}", nargs="?", const="true", help=field.metadata.get("help"), default=argparse.SUPPRESS
        )
    given = vars(parser.parse_args())
    if "dataset" not in given and (found := dataset_of(given["run"])) is not None:
        given["dataset"] = found
    options = build(ScriptOptions, given, where="the command line")
    print(describe(options, save(options)))


if __name__ == "__main__":
    run_recipe(main)
