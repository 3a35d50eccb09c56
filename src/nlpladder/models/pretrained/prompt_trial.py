"""A trial of a prompt on a few tokens: whether a model can take one is found out by running it, not by its name."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from nlpladder.errors import ModelError

_TOLERANCE = 1e-3


def try_prompt(model: Any, head: str) -> None:
    """Run a prompted model on two short rows, and refuse it when the prompt is lost or padding matters.

    The model is in evaluation mode afterwards.

    Args:
        model: With its prompt.
        head: What it does.

    Raises:
        ModelError: The prompt leaves no positions for a text.
        ValueError: The model ignores the prompt, reads padding, or answers embeddings otherwise than their tokens.
        Exception: Whatever the model raises when it cannot take a prompt at all.
    """
    positions = getattr(model.config, "max_position_embeddings", None) or 10**9
    needed = model.active_peft_config.num_virtual_tokens + 8
    if positions < needed:
        raise ModelError(
            f"The prompt has {needed - 8} positions, and the model has {positions} for prompt and text together. Take "
            f"fewer with --peft_options.virtual_tokens."
        )
    model.eval()
    _check_padding(model, head)
    _check_embeddings(model, head)
    _check_effect(model, head)


def _check_padding(model: Any, head: str) -> None:
    long, short = _rows(model, 5), _rows(model, 3)
    with torch.no_grad():
        alone = _scores(model, head, short, torch.ones_like(short))
        ids = torch.cat([long, torch.nn.functional.pad(short, (0, 2), value=_pad_id(model))])
        mask = torch.tensor([[1] * 5, [1] * 3 + [0] * 2], device=ids.device)
        together = _scores(model, head, ids, mask)[1:]
    if head not in ("classification", "seq2seq"):
        together = together[:, :3]
    if not torch.allclose(alone, together, atol=_TOLERANCE * float(alone.abs().max().clamp_min(1.0))):
        raise ValueError("a text is answered otherwise beside a longer one, because its padding is read")


def _check_embeddings(model: Any, head: str) -> None:
    """Prompt and P-tuning hand embeddings to the model; it must scale them as it does those of tokens."""
    if not model.stands_in_text:
        return
    ids = _rows(model, 4)
    mask, base = torch.ones_like(ids), model.base_model
    with torch.no_grad(), model.disable_adapter():
        expected = _scores(base, head, ids, mask)
        found = _scores(base, head, None, mask, inputs_embeds=model.word_embeddings(ids))
    if not torch.allclose(expected, found, atol=_TOLERANCE * float(expected.abs().max().clamp_min(1.0))):
        raise ValueError("it answers embeddings otherwise than the tokens they belong to")


def _check_effect(model: Any, head: str) -> None:
    ids = _rows(model, 4)
    trained = [parameter for parameter in model.prompt_encoder.parameters() if parameter.requires_grad]
    with torch.enable_grad():
        total = _scores(model, head, ids, torch.ones_like(ids)).float().pow(2).sum()
        gradients = torch.autograd.grad(total, trained, allow_unused=True)
    if not any(gradient is not None and bool(gradient.any()) for gradient in gradients):
        raise ValueError("the prompt changes nothing: the model does not read it")


def _rows(model: Any, length: int) -> Tensor:
    """Return one row of different token ids (1, length), none of them padding, from the middle of the vocabulary."""
    embeddings = model.get_input_embeddings().weight
    first = embeddings.shape[0] // 2
    ids = [one for one in range(first, first + length + 1) if one != _pad_id(model)][:length]
    return torch.tensor([ids], device=embeddings.device) % embeddings.shape[0]


def _scores(model: Any, head: str, ids: Tensor | None, mask: Tensor, **more: Any) -> Tensor:
    arguments: dict[str, Any] = {"attention_mask": mask, **more}
    if ids is not None:
        arguments["input_ids"] = ids
    if head == "seq2seq":
        start = model.config.decoder_start_token_id or _pad_id(model)
        arguments["decoder_input_ids"] = torch.tensor([[start, _rows(model, 1)[0, 0]]] * len(mask), device=mask.device)
    output = model(**arguments)
    scores: Tensor = output.start_logits if head == "question_answering" else output.logits
    return scores


def _pad_id(model: Any) -> int:
    pad = getattr(model.config.get_text_config(), "pad_token_id", None)
    return 0 if pad is None or pad < 0 else int(pad)
