"""What the fine-tuning of a language model shows: the gain with its interval, samples before and after, figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nlpladder.evaluation.intervals import Score
from nlpladder.evaluation.language_modeling import TextLosses, compare_language_models, score_language_model
from nlpladder.training.run_folder import write_text

if TYPE_CHECKING:
    from nlpladder.models.neural_language_model import NeuralLanguageModel
    from nlpladder.tasks.base import RungRun

SAMPLES_FILE = "samples.md"
#: Sample texts: length, temperature, and one for each of so many seeds.
SAMPLE_TOKENS = 80
SAMPLE_TEMPERATURE = 0.8
SAMPLE_SEEDS = (0, 1, 2)
#: Characters of the test text whose tokens are drawn.
_DRAWN_CHARACTERS = 160
_DRAWN_TOKENS = 48


@dataclass(frozen=True)
class Sample:
    """A text that the model wrote.

    Attributes:
        when: ``before`` or ``after`` the training.
        prompt: What it begins with.
        seed: Of the draws.
        text: What the model wrote behind the prompt.
    """

    when: str
    prompt: str
    seed: int
    text: str


def language_model_samples(
    model: NeuralLanguageModel, prompts: Sequence[str], *, when: str = "before", seeds: Sequence[int] = SAMPLE_SEEDS
) -> list[Sample]:
    """Let the model continue each prompt once a seed, at temperature 0.8.

    Args:
        model: What writes.
        prompts: Beginnings; an empty one gives a text from its beginning.
        when: Written into the samples.
        seeds: Of the draws.
    """
    from nlpladder.generation import GenerationOptions

    tokens = max(1, min(SAMPLE_TOKENS, model.context_window - 1))
    found = []
    for seed in seeds:
        drawing = GenerationOptions(max_new_tokens=tokens, temperature=SAMPLE_TEMPERATURE, seed=seed)
        texts = model.generate(list(prompts), drawing)
        found += [Sample(when, prompt, seed, text) for prompt, text in zip(prompts, texts, strict=True)]
    return found


def samples_table(samples: Sequence[Sample]) -> str:
    """Return samples as Markdown, for each prompt and seed first what was written before, then after the training."""
    lines = ["# Samples", "", f"Drawn at temperature {SAMPLE_TEMPERATURE:g}; the prompt stands in bold.", ""]
    for prompt, seed in dict.fromkeys((sample.prompt, sample.seed) for sample in samples):
        lines += [f"## {_cell(prompt) or 'From the beginning'}, seed {seed}", ""]
        for sample in samples:
            if (sample.prompt, sample.seed) == (prompt, seed):
                shown = f"**{_cell(prompt)}**{_cell(sample.text)}" if prompt else _cell(sample.text)
                lines += [f"{sample.when}:", "", f"> {shown}", ""]
    return "\n".join(lines)


def answers_table(
    prompts: Sequence[str], references: Sequence[str], before: Sequence[str], after: Sequence[str], *, shown: int = 10
) -> str:
    """Return the first test prompts as Markdown, with their reference and the answers before and after the training."""
    lines = ["# Answers to test prompts", ""]
    for number, rows in enumerate(zip(prompts[:shown], references, before, after, strict=False), 1):
        lines += [f"## {number}", ""]
        for name, text in zip(("prompt", "reference", "before", "after"), rows, strict=True):
            lines += [f"{name}:", "", f"> {_cell(text)}", ""]
    return "\n".join(lines)


def scores_of(losses: TextLosses) -> dict[str, Score]:
    """Return every measure of a language model with its interval."""
    return {name: found.mean for name, found in score_language_model([losses]).items()}


def gain_of(before: TextLosses, after: TextLosses, *, what: str = "test text", unit: str = "texts") -> dict[str, Any]:
    """Compare the model after the training with the one before it, on the same test texts, in bits per byte.

    Args:
        before: Losses of the model that was opened.
        after: Losses of the trained one.
        what: How the sentence calls what was scored.
        unit: How it calls what an interval is over.

    Returns:
        ``difference`` (after minus before), ``low`` and ``high`` of its 95 % interval, ``p_value`` of an approximate
        randomisation test, ``relative``, and a ``sentence``.
    """
    (found,) = compare_language_models({"before": [before], "after": [after]})
    first, last = scores_of(before)["bits_per_byte"], scores_of(after)["bits_per_byte"]
    between = "" if found.low is None or found.high is None else f" [{found.low:+.3f}, {found.high:+.3f}]"
    relative = found.difference / first.value if first.value else float("nan")
    sentence = (
        f"bits per byte of the {what}: {first.format()} before the training, {last.format()} after it, difference "
        f"{found.difference:+.3f}{between} ({relative:+.1%}), "
        f"p = {found.p_value:.2g} (approximate randomisation over {found.n:,} {unit})"
    )
    return {
        "metric": "bits_per_byte",
        "difference": found.difference,
        "low": found.low,
        "high": found.high,
        "p_value": found.p_value,
        "relative": relative,
        "sentence": sentence,
    }


def write_text_report(
    folder: Path, model: NeuralLanguageModel, texts: Sequence[str], history: Sequence[Mapping[str, Any]]
) -> None:
    """Write ``figures/*.png`` and ``surprisal.html``: loss and learning rate, surprisal, a distribution.

    Args:
        folder: The run folder.
        model: The trained model.
        texts: Test texts.
        history: Records of the training.
    """
    from nlpladder.views.coloured_text import surprisal_html
    from nlpladder.views.figures import save_figure
    from nlpladder.views.token_figures import next_token_figure, surprisal_figure

    figures = folder / "figures"
    draw_training(folder, history)
    longest = max(texts, key=len, default="")
    text = next((text for text in texts if len(text) >= _DRAWN_CHARACTERS), longest)[:_DRAWN_CHARACTERS].strip()
    if not text:
        return
    encoded = model.tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    ids = encoded["input_ids"][:_DRAWN_TOKENS]
    pieces = [text[start:end] for start, end in encoded["offset_mapping"]][:_DRAWN_TOKENS]
    (score,) = model.score([text])
    surprisals = -np.asarray(score.logprobs[: len(pieces)]) / np.log(2.0)
    save_figure(surprisal_figure(pieces, surprisals), figures / "surprisal.png")
    write_text(folder / "surprisal.html", surprisal_html(pieces, surprisals, page=True))
    half = len(ids) // 2
    vocabulary, probabilities = model.next_token_distribution("".join(pieces[:half]))
    drawn = next_token_figure(probabilities, vocabulary, true_token=ids[half], title="".join(pieces[:half]))
    save_figure(drawn, figures / "next_token.png")


def draw_training(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Draw loss and learning rate over the steps, where the training was long enough to log any."""
    from nlpladder.views.figures import save_figure
    from nlpladder.views.training_figures import loss_figure

    if any("loss" in record or "eval_loss" in record for record in history):
        save_figure(loss_figure(history), folder / "figures" / "loss.png")


def text_summary(run: RungRun, folder: str) -> str:
    """Return the closing lines of a fine-tuning on text: scores, gain, samples."""
    from nlpladder.views.run_summary import run_summary

    use = "model.generate(['Once'])"
    lines = [run_summary(run.record, run.metrics, folder, use=use, speed_unit="tokens scored", was_there=run.was_there)]
    lines.append(f"scored:     {run.metrics['scoring']}")
    lines.append(f"trained:    {run.record['trainable_share']}")
    samples = (run.folder.path / SAMPLES_FILE).read_text(encoding="utf-8").splitlines()
    texts = [line[2:] for line in samples if line.startswith("> ")]
    lines += [f"{when}: {text[:300]}" for when, text in zip(("before", "after "), texts[:2], strict=False)]
    lines.append(f"more:       {folder}/{SAMPLES_FILE}; python recipes/generate_text.py --model {folder} --prompt '…'")
    return "\n".join(lines)


def _cell(text: str) -> str:
    """Return a text on one line, without what Markdown would take for marks."""
    kept = "".join(f"\\{char}" if char in "\\`*_<>#[]|" else char for char in text)
    return " / ".join(part for part in kept.splitlines() if part.strip())
