"""A worker process by itself: what it says, what it survives, and when it ends."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nlpladder.errors import ConfigError, DataError
from nlpladder.serving.channel import (
    AnswerBatch,
    BatchAnswered,
    Opened,
    OpenFailed,
    OpenModel,
    StartStream,
    StopStream,
    StreamEnded,
    StreamPiece,
    Unpacker,
    packed,
)
from nlpladder.serving.engines import Engines
from nlpladder.serving.jobs import Item, ItemError, ItemResult, RefusedItemError
from nlpladder.serving.worker import THREAD_VARIABLES, answer_batch, error_of, limit_threads


class Talk:
    """A worker, and the front's end of its socket."""

    def __init__(self):
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(120)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "nlpladder.serving.worker", str(theirs.fileno()), "m"],
                pass_fds=[theirs.fileno()],
                stderr=subprocess.PIPE,
            )
        self.unpacker, self.messages = Unpacker(), []

    def say(self, *messages):
        self.ours.sendall(b"".join(map(packed, messages)))

    def hear(self):
        while not self.messages:
            data = self.ours.recv(1 << 16)
            assert data, "the worker has ended"
            self.messages += self.unpacker.feed(data)
        return self.messages.pop(0)

    def hear_all(self, number):
        """Return what comes about a stream until it ends."""
        found = []
        while not found or not isinstance(found[-1], StreamEnded):
            found.append(self.hear())
            assert found[-1].number == number
        return found

    def close(self):
        self.ours.close()
        try:
            return self.process.wait(60)
        finally:
            self.process.kill()
            self.process.stderr.close()


def test_a_worker_opens_answers_writes_and_ends(served_folder):
    talk = Talk()
    try:
        talk.say(OpenModel("m", str(served_folder("ngram")), 1, 4))
        opened = talk.hear()
        assert isinstance(opened, Opened)
        assert (opened.info.name, opened.info.tasks) == ("m", ("score", "generate"))
        talk.say(AnswerBatch(1, "score", (Item("a"), Item("b a")), {}, False))
        answered = talk.hear()
        assert isinstance(answered, BatchAnswered)
        assert (answered.number, len(answered.results)) == (1, 2)
        assert answered.seconds > 0
        options = {"max_new_tokens": 5, "seed": 1}
        talk.say(StartStream(2, Item("a"), options, False, False))
        *pieces, last, ended = talk.hear_all(2)
        talk.say(StartStream(3, Item("a"), options, False, True))
        whole, _ = talk.hear_all(3)
        assert all(isinstance(piece, StreamPiece) for piece in (*pieces, last, whole))
        assert last.piece.last
        assert whole.piece.text == "".join(message.piece.text for message in pieces)
        assert ended.tokens == last.piece.tokens + 1, "with the prompt's"
        talk.say(StartStream(4, Item("a"), {"temperature": 0.0}, False, False))
        (refused,) = talk.hear_all(4)
        assert refused.error.code == "bad_parameter"
        # A stream that was stopped, even before it began, ends; one that is over is no surprise.
        talk.say(StartStream(5, Item("a"), {"max_new_tokens": 10**6}, False, False), StopStream(5), StopStream(5))
        assert talk.hear_all(5)[-1].error is None
        talk.say(StopStream(5))
        talk.say(AnswerBatch(6, "score", (Item("a"),), {}, False))
        assert talk.hear().number == 6
    finally:
        assert talk.close() == 0


def test_a_worker_ends_while_it_is_opening(served_folder):
    talk = Talk()
    talk.say(OpenModel("m", str(served_folder("linear")), 1, 4))
    assert talk.close() == 0


def test_a_worker_says_why_it_cannot_open(tmp_path):
    talk = Talk()
    talk.say(OpenModel("m", str(tmp_path), 1, 4, local_files_only=True))
    failed = talk.hear()
    assert isinstance(failed, OpenFailed)
    assert str(tmp_path) in failed.message
    assert talk.process.wait(60) == 1  # before the pipe is closed, which would end it, too, and with 0
    talk.close()


class Stumbling:
    """An engine that cannot bear one text."""

    limit = None

    def __init__(self, error):
        self.error = error

    def answer(self, items, parameters, *, truncate):
        if any(item.text == "bad" for item in items):
            raise self.error
        return [ItemResult({"text": item.text}) for item in items]


@pytest.mark.parametrize(
    "error, code",
    [
        (DataError("The text 'bad' has no tokens."), "unreadable"),
        (TypeError("surrogates"), "unreadable"),
        (RuntimeError("out of range"), "model_error"),
        (MemoryError(), "model_error"),
    ],
)
def test_a_text_on_which_the_model_stumbles_does_not_take_the_others_with_it(error, code, capfd):
    engines = Engines("classifier", {"classify": Stumbling(error)})
    items = (Item("one"), Item("bad"), Item("two"))
    one, bad, two = answer_batch(engines, AnswerBatch(1, "classify", items, {}, False))
    assert (one.value, two.value) == ({"text": "one"}, {"text": "two"})
    assert bad.error.code == code
    assert "bad" not in bad.error.message
    capfd.readouterr()


def test_a_wrong_parameter_is_the_error_of_every_text():
    engines = Engines("classifier", {"classify": Stumbling(ConfigError("num_beams is 0; it must be at least 1."))})
    results = answer_batch(engines, AnswerBatch(1, "classify", (Item("bad"), Item("one")), {}, False))
    assert [result.error for result in results] == [
        ItemError("bad_parameter", "num_beams is 0; it must be at least 1.")
    ] * 2


def test_a_refusal_keeps_its_numbers():
    error = ItemError("too_long", "It is too long.", limit=5, value=6)
    assert error_of(RefusedItemError(error)) == error
    refused = error_of(ConfigError("num_beams is 2, but top_k is 3."), {"seed": 0, "top_k": 3, "num_beams": 2})
    assert (refused.code, refused.field) == ("bad_parameter", "num_beams")
    assert error_of(ConfigError("It cannot be."), {"seed": 0}).field is None


def test_threads_are_limited_before_libraries_are_imported(monkeypatch):
    for name in (*THREAD_VARIABLES, "TOKENIZERS_PARALLELISM"):
        monkeypatch.setenv(name, "99")
    limit_threads(2)
    assert {os.environ[name] for name in THREAD_VARIABLES} == {"2"}
    assert os.environ["TOKENIZERS_PARALLELISM"] == "true"
    limit_threads(1)
    assert os.environ["TOKENIZERS_PARALLELISM"] == "false"


def test_what_starts_a_worker_imports_no_numerical_library():
    """Else the variables for its threads would come too late."""
    code = "import nlpladder.serving.worker, sys; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "torch", "tokenizers", "numba"} & set(found)


@given(st.lists(st.text(max_size=50), max_size=8), st.integers(1, 40))
def test_messages_survive_any_portions(texts, portion):
    messages = [StopStream(number) for number in range(2)] + [
        StreamEnded(number, 0.5, error=ItemError("too_long", text)) for number, text in enumerate(texts)
    ]
    data = b"".join(map(packed, messages))
    unpacker, found = Unpacker(), []
    for start in range(0, len(data), portion):
        found += unpacker.feed(data[start : start + portion])
    assert found == messages
