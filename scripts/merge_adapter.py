"""Fold an adapter (LoRA, DoRA, rsLoRA, (IA)^3) into its base model, so that it loads without peft.

    python scripts/merge_adapter.py outputs/lora outputs/merged

Any kind of model: a classifier, a tagger, a reader, a language model or an encoder-decoder. Adapter and merged model
are compared on a few texts before anything is written: the logits, and for a model that writes its greedy answers. A
difference above --tolerance ends the command, and so does a quantised base. A prompt or prefix cannot be merged.
"""

from __future__ import annotations

import shutil
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

    holder = nlpladder.load(options.adapter, base_model=options.base_model)
    if not hasattr(holder, "model") or not hasattr(holder, "tokenizer"):
        raise ModelError(f"{options.adapter} holds a {type(holder).__name__}, which has no adapter to merge.")
    merged, difference = merge_adapter(holder, tolerance=options.tolerance)
    temporary = target.with_name(f".{target.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)  # of a process that died
    try:
        merged.save_pretrained(temporary)
        temporary.rename(target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    print(f"Largest difference of a logit: {difference:.2g}. Merged model in {target}; transformers opens it too.")


if __name__ == "__main__":
    run_recipe(main)
