"""Every config of ours refuses wrong types and misspelt names, with a sentence."""

from __future__ import annotations

import pytest

from nlpladder.errors import ConfigError
from nlpladder.models.classifiers.bag_of_ngrams import BagOfNgramsConfig
from nlpladder.models.classifiers.recurrent import RecurrentClassifierConfig
from nlpladder.models.classifiers.text_cnn import TextCNNConfig
from nlpladder.models.recurrent_lm.config import RecurrentLMConfig
from nlpladder.models.seq2seq.config import Seq2SeqConfig
from nlpladder.models.transformer.config import (
    TransformerCausalLMConfig,
    TransformerClassifierConfig,
    TransformerEncoderDecoderConfig,
)

CONFIGS = [
    BagOfNgramsConfig,
    RecurrentClassifierConfig,
    TextCNNConfig,
    RecurrentLMConfig,
    Seq2SeqConfig,
    TransformerCausalLMConfig,
    TransformerClassifierConfig,
    TransformerEncoderDecoderConfig,
]


@pytest.mark.parametrize("config", CONFIGS)
def test_a_misspelt_name_and_a_wrong_type_are_refused_and_a_file_is_read_back(config, tmp_path):
    with pytest.raises(ConfigError, match="Did you mean 'vocab_size'"):
        config(vocab_sise=30)
    with pytest.raises(ConfigError, match="vocab_size"):
        config(vocab_size="thirty")
    made = config(vocab_size=30, id2label={0: "bad", 1: "good"}, label2id={"bad": 0, "good": 1})
    made.save_pretrained(tmp_path)
    assert config.from_pretrained(tmp_path).to_dict() == made.to_dict()
