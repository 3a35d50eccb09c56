"""The Transformer as translator: encoder and decoder (Vaswani et al. 2017, figure 1)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import DynamicCache, EncoderDecoderCache, GenerationMixin
from transformers.modeling_outputs import BaseModelOutput, Seq2SeqLMOutput

from nlpladder.errors import ModelError
from nlpladder.models.transformer.base import TransformerModel, flag, kept_states, logits_loss, summed_loss
from nlpladder.models.transformer.config import TransformerEncoderDecoderConfig
from nlpladder.models.transformer.decoder import TransformerDecoder
from nlpladder.models.transformer.encoder import TransformerEncoder


class CrossAttentionCache(DynamicCache):
    """Keys and values of the source, which a beam search need not reorder: all beams of a sentence have the same."""

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Do nothing; beams move within their sentence only."""


class TransformerForConditionalGeneration(TransformerModel, GenerationMixin):
    """Reads a source text and writes a target text."""

    config_class = TransformerEncoderDecoderConfig
    config: TransformerEncoderDecoderConfig
    # What may be tied; saving leaves these names out where they are. The config decides, see below.
    _tied_weights_keys = {  # noqa: RUF012 - transformers declares it so
        "decoder.embeddings.tokens.weight": "encoder.embeddings.tokens.weight",
        "lm_head.weight": "encoder.embeddings.tokens.weight",
    }

    def __init__(self, config: TransformerEncoderDecoderConfig) -> None:
        super().__init__(config)
        self.encoder = TransformerEncoder(config)
        target_vocabulary = config.decoder_vocab_size or config.vocab_size
        self.decoder = TransformerDecoder(
            config,
            vocab_size=target_vocabulary,
            num_layers=config.num_decoder_layers or config.num_hidden_layers,
            reads_encoder=True,
        )
        self.lm_head = nn.Linear(config.hidden_size, target_vocabulary, bias=config.output_bias)
        self.post_init()

    def get_expanded_tied_weights_keys(self, all_submodels: bool = False) -> dict[str, str]:
        """Return which weights are the same tensor, {copy: original}; transformers ties and saves by it.

        The config decides: output = target embedding (2-way), source = target embedding, or all three (3-way). The
        base class would tie either everything in a table of the class, or nothing.
        """
        source, target = "encoder.embeddings.tokens.weight", "decoder.embeddings.tokens.weight"
        tied = {target: source} if self.config.tie_encoder_decoder_embeddings else {}
        if self.config.tie_word_embeddings:
            tied["lm_head.weight"] = source if self.config.tie_encoder_decoder_embeddings else target
        return tied

    def get_input_embeddings(self) -> nn.Module:
        """Return the source embedding."""
        return self.encoder.embeddings.tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the source embedding, and the target's where they are one."""
        self.encoder.embeddings.tokens = value  # type: ignore[assignment]
        if self.config.tie_encoder_decoder_embeddings:
            self.decoder.embeddings.tokens = value  # type: ignore[assignment]

    def get_output_embeddings(self) -> nn.Linear:
        """Return the output layer."""
        return self.lm_head

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """Replace the output layer."""
        self.lm_head = value

    def get_encoder(self, modality: str | None = None) -> nn.Module:
        """Return the encoder."""
        return self.encoder

    def get_decoder(self) -> nn.Module:
        """Return the decoder."""
        return self.decoder

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        document_ids: Tensor | None = None,
        decoder_document_ids: Tensor | None = None,
        encoder_outputs: BaseModelOutput | tuple[Tensor, ...] | None = None,
        past_key_values: Any | None = None,
        use_cache: bool | None = None,
        labels: Tensor | None = None,
        targets: Tensor | None = None,
        label_smoothing: float = 0.0,
        sampled_softmax: int = 0,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        num_items_in_batch: Tensor | int | None = None,
        **_: Any,
    ) -> Seq2SeqLMOutput:
        """Score the next target token at every target position.

        Args:
            input_ids: Source, shape (batch, source).
            attention_mask: Shape (batch, source), 1 for tokens, padding on either side.
            decoder_input_ids: Target so far, shape (batch, target); `labels` or `targets` shifted right when not given.
            decoder_attention_mask: Shape (batch, cached + new target tokens); padding on the right needs none.
            document_ids: In packed rows, the number of each source token's pair, shape (batch, source).
            decoder_document_ids: The same for the target, shape (batch, target).
            encoder_outputs: The encoder's output, where it is known.
            past_key_values: An ``EncoderDecoderCache``.
            use_cache: Return a cache; by default outside of training.
            labels: Target tokens, -100 ignored; aligned with the logits (no second shift).
            targets: As `labels`; the loss is the sum, and no logits are kept.
            label_smoothing: With `targets`, in training mode only.
            sampled_softmax: With `targets`, in training mode only: number of sampled words.
            output_attentions: Return the weights (batch, heads, target, source) of encoder, decoder and
                cross-attention.
            output_hidden_states: Return every layer's states.
            logits_to_keep: Logits of the last positions only; 0 for all.
            num_items_in_batch: With `labels`, targets of the whole optimiser step: the loss is sum / this.
        """
        wanted = targets if targets is not None else labels
        if decoder_input_ids is None:
            if wanted is None:
                raise ModelError("The decoder has nothing to start from: give decoder_input_ids, labels or targets.")
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(wanted)
        need_weights = flag(output_attentions, self.config, "output_attentions")
        need_states = flag(output_hidden_states, self.config, "output_hidden_states")
        encoded: BaseModelOutput
        if encoder_outputs is not None:
            if not isinstance(encoder_outputs, BaseModelOutput):
                encoder_outputs = BaseModelOutput(encoder_outputs[0])
            encoded = encoder_outputs
        else:
            if input_ids is None:
                raise ModelError("There is no source: give input_ids or encoder_outputs.")
            encoded = self.encoder(
                input_ids,
                attention_mask,
                document_ids=document_ids,
                output_attentions=need_weights,
                output_hidden_states=need_states,
            )
        wants_cache = flag(use_cache, self.config, "use_cache") and not self.training and wanted is None
        if past_key_values is None and wants_cache:
            past_key_values = EncoderDecoderCache(DynamicCache(), CrossAttentionCache())
        output = self.decoder(
            decoder_input_ids,
            attention_mask=decoder_attention_mask,
            document_ids=decoder_document_ids,
            encoder_hidden=encoded.last_hidden_state,
            encoder_mask=attention_mask,
            encoder_documents=document_ids,
            past_key_values=past_key_values,
            need_weights=need_weights,
            need_states=need_states,
        )
        loss = logits = None
        if targets is not None:
            loss = summed_loss(
                self,
                output.hidden,
                self.lm_head,
                targets,
                label_smoothing=label_smoothing,
                sampled_softmax=sampled_softmax,
            )
        else:
            logits = self.lm_head(kept_states(output.hidden, logits_to_keep))  # (batch, target, vocabulary)
        if labels is not None and logits is not None:
            loss = logits_loss(logits, labels, num_items=num_items_in_batch, label_smoothing=0.0)
        return Seq2SeqLMOutput(
            loss=loss,
            logits=logits,
            past_key_values=past_key_values,
            decoder_hidden_states=output.states,
            decoder_attentions=output.attentions,
            cross_attentions=output.cross_attentions,
            encoder_last_hidden_state=encoded.last_hidden_state,
            encoder_hidden_states=encoded.hidden_states,
            encoder_attentions=encoded.attentions,
        )

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Shift `labels` (batch, target) right behind the start token; -100 becomes padding."""
        start, pad = self.config.decoder_start_token_id, self.config.pad_token_id
        if start is None or pad is None:
            raise ModelError("Shifting the targets right needs decoder_start_token_id and pad_token_id in the config.")
        shifted = torch.full_like(labels, start)
        shifted[:, 1:] = labels[:, :-1]
        return shifted.masked_fill(shifted == -100, pad)

    def _prepare_cache_for_generation(  # type: ignore[override]
        self,
        generation_config: Any,
        model_kwargs: dict[str, Any],
        generation_mode: Any,
        batch_size: int,
        max_cache_length: int,
    ) -> None:
        """Hand generate() a cache whose cross-attention half stays where it is when beams are reordered."""
        own_kind = generation_config.cache_implementation in (None, "dynamic")
        if model_kwargs.get("past_key_values") is None and generation_config.use_cache is not False and own_kind:
            model_kwargs["past_key_values"] = EncoderDecoderCache(DynamicCache(), CrossAttentionCache())
            return
        super()._prepare_cache_for_generation(  # type: ignore[misc]
            generation_config, model_kwargs, generation_mode, batch_size, max_cache_length
        )
