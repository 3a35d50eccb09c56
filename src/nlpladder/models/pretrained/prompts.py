"""Prompts of trained vectors (prefix, prompt and P-tuning) that the rest of the house need not know about.

peft puts a prompt before the text inside of ``forward``, which leaves four gaps. Here they are closed:

- logits of a prompted model have the prompt's positions in front; ours have the text's positions only;
- generation with learnt positions counted padding on the left as positions;
- an encoder-decoder lost its prompt when the encoder was called by itself, or its output was passed in;
- what peft saves is the finished prompt, not the network that makes it, so training could not go on from a checkpoint.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from peft import (
    PeftModel,
    PeftModelForCausalLM,
    PeftModelForQuestionAnswering,
    PeftModelForSeq2SeqLM,
    PeftModelForSequenceClassification,
    PeftModelForTokenClassification,
    PeftType,
)
from peft.utils import AuxiliaryTrainingWrapper
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

#: The prompt encoder as it is in training, beside peft's file of the finished prompt.
TRAINING_STATE_NAME = "prompt_encoder.safetensors"


class Prompted(PeftModel):
    """A model with a trained prompt before every text."""

    base_model: Any
    word_embeddings: Any

    @property
    def stands_in_text(self) -> bool:
        """Whether the prompt takes positions of the text (prompt, p_tuning) and not only of the cache (prefix)."""
        return self.active_peft_config.peft_type in (PeftType.PROMPT_TUNING, PeftType.P_TUNING)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the base returns, with one position for each of the text's tokens."""
        if self._adapters_disabled:
            return self.base_model(*args, **kwargs)
        output = self.prompted_forward(*args, **kwargs)
        text = kwargs.get("input_ids", args[0] if args else None)
        text = kwargs.get("inputs_embeds") if text is None else text
        if self.stands_in_text and self.has_positions and text is not None:
            _drop_prompt(output, text.shape[1])
        return output

    #: Whether the head scores every position of a text.
    has_positions = True

    def prompted_forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what peft's model does."""
        return super().forward(*args, **kwargs)

    @contextlib.contextmanager
    def disable_adapter(self) -> Iterator[None]:
        """Inside, the model answers as its base does. (peft's own breaks on models that write nothing.)"""
        was_disabled = self._adapters_disabled
        heads = [module for module in self.modules() if isinstance(module, AuxiliaryTrainingWrapper)]
        self._adapters_disabled = True
        try:
            for head in heads:
                head.enable_adapters(False)
            yield
        finally:
            self._adapters_disabled = was_disabled
            for head in heads:
                head.enable_adapters(not was_disabled)

    def save_pretrained(self, save_directory: str, *args: Any, **kwargs: Any) -> None:
        """Save as peft does, and the network that makes the prompt, from which training can go on."""
        super().save_pretrained(save_directory, *args, **kwargs)
        if kwargs.get("is_main_process", True):
            encoder = self.prompt_encoder[self.active_adapter]
            state = {name: tensor.detach().cpu().contiguous() for name, tensor in encoder.state_dict().items()}
            save_file(state, os.path.join(save_directory, TRAINING_STATE_NAME), metadata={"format": "pt"})

    def load_adapter(  # type: ignore[override]
        self, model_id: Any, adapter_name: str, is_trainable: bool = False, **kwargs: Any
    ) -> Any:
        """Load as peft does; a checkpoint of training gives back the network that makes the prompt."""
        state = Path(os.fspath(model_id)) / TRAINING_STATE_NAME
        if not (is_trainable and adapter_name in self.peft_config and state.is_file()):
            return super().load_adapter(model_id, adapter_name, is_trainable=is_trainable, **kwargs)
        encoder: Any = self.prompt_encoder[adapter_name]
        # peft would write the finished prompt over the embedding, from which the network makes another one.
        encoder._load_adapter_state_dict = lambda _: encoder.load_state_dict(load_file(state))
        try:
            return super().load_adapter(model_id, adapter_name, is_trainable=is_trainable, **kwargs)
        finally:
            del encoder._load_adapter_state_dict


class PromptedSequenceClassifier(Prompted, PeftModelForSequenceClassification):
    """A sequence classifier with a prompt; its logits have no positions."""

    has_positions = False


class PromptedTokenClassifier(Prompted, PeftModelForTokenClassification):
    """A token classifier with a prompt."""


class QuestionAnswererWithTypes(PeftModelForQuestionAnswering):
    """An extractive question answerer with LoRA or (IA)^3; peft's own drops the token types, silently."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the base returns; token types tell question and context apart."""
        return PeftModel.forward(self, *args, **kwargs)


class PromptedQuestionAnswerer(Prompted, PeftModelForQuestionAnswering):
    """An extractive question answerer with a prompt, which has the token type of the question."""

    def prompted_forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what peft's model for token classification does, which passes token types on."""
        return PeftModelForTokenClassification.forward(self, *args, **kwargs)  # type: ignore[arg-type]


class PromptedCausalLM(Prompted, PeftModelForCausalLM):
    """A causal language model with a prompt."""

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Continue texts; padding on either side changes nothing."""
        if self._adapters_disabled:
            return self.base_model.generate(*args, **kwargs)
        if not self.stands_in_text:
            return super().generate(*args, **kwargs)
        ids = args[0] if args else kwargs.pop("input_ids")
        mask = kwargs.pop("attention_mask", None)
        mask = torch.ones_like(ids) if mask is None else mask
        embedded = self.word_embeddings(ids)  # (batch, tokens, width)
        prompts = self.get_prompt(batch_size=len(ids)).to(embedded.dtype)  # (batch, virtual tokens, width)
        return self.base_model.generate(
            input_ids=ids,
            inputs_embeds=torch.cat([prompts, embedded], dim=1),
            attention_mask=_behind_ones(mask, prompts.shape[1]),
            **kwargs,
        )


class PromptedSeq2SeqLM(Prompted, PeftModelForSeq2SeqLM):
    """An encoder-decoder with a prompt; prompt and P-tuning stand in the encoder's text, whoever calls the encoder."""

    has_positions = False  # of the prompt, in the decoder

    def prompted_forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the base returns: its encoder reads the prompt, or its decoder finds the prefix in the cache."""
        if self.stands_in_text:
            return self.base_model(*args, **kwargs)
        encoded, mask = kwargs.get("encoder_outputs"), kwargs.get("decoder_attention_mask")
        text = kwargs.get("input_ids", args[0] if args else None)
        text = kwargs.get("inputs_embeds") if text is None else text
        first: Any = text if encoded is None else encoded[0]
        if mask is not None:
            kwargs["decoder_attention_mask"] = _behind_ones(mask, self.active_peft_config.num_virtual_tokens)
        return self.base_model(*args, **{**kwargs, "past_key_values": self.get_prompt(len(first))})

    def generate(self, *args: Any, **kwargs: Any) -> Any:
        """Write texts; encoder outputs may be given."""
        if self.stands_in_text or self._adapters_disabled:
            return self.base_model.generate(*args, **kwargs)
        return super().generate(*args, **kwargs)


_CLASSES: tuple[tuple[type, type], ...] = (
    (PeftModelForSequenceClassification, PromptedSequenceClassifier),
    (PeftModelForTokenClassification, PromptedTokenClassifier),
    (PeftModelForQuestionAnswering, PromptedQuestionAnswerer),
    (PeftModelForCausalLM, PromptedCausalLM),
    (PeftModelForSeq2SeqLM, PromptedSeq2SeqLM),
)


def close_gaps(model: Any) -> Any:
    """Turn peft's model of a prompt method, or of a question answerer, into ours; others are returned as they are.

    Args:
        model: A ``PeftModel``.
    """
    if not model.active_peft_config.is_prompt_learning:
        if type(model) is PeftModelForQuestionAnswering:
            model.__class__ = QuestionAnswererWithTypes
        return model
    if isinstance(model, Prompted):
        return model
    model.__class__ = next(ours for theirs, ours in _CLASSES if isinstance(model, theirs))
    if not model.stands_in_text:
        for encoder in model.prompt_encoder.values():
            _encode_once(encoder)
    elif isinstance(model, PromptedSeq2SeqLM):
        _prompt_encoder(model)
    return model


def _encode_once(encoder: Any) -> None:
    """Make the prefix once a batch, not once a row: faster, and to the last bit what is saved."""
    encode = encoder.forward
    encoder.forward = lambda prefix: encode(prefix[:1]).repeat(len(prefix), 1, 1)  # (batch, virtual tokens, values)


def _prompt_encoder(model: PromptedSeq2SeqLM) -> None:
    """Put the prompt before what the encoder reads, and let the decoder read it too."""
    encoder, decoder = model.base_model.get_encoder(), model.base_model.get_decoder()

    def before_encoder(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        if model._adapters_disabled:
            return None
        embedded = kwargs.get("inputs_embeds")
        if embedded is None:
            embedded = model.word_embeddings(kwargs["input_ids"])  # (batch, source, width)
        prompts = model.get_prompt(batch_size=len(embedded)).to(embedded.dtype)  # (batch, virtual tokens, width)
        mask = kwargs.get("attention_mask")
        changed = {
            "input_ids": None,
            "inputs_embeds": torch.cat([prompts, embedded], dim=1),
            "attention_mask": None if mask is None else _behind_ones(mask, prompts.shape[1]),
        }
        return args, {**kwargs, **changed}

    def after_encoder(_: nn.Module, args: Any, output: Any) -> None:
        if not model._adapters_disabled and getattr(output, "attentions", None):
            size = model.active_peft_config.num_virtual_tokens
            output["attentions"] = tuple(_text_only(weights[:, :, size:], size) for weights in output.attentions)

    def before_decoder(_: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        states, mask = kwargs.get("encoder_hidden_states"), kwargs.get("encoder_attention_mask")
        if model._adapters_disabled or states is None or mask is None or mask.dim() != 2:
            return None
        return args, {**kwargs, "encoder_attention_mask": _behind_ones(mask, states.shape[1] - mask.shape[1])}

    def after_decoder(_: nn.Module, args: Any, output: Any) -> None:
        if not model._adapters_disabled and getattr(output, "cross_attentions", None):
            size = model.active_peft_config.num_virtual_tokens
            output["cross_attentions"] = tuple(_text_only(weights, size) for weights in output.cross_attentions)

    encoder.register_forward_pre_hook(before_encoder, with_kwargs=True)
    encoder.register_forward_hook(after_encoder)
    decoder.register_forward_pre_hook(before_decoder, with_kwargs=True)
    decoder.register_forward_hook(after_decoder)


def _drop_prompt(output: Any, tokens: int) -> None:
    """Keep the last `tokens` positions of everything that has one a position."""
    for name in ("logits", "start_logits", "end_logits"):
        scores = output.get(name) if hasattr(output, "get") else None
        if isinstance(scores, Tensor) and scores.dim() > 1 and scores.shape[1] > tokens:
            output[name] = scores[:, -tokens:]  # (batch, tokens, …)
    if getattr(output, "hidden_states", None):
        output["hidden_states"] = tuple(states[:, -tokens:] for states in output.hidden_states)


def _behind_ones(mask: Tensor, size: int) -> Tensor:
    """Put `size` ones before each row of a mask (batch, tokens)."""
    return torch.cat([mask.new_ones(len(mask), size), mask], dim=1)


def _text_only(weights: Tensor, size: int) -> Tensor:
    """Leave out what attends to the prompt, and let the rest of each row sum to 1 again: (batch, heads, rows, text)."""
    kept = weights[..., size:]
    return kept / kept.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(kept.dtype).tiny)
