"""Shapes of Transformers: one set of fields for the encoder, the decoder and the encoder-decoder."""

from __future__ import annotations

from typing import Any, Literal

from transformers import PreTrainedConfig

from nlpladder.errors import ConfigError
from nlpladder.models.strict_config import strict_config
from nlpladder.nn.feed_forward import Activation
from nlpladder.nn.normalization import NormKind
from nlpladder.nn.positions import PositionKind


@strict_config
class TransformerConfig(PreTrainedConfig):
    """What all Transformers share; the defaults are those of a small model of Vaswani et al. 2017, in pre-norm.

    Attributes:
        vocab_size: Number of tokens, V (of the source, where source and target differ).
        hidden_size: Model width D.
        num_hidden_layers: Layers of the encoder, or of the only stack there is.
        num_attention_heads: Heads, H; divides `hidden_size`.
        num_key_value_heads: Heads of keys and values in self-attention (grouped queries); as many as H when None.
        intermediate_size: Inner width of the feed-forward network.
        activation: ``relu``, ``gelu``, ``gelu_tanh`` (GPT-2), ``silu``, ``relu_squared`` or ``swiglu`` (Llama).
        norm: ``layer`` (Ba et al. 2016) or ``rms`` (Zhang & Sennrich 2019).
        norm_epsilon: Keeps the normalisation's root away from zero.
        pre_norm: Normalise before each sub-layer (Xiong et al. 2020) instead of after the sum (the paper's way).
        final_norm: Normalise the last layer's states once more; None means: in pre-norm.
        qk_norm: Normalise queries and keys of self-attention (Henry et al. 2020).
        positions: ``sinusoidal``, ``sinusoidal_halves`` (Marian's order of columns), ``learned``, ``rotary``,
            ``alibi`` or ``none``.
        max_position_embeddings: Rows of the learnt table; for all others a length that callers should keep to, or None.
        rope_theta: Base of the rotary frequencies.
        attention_bias: Biases on the projections of attention.
        feed_forward_bias: Biases in the feed-forward network.
        scale_embeddings: Multiply the embeddings by sqrt(D) (section 3.4).
        embedding_norm: Normalise the sum of the embeddings, as BERT does.
        type_vocab_size: Number of token types (BERT's segments); 0 for none.
        dropout: On each sub-layer's output, in training.
        attention_dropout: On the attention weights; `dropout` when None.
        activation_dropout: Inside the feed-forward network; `dropout` when None.
        embedding_dropout: On the embeddings; `dropout` when None.
        initialization: ``xavier`` with embeddings N(0, 1/D), or ``normal``: N(0, `initializer_range`) for all.
        initializer_range: Standard deviation of ``normal``.
        residual_initialization: Of the two matrices of a layer that write to the residual stream: ``plain``,
            ``depth_scaled`` (divided by sqrt(2 layers), GPT-2) or ``zero`` (a layer starts as the identity).
    """

    vocab_size: int = 30_000
    hidden_size: int = 128
    num_hidden_layers: int = 4
    num_attention_heads: int = 4
    num_key_value_heads: int | None = None
    intermediate_size: int = 256
    activation: Activation = "relu"
    norm: NormKind = "layer"
    norm_epsilon: float = 1e-5
    pre_norm: bool = True
    final_norm: bool | None = None
    qk_norm: bool = False
    positions: PositionKind = "sinusoidal"
    max_position_embeddings: int | None = None
    rope_theta: float | int = 10_000.0
    attention_bias: bool = True
    feed_forward_bias: bool = True
    scale_embeddings: bool = True
    embedding_norm: bool = False
    type_vocab_size: int = 0
    dropout: float | int = 0.1
    attention_dropout: float | int | None = None
    activation_dropout: float | int | None = 0.0
    embedding_dropout: float | int | None = None
    initialization: Literal["xavier", "normal"] = "xavier"
    initializer_range: float = 0.02
    residual_initialization: Literal["plain", "depth_scaled", "zero"] = "plain"
    pad_token_id: int | None = 0
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    tie_word_embeddings: bool = False
    is_decoder: bool = False
    use_cache: bool = True

    def __post_init__(self, **others: Any) -> None:
        """Refuse sizes that do not fit each other.

        Raises:
            ConfigError: A value does not fit.
        """
        self._check_shape()
        super().__post_init__(**others)

    def _check_shape(self) -> None:
        heads, key_value_heads = self.num_attention_heads, self.num_key_value_heads or self.num_attention_heads
        for name in ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        if self.hidden_size % heads:
            raise ConfigError(f"hidden_size {self.hidden_size} is not divisible by num_attention_heads {heads}.")
        if heads % key_value_heads:
            raise ConfigError(f"num_attention_heads {heads} is not divisible by num_key_value_heads {key_value_heads}.")
        if self.positions == "rotary" and self.hidden_size // heads % 2:
            raise ConfigError(f"Rotary positions need an even head width; {self.hidden_size} / {heads} is odd.")
        if self.positions == "learned" and not self.max_position_embeddings:
            raise ConfigError("Learned positions need max_position_embeddings, the number of rows of their table.")
        for name in ("dropout", "attention_dropout", "activation_dropout", "embedding_dropout"):
            rate = getattr(self, name)
            if rate is not None and not 0 <= rate < 1:
                raise ConfigError(f"{name} is {rate}; a dropout rate is at least 0 and below 1.")

    def dropout_of(self, place: Literal["attention", "activation", "embedding"]) -> float:
        """Return the dropout at `place`, which falls back on `dropout`."""
        own = getattr(self, f"{place}_dropout")
        return float(self.dropout if own is None else own)


@strict_config
class TransformerClassifierConfig(TransformerConfig):
    """Shape of a Transformer text classifier; the fields of `TransformerConfig` and one more.

    Attributes:
        pooling: ``attention`` (Yang et al. 2016), or ``first``: BERT's tanh layer over the first token's state.
    """

    model_type = "nlpladder_transformer_classifier"

    num_hidden_layers: int = 2
    activation: Activation = "gelu"
    dropout: float | int = 0.2
    activation_dropout: float | int | None = None
    pooling: Literal["attention", "first"] = "attention"


@strict_config
class TransformerCausalLMConfig(TransformerConfig):
    """Shape of a decoder-only language model; the defaults are GPT-2's choices (Radford et al. 2019), small.

    nanoGPT's sizes: ``num_hidden_layers=4, num_attention_heads=4, hidden_size=128, intermediate_size=512,
    positions="learned", max_position_embeddings=64, activation="gelu", attention_bias=False, feed_forward_bias=False,
    dropout=0.0`` is its CPU model of tiny Shakespeare (its norms have no bias, ours have), ``6, 6, 384, 1536, 256,
    dropout 0.2`` its GPU model.

    Attributes:
        output_bias: Give the output layer a bias.
    """

    model_type = "nlpladder_transformer_causal_lm"

    intermediate_size: int = 512
    activation: Activation = "gelu"
    positions: PositionKind = "rotary"
    scale_embeddings: bool = False
    initialization: Literal["xavier", "normal"] = "normal"
    residual_initialization: Literal["plain", "depth_scaled", "zero"] = "depth_scaled"
    output_bias: bool = False
    bos_token_id: int | None = 3
    eos_token_id: int | list[int] | None = 3
    tie_word_embeddings: bool = True
    is_decoder: bool = True


@strict_config
class TransformerEncoderDecoderConfig(TransformerConfig):
    """Shape of an encoder-decoder (Vaswani et al. 2017, figure 1).

    Attributes:
        num_decoder_layers: Layers of the decoder; as many as the encoder's when not given.
        decoder_vocab_size: Number of target tokens; not given when source and target share one vocabulary.
        tie_word_embeddings: Output layer = target embedding ("2-way").
        tie_encoder_decoder_embeddings: Source embedding = target embedding; with the output tied too, "3-way" (Press &
            Wolf 2017). Needs a shared vocabulary; not given: where `decoder_vocab_size` is not.
        output_bias: Give the output layer a bias (Marian's ``final_logits_bias``).
    """

    model_type = "nlpladder_transformer_encoder_decoder"

    num_decoder_layers: int | None = None
    decoder_vocab_size: int | None = None
    tie_encoder_decoder_embeddings: bool | None = None
    output_bias: bool = False
    bos_token_id: int | None = 2
    eos_token_id: int | list[int] | None = 3
    decoder_start_token_id: int | None = 2
    tie_word_embeddings: bool = True
    is_encoder_decoder: bool = True

    def __post_init__(self, **others: Any) -> None:
        """Resolve what depends on other fields; see the base class."""
        # transformers reads decoder_vocab_size as the vocab_size of the decoder: it must not stay None.
        if self.tie_encoder_decoder_embeddings is None:
            self.tie_encoder_decoder_embeddings = self.decoder_vocab_size is None
        if self.decoder_vocab_size is None:
            self.decoder_vocab_size = self.vocab_size
        if self.num_decoder_layers is None:
            self.num_decoder_layers = self.num_hidden_layers
        super().__post_init__(**others)

    def _check_shape(self) -> None:
        super()._check_shape()
        if (self.num_decoder_layers or 0) < 1:
            raise ConfigError(f"num_decoder_layers is {self.num_decoder_layers}; it must be at least 1.")
        if self.tie_encoder_decoder_embeddings and self.decoder_vocab_size != self.vocab_size:
            raise ConfigError(
                f"tie_encoder_decoder_embeddings needs one vocabulary; the source has {self.vocab_size} tokens, the "
                f"target {self.decoder_vocab_size}."
            )
