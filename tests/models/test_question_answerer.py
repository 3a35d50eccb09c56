"""Answers found in texts: decoding against a brute-force reading, windows, characters, no answer, files."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from nlpladder.errors import ConfigError, DataError
from nlpladder.hub.loading import load
from nlpladder.models.question_answerer import QuestionAnswerer
from nlpladder.models.span_decoding import answer_pieces, best_spans, log_normalizer, span_scores
from nlpladder.models.text_windows import Window, split_pieces
from nlpladder.training.labelled_windows import WindowCollator, answered_windows
from token_task_data import FILLERS, questions, tiny_model, trained_tokenizer


def reader(**options):
    return QuestionAnswerer(
        tiny_model("QuestionAnswering"), trained_tokenizer(), **{"max_length": 48, "doc_stride": 8, **options}
    )


def long_context(words=60):
    generator = np.random.default_rng(3)
    return " ".join(str(word) for word in generator.choice(FILLERS, words))


# Decoding


def brute_force(windows, starts, ends, firsts, lasts, *, longest, null):
    """Read every window for every span, one by one."""
    best, total, nulls = {}, [], []
    by_pieces = {}
    for window, start, end in zip(windows, starts, ends, strict=True):
        nulls.append(float(start[0]) + float(end[0]))
        for i, j in itertools.product(range(window.count), repeat=2):
            if i <= j < i + longest:
                score = float(start[window.offset + i]) + float(end[window.offset + j])
                key = (window.first + i, window.first + j)
                by_pieces[key] = max(score, by_pieces.get(key, -math.inf))
    for (i, j), score in by_pieces.items():
        total.append(score)
        span = (int(firsts[i]), int(lasts[j]))
        if span[0] < span[1]:
            best[span] = max(score, best.get(span, -math.inf))
    if null:
        total.append(min(nulls))
    return best, min(nulls), math.log(sum(math.exp(score) for score in total)) if total else -math.inf


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 14), st.integers(1, 6), st.integers(1, 12), st.booleans())
def test_decoding_is_the_brute_force_reading_of_the_same_logits(seed, pieces, longest, count, null):
    generator = np.random.default_rng(seed)
    windows = []
    capacity, step = int(generator.integers(1, 9)), int(generator.integers(1, 5))
    for first in range(0, pieces, min(step, capacity)):
        inside = min(capacity, pieces - first)
        windows.append(Window(0, first, inside, 3, np.zeros(4 + inside, dtype=np.int64), np.zeros(4 + inside)))
    # Rounded, so that equal scores occur.
    starts = [np.round(generator.normal(size=len(window.input_ids)), 1).astype(np.float32) for window in windows]
    ends = [np.round(generator.normal(size=len(window.input_ids)), 1).astype(np.float32) for window in windows]
    firsts = np.cumsum(generator.integers(0, 2, pieces))  # several pieces of one character
    lasts = firsts + generator.integers(0, 2, pieces)
    lasts = np.maximum.accumulate(lasts)
    scores = span_scores(windows, starts, ends, pieces=pieces, longest=longest)
    expected, nothing, total = brute_force(windows, starts, ends, firsts, lasts, longest=longest, null=null)
    assert scores.null == nothing
    assert log_normalizer(scores, with_null=null) == pytest.approx(total, abs=1e-9)
    found = best_spans(scores, firsts, lasts, count=count)
    ranked = sorted(expected.values(), reverse=True)
    assert [score for _, _, score in found] == ranked[:count]
    assert all(expected[start, end] == score for start, end, score in found)
    assert len({span[:2] for span in found}) == len(found)


def test_spans_stay_in_the_text_and_within_the_longest_answer():
    window = Window(0, 0, 3, 2, np.zeros(6, dtype=np.int64), np.zeros(6))
    start, end = np.array([9, 9, 0, 1, 0, 9], dtype=np.float32), np.array([9, 9, 0, 0, 5, 9], dtype=np.float32)
    scores = span_scores([window], [start], [end], pieces=3, longest=2)
    places = np.array([0, 2, 4]), np.array([1, 3, 5])
    assert best_spans(scores, *places, count=1) == [(2, 5, 6.0)]
    assert len(best_spans(scores, *places, count=99)) == 5  # not (0, 5): three pieces


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["ada", "Zürich", "unknown", "漢字", "a-b", "x\u200by", "1,2"]), min_size=1, max_size=8),
    st.data(),
)
def test_the_pieces_of_an_answer_cover_its_characters(words, data):
    text = " ".join(words)
    for scheme in ("wordpiece", "byte_bpe"):
        pieces = split_pieces(trained_tokenizer(scheme), [text])[0]
        first = data.draw(st.integers(0, len(words) - 1))
        last = data.draw(st.integers(first, len(words) - 1))
        start = len(" ".join([*words[:first], ""])) if first else 0
        end = start + len(" ".join(words[first : last + 1]))
        found = answer_pieces(pieces.starts, pieces.ends, (start, end))
        assert found is not None
        assert text[pieces.starts[found[0]] : pieces.ends[found[1]]] == text[start:end]
    assert answer_pieces(pieces.starts, pieces.ends, None) is None


# Reading


def test_logits_of_a_long_text_are_those_of_its_windows_read_one_by_one():
    one, context, question = reader(max_length=40, doc_stride=6), long_context(120), "who"
    tokenizer = one.tokenizer
    (scores, pieces), *_ = one.scores([question], [context])
    encoded = tokenizer(
        question, context, truncation="only_second", max_length=40, stride=6, return_overflowing_tokens=True,
        return_offsets_mapping=True, return_token_type_ids=True,
    )  # fmt: skip
    assert len(encoded["input_ids"]) > 2
    expected = np.full_like(scores.scores, -np.inf)
    for row, ids in enumerate(encoded["input_ids"]):
        with torch.no_grad():
            output = one.model(
                input_ids=torch.tensor([ids]), token_type_ids=torch.tensor([encoded["token_type_ids"][row]])
            )
        start, end = output.start_logits[0].numpy(), output.end_logits[0].numpy()
        inside = [place for place, sequence in enumerate(encoded.sequence_ids(row)) if sequence == 1]
        first = pieces.starts.tolist().index(encoded["offset_mapping"][row][inside[0]][0])
        for i, j in itertools.product(range(len(inside)), repeat=2):
            if i <= j < i + 30:
                value = float(start[inside[i]]) + float(end[inside[j]])
                expected[first + i, j - i] = max(value, expected[first + i, j - i])
    known = np.isfinite(expected)
    assert (known == np.isfinite(scores.scores)).all()
    np.testing.assert_allclose(scores.scores[known], expected[known], atol=1e-5)


def test_answers_are_spans_of_the_text_with_probabilities():
    one = reader()
    context = "  Ada's\tday — in Zürich 漢字!\n" + long_context(40)
    found = one.answer(["who", "where"], [context, context], n_best=7)
    for answer in found:
        every = (answer, *answer.alternatives)
        assert len(every) == 7
        assert all(context[each.start : each.end] == each.text != "" for each in every)
        assert [each.score for each in every] == sorted((each.score for each in every), reverse=True)
        assert 0 < sum(each.score for each in every) <= 1
        assert answer.no_answer_score is None
    (scores, _), *_ = one.scores(["who"], [context])
    everything = np.exp(scores.scores - log_normalizer(scores, with_null=False))
    assert everything.sum() == pytest.approx(1)
    assert found[0].score == pytest.approx(everything.max())
    assert one.answer("who", context)[0] == one.answer(["who"], [context])[0]


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=40), st.text(min_size=1, max_size=60))
def test_hostile_questions_and_texts_have_an_answer_in_the_text(question, context):
    answer = reader().answer([question], [context])[0]
    assert context[answer.start : answer.end] == answer.text


def test_a_question_longer_than_a_window_is_cut():
    one = reader(max_length=40, doc_stride=4)
    answer = one.answer([long_context(100)], [long_context(50)], n_best=3)[0]
    assert answer.text
    assert len(answer.alternatives) == 2


def test_above_the_threshold_there_is_no_answer():
    context = long_context(30)
    plain = reader(no_answer_threshold=0.0).answer(["who"], [context])[0]
    difference = plain.no_answer_score
    answering = reader(no_answer_threshold=difference + 0.01).answer(["who"], [context])[0]
    silent = reader(no_answer_threshold=difference - 0.01).answer(["who"], [context], n_best=2)[0]
    assert answering.text
    assert (silent.text, silent.start, silent.end) == ("", 0, 0)
    assert silent.alternatives[0].text == answering.text
    assert silent.score + answering.score <= 1
    assert silent.score / answering.score == pytest.approx(math.exp(difference))


def test_lengths_that_leave_no_room_are_refused():
    with pytest.raises(ConfigError, match="doc_stride is 30 and max_length 40"):
        reader(max_length=40, doc_stride=30)
    with pytest.raises(ConfigError, match="max_answer_length"):
        reader(max_answer_length=-1)
    with pytest.raises(DataError, match="2 questions and 1 contexts"):
        reader().answer(["a", "b"], ["c"])
    with pytest.raises(ConfigError, match="n_best"):
        reader().answer(["a"], ["b"], n_best=0)


def test_saved_and_opened_again_it_answers_the_same(tmp_path):
    one = reader(max_length=40, doc_stride=5, max_answer_length=7, no_answer_threshold=0.25)
    one.save_pretrained(tmp_path / "reader")
    again = load(tmp_path / "reader")
    assert isinstance(again, QuestionAnswerer)
    settings = ("max_length", "doc_stride", "max_answer_length", "no_answer_threshold")
    assert [getattr(again, name) for name in settings] == [40, 5, 7, 0.25]
    assert again.answer(["who"], [long_context()], n_best=4) == one.answer(["who"], [long_context()], n_best=4)


def test_trap_a_question_answering_adapter_drops_the_token_types(tmp_path):
    """peft 0.21 takes token_type_ids as a named argument and does not pass them on; ours must."""
    from nlpladder.models.pretrained.adapters import add_adapter
    from nlpladder.models.pretrained.peft_options import PeftOptions

    plain = reader()
    before = plain.scores(["who"], [long_context(20)])[0][0].scores
    model = add_adapter(
        tiny_model("QuestionAnswering"), method="lora", options=PeftOptions(), head="question_answering"
    )
    adapted = QuestionAnswerer(model, plain.tokenizer, max_length=48, doc_stride=8)
    assert "token_type_ids" in plain.tokenizer.model_input_names
    found = adapted.scores(["who"], [long_context(20)])[0][0].scores  # a fresh LoRA changes nothing
    known = np.isfinite(before)
    np.testing.assert_allclose(found[known], before[known], atol=1e-5)


# Labels


def test_positions_of_answers_point_at_their_words():
    one = reader(max_length=36, doc_stride=6)
    rows = questions(12)
    contexts = [f"{long_context(25)} {row['context']} {long_context(20)}" for row in rows]
    spans = []
    for row, context in zip(rows, contexts, strict=True):
        answer = row["answers"]["text"][0]
        start = context.index(f" {answer} ") + 1 if f" {answer} " in context else context.index(answer)
        spans.append((start, start + len(answer)))
    windows, notes = answered_windows(one, [row["question"] for row in rows], contexts, spans)
    assert any("12 of 12 training texts are longer than a window of 36" in note for note in notes)
    held = [False] * len(rows)
    for window, positions in zip(windows.windows, windows.positions, strict=True):
        if positions.tolist() != [0, 0]:
            held[window.row] = True
            ids = window.input_ids[positions[0] : positions[1] + 1].tolist()
            assert ids == one.tokenizer(rows[window.row]["answers"]["text"][0], add_special_tokens=False)["input_ids"]
    assert all(held)
    for side in ("left", "right"):
        tokenizer = __import__("copy").deepcopy(one.tokenizer)
        tokenizer.padding_side = side
        batch = WindowCollator(tokenizer, spans=True)([windows[index] for index in range(len(windows))])
        assert batch["labels"].shape == (len(windows), 2)
        for row, positions in enumerate(windows.positions):
            start, end = batch["labels"][row].tolist()
            inside = windows.windows[row].input_ids[positions[0] : positions[1] + 1]
            assert batch["input_ids"][row, start : end + 1].tolist() == inside.tolist()


def test_answers_that_stand_whole_in_no_window_are_counted():
    one = reader(max_length=36, doc_stride=2)
    context = long_context(60)
    windows, notes = answered_windows(one, ["who"], [context], [(0, len(context))])
    assert all(row.tolist() == [0, 0] for row in windows.positions)
    assert "1 of 1 training answers stand whole in no window (0 of them have no sub-word)" in notes[0]
    _, notes = answered_windows(one, ["who"], ["a \u200b b"], [(2, 3)])
    assert "(1 of them have no sub-word)" in notes[0]
