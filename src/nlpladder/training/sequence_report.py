"""What a run of a language model or a translation model shows beside its numbers: figures, and a text by surprisal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nlpladder.evaluation.translation import SentenceStatistics
from nlpladder.training.run_folder import write_text

History = Sequence[Mapping[str, Any]]
#: Sentences whose attention is drawn: of this many words, so that the labels can be read.
_DRAWN_WORDS = range(6, 15)
_DRAWN_SENTENCES = 2
#: Characters of the test text whose tokens are drawn.
_DRAWN_CHARACTERS = 160
_DRAWN_TOKENS = 48


def write_translation_report(
    folder: Path,
    translator: Any,
    sources: Sequence[str],
    references: Sequence[str],
    statistics: SentenceStatistics,
    history: History,
) -> None:
    """Write ``figures/*.png``: curves, BLEU by length, attention of some test sentences.

    Args:
        folder: The run folder.
        translator: The trained model.
        sources: Test sentences.
        references: Their translations.
        statistics: Of the model's translations of all of them.
        history: Records of the training.
    """
    from nlpladder.evaluation.translation_slices import bleu_by_length
    from nlpladder.views.attention_figures import attention_figure, attention_heads_figure
    from nlpladder.views.figures import save_figure
    from nlpladder.views.translation_figures import score_by_length_figure

    figures = folder / "figures"
    _draw_training(figures, history, metrics=("bleu",))
    lengths = [len(source.split()) for source in sources]
    if len(set(lengths)) > 1:
        bins = bleu_by_length([statistics], lengths)
        save_figure(score_by_length_figure({"test": bins}), figures / "bleu_by_length.png")
    chosen = [source for source, length in zip(sources, lengths, strict=True) if length in _DRAWN_WORDS]
    for number, (source, found) in enumerate(
        zip(chosen[:_DRAWN_SENTENCES], translator.translate(chosen[:_DRAWN_SENTENCES]), strict=True), 1
    ):
        if found.alignment is not None and found.target_tokens:
            drawn = attention_figure(found.alignment, found.target_tokens, found.source_tokens, title=found.text)
            save_figure(drawn, figures / f"alignment_{number}.png")
        for name, weights in translator.attention_maps(source, found).items():
            if weights.shape[0] * weights.shape[1] == 1:
                continue  # one layer with one head is the alignment
            looking = found.source_tokens if name == "encoder" else found.target_tokens
            looked_at = found.target_tokens if name == "decoder" else found.source_tokens
            if weights.shape[2:] != (len(looking), len(looked_at)):
                continue
            drawn = attention_heads_figure(weights, looking, looked_at, title=f"{name} attention")
            save_figure(drawn, figures / f"attention_{name}_{number}.png")


def write_language_model_report(folder: Path, model: Any, texts: Sequence[str], history: History) -> None:
    """Write ``figures/*.png`` and ``surprisal.html``: curves, a distribution, surprisal, the inside of the model.

    Args:
        folder: The run folder.
        model: The trained model with its tokenizer, a ``NeuralLanguageModel``.
        texts: Test texts.
        history: Records of the training.
    """
    from nlpladder.views.coloured_text import surprisal_html
    from nlpladder.views.figures import save_figure
    from nlpladder.views.token_figures import next_token_figure, surprisal_figure

    figures = folder / "figures"
    _draw_training(figures, history, metrics=())
    text = _excerpt(texts)
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
    _draw_inside(figures, model.model, ids, pieces)


def _draw_inside(figures: Path, model: Any, ids: Sequence[int], pieces: Sequence[str]) -> None:
    """Draw the gates of a recurrent model, or the attention of a Transformer, over a text."""
    import torch

    from nlpladder.views.attention_figures import attention_heads_figure
    from nlpladder.views.figures import save_figure
    from nlpladder.views.gate_figures import gate_figure

    batch = torch.tensor([list(ids)], device=next(model.parameters()).device)
    model.eval()
    with torch.no_grad():
        if hasattr(model, "gate_activations"):
            gates = model.gate_activations(batch)
            # The last layer; one that is narrower than the widest is filled with NaN.
            last = {name: values[-1].cpu().numpy() for name, values in gates.items()}
            shown = {name: values[:, np.isfinite(values).all(axis=0)] for name, values in last.items()}
            save_figure(gate_figure(shown, pieces), figures / "gates.png")
            return
        limit = getattr(model.config, "max_position_embeddings", None) or len(ids)
        attentions = model(batch[:, :limit], output_attentions=True).attentions
    if attentions:
        weights = torch.cat([layer.float() for layer in attentions]).cpu().numpy()  # (layers, heads, target, source)
        drawn = attention_heads_figure(weights, pieces[:limit], pieces[:limit], title="attention")
        save_figure(drawn, figures / "attention.png")


def _draw_training(figures: Path, history: History, metrics: Sequence[str]) -> None:
    """Draw the loss with the learning rate, and each validation measure by epoch."""
    from nlpladder.views.figures import save_figure
    from nlpladder.views.training_figures import loss_figure, score_by_epoch_figure

    if any("loss" in record or "eval_loss" in record for record in history):
        save_figure(loss_figure(history), figures / "loss.png")
    for metric in metrics:
        if any(f"eval_{metric}" in record for record in history):
            save_figure(
                score_by_epoch_figure({"validation": history}, metric=metric), figures / f"{metric}_by_epoch.png"
            )


def _excerpt(texts: Sequence[str]) -> str:
    """Return the beginning of the first text that is long enough to show something."""
    longest = max(texts, key=len, default="")
    text = next((text for text in texts if len(text) >= _DRAWN_CHARACTERS), longest)
    return text[:_DRAWN_CHARACTERS].strip()
