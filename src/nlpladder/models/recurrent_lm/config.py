"""The shape of a recurrent language model."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal

from transformers import PreTrainedConfig

from nlpladder.errors import ConfigError
from nlpladder.models.strict_config import strict_config


@strict_config
class RecurrentLMConfig(PreTrainedConfig):
    """Shape and regularisation of a recurrent language model.

    The defaults are the "2x200 tied" model of the WikiText-2 word benchmark. AWD-LSTM (Merity et al. 2018) is::

        RecurrentLMConfig(embedding_size=400, hidden_size=1150, num_hidden_layers=3, embedding_dropout=0.1,
                          input_dropout=0.65, hidden_dropout=0.3, output_dropout=0.4, weight_dropout=0.5)

    Attributes:
        vocab_size: Number of tokens, V.
        cell: ``rnn`` (Elman), ``gru`` or ``lstm``.
        embedding_size: Width of a token's vector, E.
        hidden_size: Width of the hidden state of a layer, H.
        num_hidden_layers: Stacked layers.
        tie_word_embeddings: One table for input and output (Press & Wolf 2017). The last layer is then E wide, so that
            its state meets the table without a projection (Merity et al. 2018, section 4.5).
        output_bias: A bias for each token in the output layer.
        embedding_dropout: Share of the words dropped everywhere in a block (Gal & Ghahramani 2016, section 4.2).
        input_dropout: On the embedded tokens.
        hidden_dropout: Between layers.
        output_dropout: On the last layer's states.
        locked_dropout: Keep the mask of the three dropouts above over the tokens of a block ("variational" dropout);
            else draw it anew for each token (Zaremba et al. 2014).
        weight_dropout: DropConnect on the recurrent weights (Merity et al. 2018, section 2).
        layer_norm: Normalise the sums inside the cells (Ba et al. 2016). Runs unfused, so it is several times slower.
        initial_embedding_range: Embeddings start uniform in plus or minus this; None means normal with standard
            deviation E ** -0.5.
        use_cache: Return the state, which `generate` feeds back.
    """

    model_type = "nlpladder_recurrent_lm"
    keys_to_ignore_at_inference = ("past_key_values",)  # Trainer gathers what a model returns, and not its state

    vocab_size: int = 33_278
    cell: Literal["rnn", "gru", "lstm"] = "lstm"
    embedding_size: int = 200
    hidden_size: int = 200
    num_hidden_layers: int = 2
    tie_word_embeddings: bool = True
    output_bias: bool = True
    embedding_dropout: float | int = 0.0
    input_dropout: float | int = 0.2
    hidden_dropout: float | int = 0.2
    output_dropout: float | int = 0.2
    locked_dropout: bool = False
    weight_dropout: float | int = 0.0
    layer_norm: bool = False
    initial_embedding_range: float | int | None = None
    use_cache: bool = True
    pad_token_id: int | None = 0
    bos_token_id: int | None = 3
    eos_token_id: int | list[int] | None = 3
    is_decoder: bool = True

    def __post_init__(self, **others: Any) -> None:
        """Check that the sizes and rates make sense together.

        Raises:
            ConfigError: One of them does not.
        """
        for name in ("vocab_size", "embedding_size", "hidden_size", "num_hidden_layers"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        for name in ("embedding", "input", "hidden", "output", "weight"):
            rate = getattr(self, f"{name}_dropout")
            if not 0 <= rate < 1:
                raise ConfigError(f"{name}_dropout is {rate}; a dropout rate is at least 0 and below 1.")
        super().__post_init__(**others)

    def layer_sizes(self) -> list[tuple[int, int]]:
        """Return (input width, hidden width) of each layer, from the first to the last."""
        widths = [self.embedding_size, *[self.hidden_size] * self.num_hidden_layers]
        if self.tie_word_embeddings:
            widths[-1] = self.embedding_size
        return list(pairwise(widths))
