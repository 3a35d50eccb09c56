"""The shape of a recurrent encoder-decoder."""

from __future__ import annotations

from typing import Any, Literal

from transformers import PreTrainedConfig

from nlpladder.errors import ConfigError
from nlpladder.models.strict_config import strict_config


@strict_config
class Seq2SeqConfig(PreTrainedConfig):
    """Shape of a recurrent encoder-decoder with or without attention.

    Attributes:
        vocab_size: Number of source tokens, K_x.
        decoder_vocab_size: Number of target tokens, K_y; `vocab_size` when not given.
        embedding_size: Width of an embedding, m.
        hidden_size: Width of a decoder state, n.
        encoder_hidden_size: Width of one direction of the encoder. When not given, an annotation is as wide as a
            decoder state: ``hidden_size / 2`` for each of two directions, `hidden_size` for one.
        encoder_layers: Stacked recurrent layers of the encoder.
        decoder_layers: Stacked recurrent layers of the decoder.
        cell: ``lstm`` (Hochreiter & Schmidhuber 1997) or ``gru`` (Cho et al. 2014).
        bidirectional: The encoder reads the source in both directions (Bahdanau et al. 2015, section 3.2).
        attention: ``none`` (Sutskever et al. 2014: the last encoder state is all the decoder gets), ``additive``
            (Bahdanau et al. 2015), or ``dot``, ``general``, ``concat`` (Luong et al. 2015, eq. 8).
        attention_size: Width of the hidden layer of the scores ``additive`` and ``concat``; `hidden_size` when not
            given.
        input_feeding: The attentional state of a step is an input of the next one (Luong et al. 2015, section 3.3).
            Without it ``dot``, ``general`` and ``concat`` train much faster, since all target steps are computed at
            once. ``additive`` feeds the context into the state by definition, ``none`` has nothing to feed; both leave
            the field unread.
        dropout: On the states between layers, on the annotations and on what the output layer reads, in training.
        embedding_dropout: On the embeddings, in training.
        variational_dropout: One dropout mask for all steps of a text (Gal & Ghahramani 2016) instead of one a step.
        tie_word_embeddings: The output layer is the target embedding (Press & Wolf 2017).
        tie_encoder_decoder_embeddings: Source and target share one embedding, for a joint vocabulary; needs
            `tie_word_embeddings`.
    """

    model_type = "nlpladder_seq2seq"
    keys_to_ignore_at_inference = ("past_key_values",)

    vocab_size: int = 8_000
    decoder_vocab_size: int | None = None
    embedding_size: int = 256
    hidden_size: int = 256
    encoder_hidden_size: int | None = None
    encoder_layers: int = 1
    decoder_layers: int = 1
    cell: Literal["lstm", "gru"] = "lstm"
    bidirectional: bool = True
    attention: Literal["none", "additive", "dot", "general", "concat"] = "additive"
    attention_size: int | None = None
    input_feeding: bool = True
    dropout: float | int = 0.2
    embedding_dropout: float | int = 0.2
    variational_dropout: bool = False
    pad_token_id: int | None = 0
    bos_token_id: int | None = 2
    eos_token_id: int | list[int] | None = 3
    decoder_start_token_id: int | None = 2
    is_encoder_decoder: bool = True
    is_decoder: bool = False
    use_cache: bool = True
    tie_word_embeddings: bool = True
    tie_encoder_decoder_embeddings: bool = False

    def __post_init__(self, **others: Any) -> None:
        # transformers reads decoder_vocab_size as the vocab_size of the decoder: it must not stay None.
        self.decoder_vocab_size = self.target_vocab_size
        super().__post_init__(**others)

    @property
    def target_vocab_size(self) -> int:
        """Number of target tokens."""
        return self.vocab_size if self.decoder_vocab_size is None else self.decoder_vocab_size

    @property
    def direction_size(self) -> int:
        """Width of the state of one direction of the encoder."""
        if self.encoder_hidden_size is not None:
            return self.encoder_hidden_size
        return self.hidden_size // 2 if self.bidirectional else self.hidden_size

    @property
    def annotation_size(self) -> int:
        """Width of an annotation h_j: both directions of the encoder."""
        return self.direction_size * (2 if self.bidirectional else 1)

    @property
    def output_size(self) -> int:
        """Width of what the output layer reads: the embedding's when the two are tied."""
        return self.embedding_size if self.tie_word_embeddings else self.hidden_size

    def check(self) -> None:
        """Raise a `ConfigError` for settings that contradict each other."""
        sizes = ("vocab_size", "embedding_size", "hidden_size", "encoder_layers", "decoder_layers")
        for name in sizes:
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be at least 1.")
        for name in ("dropout", "embedding_dropout"):
            if not 0 <= getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; expected a probability: 0 <= {name} < 1.")
        if self.direction_size < 1 or (
            self.bidirectional and self.encoder_hidden_size is None and self.hidden_size % 2
        ):
            raise ConfigError(
                f"hidden_size is {self.hidden_size}, which two directions of the encoder cannot share. Give an even "
                "hidden_size, or say the width of one direction: encoder_hidden_size."
            )
        if self.attention == "dot" and self.annotation_size != self.hidden_size:
            raise ConfigError(
                f"The dot score multiplies a decoder state of width {self.hidden_size} with an annotation of width "
                f"{self.annotation_size}; they must be equal. Leave encoder_hidden_size out, or use attention=general."
            )
        if self.tie_encoder_decoder_embeddings:
            if not self.tie_word_embeddings:
                raise ConfigError("tie_encoder_decoder_embeddings needs tie_word_embeddings: all three tables are one.")
            if self.target_vocab_size != self.vocab_size:
                raise ConfigError(
                    f"Source and target cannot share one embedding: the vocabularies have {self.vocab_size} and "
                    f"{self.target_vocab_size} entries. Train one joint vocabulary for both."
                )
