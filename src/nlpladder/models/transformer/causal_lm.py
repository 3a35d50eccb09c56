"""The Transformer as a language model: a decoder without an encoder (Radford et al. 2018)."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from transformers import DynamicCache, GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast

from nlpladder.models.transformer.base import TransformerModel, flag, kept_states, logits_loss, summed_loss
from nlpladder.models.transformer.config import TransformerCausalLMConfig
from nlpladder.models.transformer.decoder import TransformerDecoder


class TransformerForCausalLM(TransformerModel, GenerationMixin):
    """Predicts each token of a text from those before it."""

    config_class = TransformerCausalLMConfig
    config: TransformerCausalLMConfig
    _tied_weights_keys = {"lm_head.weight": "decoder.embeddings.tokens.weight"}  # noqa: RUF012 - as declared upstream

    def __init__(self, config: TransformerCausalLMConfig) -> None:
        super().__init__(config)
        self.decoder = TransformerDecoder(config, vocab_size=config.vocab_size, num_layers=config.num_hidden_layers)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=config.output_bias)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        """Return the token embedding."""
        return self.decoder.embeddings.tokens

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the token embedding."""
        self.decoder.embeddings.tokens = value  # type: ignore[assignment]

    def get_output_embeddings(self) -> nn.Linear:
        """Return the output layer."""
        return self.lm_head

    def set_output_embeddings(self, value: nn.Linear) -> None:
        """Replace the output layer."""
        self.lm_head = value

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        document_ids: Tensor | None = None,
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
    ) -> CausalLMOutputWithPast:
        """Score the next token at every position.

        Args:
            input_ids: Shape (batch, tokens).
            attention_mask: Shape (batch, cached + new tokens), 1 for tokens, padding on either side; or boolean
                (batch, 1, new, cached + new) for any pattern.
            position_ids: Shape (batch or 1, tokens); counted from the mask when not given.
            document_ids: In packed rows, the number of each token's text (batch, tokens): texts do not see each other.
            past_key_values: A cache of transformers.
            use_cache: Return a cache; by default outside of training.
            labels: The same tokens as `input_ids`, -100 where nothing is to be predicted; shifted inside.
            targets: The token that follows each position, -100 ignored: the loss is the sum, and no logits are kept.
            label_smoothing: With `targets`, in training mode only.
            sampled_softmax: With `targets`, in training mode only: number of sampled words.
            output_attentions: Return every layer's weights (batch, heads, target, source).
            output_hidden_states: Return every layer's states.
            logits_to_keep: Logits of the last positions only; 0 for all.
            num_items_in_batch: With `labels`, targets of the whole optimiser step: the loss is sum / this.
        """
        wants_cache = flag(use_cache, self.config, "use_cache") and not self.training and targets is None
        if past_key_values is None and wants_cache:
            past_key_values = DynamicCache()
        output = self.decoder(
            input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            document_ids=document_ids,
            past_key_values=past_key_values,
            need_weights=flag(output_attentions, self.config, "output_attentions"),
            need_states=flag(output_hidden_states, self.config, "output_hidden_states"),
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
            logits = self.lm_head(kept_states(output.hidden, logits_to_keep))  # (batch, tokens, vocabulary)
        if labels is not None and logits is not None:
            following = F.pad(labels, (0, 1), value=-100)[:, 1:]
            loss = logits_loss(logits, following, num_items=num_items_in_batch, label_smoothing=0.0)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=past_key_values,
            hidden_states=output.states,
            attentions=output.attentions,
        )
