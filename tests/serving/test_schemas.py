"""What requests look like."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from nlpladder.generation import GenerationOptions
from nlpladder.serving.jobs import Item
from nlpladder.serving.options import LimitOptions
from nlpladder.serving.schemas import request_models

REQUESTS = request_models(LimitOptions())


def test_a_generation_has_the_options_of_the_library_with_their_defaults():
    request = REQUESTS["generate"].model_validate({"prompt": "x"})
    options = GenerationOptions(**request.parameters())
    assert dataclasses.replace(options, max_new_tokens=50) == GenerationOptions()
    assert set(request.parameters()) == {field.name for field in dataclasses.fields(GenerationOptions)}
    assert request.items() == [Item("x")]


numbers = st.fixed_dictionaries(
    {"prompt": st.text()},
    optional={
        "max_new_tokens": st.integers(-2, 600), "temperature": st.floats(allow_nan=False), "top_k": st.integers(),
        "top_p": st.floats(-1, 2), "min_p": st.floats(-1, 2), "repetition_penalty": st.floats(allow_nan=False),
        "num_beams": st.integers(-1, 10), "do_sample": st.booleans(), "seed": st.none() | st.integers(-1),
        "length_penalty": st.floats(), "stop_strings": st.lists(st.text(max_size=3), max_size=10),
        "stream": st.booleans(),
    },
)  # fmt: skip


@given(numbers)
def test_whatever_the_schema_lets_through_the_library_takes(body):
    try:
        request = REQUESTS["generate"].model_validate(body)
    except ValidationError:
        return
    options = GenerationOptions(**request.parameters())  # raises ConfigError for what it does not take
    assert options.max_new_tokens <= LimitOptions().max_new_tokens
    assert options.num_beams <= LimitOptions().max_beams
    assert not (request.stream and options.num_beams > 1)


def test_whole_numbers_are_numbers_but_truths_and_texts_are_not():
    assert REQUESTS["generate"].model_validate({"prompt": "x", "temperature": 1}).temperature == 1.0
    for wrong in (True, "1", None):
        with pytest.raises(ValidationError):
            REQUESTS["generate"].model_validate({"prompt": "x", "temperature": wrong})


def test_limits_are_those_of_the_server_and_defaults_stay_within_them():
    small = request_models(LimitOptions(max_texts=2, max_new_tokens=10, max_beams=3))
    assert small["generate"].model_validate({"prompt": "x"}).max_new_tokens == 10
    assert small["translate"].model_validate({"texts": ["x"]}).parameters() == {
        "num_beams": 3, "length_penalty": 1.0, "max_new_tokens": None,
    }  # fmt: skip
    for task, body in (
        ("classify", {"texts": ["x"] * 3}), ("generate", {"prompt": "x", "max_new_tokens": 11}),
        ("translate", {"texts": ["x"], "num_beams": 4}), ("translate", {"texts": ["x"], "max_new_tokens": 11}),
        ("answer", {"questions": [{"question": "a", "context": "b"}] * 3}),
    ):  # fmt: skip
        with pytest.raises(ValidationError):
            small[task].model_validate(body)
        REQUESTS[task].model_validate(body)  # the limits of one server are not another's


def test_parameters_are_only_what_the_model_is_told():
    assert REQUESTS["classify"].model_validate({"texts": ["x"], "top": 3, "truncate": True}).parameters() == {}
    assert REQUESTS["score"].model_validate({"texts": ["x"], "tokens": True}).parameters() == {"tokens": True}
    assert REQUESTS["tag"].model_validate({"texts": ["x"], "truncate": True}).truncates
    answer = REQUESTS["answer"].model_validate({"questions": [{"question": "a", "context": "b"}]})
    assert answer.items() == [Item("a", "b")]
    assert not answer.truncates


@given(st.lists(st.text(), min_size=1, max_size=8))
def test_texts_come_through_as_they_are(texts):
    assert [item.text for item in REQUESTS["embed"].model_validate({"texts": texts}).items()] == texts
