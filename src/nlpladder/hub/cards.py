"""The model card of a run: only what the run measured, with intervals, n, data, cost and limits."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nlpladder.evaluation.intervals import Score

CARD_FILE = "README.md"


@dataclass(frozen=True)
class CardText:
    """What the cards of a task say that no run decides.

    Attributes:
        task: The Hub's name of the task, also the pipeline tag.
        interface: What goes in and what comes out; may name ``{labels}`` and ``{task}``.
        usage: Python lines after ``model = nlpladder.load(…)``; may name ``{labels}``.
        results: What the intervals are over.
        speed_unit: Of the inference speed.
        limits: Intended use and limits.
    """

    task: str
    interface: str
    usage: str
    results: str
    speed_unit: str
    limits: str


CARD_TEXTS: Mapping[str, CardText] = {
    "classification": CardText(
        task="text-classification",
        interface="Input: a text. Output: {labels} ({task}).",
        usage='model.predict_proba(["a text"])  # one row a text, one column a label: {labels}',
        results="95 % bootstrap intervals over test examples; shares are in percent.",
        speed_unit="texts",
        limits="For texts like those it was trained on. The scores say nothing about other domains, languages or "
        "lengths, and no bias measurement was made in this run. `error_analysis.md` shows where it fails.",
    ),
    "language_modeling": CardText(
        task="text-generation",
        interface="Input: a text. Output: its probability, token by token, or a continuation.",
        usage='model.score(["a text"])  # natural log-probabilities, token by token\n'
        'model.generate(["the film"])  # a continuation; see nlpladder.generation.GenerationOptions',
        results="95 % bootstrap intervals over test lines. Bits per byte and perplexity per word compare models of any "
        "vocabulary, perplexity only those of the same tokens; unknown words count as one unknown token.",
        speed_unit="tokens",
        limits="Generated text is fluent over a few words and means nothing. What the training text says of people, "
        "the model says too; no bias measurement was made in this run.",
    ),
    "translation": CardText(
        task="translation",
        interface="Input: a sentence. Output: its translation, with a score and the alignment of target and source "
        "tokens.",
        usage='model.translate(["a sentence"])[0].text\n'
        'model.translate(["a sentence"], num_beams=5, n_best=3)  # alternatives, scores, alignments',
        results="95 % bootstrap intervals over test sentences (Koehn 2004); sacreBLEU's signatures stand in "
        "metrics.json.",
        speed_unit="sentences",
        limits="For sentences like those it was trained on. It may leave words out, invent some, or prefer one gender "
        "where the source leaves it open; no bias measurement was made in this run.",
    ),
    "embeddings": CardText(
        task="feature-extraction",
        interface="Input: a word. Output: its vector. The folder is in model2vec's layout: `model2vec` and "
        "`sentence-transformers` load it too.",
        usage='model.most_similar("film")  # and the other methods of gensim\n'
        'model.embed(["film", "actor"])  # shape (2, vector_size)',
        results="95 % bootstrap intervals over word pairs or questions; `coverage` is the share whose words all have "
        "vectors.",
        speed_unit="words",
        limits="Vectors carry the associations of their training text, those about groups of people included; no bias "
        "measurement was made in this run.",
    ),
    "text_generation": CardText(
        task="text-generation",
        interface="Input: a text. Output: its probability, token by token, or a continuation.",
        usage='model.score(["a text"])  # natural log-probabilities, token by token\n'
        'model.generate(["the film"])  # a continuation; see nlpladder.generation.GenerationOptions',
        results="95 % bootstrap intervals over test texts. Bits per byte and perplexity per word compare models of any "
        "vocabulary, perplexity only those of the same tokens.",
        speed_unit="tokens",
        limits="It writes as its training texts and those of its base model do, and what they say of people it says "
        "too; no bias measurement was made in this run. Nothing that it states is checked.",
    ),
    "instructions": CardText(
        task="text-generation",
        interface="Input: a conversation that ends with the user. Output: the assistant's answer. The chat template "
        "is saved with the tokenizer.",
        usage="# python scripts/chat.py PATH_OR_REPO_ID talks to it in a terminal\n"
        'model.score(["a text"])  # natural log-probabilities, token by token',
        results="95 % bootstrap intervals over test conversations; losses are those of the answers alone.",
        speed_unit="tokens",
        limits="It follows instructions like those it was trained on, states falsehoods as readily as truths, and was "
        "neither made safe nor measured for bias in this run.",
    ),
    "preferences": CardText(
        task="text-generation",
        interface="Input: a conversation that ends with the user. Output: the assistant's answer. The chat template "
        "is saved with the tokenizer.",
        usage="# python scripts/chat.py PATH_OR_REPO_ID talks to it in a terminal\n"
        'model.score(["a text"])  # natural log-probabilities, token by token',
        results="95 % bootstrap intervals over held-out pairs: how often, and by how much, the implicit reward of the "
        "better answer is above that of the worse one.",
        speed_unit="pairs",
        limits="It prefers what its annotators preferred; no bias measurement was made in this run. A higher reward is "
        "no proof of a better answer.",
    ),
    "text_to_text": CardText(
        task="text-generation",
        interface="Input: a text. Output: a text.",
        usage='model.translate(["a text"])[0].text\n'
        'model.translate(["a text"], num_beams=4, n_best=3)  # alternatives with scores',
        results="95 % bootstrap intervals over test examples; an example with several references counts once. "
        "sacreBLEU's signatures stand in metrics.json.",
        speed_unit="texts",
        limits="For texts like those it was trained on. It may leave facts out or invent some; no bias measurement was "
        "made in this run.",
    ),
    "token_classification": CardText(
        task="token-classification",
        interface="Input: the words of a sentence, or a text. Output: a tag for each word ({labels}).",
        usage='model.predict([["George", "lives", "in", "Paris"]])  # a tag for every word\n'
        'model.entities("George lives in Paris.")  # spans with their type, characters and score',
        results="95 % bootstrap intervals over test sentences. An entity counts when its type and both of its ends "
        "are right.",
        speed_unit="sentences",
        limits="For texts like those it was trained on; names of other regions, languages and times are found less "
        "well, and no bias measurement was made in this run.",
    ),
    "question_answering": CardText(
        task="question-answering",
        interface="Input: a question and a text. Output: the words of the text that answer it.",
        usage='model.answer(["Who came?"], ["Yesterday Ada came."])[0].text',
        results="95 % bootstrap intervals over test questions; exact match and F1 as in the official SQuAD script.",
        speed_unit="questions",
        limits="It always points at words of the text it is given, also where they answer nothing, unless it was "
        "trained with unanswerable questions. No bias measurement was made in this run.",
    ),
}


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

    identity, text = record["identity"], CARD_TEXTS[rung.task]
    data = identity["data"]
    results = [
        EvalResult(
            task_type=text.task,
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
        pipeline_tag=text.task,
        tags=["nlpladder", text.task, rung.name],
        eval_results=results,
    )
    return f"---\n{header.to_yaml()}\n---\n\n{_body(rung, record, scores)}"


def _body(rung: Any, record: Mapping[str, Any], scores: Mapping[str, Score]) -> str:
    identity, data = record["identity"], record["identity"]["data"]
    sizes = ", ".join(f"{count:,} {name}" for name, count in record["data"]["rows"].items())
    text = CARD_TEXTS[rung.task]
    labels = ", ".join(f"`{name}`" for name in data.get("labels", ())) or "a number"
    interface = text.interface.format(labels=labels, task=str(data.get("task", "")).replace("_", "-"))
    usage = text.usage.replace("{labels}", ", ".join(data.get("labels", ())[:5]) or "value")
    notes = "".join(f"- {note}\n" for note in [*record["data"]["notes"], *record["notes"]])
    table = "".join(
        f"| {score.name} | {score.format()} | {score.n} |\n" for score in scores.values() if score.value is not None
    )
    settings = {
        key: identity[key]
        for key in ("corpus", "model", "training", "tokenizer", "encoder", "preprocessor")
        if identity.get(key)
    }
    environment = record["environment"]
    versions = ", ".join(f"{name} {version}" for name, version in environment["versions"].items())
    return f"""# {rung.title}, trained on {data["name"]}

{rung.idea[0].upper()}{rung.idea[1:]}. ({rung.paper}{f", {rung.year}" if rung.year else ""})

{interface}

## How to load

```python
import nlpladder

model = nlpladder.load("PATH_OR_REPO_ID")
{usage}
```

## Results{"" if rung.task == "embeddings" else " on the test split"}

{text.results}

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
{record["inference_examples_per_second"]:,.0f} {text.speed_unit}/s at inference on the same machine.
Versions: {versions}.

## Intended use and limits

{text.limits}
"""


def _slug(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_/." else "-" for char in name).strip("-") or "data"
