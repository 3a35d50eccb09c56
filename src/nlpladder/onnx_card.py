"""What is told about an exported classifier: the table on the screen and the card in its folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nlpladder.evaluation.intervals import Score

_CARD = """---
library_name: nlpladder
pipeline_tag: text-classification
tags:
- nlpladder
- onnx
---

# {title}

Exported from `{source}` for ONNX Runtime{precision}. {parameters:,} parameters; labels: {labels}.

```python
import nlpladder

classifier = nlpladder.load("path/to/this/folder")  # needs: pip install 'nlpladder[onnx]'
classifier.predict_proba(["A plain sentence."])
```

## Compared with PyTorch

Tested on {tested}; {hardware}.

{table}

{notes}

The graph holds all its numbers, reads `input_ids` and `attention_mask` (batch, tokens) and gives `logits`
(batch, labels). Texts are cut to {max_length} tokens.
"""


def comparison_table(report: Mapping[str, Any]) -> str:
    """Return quality, size and speed of the three side by side, as a Markdown table.

    Args:
        report: From `nlpladder.onnx_export.export_classifier`.
    """
    rows = report["rows"]
    metric = str(rows[0]["metric"])
    threads = [speed["threads"] for speed in rows[0]["speed"]]
    header = [
        "",
        f"{metric.replace('_', ' ')} [95 %]",
        "p",
        "other labels",
        "MB",
        *(f"ms a text, {_threads(count)}" for count in threads),
        *(f"texts/s, {_threads(count)}" for count in threads),
    ]
    lines = [header, ["---", *["---:"] * (len(header) - 1)]]
    for row in rows:
        lines.append(
            [
                row["name"],
                Score.from_dict(row["scores"][metric]).format(),
                "" if row["p_value"] is None else f"{row['p_value']:.2g}",
                "" if row["p_value"] is None else f"{row['changed']} of {row['texts']:,} ({row['changed_share']:.2%})",
                f"{row['megabytes']:.1f}",
                *(f"{speed['milliseconds']:.1f}" for speed in row["speed"]),
                *(f"{speed['texts_per_second']:.0f}" for speed in row["speed"]),
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def comparison_notes(report: Mapping[str, Any]) -> str:
    """Return what a reader of the table must know.

    Args:
        report: As for `comparison_table`.
    """
    effects = ", ".join(f"{name} {effect:.1g}" for name, effect in report["padding_effect"].items())
    return (
        f"p: paired test against PyTorch on the same texts. ms: median of one text alone; texts/s: batches of 32 texts "
        f"of like length; both with the tokeniser. Largest distance of a logit of the float32 graph from PyTorch's on "
        f"random token ids of all lengths: {report['logit_distance']:.1g}. Largest change of a logit when a text is "
        f"read in a batch and not alone: {effects}."
    )


def export_card(report: Mapping[str, Any], classifier: Any) -> str:
    """Return the README.md of an exported classifier.

    Args:
        report: As for `comparison_table`.
        classifier: The `OnnxClassifier` that is written.
    """
    names = classifier.label_names
    return _CARD.format(
        title=f"{report['exported_from']}, exported",
        source=report["exported_from"],
        precision=", layers and embeddings in 8 bits" if classifier.precision == "int8" else ", in float32",
        parameters=classifier.num_parameters(),
        labels=", ".join(names[:12]) + (" …" if len(names) > 12 else ""),
        tested=report["tested"],
        hardware=report["hardware"],
        table=comparison_table(report),
        notes=comparison_notes(report),
        max_length=classifier.max_length,
    )


def _threads(count: int) -> str:
    return f"{count} thread" if count == 1 else f"{count} threads"
