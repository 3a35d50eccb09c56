"""The decoders: without attention (Sutskever et al. 2014), Luong et al. 2015, Bahdanau et al. 2015."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nlpladder.models.seq2seq.attention import (
    AdditiveAttention,
    Attention,
    ConcatAttention,
    DotAttention,
    GeneralAttention,
    additive_mask,
)
from nlpladder.models.seq2seq.cells import SteppedLayer, TimeDropout, recurrent_layer
from nlpladder.models.seq2seq.config import Seq2SeqConfig
from nlpladder.models.seq2seq.state import DecoderState


class Decoder(nn.Module):
    """The recurrent part that all decoders share; by itself the decoder without attention.

    Sutskever et al. 2014: the last state of the encoder is the first one of the decoder, and that is all it gets.

    Args:
        config: The shape.
        fed: Width of what a step feeds into the next one besides the token; 0 for nothing.
    """

    def __init__(self, config: Seq2SeqConfig, *, fed: int = 0) -> None:
        super().__init__()
        self.attention: Attention | None = None
        hidden = config.hidden_size
        self.fed = fed
        self.embed_tokens = nn.Embedding(
            config.target_vocab_size, config.embedding_size, padding_idx=config.pad_token_id
        )
        variational = config.variational_dropout
        self.embedding_dropout = TimeDropout(config.embedding_dropout, variational=variational)
        self.dropout = TimeDropout(config.dropout, variational=variational)
        sizes = [config.embedding_size + fed] + [hidden] * (config.decoder_layers - 1)
        self.layers = nn.ModuleList(recurrent_layer(config.cell, size, hidden) for size in sizes)
        # s_0 = tanh(W_s h) (Bahdanau 2015, A.2.2), for every layer, and for an LSTM its memory too.
        self.states_per_layer = 2 if config.cell == "lstm" else 1
        self.bridge = nn.Linear(
            config.encoder_layers * config.annotation_size, config.decoder_layers * self.states_per_layer * hidden
        )
        self.output_projection: nn.Module = nn.Identity()
        self.set_output(config)

    def set_output(self, config: Seq2SeqConfig) -> None:
        """Make what stands between the states and the output layer: a projection where the widths differ."""
        if config.output_size != config.hidden_size:
            self.output_projection = nn.Linear(config.hidden_size, config.output_size, bias=False)

    def initial_state(self, final_state: Tensor, annotations: Tensor) -> DecoderState:
        """Return the state before the first step.

        Args:
            final_state: The encoder's, shape (batch, encoder layers * annotation).
            annotations: Shape (batch, source, annotation).
        """
        states = torch.tanh(self.bridge(final_state)).unflatten(-1, (self.states_per_layer, len(self.layers), -1))
        cell = states[:, 1] if self.states_per_layer == 2 else None
        feed = states.new_zeros(len(states), self.fed) if self.feeds_output else None
        keys = None if self.attention is None else self.attention.keys(annotations)
        return DecoderState(states[:, 0], cell, feed, keys)

    @property
    def feeds_output(self) -> bool:
        """Whether the output of a step is an input of the next one."""
        return False

    def forward(
        self, decoder_input_ids: Tensor, annotations: Tensor, source_mask: Tensor, state: DecoderState
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Read the target tokens, each of which has seen those before it.

        Args:
            decoder_input_ids: y_{i-1}, shape (batch, target); padding stands on the right.
            annotations: h_j, shape (batch, source, annotation).
            source_mask: True at source tokens, shape (batch, source).
            state: The state before the first of these tokens.

        Returns:
            What the output layer reads (batch, target, output), the state after the last token, and the attention
            weights a_ij (batch, target, source) where there is attention.
        """
        embedded = self.embedding_dropout(self.embed_tokens(decoder_input_ids))  # (batch, target, embedding)
        states, hidden, cell = self.run_layers(embedded, state)
        after = DecoderState(hidden, cell, None, state.keys, state.length + decoder_input_ids.shape[1])
        return self.output_projection(self.dropout(states)), after, None

    def run_layers(self, embedded: Tensor, state: DecoderState) -> tuple[Tensor, Tensor, Tensor | None]:
        """Run all steps of all layers through the fused kernel, for inputs that are all known.

        Args:
            embedded: Shape (batch, target, embedding).
            state: The state before the first step.

        Returns:
            The last layer's states (batch, target, hidden), and hidden and cell of a `DecoderState`.
        """
        states, hiddens, cells = embedded, [], []
        for number, layer in enumerate(self.layers):
            if number:
                states = self.dropout(states)
            before = state.hidden[:, number].unsqueeze(0).contiguous()  # (1, batch, hidden)
            if state.cell is None:
                states, hidden = layer(states, before)
            else:
                states, (hidden, cell) = layer(states, (before, state.cell[:, number].unsqueeze(0).contiguous()))
                cells.append(cell.squeeze(0))
            hiddens.append(hidden.squeeze(0))
        return states, torch.stack(hiddens, dim=1), torch.stack(cells, dim=1) if cells else None

    def steps(self, embedded: Tensor, state: DecoderState) -> LayerSteps:
        """Prepare the layers for a loop over time."""
        return LayerSteps(self.layers, self.dropout, embedded, self.fed, state)  # type: ignore[arg-type]


class LayerSteps:
    """The stacked layers of a decoder, advanced step by step.

    Args:
        layers: Bottom first.
        dropout: Applied between layers.
        embedded: The target tokens, shape (batch, target, embedding).
        fed: Width of the lowest layer's other input.
        state: The state before the first step.
    """

    def __init__(
        self, layers: list[nn.LSTM | nn.GRU], dropout: TimeDropout, embedded: Tensor, fed: int, state: DecoderState
    ) -> None:
        hidden = state.hidden.shape[-1]
        self.layers = [
            SteppedLayer(layer, embedded if number == 0 else None, fed if number == 0 else hidden)
            for number, layer in enumerate(layers)
        ]
        between = len(layers) - 1 if dropout.active else 0
        self.masks = [dropout.mask(state.hidden, embedded.shape[1]).unbind(1) for _ in range(between)]
        self.hiddens = list(state.hidden.unbind(1))
        self.cells: list[Tensor | None] = [None] * len(layers) if state.cell is None else list(state.cell.unbind(1))

    @property
    def top(self) -> Tensor:
        """The last layer's state, shape (batch, hidden)."""
        return self.hiddens[-1]

    def advance(self, number: int, given: Tensor | None) -> Tensor:
        """Do step `number` with `given` (batch, fed) besides its token; return the last layer's state."""
        for depth, layer in enumerate(self.layers):
            if depth:
                below = self.hiddens[depth - 1]
                given = below * self.masks[depth - 1][number] if self.masks else below
            self.hiddens[depth], self.cells[depth] = layer.step(number, given, self.hiddens[depth], self.cells[depth])
        return self.top

    def state(self, feed: Tensor | None, keys: Tensor | None, length: int) -> DecoderState:
        """Return the state after the last step."""
        cells = [cell for cell in self.cells if cell is not None]
        return DecoderState(
            torch.stack(self.hiddens, dim=1), torch.stack(cells, dim=1) if cells else None, feed, keys, length
        )


class LuongDecoder(Decoder):
    """Attention *after* the recurrence (Luong et al. 2015).

    h_t = f(h_{t-1}, y_{t-1}),  a_t = softmax(score(h_t, h_s))  (eq. 7),  h~_t = tanh(W_c [c_t; h_t])  (eq. 5)

    With input feeding (section 3.3) h~_{t-1} is an input of step t, and the steps follow one another. Without it the
    recurrence does not depend on the attention, and all target steps are attended at once.
    """

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__(config, fed=config.hidden_size if config.input_feeding else 0)
        hidden, annotation = config.hidden_size, config.annotation_size
        if config.attention == "dot":
            self.attention = DotAttention()
        elif config.attention == "general":
            self.attention = GeneralAttention(hidden, annotation)
        else:
            self.attention = ConcatAttention(hidden, annotation, config.attention_size or hidden)
        self.attentional = nn.Linear(annotation + hidden, hidden, bias=False)  # W_c

    @property
    def feeds_output(self) -> bool:
        """Whether input feeding is on."""
        return self.fed > 0

    def forward(
        self, decoder_input_ids: Tensor, annotations: Tensor, source_mask: Tensor, state: DecoderState
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Read the target tokens; see `Decoder.forward`."""
        embedded = self.embedding_dropout(self.embed_tokens(decoder_input_ids))  # (batch, target, embedding)
        length = state.length + decoder_input_ids.shape[1]
        mask = additive_mask(source_mask)
        assert self.attention is not None
        assert state.keys is not None
        if not self.feeds_output:
            states, hidden, cell = self.run_layers(embedded, state)
            contexts, weights = self.attention(states, state.keys, annotations, mask)
            attentional = self.dropout(torch.tanh(self.attentional(torch.cat([contexts, states], dim=-1))))
            after = DecoderState(hidden, cell, None, state.keys, length)
            return self.output_projection(attentional), after, weights
        steps = self.steps(embedded, state)
        masks = self.dropout.mask(state.hidden, embedded.shape[1]).unbind(1) if self.dropout.active else None
        feed, attentionals, all_weights = state.feed, [], []
        for number in range(embedded.shape[1]):
            hidden = steps.advance(number, feed)
            context, weights = self.attention(hidden.unsqueeze(1), state.keys, annotations, mask)
            feed = torch.tanh(self.attentional(torch.cat([context.squeeze(1), hidden], dim=-1)))  # h~_t
            if masks is not None:
                feed = feed * masks[number]
            attentionals.append(feed)
            all_weights.append(weights)
        after = steps.state(feed, state.keys, length)
        return self.output_projection(torch.stack(attentionals, dim=1)), after, torch.cat(all_weights, dim=1)


class BahdanauDecoder(Decoder):
    """Attention *inside* the recurrence (Bahdanau et al. 2015).

    e_ij = a(s_{i-1}, h_j),  c_i = sum_j a_ij h_j  (eq. 5),  s_i = f(s_{i-1}, y_{i-1}, c_i)  (section 3.1),
    p(y_i) = g(y_{i-1}, s_i, c_i)  (eq. 4)

    g is the deep output with one maxout layer of section A.2.2. (The equation there is printed with s_{i-1}; eq. 4,
    and this class, have s_i.)
    """

    def __init__(self, config: Seq2SeqConfig) -> None:
        super().__init__(config, fed=config.annotation_size)
        attention_size = config.attention_size or config.hidden_size
        self.attention = AdditiveAttention(config.hidden_size, config.annotation_size, attention_size)

    def set_output(self, config: Seq2SeqConfig) -> None:
        """Make the maxout layer: U_o, V_o and C_o side by side, two pieces a unit."""
        read = config.hidden_size + config.embedding_size + config.annotation_size
        self.maxout = nn.Linear(read, 2 * config.output_size)

    def forward(
        self, decoder_input_ids: Tensor, annotations: Tensor, source_mask: Tensor, state: DecoderState
    ) -> tuple[Tensor, DecoderState, Tensor | None]:
        """Read the target tokens; see `Decoder.forward`."""
        embedded = self.embedding_dropout(self.embed_tokens(decoder_input_ids))  # (batch, target, embedding)
        mask = additive_mask(source_mask)
        assert self.attention is not None
        assert state.keys is not None
        steps = self.steps(embedded, state)
        states, contexts, all_weights = [], [], []
        for number in range(embedded.shape[1]):
            context, weights = self.attention(steps.top.unsqueeze(1), state.keys, annotations, mask)
            states.append(steps.advance(number, context.squeeze(1)))
            contexts.append(context)
            all_weights.append(weights)
        read = torch.cat([torch.stack(states, dim=1), embedded, torch.cat(contexts, dim=1)], dim=-1)
        # t_i = [max(t~_{i,2j-1}, t~_{i,2j})]_j
        maxout = self.maxout(read).unflatten(-1, (-1, 2)).amax(dim=-1)  # (batch, target, output)
        after = steps.state(None, state.keys, state.length + embedded.shape[1])
        return self.dropout(maxout), after, torch.cat(all_weights, dim=1)


def build_decoder(config: Seq2SeqConfig) -> Decoder:
    """Return the decoder of the paper that `config.attention` names."""
    if config.attention == "none":
        return Decoder(config)
    return BahdanauDecoder(config) if config.attention == "additive" else LuongDecoder(config)
