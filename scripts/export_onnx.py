"""Export a fine-tuned encoder classifier for ONNX Runtime, in float32 or with layers in 8 bits.

    python scripts/export_onnx.py outputs/bert outputs/bert-onnx
    python scripts/export_onnx.py outputs/bert outputs/bert-int8 --quantize int8
    python scripts/export_onnx.py outputs/lora outputs/lora-int8 --quantize int8 --dataset reviews.csv

An adapter is merged first. The graph is compared with PyTorch on token ids of all lengths, alone and padded, and on the
test texts of the run, or of --dataset; the table shows quality, texts with another label, size and speed side by side.
If more texts get another label than --largest_label_change allows, nothing is written and the command ends with 1.
What is written opens with nlpladder.load, without torch weights, and is served as the run itself.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys

from nlpladder.config import build, run_recipe
from nlpladder.errors import CheckFailedError
from nlpladder.onnx_export import ExportOptions, check_export, export_classifier


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    for field in dataclasses.fields(ExportOptions):
        if field.name == "run":
            parser.add_argument("run", help=field.metadata["help"])
        elif field.name == "output_dir":
            parser.add_argument("folder", nargs="?", metavar="output_dir", help=field.metadata["help"])
            parser.add_argument("--output_dir", help="the same, by name")
        else:
            default = "" if field.default is None else f" (default: {field.default})"
            parser.add_argument(f"--{field.name}", help=f"{field.metadata['help']}{default}")
    given = {name: value for name, value in vars(parser.parse_args()).items() if value is not None}
    folder = given.pop("folder", None)
    options = build(ExportOptions, ({} if folder is None else {"output_dir": folder}) | given, where="the command line")
    check_export(options)  # before the libraries are imported, which takes seconds

    from nlpladder.onnx_card import comparison_notes, comparison_table
    from nlpladder.train_rung import quiet_libraries

    quiet_libraries()
    try:
        report = export_classifier(options)
    except CheckFailedError as error:
        sys.stderr.write(f"\n{type(error).__name__}: {error}\n")
        raise SystemExit(1) from None
    print(comparison_table(report))
    print(f"\n{comparison_notes(report)}\nTested on {report['tested']}; {report['hardware']}.")
    print(f"Written to {options.output_dir}; nlpladder.load opens it.")


if __name__ == "__main__":
    run_recipe(main)
