"""The model card of a run: only what the run measured, with intervals, n, data, cost and limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlpladder.evaluation.intervals import Score

CARD_FILE = "README.md"


def write_card(folder: Path, *, rung: Any, record: Mapping[str, Any], scores: Mapping[str, Score]) -> None:
    """Write ``README.md`` with metadata (model-index) and the sections a reader needs.

    Args:
        folder: The run folder.
        rung: The `Rung` that was trained.
        record: Content of ``run.json``.
        scores: Test scores.
    """
    from nlpladder.training.run_folder import write_text

    write_text(folder / CARD_FILE, render_card(rung=rung, record=record, scores=scores))


def render_card(*, rung: Any, record: Mapping[str, Any], scores: Mapping[str, Score]) -> str:
    """Return the card as Markdown with its YAML header."""
    from huggingface_hub import EvalResult, ModelCardData

    identity = record["identity"]
    data = identity["data"]
    results = [
        EvalResult(
            task_type="text-classification",
            dataset_type=_slug(data["name"]),
            dataset_name=data["name"],
            dataset_split="test",
            metric_type=name,
            metric_value=round(float(score.value), 6),
            verified=False,
        )
        for name, score in scores.items()
        if score.value is not None
    ]
    header = ModelCardData(
        model_name=f"{rung.name} on {data['name']}",
        library_name={"classic": "nlpladder", "neural": "nlpladder", "pretrained": "transformers"}[rung.kind],
        pipeline_tag="text-classification",
        tags=["nlpladder", "text-classification", rung.name],
        eval_results=results,
    )
    return f"---\n{header.to_yaml()}\n---\n\n{_body(rung, record, scores)}"


def _body(rung: Any, record: Mapping[str, Any], scores: Mapping[str, Score]) -> str:
    identity, data = record["identity"], record["identity"]["data"]
    sizes = ", ".join(f"{count:,} {name}" for name, count in record["data"]["rows"].items())
    labels = ", ".join(f"`{name}`" for name in data["labels"]) or "a number"
    notes = "".join(f"- {note}\n" for note in [*record["data"]["notes"], *record["notes"]])
    table = "".join(
        f"| {score.name} | {score.format()} | {score.n} |\n" for score in scores.values() if score.value is not None
    )
    settings = {
        key: identity[key] for key in ("model", "training", "tokenizer", "encoder", "preprocessor") if identity[key]
    }
    environment = record["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    return f"""# {rung.title}, trained on {data["name"]}

{rung.idea[0].upper()}{rung.idea[1:]}. ({rung.paper}{f", {rung.year}" if rung.year else ""})

Input: a text. Output: {labels} ({data["task"].replace("_", "-")}).

## How to load

```python
import nlpladder

classifier = nlpladder.load("PATH_OR_REPO_ID")
classifier.predict_proba(["a text"])  # one row a text, one column a label: {", ".join(data["labels"][:5]) or "value"}
```

## Results on the test split

95 % bootstrap intervals over test examples; shares are in percent.

| metric | value [interval] | n |
|---|---|---|
{table}
## Data

{data["name"]}: {sizes}; fingerprint `{data["fingerprint"][:16]}`.

{notes}
## Training

Seed {identity["seed"]}; {record["parameters"]:,} parameters, {record["trainable_parameters"]:,} of them trained.

```json
{json.dumps(settings, indent=2)}
```

## Cost

{record["training_seconds"]:.1f} s of training on {environment["hardware"]};
{record["inference_examples_per_second"]:,.0f} texts/s at inference on the same machine. Versions: {versions}.

## Intended use and limits

For texts like those it was trained on. The scores say nothing about other domains, languages or lengths, and no bias
measurement was made in this run. `error_analysis.md` shows where it fails.
"""


def _slug(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_/." else "-" for char in name).strip("-") or "data"
