"""The recurrent language model as a Hugging Face model: embeddings, recurrent layers, an output layer.

Mikolov et al. 2010 (RNN), Zaremba et al. 2014 (LSTM with dropout between layers), Merity et al. 2018 (AWD-LSTM).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GenerationMixin, PreTrainedModel
from transformers import initialization as init
from transformers.modeling_outputs import CausalLMOutputWithPast

from nlpladder.errors import ModelError
from nlpladder.models.recurrent_lm.cache import RecurrentCache
from nlpladder.models.recurrent_lm.config import RecurrentLMConfig
from nlpladder.nn.dropout import check_rate, embed_with_word_dropout, make_dropout
from nlpladder.nn.losses import token_loss
from nlpladder.nn.output_loss import linear_cross_entropy
from nlpladder.nn.recurrent import RecurrentLayer, init_recurrent, recurrent_layer
from nlpladder.nn.sampled_softmax import sampled_cross_entropy


class RecurrentForCausalLM(PreTrainedModel, GenerationMixin):
    """p(w_t | w_1 ... w_{t-1}) = softmax(V h_t + b), h_t the last layer's state after w_{t-1}."""

    config_class = RecurrentLMConfig
    config: RecurrentLMConfig
    base_model_prefix = "layers"
    main_input_name = "input_ids"
    # A tuple or list of names would tie nothing, silently.
    _tied_weights_keys = {"lm_head.weight": "embeddings.weight"}  # noqa: RUF012

    def __init__(self, config: RecurrentLMConfig) -> None:
        super().__init__(config)
        check_rate("embedding_dropout", config.embedding_dropout)
        layer = recurrent_layer(config.cell)
        sizes = config.layer_sizes()
        self.embeddings = nn.Embedding(config.vocab_size, config.embedding_size)
        self.input_dropout = make_dropout(config.input_dropout, locked=config.locked_dropout)
        self.hidden_dropout = make_dropout(config.hidden_dropout, locked=config.locked_dropout)
        self.output_dropout = make_dropout(config.output_dropout, locked=config.locked_dropout)
        self.layers = nn.ModuleList(
            layer(inputs, hidden, layer_norm=config.layer_norm, weight_dropout=config.weight_dropout)
            for inputs, hidden in sizes
        )
        self.lm_head = nn.Linear(sizes[-1][1], config.vocab_size, bias=config.output_bias)
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Xavier and orthogonal matrices, open forget gates, embeddings of about unit length, zero biases.

        The defaults of transformers, N(0, 0.02) and no forget-gate bias, learn slowly or not at all.
        """
        if isinstance(module, nn.RNNBase):
            init_recurrent(module)
        elif isinstance(module, nn.Embedding):
            limit = self.config.initial_embedding_range
            if limit is None:
                init.normal_(module.weight, mean=0.0, std=module.embedding_dim**-0.5)
            else:
                init.uniform_(module.weight, -limit, limit)
        elif isinstance(module, nn.Linear):
            init.xavier_uniform_(module.weight)
            if module.bias is not None:
                init.zeros_(module.bias)
        elif isinstance(module, nn.LayerNorm):
            init.ones_(module.weight)
            init.zeros_(module.bias)

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        """Keep `generate` from making a key-value cache: the first step returns our own."""
        return False

    def get_input_embeddings(self) -> nn.Module:
        """Return the token embedding."""
        return self.embeddings

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Replace the token embedding."""
        self.embeddings = value  # type: ignore[assignment]

    def get_output_embeddings(self) -> nn.Module:
        """Return the output layer."""
        return self.lm_head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Replace the output layer."""
        self.lm_head = new_embeddings

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: RecurrentCache | None = None,
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
        """Predict the next token after each token of a batch.

        Args:
            input_ids: Shape (batch, tokens).
            attention_mask: 1 for tokens, 0 for padding on either side; shape (batch, tokens), or longer when it also
                covers the tokens read before. Everything is a token when not given.
            past_key_values: The state to go on from.
            use_cache: Return the state after the last token; `config.use_cache` when not given.
            labels: The ids themselves, shape (batch, tokens), -100 ignored; shifted by one inside, as everywhere in
                transformers. The loss is their mean.
            targets: The token to be predicted after each token, shape (batch, tokens), -100 ignored. The loss is their
                sum in float32, and no logits are returned: the output layer is fused with the loss.
            label_smoothing: With `targets`, in training.
            sampled_softmax: With `targets`, in training: number of sampled tokens that stand for the whole vocabulary
                (Jean et al. 2015); 0 uses all.
            output_attentions: Accepted for the interface; there are none.
            output_hidden_states: Return the embedded tokens and every layer's states, each (batch, tokens, width).
            logits_to_keep: Compute logits of the last so many tokens only; 0 for all.
            num_items_in_batch: Number of labels in the whole optimiser step, for exact gradient accumulation.

        Returns:
            Logits (batch, tokens, vocabulary), the loss when asked for, the state and the hidden states.

        Raises:
            ModelError: The state does not fit, or the options contradict each other.
        """
        use_cache = self.config.use_cache if use_cache is None else use_cache
        states, cache, all_states = self._read(input_ids, attention_mask, past_key_values, need_state=use_cache)
        logits = loss = None
        if targets is not None:
            loss = self._loss_sum(states, targets, label_smoothing=label_smoothing, sampled_softmax=sampled_softmax)
        else:
            if labels is not None:
                logits_to_keep = 0
            kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
            logits = self.lm_head(states[:, kept])  # (batch, tokens, vocabulary)
        if labels is not None and logits is not None:
            loss = token_loss(logits[:, :-1], labels[:, 1:], num_items=num_items_in_batch)
        return CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            past_key_values=cache if use_cache else None,  # type: ignore[arg-type]
            hidden_states=tuple(all_states) if output_hidden_states else None,
        )

    @torch.no_grad()
    def gate_activations(self, input_ids: Tensor) -> dict[str, Tensor]:
        """Return what every gate does over one text, without dropout.

        Args:
            input_ids: Shape (tokens,) or (1, tokens).

        Returns:
            By name (LSTM: input, forget, candidate, output, cell, hidden; GRU: reset, update, candidate, hidden; RNN:
            hidden) a float32 tensor (layers, tokens, hidden). A layer narrower than the widest is filled with NaN.

        Raises:
            ModelError: There is more than one text.
        """
        if input_ids.ndim == 1:
            input_ids = input_ids.unsqueeze(0)
        if input_ids.shape[0] != 1:
            raise ModelError(f"Gate activations are read over one text; got a batch of {input_ids.shape[0]}.")
        states = self.embeddings(input_ids)
        widest = max(hidden for _, hidden in self.config.layer_sizes())
        by_name: dict[str, list[Tensor]] = {}
        for layer in self._recurrent_layers():
            activations = layer.gates(states)
            for name, activation in activations.items():
                filled = F.pad(activation[0].float(), (0, widest - layer.hidden_size), value=float("nan"))
                by_name.setdefault(name, []).append(filled)  # (tokens, widest)
            states = activations["hidden"]
        return {name: torch.stack(by_layer) for name, by_layer in by_name.items()}

    def _recurrent_layers(self) -> list[RecurrentLayer]:
        return list(self.layers)  # type: ignore[arg-type]

    def _read(
        self, input_ids: Tensor, attention_mask: Tensor | None, past: RecurrentCache | None, *, need_state: bool
    ) -> tuple[Tensor, RecurrentCache, list[Tensor]]:
        """Return the last layer's states (batch, tokens, width), the new cache and the states of all layers."""
        if input_ids.shape[1] == 0:
            raise ModelError(
                "There is no token to read. A text begins after an end-of-text mark: put the id of `</s>`, "
                f"{self.config.eos_token_id}, in front."
            )
        past_states = self._check_past(past, input_ids.shape[0])
        states = embed_with_word_dropout(
            input_ids, self.embeddings, self.config.embedding_dropout, training=self.training
        )
        # A recurrent layer must never read padding before a token: roll each row's padding to the right and its
        # states back to where the tokens stand.
        lengths = order = None
        if attention_mask is not None:
            mask = attention_mask[:, -input_ids.shape[1] :].bool()
            if not bool(mask.all()):
                order = torch.sort((~mask).to(torch.uint8), dim=1, stable=True).indices  # (batch, tokens)
                lengths = mask.sum(dim=1) if need_state else None  # (batch,)
                states = _take_tokens(states, order)
        all_states, last = [states], []
        states = self.input_dropout(states)
        for number, layer in enumerate(self._recurrent_layers()):
            if number:
                states = self.hidden_dropout(states)
            states, state = layer(states, past_states[number], lengths=lengths)  # (batch, tokens, hidden)
            all_states.append(states)
            last.append(state)
        if order is not None:
            back = order.argsort(dim=1)
            all_states = [_take_tokens(layer_states, back) for layer_states in all_states]
            states = all_states[-1]
        seen = past.seen_tokens if past is not None else 0
        return self.output_dropout(states), RecurrentCache(last, seen + input_ids.shape[1]), all_states

    def _check_past(self, past: RecurrentCache | None, batch_size: int) -> list[Any]:
        if past is None:
            return [None] * len(self.layers)
        if not isinstance(past, RecurrentCache) or len(past) != len(self.layers):
            raise ModelError(
                f"The state must be the `past_key_values` that this model of {len(self.layers)} layers returned; "
                f"got {type(past).__name__}{f' of {len(past)} layers' if isinstance(past, RecurrentCache) else ''}."
            )
        if past.batch_size != batch_size:
            raise ModelError(
                f"The state belongs to a batch of {past.batch_size} texts, the input has {batch_size}. Start from no "
                "state, or keep the number of rows."
            )
        return list(past.states)

    def _loss_sum(self, states: Tensor, targets: Tensor, *, label_smoothing: float, sampled_softmax: int) -> Tensor:
        """Return the summed cross-entropy of `targets` in float32, without making all logits."""
        weight, bias = self.lm_head.weight, self.lm_head.bias
        if self.training and sampled_softmax:
            if label_smoothing:
                raise ModelError(
                    "Label smoothing needs the whole vocabulary and sampled softmax leaves most of it out; set one of "
                    "label_smoothing and sampled_softmax to 0."
                )
            return sampled_cross_entropy(states, weight, targets, bias=bias, num_samples=sampled_softmax)
        smoothing = label_smoothing if self.training else 0.0
        return linear_cross_entropy(states, weight, targets, bias=bias, label_smoothing=smoothing)


def _take_tokens(states: Tensor, order: Tensor) -> Tensor:
    """Reorder the tokens of each row; shapes (batch, tokens, width) and (batch, tokens)."""
    return states.gather(1, order.unsqueeze(-1).expand_as(states))
