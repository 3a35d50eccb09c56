"""What a model is asked: one text or many, the same answers; texts beyond the limit; what comes back is plain."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import nlpladder
from nlpladder.errors import ConfigError, ModelError
from nlpladder.evaluation.language_modeling import TextLosses, metric_values
from nlpladder.generation import GenerationOptions
from nlpladder.serving.engines import TokenCounter, answer_fitting, engines_of
from nlpladder.serving.jobs import Item, ItemResult, RefusedItemError
from serving.models import SERVED, TEXTS, items_of, parameters_of

LONG = "the film was really good and " * 40


@pytest.fixture(scope="module")
def opened(served_folder):
    """Open each model once; give the model and its engines."""
    found = {}

    def open_one(name):
        if name not in found:
            model = nlpladder.load(str(served_folder(name)))
            found[name] = model, engines_of(model)
        return found[name]

    return open_one


def close(one, other):
    """Whether two values are the same but for the rounding of float32."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(close, one, other))
    if isinstance(one, float):
        return math.isclose(one, other, rel_tol=1e-5, abs_tol=1e-5)
    return one == other


@pytest.mark.parametrize("name", SERVED)
def test_a_model_offers_what_it_can_do(name, opened):
    model, engines = opened(name)
    assert engines.tasks == SERVED[name][1]
    assert engines.parameters == model.num_parameters()
    engines.warm_up()


@pytest.mark.parametrize("name", [name for name, (_, tasks) in SERVED.items() if tasks != ("generate",)])
def test_a_text_gets_the_same_answer_alone_and_among_others(name, opened):
    _, engines = opened(name)
    for task, engine in engines.by_task.items():
        items, parameters = items_of(task), parameters_of(task)
        together = engine.answer(items, parameters, truncate=False)
        alone = [engine.answer([item], parameters, truncate=False)[0] for item in items]
        assert len(together) == len(items)
        for one, other in zip(together, alone, strict=True):
            assert (one.error, one.truncated, one.tokens) == (other.error, other.truncated, other.tokens)
            assert close(one.value, other.value)
        assert json.loads(json.dumps([result.value for result in together], allow_nan=False))


@pytest.mark.parametrize("name", ["linear", "bert_classification"])
def test_classes_are_those_of_predict_proba(name, opened):
    model, engines = opened(name)
    results = engines.by_task["classify"].answer(items_of("classify"), {}, truncate=False)
    rows = model.predict_proba(list(TEXTS))
    for result, row in zip(results, rows, strict=True):
        assert list(result.value["probabilities"].values()) == pytest.approx(row.tolist())
        assert result.value["label"] == model.label_names[int(np.argmax(row))]
    assert engines.label_names == model.label_names
    assert engines.label_task == "single_label"


def test_labels_and_values_of_other_classifiers():
    class Classifier:
        def __init__(self, task, names, row):
            self.task, self.label_names, self.row = task, names, row

        def predict_proba(self, texts):
            return np.array([self.row for _ in texts])

        def num_parameters(self):
            return 1

    def ask(*arguments):
        return engines_of(Classifier(*arguments)).by_task["classify"].answer([Item("a")], {}, truncate=False)[0].value

    assert ask("regression", ("score",), [2.5]) == {"value": 2.5}
    several = ask("multi_label", ("a", "b", "c"), [0.5, 0.4, 0.9])
    assert several == {"labels": ["a", "c"], "probabilities": {"a": 0.5, "b": 0.4, "c": 0.9}}


def test_what_a_classifier_would_cut_is_refused_or_said_to_be_cut(opened):
    model, engines = opened("bert_classification")
    classify = engines.by_task["classify"]
    count = len(model.tokenizer(LONG)["input_ids"])
    assert engines.max_tokens == model.max_length == 64 < count
    short, long = Item(TEXTS[0]), Item(LONG)
    results = classify.answer([long, short], {}, truncate=False)
    assert results[0].value is None
    assert (results[0].error.code, results[0].error.limit, results[0].error.value) == ("too_long", 64, count)
    assert "truncate: true" in results[0].error.message
    assert "film" not in results[0].error.message
    assert results[1].value is not None
    assert results[1].tokens == len(model.tokenizer(TEXTS[0])["input_ids"])
    cut, whole = classify.answer([long, short], {}, truncate=True)
    assert (cut.truncated, cut.tokens, whole.truncated) == (True, 64, False)
    assert list(cut.value["probabilities"].values()) == pytest.approx(model.predict_proba([LONG])[0].tolist(), abs=1e-5)


def test_a_model_of_counts_has_no_limit(opened):
    _, engines = opened("linear")
    (result,) = engines.by_task["classify"].answer([Item(LONG)], {}, truncate=False)
    assert engines.max_tokens is None
    assert (result.error, result.truncated, result.tokens) == (None, False, len(LONG.split()))


@pytest.mark.parametrize("name", ["ngram", "lstm_lm", "transformer_lm"])
def test_scores_are_those_of_the_model(name, opened):
    model, engines = opened(name)
    score = engines.by_task["score"]
    results = score.answer([*items_of("score"), Item(LONG)], {"tokens": True}, truncate=False)
    known = model.score([*TEXTS, LONG])
    metrics = metric_values(TextLosses.of(known).columns)
    for row, (result, scores) in enumerate(zip(results, known, strict=True)):
        assert result.value["log_probability"] == pytest.approx(scores.logprobs.sum(), rel=1e-5)
        assert result.value["bits_per_byte"] == pytest.approx(metrics["bits_per_byte"][row], rel=1e-5)
        assert result.value["perplexity_per_word"] == pytest.approx(metrics["perplexity_per_word"][row], rel=1e-4)
        assert [token["token"] for token in result.value["tokens"]] == list(scores.tokens)
        assert [token["known"] for token in result.value["tokens"]] == scores.known.tolist()
        assert result.tokens == result.value["tokens_scored"] == len(scores.tokens)
    assert "tokens" not in score.answer([Item("a")], {}, truncate=False)[0].value


def test_an_empty_text_has_numbers_that_json_knows(opened):
    _, engines = opened("ngram")
    (result,) = engines.by_task["score"].answer([Item("")], {"tokens": True}, truncate=False)
    assert result.value["bits_per_byte"] is None
    assert result.value["perplexity_per_word"] is None
    json.dumps(result.value, allow_nan=False)


@pytest.mark.parametrize("name", ["ngram", "lstm_lm", "transformer_lm", "lora_language_model"])
def test_what_is_written_is_what_the_model_generates(name, opened):
    model, engines = opened(name)
    for prompt in ("the film", ""):
        options = {"max_new_tokens": 6, "seed": 5}
        pieces = list(engines.writer.write(Item(prompt), options, truncate=False))
        assert "".join(piece.text for piece in pieces) == model.generate([prompt], GenerationOptions(**options))[0]
        assert [piece.last for piece in pieces] == [False] * (len(pieces) - 1) + [True]
        assert 0 < pieces[-1].tokens <= 6
        assert pieces[-1].reason in ("length", "end_of_text")


def test_why_a_text_ends(opened):
    _, engines = opened("lstm_lm")

    def ends(**options):
        return list(engines.writer.write(Item("the"), {"seed": 1, **options}, truncate=False))[-1]

    assert (ends(max_new_tokens=3).reason, ends(max_new_tokens=3).tokens) == ("length", 3)
    text = "".join(piece.text for piece in engines.writer.write(Item("the"), {"seed": 1}, truncate=False))
    assert ends(stop_strings=[text[0]]).reason == "stop"


def test_a_prompt_that_fills_the_positions_is_refused(opened):
    model, engines = opened("transformer_lm")
    limit = engines.writer.limit
    assert limit == model.positions - 2 == engines.max_tokens
    fits, too_long = Item("a" * limit), Item("a" * (limit + 1))
    list(engines.writer.write(fits, {"max_new_tokens": 1}, truncate=False))
    with pytest.raises(RefusedItemError) as caught:
        list(engines.writer.write(too_long, {}, truncate=False))
    assert (caught.value.error.limit, caught.value.error.value) == (limit, limit + 1)
    assert caught.value.code == "too_long"
    assert list(engines.writer.write(too_long, {"max_new_tokens": 1}, truncate=True))
    assert engines.writer.is_cut(too_long.text)
    assert not engines.writer.is_cut(fits.text)


def test_end_marks_of_the_settings_survive_threads(served_folder):
    """The settings of a chat model may name an end mark that neither its config nor its tokenizer does."""
    model = nlpladder.load(str(served_folder("transformer_lm")))
    model.model.generation_config.eos_token_id = [1, 7]
    model.model.generation_config.temperature = 0.1
    before = model.generation_ids()
    engines = engines_of(model)
    assert model.generation_ids() == before
    assert 7 in before["end_ids"]
    list(engines.writer.write(Item("a"), {"max_new_tokens": 2}, truncate=False))
    assert model.generation_ids() == before
    assert model.model.generation_config.temperature in (None, 1.0)


def test_a_vector_is_that_of_the_encoder(opened):
    model, engines = opened("encoder")
    results = engines.by_task["embed"].answer(items_of("embed"), {}, truncate=False)
    vectors = np.array([result.value["vector"] for result in results])
    np.testing.assert_allclose(vectors, model.encode_texts(list(TEXTS)), atol=1e-5)
    assert results[0].value["size"] == vectors.shape[1]


def test_an_encoder_refuses_cuts_and_names_what_it_cannot_read(opened):
    model, engines = opened("encoder")
    embed = engines.by_task["embed"]
    long, empty, short = embed.answer([Item(LONG), Item(""), Item("good")], {}, truncate=False)
    assert (long.error.code, long.error.limit) == ("too_long", model.max_length)
    assert empty.error.code == "unreadable"
    assert short.error is None
    cut, empty, _ = embed.answer([Item(LONG), Item(" "), Item("good")], {}, truncate=True)
    assert (cut.truncated, cut.tokens) == (True, model.max_length)
    words = LONG.split()[: model.max_length - model.tokenizer.num_special_tokens_to_add()]
    np.testing.assert_allclose(cut.value["vector"], model.encode_texts([" ".join(words)])[0], atol=1e-5)
    assert empty.error.code == "unreadable"


def test_a_sentence_encoder_counts_its_prompt_and_cuts_by_itself(opened):
    model, engines = opened("sentences")
    assert (engines.kind, engines.max_tokens) == ("encoder", 12)
    embed, marks = engines.by_task["embed"], model.tokenizer.num_special_tokens_to_add()
    fits, long = " ".join(["good"] * (9 - marks)), " ".join(["good"] * (10 - marks))
    one, refused = embed.answer([Item(fits), Item(long)], {}, truncate=False)
    assert (one.tokens, refused.error.limit, refused.error.value) == (12, 12, 13)
    np.testing.assert_allclose(one.value["vector"], model.encode_texts([fits])[0], atol=1e-5)
    (cut,) = embed.answer([Item(long)], {}, truncate=True)
    assert cut.truncated
    np.testing.assert_allclose(cut.value["vector"], model.encode_texts([long])[0], atol=1e-5)


def test_word_vectors_know_words_and_means(opened):
    model, engines = opened("word_vectors")
    embed = engines.by_task["embed"]
    texts = ["word1", "Word1,", "word1 and (word2)", "wordd1", "nothing at all", ""]
    one, written, mean, near, none, empty = embed.answer([Item(text) for text in texts], {}, truncate=False)
    rows = model.embed(["word1", "word2"])
    np.testing.assert_allclose(one.value["vector"], rows[0])
    assert written.value == one.value
    np.testing.assert_allclose(mean.value["vector"], rows.mean(axis=0), rtol=1e-6)
    assert near.error.code == none.error.code == empty.error.code == "unknown_word"
    assert "Did you mean 'word1'?" in near.error.message
    assert "wordd1" not in near.error.message
    assert "None of the 3 words" in none.error.message


def test_tags_and_entities_are_those_of_the_model(opened):
    model, engines = opened("bert_token_classification")
    text = "the film was really good and bad"
    (result,) = engines.by_task["tag"].answer([Item(text)], {}, truncate=False)
    (tagged,) = model.predict([text])
    assert result.value["words"] == list(tagged.words)
    assert result.value["tags"] == list(tagged.tags)
    expected = [
        {"text": one.text, "label": one.type, "start": one.start, "end": one.end, "probability": one.score}
        for one in model.entities(text)
    ]
    assert close(result.value["entities"], expected)
    (empty,) = engines.by_task["tag"].answer([Item("")], {}, truncate=False)
    assert empty.value == {"words": [], "tags": [], "entities": []}


def test_an_answer_stands_in_its_context(opened):
    model, engines = opened("bert_question_answering")
    answer = engines.by_task["answer"]
    context = LONG
    (result,) = answer.answer([Item("was the film good", context)], {}, truncate=False)
    value = result.value
    assert value["answer"] == context[value["start"] : value["end"]]
    assert value["answer"] == model.answer(["was the film good"], [context])[0].text
    assert 0 <= value["probability"] <= 1


def test_a_question_is_refused_exactly_where_the_model_would_cut_it(opened):
    from nlpladder.models.question_answerer import question_windows
    from nlpladder.models.text_windows import split_pieces

    model, engines = opened("bert_question_answering")
    answer = engines.by_task["answer"]
    for extra in (0, 1):
        question = " ".join(["good"] * (answer.limit + extra))
        (asked,), (read,) = split_pieces(model.tokenizer, [question]), split_pieces(model.tokenizer, [LONG])
        first = question_windows([asked], [read], model.frame, length=model.max_length, overlap=model.doc_stride)[0]
        is_cut = first.offset < len(model.frame.before) + len(asked) + len(model.frame.between)
        assert is_cut == bool(extra)
        (result,) = answer.answer([Item(question, LONG)], {}, truncate=False)
        assert (result.error is not None) == is_cut
    (result,) = answer.answer([Item(question, LONG)], {}, truncate=True)
    assert result.truncated


def test_translations_are_those_of_the_model(opened):
    for name in ("t5", "seq2seq"):
        model, engines = opened(name)
        results = engines.by_task["translate"].answer(
            items_of("translate"), {"num_beams": 2, "max_new_tokens": 5, "length_penalty": None}, truncate=False
        )
        expected = model.translate(list(TEXTS), num_beams=2, max_new_tokens=5)
        assert [result.value["translation"] for result in results] == [one.text for one in expected]
        assert [result.value["score"] for result in results] == pytest.approx([one.score for one in expected], abs=1e-5)


def test_a_model_of_cut_texts_refuses_longer_ones(opened, served_folder):
    from nlpladder.models.translation_encoding import TextFormat

    model = nlpladder.load(str(served_folder("t5")))
    model.text_format = TextFormat(max_source_length=6, cut_long_sources=True)
    translate = engines_of(model).by_task["translate"]
    text = Item("the small cat sees the small dog")
    (refused,) = translate.answer([text], {"max_new_tokens": 2}, truncate=False)
    assert (refused.error.code, refused.error.limit) == ("too_long", 6)
    (cut,) = translate.answer([text], {"max_new_tokens": 2}, truncate=True)
    assert cut.truncated
    # Others are read in pieces: nothing is lost, so nothing is refused.
    assert opened("t5")[1].by_task["translate"].limit is None


@pytest.mark.parametrize("name", SERVED)
def test_unknown_parameters_are_refused_by_name(name, opened):
    _, engines = opened(name)
    for task, engine in engines.by_task.items():
        with pytest.raises(ConfigError, match=f"{task} has no parameter 'num_beam'"):
            engine.answer([Item("a", "a")], {"num_beam": 1}, truncate=False)
    if engines.writer is not None:
        with pytest.raises(ConfigError, match="Did you mean 'num_beams'"):
            next(engines.writer.write(Item("a"), {"num_beam": 1}, truncate=False))


def test_what_is_no_model_is_not_served():
    with pytest.raises(ModelError, match="object is no kind of model"):
        engines_of(object())


def test_texts_that_fit_are_answered_among_those_that_do_not():
    asked = []

    def answer(numbers):
        asked.append(numbers)
        return [ItemResult({"number": number}, tokens=1) for number in numbers]

    results = answer_fitting([3, 9, 4], 5, answer, truncate=False)
    assert asked == [[0, 2]]
    assert [result.tokens for result in results] == [4, 0, 5]
    assert [result.error is None for result in results] == [True, False, True]
    assert [result.truncated for result in answer_fitting([3, 9], 5, answer, truncate=True)] == [False, True]
    assert [result.tokens for result in answer_fitting([3, 9], 5, answer, truncate=True)] == [4, 6]
    assert [result.error.value for result in answer_fitting([9], 5, answer, truncate=False)] == [9]
    assert asked[-1] != []


def test_tokens_of_a_model_of_words_are_words():
    assert TokenCounter(None)(["a b c", "", " a "]) == [3, 0, 1]
