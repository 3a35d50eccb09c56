"""Our beam search finds what ``generate()`` of transformers finds, whatever the model, and lets sentences leave."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    MarianConfig,
    MarianMTModel,
    T5Config,
    T5ForConditionalGeneration,
)

from nlpladder.models.beam_search import beam_search
from nlpladder.models.seq2seq.config import Seq2SeqConfig
from nlpladder.models.seq2seq.model import Seq2SeqForConditionalGeneration
from nlpladder.models.transformer.config import TransformerEncoderDecoderConfig
from nlpladder.models.transformer.encoder_decoder import TransformerForConditionalGeneration
from nlpladder.models.translation_search import search, search_rules, source_batch

VOCABULARY, PAD, START, END = 23, 0, 2, 3
SOURCES = [[5, 6, 7, 8, 9, END], [10, 11, END], [12, 13, 14, 15, 16, 17, 18, END], [19, END], [20, 21, 22, END]]
LIMITS = [9, 4, 12, 1, 7]


def ours():
    return TransformerForConditionalGeneration(
        TransformerEncoderDecoderConfig(
            vocab_size=VOCABULARY, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
            pad_token_id=PAD, bos_token_id=START, eos_token_id=END, decoder_start_token_id=START,
            is_encoder_decoder=True,
        )
    )  # fmt: skip


def recurrent(cell="lstm", attention="additive"):
    return Seq2SeqForConditionalGeneration(
        Seq2SeqConfig(
            vocab_size=VOCABULARY, embedding_size=16, hidden_size=16, cell=cell, attention=attention,
            pad_token_id=PAD, bos_token_id=START, eos_token_id=END, decoder_start_token_id=START,
        )
    )  # fmt: skip


def marian():
    return MarianMTModel(
        MarianConfig(
            vocab_size=VOCABULARY, d_model=16, encoder_layers=2, decoder_layers=2, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64,
            pad_token_id=PAD, eos_token_id=END, decoder_start_token_id=START, forced_eos_token_id=None,
        )
    )  # fmt: skip


def bart():
    return BartForConditionalGeneration(
        BartConfig(
            vocab_size=VOCABULARY, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, max_position_embeddings=64,
            pad_token_id=PAD, bos_token_id=START, eos_token_id=END, decoder_start_token_id=END,
            forced_eos_token_id=None,
        )
    )  # fmt: skip


def t5():
    return T5ForConditionalGeneration(
        T5Config(
            vocab_size=VOCABULARY, d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2,
            pad_token_id=PAD, eos_token_id=END, decoder_start_token_id=PAD,
        )
    )  # fmt: skip


MODELS = {
    "ours": ours, "lstm": recurrent, "gru, dot": lambda: recurrent("gru", "dot"),
    "no attention": lambda: recurrent(attention="none"), "marian": marian, "bart": bart, "t5": t5,
}  # fmt: skip


def build(name, seed=1):
    """Return a model whose distributions are uneven and in which the end mark is likely, each source to its degree."""
    torch.manual_seed(seed)
    model = MODELS[name]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.mul_(2.0)

    def favour_the_end(module, given, output):
        spread = output.logits.std(dim=-1)
        output.logits[..., END] = output.logits.mean(dim=-1) + 1.9 * spread

    model.register_forward_hook(favour_the_end)
    return model


def start_of(model):
    return model.generation_config.decoder_start_token_id


def ours_of(model, sources, limits, **options):
    input_ids, mask = source_batch(sources, PAD, torch.device("cpu"))
    with torch.inference_mode():
        encoded = model.get_encoder()(input_ids=input_ids, attention_mask=mask, return_dict=True)
    return beam_search(
        model, encoded, mask, start=start_of(model), ends=[END], limits=limits,
        processors=search_rules(model.generation_config), **options,
    )  # fmt: skip


def theirs(model, source, limit, num_beams, length_penalty):
    """Return what generate() finds for one sentence alone."""
    found = model.generate(
        input_ids=torch.tensor([source]), num_beams=num_beams, num_return_sequences=num_beams, do_sample=False,
        length_penalty=length_penalty, max_new_tokens=limit, return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip
    rows = []
    for sequence in found.sequences[:, 1:].tolist():
        end = sequence.index(END) + 1 if END in sequence else limit
        rows.append(sequence[:end])
    return rows, None if num_beams == 1 else found.sequences_scores.tolist()


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("num_beams", [1, 2, 5])
@pytest.mark.parametrize("length_penalty", [0.0, 0.6, 1.0, 2.0])
def test_it_finds_what_generate_finds(name, num_beams, length_penalty):
    model = build(name)
    found = ours_of(model, SOURCES, LIMITS, num_beams=num_beams, length_penalty=length_penalty)
    for source, limit, several in zip(SOURCES, LIMITS, found, strict=True):
        rows, scores = theirs(model, source, limit, num_beams, length_penalty)
        assert [one.ids for one in several] == rows
        if scores is not None:
            assert [one.score for one in several] == pytest.approx(scores, abs=1e-4)


def test_translations_end_at_different_lengths():
    """Else the test above would not see sentences leave the batch."""
    found = ours_of(build("lstm", seed=3), SOURCES, [20] * 5, num_beams=5)
    assert len({max(len(one.ids) for one in several) for several in found}) > 1
    assert any(one.ids[-1] == END for several in found for one in several)


@pytest.mark.parametrize("name", ["ours", "lstm", "t5"])
def test_the_neighbours_of_a_sentence_change_nothing(name):
    model = build(name, seed=3)
    together = ours_of(model, SOURCES * 4, [*LIMITS, *[15] * 15], num_beams=3)
    for number, (source, limit) in enumerate(zip(SOURCES * 4, [*LIMITS, *[15] * 15], strict=True)):
        (alone,) = ours_of(model, [source], [limit], num_beams=3)
        assert [one.ids for one in together[number]] == [one.ids for one in alone]
        assert [one.score for one in together[number]] == pytest.approx([one.score for one in alone], abs=1e-4)


def test_sentences_that_are_done_leave_the_batch():
    model = build("ours")
    sizes = []
    forward = model.forward
    model.forward = lambda **given: sizes.append(len(given["decoder_input_ids"])) or forward(**given)
    ours_of(model, SOURCES, LIMITS, num_beams=5)
    assert sizes[0] == 25
    assert sizes[-1] < 25
    assert sizes == sorted(sizes, reverse=True)


def test_a_wider_beam_than_the_vocabulary_is_no_trouble():
    torch.manual_seed(0)
    config = TransformerEncoderDecoderConfig(
        vocab_size=6, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, pad_token_id=PAD,
        bos_token_id=START, eos_token_id=END, decoder_start_token_id=START, is_encoder_decoder=True,
    )  # fmt: skip
    (found,) = ours_of(TransformerForConditionalGeneration(config).eval(), [[4, END]], [3], num_beams=8)
    assert 1 <= len(found) <= 8
    assert len({tuple(one.ids) for one in found}) == len(found), "a translation was found twice"


def test_tokens_that_are_never_written_keep_their_share_of_the_probability():
    model = build("ours")
    (plain,) = ours_of(model, [SOURCES[0]], [6], num_beams=4)
    banned = plain[0].ids[0]
    (found,) = ours_of(model, [SOURCES[0]], [6], num_beams=4, never=[banned])
    assert all(banned not in one.ids for one in found)
    rows, scores = [], []
    answer = model.generate(
        input_ids=torch.tensor([SOURCES[0]]), num_beams=4, num_return_sequences=4, max_new_tokens=6, do_sample=False,
        suppress_tokens=[banned], return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip
    for sequence in answer.sequences[:, 1:].tolist():
        rows.append(sequence[: sequence.index(END) + 1] if END in sequence else sequence)
    scores = answer.sequences_scores.tolist()
    assert [one.ids for one in found] == rows
    assert [one.score for one in found] == pytest.approx(scores, abs=1e-4)


@pytest.mark.parametrize(
    "rules",
    [
        {"no_repeat_ngram_size": 2}, {"forced_bos_token_id": 7}, {"min_length": 6}, {"min_new_tokens": 5},
        {"repetition_penalty": 1.5}, {"bad_words_ids": [[8], [9, 10]]}, {"suppress_tokens": [11, 12]},
    ],
    ids=lambda rules: next(iter(rules)),
)  # fmt: skip
def test_the_rules_a_model_is_published_with_hold(rules):
    model = build("bart")
    for name, value in rules.items():
        setattr(model.generation_config, name, value)
    for source, several in zip(SOURCES, ours_of(model, SOURCES, [10] * 5, num_beams=3), strict=True):
        assert [one.ids for one in several] == theirs(model, source, 10, 3, 1.0)[0]


def test_search_returns_fewer_hypotheses_where_there_are_fewer():
    torch.manual_seed(0)
    config = TransformerEncoderDecoderConfig(
        vocab_size=6, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, pad_token_id=PAD,
        bos_token_id=START, eos_token_id=END, decoder_start_token_id=START, is_encoder_decoder=True,
    )  # fmt: skip
    model = TransformerForConditionalGeneration(config).eval()
    found = search(
        model, [[4, END], [5, 4, END]], limits=[1, 2], num_beams=8, length_penalty=1.0, num_hypotheses=8,
        with_attention=True, attention_layer=None, never=[PAD, START],
    )  # fmt: skip
    assert len(found) == 2
    assert [len(several) for several in found] == [4, 8]
    assert all(one.log_probability < 0 for several in found for one in several)
