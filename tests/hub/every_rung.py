"""A small model of every class that nlpladder saves, with random weights: for tests of saving, pushing and loading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from helpers import review_rows, tiny_bert_folder, word_tokenizer
from models.ngram.back_off_reference import WORDS, levels_of, normalised_model

LABELS = ("negative", "positive")
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}


def save_classic(root: Path) -> None:
    """Save the rungs without a torch module: counts, vectors and n-grams."""
    from nlpladder.models.counts.linear import LinearTextClassifier
    from nlpladder.models.counts.majority import MajorityClassifier
    from nlpladder.models.counts.naive_bayes import NaiveBayesClassifier
    from nlpladder.models.ngram.cache import CacheLanguageModel
    from nlpladder.models.ngram.interpolation import InterpolatedLanguageModel
    from nlpladder.models.ngram.model import NGramLanguageModel
    from nlpladder.models.vectors.mean_vectors import MeanVectorsClassifier
    from nlpladder.models.vectors.word_vectors import WordVectors

    rows = review_rows(60)
    texts, labels = [text for text, _ in rows], [label for _, label in rows]
    for name, model in {
        "majority": MajorityClassifier(label_names=LABELS),
        "naive_bayes": NaiveBayesClassifier(label_names=LABELS),
        "linear": LinearTextClassifier(label_names=LABELS),
        "mean_vectors": MeanVectorsClassifier(label_names=LABELS, vector_size=4, epochs=1),
    }.items():
        model.fit(texts, labels)
        model.save_pretrained(root / name)
    vectors = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)
    WordVectors([f"word{number}" for number in range(30)], vectors).save_pretrained(root / "word_vectors")

    def ngram(seed: int, order: int) -> Any:
        return NGramLanguageModel.from_levels(levels_of(normalised_model(order, seed, WORDS), order), WORDS)

    ngram(1, 3).save_pretrained(root / "ngram")
    mixture = InterpolatedLanguageModel(models=[ngram(1, 3), ngram(2, 2)], weights=[2, 1])
    mixture.save_pretrained(root / "interpolated")
    CacheLanguageModel(model=ngram(1, 2), weight=0.4, decay=0.8).save_pretrained(root / "cache")


def save_neural(root: Path) -> None:
    """Save our own torch models: classifiers, language models, translators."""
    import torch

    from nlpladder.models.classifiers.bag_of_ngrams import BagOfNgramsConfig, BagOfNgramsForSequenceClassification
    from nlpladder.models.classifiers.recurrent import RecurrentClassifierConfig, RecurrentForSequenceClassification
    from nlpladder.models.classifiers.text_cnn import TextCNNConfig, TextCNNForSequenceClassification
    from nlpladder.models.neural_language_model import NeuralLanguageModel
    from nlpladder.models.pretrained.loading import register_own_models
    from nlpladder.models.recurrent_lm.config import RecurrentLMConfig
    from nlpladder.models.recurrent_lm.model import RecurrentForCausalLM
    from nlpladder.models.seq2seq.config import Seq2SeqConfig
    from nlpladder.models.seq2seq.model import Seq2SeqForConditionalGeneration
    from nlpladder.models.sequence_classifier import SequenceClassifier
    from nlpladder.models.transformer.causal_lm import TransformerForCausalLM
    from nlpladder.models.transformer.classifier import (
        TransformerClassifierConfig,
        TransformerForSequenceClassification,
    )
    from nlpladder.models.transformer.config import TransformerCausalLMConfig, TransformerEncoderDecoderConfig
    from nlpladder.models.transformer.encoder_decoder import TransformerForConditionalGeneration
    from nlpladder.models.translation import Translator
    from tiny_chat_models import byte_language_model
    from tiny_text_to_text import toy_tokenizer

    register_own_models()
    torch.manual_seed(0)
    words, pairs = word_tokenizer(), toy_tokenizer()
    shape = {"vocab_size": len(words), "hidden_size": 16, "num_labels": 2}
    heads = {"num_attention_heads": 2, "intermediate_size": 16}
    for name, model in {
        "bag_of_ngrams": BagOfNgramsForSequenceClassification(BagOfNgramsConfig(**shape, num_buckets=97)),
        "text_cnn": TextCNNForSequenceClassification(TextCNNConfig(**shape, num_filters=8)),
        "bilstm": RecurrentForSequenceClassification(RecurrentClassifierConfig(**shape)),
        "transformer": TransformerForSequenceClassification(TransformerClassifierConfig(**shape, **heads)),
    }.items():
        SequenceClassifier(model.eval(), words).save_pretrained(root / name)
    vocabulary = {"vocab_size": len(byte_language_model().tokenizer)}
    recurrent = RecurrentForCausalLM(RecurrentLMConfig(**vocabulary, embedding_size=12, hidden_size=12))
    causal = TransformerForCausalLM(TransformerCausalLMConfig(**vocabulary, **SMALL, max_position_embeddings=64))
    for name, model in {"lstm_lm": recurrent, "transformer_lm": causal}.items():
        NeuralLanguageModel(model.eval(), byte_language_model(instructed=False).tokenizer).save_pretrained(root / name)
    sizes = {"vocab_size": len(pairs), "decoder_vocab_size": len(pairs)}
    seq2seq = Seq2SeqForConditionalGeneration(Seq2SeqConfig(**sizes, embedding_size=16, hidden_size=16))
    transformer = TransformerForConditionalGeneration(
        TransformerEncoderDecoderConfig(vocab_size=len(pairs), **SMALL, max_position_embeddings=64)
    )
    for name, model in {"seq2seq": seq2seq, "transformer_translation": transformer}.items():
        Translator(model.eval(), pairs).save_pretrained(root / name)


def save_pretrained_kinds(root: Path) -> None:
    """Save fine-tuned models of transformers, a chat model, pretrained encoders, and adapters on some of them."""
    from models.tiny_pretrained import tiny_checkpoint
    from nlpladder.models.pretrained.opening import open_pretrained
    from nlpladder.models.question_answerer import QuestionAnswerer
    from nlpladder.models.sentence_pooling import Pooling
    from nlpladder.models.sequence_classifier import SequenceClassifier
    from nlpladder.models.text_encoder import SentenceEncoder
    from nlpladder.models.token_classifier import TokenClassifier
    from tiny_chat_models import byte_language_model
    from tiny_text_to_text import tiny_t5_folder

    encoder = str(tiny_bert_folder(root / "encoder"))
    holders = {"classification": SequenceClassifier, "token_classification": TokenClassifier}
    names = {"classification": LABELS, "token_classification": ("O", "B-X")}
    for head, holder in {**holders, "question_answering": QuestionAnswerer}.items():
        opened = open_pretrained(encoder, head=head, label_names=names.get(head, ()))
        holder(opened.model, opened.tokenizer).save_pretrained(root / f"bert_{head}")
    masked = open_pretrained(encoder, head="masked")
    pooling = Pooling(prompt="the film was ", max_length=12)
    SentenceEncoder(masked.model.base_model, masked.tokenizer, pooling=pooling).save_pretrained(root / "sentences")
    byte_language_model().save_pretrained(root / "chat")
    tiny_t5_folder(root / "t5")
    llama = tiny_checkpoint("llama", root / "llama")
    save_adapter(encoder, root / "lora_classifier", "classification")
    save_adapter(llama, root / "lora_language_model", "causal")


def save_adapter(base: str, folder: Path, head: Any) -> None:
    """Save a random LoRA adapter on a base."""
    import torch

    from nlpladder.models.pretrained.adapter_files import save_model
    from nlpladder.models.pretrained.adapters import add_adapter
    from nlpladder.models.pretrained.opening import open_pretrained
    from nlpladder.models.pretrained.peft_options import PeftOptions

    torch.manual_seed(0)
    opened = open_pretrained(base, head=head, label_names=LABELS if head == "classification" else ())
    options = PeftOptions(rank=2, dropout=0.0)
    model = add_adapter(opened.model, method="lora", options=options, head=head, fresh=opened.fresh, base_name=base)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    save_model(model, folder)
    opened.tokenizer.save_pretrained(folder)


#: What saves a part of the rungs, and the number of models that it writes.
PARTS: dict[str, tuple[Callable[[Path], None], int]] = {
    "classic": (save_classic, 8),
    "neural": (save_neural, 8),
    "pretrained": (save_pretrained_kinds, 10),
}
