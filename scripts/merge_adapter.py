"""Fold a LoRA adapter into its base model, so that it loads without peft.

    python scripts/merge_adapter.py outputs/lora outputs/merged

Adapter and merged model are compared on a few texts before anything is written; a difference above --tolerance ends the
command, and so does a quantised base.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nlpladder.config import build, run_recipe
from nlpladder.errors import RunError


@dataclass(frozen=True, kw_only=True)
class MergeOptions:
    """What is merged, and where to."""

    adapter: str
    output_dir: str
    base_model: str | None = None
    tolerance: float = 1e-4


def main() -> None:
    import argparse

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("adapter", help="run folder or Hub id of the adapter")
    parser.add_argument("output_dir", help="a folder that does not exist yet")
    parser.add_argument("--base_model", help="where the base model is, when it has moved since training")
    parser.add_argument("--tolerance", type=float, default=1e-4, help="largest allowed difference of a logit")
    options = build(MergeOptions, vars(parser.parse_args()), where="the command line")
    target = Path(options.output_dir)
    if target.exists():
        raise RunError(f"{target} exists already. Give another folder; nothing is overwritten.")

    import nlpladder
    from nlpladder.errors import ModelError
    from nlpladder.models.pretrained.merging import merge_adapter
    from nlpladder.models.sequence_classifier import SequenceClassifier

    classifier = nlpladder.load(options.adapter, base_model=options.base_model)
    if not isinstance(classifier, SequenceClassifier):
        raise ModelError(f"{options.adapter} holds a {type(classifier).__name__}, which has no adapter to merge.")
    merged, difference = merge_adapter(classifier, tolerance=options.tolerance)
    temporary = target.with_name(f".{target.name}.tmp")
    merged.save_pretrained(temporary)
    temporary.rename(target)
    print(f"Largest difference of a logit: {difference:.2g}. Merged model in {target}; transformers opens it too.")


if __name__ == "__main__":
    run_recipe(main)
