"""The recurrent encoder-decoder as a Hugging Face model."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import Seq2SeqLMOutput

from nlpladder.errors import ModelError
from nlpladder.models.seq2seq.config import Seq2SeqConfig
from nlpladder.models.seq2seq.decoder import Decoder, build_decoder
from nlpladder.models.seq2seq.encoder import Encoder, EncoderOutput
from nlpladder.models.seq2seq.state import DecoderState
from nlpladder.nn.output_loss import linear_cross_entropy
from nlpladder.nn.recurrent import init_recurrent
from nlpladder.nn.sampled_softmax import sampled_cross_entropy


class Seq2SeqForConditionalGeneration(PreTrainedModel, GenerationMixin):
    """Encoder, decoder with or without attention, output layer.

    ``generate()`` of transformers searches greedily, samples, and searches with beams; `DecoderState` is its cache.

    Args:
        config: The shape.

    Raises:
        ConfigError: for settings that contradict each other.
    """

    config_class = Seq2SeqConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    config: Seq2SeqConfig

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__(config)
        config.check()
        self.encoder = Encoder(config)
        self.decoder: Decoder = build_decoder(config)
        self.lm_head = nn.Linear(config.output_size, config.target_vocab_size)
        # The target embedding is the one that is saved.
        self._tied_weights_keys = {"lm_head.weight": "decoder.embed_tokens.weight"}
        if config.tie_encoder_decoder_embeddings:
            self._tied_weights_keys["encoder.embed_tokens.weight"] = "decoder.embed_tokens.weight"
        self.post_init()

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        """Tell ``generate()`` that the cache is our own and made by the first forward pass."""
        return False

    def get_encoder(self, *_: Any, **__: Any) -> Encoder:
        """Return the encoder."""
        return self.encoder

    def get_decoder(self) -> Decoder:
        """Return the decoder."""
        return self.decoder

    def get_input_embeddings(self) -> nn.Module:
        """Return the source embedding."""
        return self.encoder.embed_tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the source embedding."""
        self.encoder.embed_tokens = value  # type: ignore[assignment]

    def get_output_embeddings(self) -> nn.Module:
        """Return the output layer."""
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the output layer."""
        self.lm_head = new_embeddings

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        decoder_input_ids: Tensor | None = None,
        decoder_attention_mask: Tensor | None = None,
        encoder_outputs: EncoderOutput | None = None,
        past_key_values: DecoderState | None = None,
        use_cache: bool | None = None,
        labels: Tensor | None = None,
        targets: Tensor | None = None,
        label_smoothing: float = 0.0,
        sampled_softmax: int = 0,
        sampling_probability: float = 0.0,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        logits_to_keep: int = 0,
        num_items_in_batch: Tensor | int | None = None,
        **_: Any,
    ) -> Seq2SeqLMOutput:
        """Read the source and predict each next target token.

        Args:
            input_ids: Source tokens, shape (batch, source), padded on either side.
            attention_mask: 1 for source tokens, shape (batch, source); derived from the pad id when not given.
            decoder_input_ids: y_{i-1}, shape (batch, target), padded on the right; derived from `labels` or `targets`
                by shifting right when not given.
            decoder_attention_mask: Not needed: padding on the right comes after every token that counts.
            encoder_outputs: The encoder's output, when it has run already.
            past_key_values: The state after the tokens before `decoder_input_ids`.
            use_cache: Return the state after the last token.
            labels: y_i, shape (batch, target), -100 is ignored; the loss is their mean cross-entropy, or its sum over
                `num_items_in_batch`.
            targets: As `labels`, for training: the loss is the sum, and logits are never all in memory.
            label_smoothing: Mass moved from the target to the uniform distribution; in training mode only.
            sampled_softmax: Negatives of a sampled softmax (Jean et al. 2015) for `targets`, in training mode only; 0
                for the full softmax.
            sampling_probability: Scheduled sampling (Bengio et al. 2015): with this probability an input token is
                drawn from the model's own prediction; in training mode only. 0 is teacher forcing.
            output_attentions: Return the weights a_ij as ``cross_attentions``: one layer (batch, 1, target, source).
            output_hidden_states: Not used: ``encoder_last_hidden_state`` is always returned.
            logits_to_keep: Compute only the last so many positions' logits; 0 for all.
            num_items_in_batch: Labels of the whole optimiser step, for exact gradient accumulation.

        Returns:
            ``loss``, ``logits`` (batch, target, vocabulary) unless `targets` are given, ``past_key_values``,
            ``cross_attentions``, ``encoder_last_hidden_state``.

        Raises:
            ModelError: when there is nothing to read or nothing to predict.
        """
        if encoder_outputs is None:
            if input_ids is None:
                raise ModelError("There is no source: give input_ids or encoder_outputs.")
            encoder_outputs = self.encoder(input_ids, attention_mask)
        annotations = encoder_outputs.last_hidden_state
        final_state = getattr(encoder_outputs, "final_state", None)
        source_mask = getattr(encoder_outputs, "source_mask", None)
        if annotations is None or final_state is None or source_mask is None:
            raise ModelError("encoder_outputs must be what this model's encoder returned: the final state is missing.")
        if decoder_input_ids is None:
            predicted = targets if targets is not None else labels
            if predicted is None:
                raise ModelError("There is nothing to predict: give decoder_input_ids, labels or targets.")
            decoder_input_ids = self.prepare_decoder_input_ids_from_labels(predicted)
        before = past_key_values or self.decoder.initial_state(final_state, annotations)
        if self.training and sampling_probability > 0.0:
            decoder_input_ids = self.sample_decoder_input_ids(
                decoder_input_ids, annotations, source_mask, before, probability=sampling_probability
            )
        states, after, weights = self.decoder(decoder_input_ids, annotations, source_mask, before)
        smoothing = label_smoothing if self.training else 0.0
        loss = logits = None
        if targets is not None:
            loss = self._summed_loss(states, targets, smoothing, sampled_softmax if self.training else 0)
        else:
            logits = self.lm_head(states[:, -logits_to_keep:] if logits_to_keep else states)
            if labels is not None:
                loss = self._mean_loss(self.lm_head(states) if logits_to_keep else logits, labels, smoothing)
                if num_items_in_batch is not None:
                    loss = loss * labels.ne(-100).sum().clamp(min=1) / num_items_in_batch
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training and targets is None
        return Seq2SeqLMOutput(
            loss=loss,
            logits=logits,
            past_key_values=after if use_cache else None,
            cross_attentions=(weights.unsqueeze(1),) if output_attentions and weights is not None else None,
            encoder_last_hidden_state=annotations,
        )

    def _summed_loss(self, states: Tensor, targets: Tensor, smoothing: float, num_samples: int) -> Tensor:
        weight, bias = self.lm_head.weight, self.lm_head.bias
        if num_samples:
            return sampled_cross_entropy(states, weight, targets, bias=bias, num_samples=num_samples)
        return linear_cross_entropy(states, weight, targets, bias=bias, label_smoothing=smoothing)

    @staticmethod
    def _mean_loss(logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
        total = F.cross_entropy(
            logits.float().flatten(0, 1), labels.flatten(), reduction="sum", label_smoothing=smoothing
        )
        return total / labels.ne(-100).sum().clamp(min=1)

    def prepare_decoder_input_ids_from_labels(self, labels: Tensor) -> Tensor:
        """Return the decoder's inputs: the start token, then all but the last label; -100 becomes padding."""
        start = labels.new_full((len(labels), 1), self.config.decoder_start_token_id)  # type: ignore[arg-type]
        shifted = torch.cat([start, labels[:, :-1]], dim=1)
        return shifted.masked_fill(shifted == -100, self.config.pad_token_id or 0)

    @torch.no_grad()
    def sample_decoder_input_ids(
        self,
        decoder_input_ids: Tensor,
        annotations: Tensor,
        source_mask: Tensor,
        state: DecoderState,
        *,
        probability: float,
    ) -> Tensor:
        """Replace tokens by draws from the model's own predictions (Bengio et al. 2015, section 2.4).

        The decoder runs step by step over the mixed inputs, without gradient; the training pass then reads the result
        like any other input, since no gradient flows through a draw. The first token is never replaced, nor is
        padding.

        Args:
            decoder_input_ids: The reference, shape (batch, target).
            annotations: Shape (batch, source, annotation).
            source_mask: Shape (batch, source).
            state: The state before the first token.
            probability: Of a replacement, 1 - epsilon_i in the paper.
        """
        mixed = decoder_input_ids.clone()
        replaced = torch.rand(mixed.shape, device=mixed.device) < probability
        if self.config.pad_token_id is not None:
            replaced &= mixed != self.config.pad_token_id
        for step in range(mixed.shape[1] - 1):
            states, state, _ = self.decoder(mixed[:, step : step + 1], annotations, source_mask, state)
            predicted = torch.softmax(self.lm_head(states[:, -1]).float(), dim=-1)
            drawn = torch.multinomial(predicted, 1).squeeze(1)
            mixed[:, step + 1] = torch.where(replaced[:, step + 1], drawn, mixed[:, step + 1])
        return mixed

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Xavier for matrices, orthogonal recurrent ones, N(0, m^-1/2) embeddings, 1 for an LSTM's forget bias.

        The default of transformers, N(0, 0.02) and zero biases, does not learn here.
        """
        if isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            init.normal_(module.weight, mean=0.0, std=module.embedding_dim**-0.5)
            if module.padding_idx is not None:
                init.zeros_(module.weight[module.padding_idx])
        elif isinstance(module, nn.RNNBase):
            init_recurrent(module)
