"""Several models that write side by side: one thread each, read together, ended together."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nlpladder.errors import LadderError
from nlpladder.evaluation.diversity import diversity
from nlpladder.generation import GenerationOptions, TextStream
from shell.limits import MAX_NEW_TOKENS, check_number, check_text, check_whole
from shell.store import asked_models

MOST_MODELS = 3
#: Of a prompt.
MOST_CHARACTERS = 2_000
#: Updates of the page are at least so far apart: faster ones are read by nobody, and each is sent to the browser.
SECONDS_BETWEEN = 0.05
#: A model belongs to one visitor while it writes: a slow one is ended after this time.
MOST_SECONDS = 120.0
#: Nobody has asked how far a text is for so long: its reader is gone.
SECONDS_UNREAD = 30.0

WAITING, WRITING, DONE, STOPPED, FAILED = "waiting", "writing", "done", "stopped", "failed"


@dataclass(frozen=True)
class Column:
    """What one model has written so far.

    Attributes:
        model: Its name.
        title: Its kind and size.
        status: ``waiting`` (it is opened, or writes for somebody else), ``writing``, ``done``, ``stopped``, ``failed``.
        text: What it wrote, without the prompt.
        separator: What belongs between prompt and text.
        num_tokens: Tokens drawn, with the end mark where there was one.
        seconds: Since it began to write.
        first: Seconds until the first piece of text; None before it.
        note: Why it ended, or what the reader should know.
    """

    model: str
    title: str = ""
    status: str = WAITING
    text: str = ""
    separator: str = ""
    num_tokens: int = 0
    seconds: float = 0.0
    first: float | None = None
    note: str = ""

    @property
    def speed(self) -> float | None:
        """Tokens a second; None where nothing was written."""
        return self.num_tokens / self.seconds if self.num_tokens and self.seconds > 0.0 else None

    @property
    def has_ended(self) -> bool:
        """Whether nothing more comes."""
        return self.status in (DONE, STOPPED, FAILED)

    def variety(self) -> dict[str, float]:
        """Return distinct-1, distinct-2 and repetition of what was written; NaN where it is too short."""
        found = diversity([self.text])
        return {name: found[name] for name in ("distinct_1", "distinct_2", "repetition")}


def generation_options(
    *, max_new_tokens: int, temperature: float, top_k: int, top_p: float, seed: int
) -> GenerationOptions:
    """Return checked options; temperature 0 takes the most probable token each time.

    Raises:
        DemoError: If one is out of its bounds.
    """
    warmth = check_number(temperature, "Temperature", least=0.0, most=2.0)
    return GenerationOptions(
        max_new_tokens=check_whole(max_new_tokens, "New tokens", least=1, most=MAX_NEW_TOKENS),
        do_sample=warmth > 0.0,
        temperature=max(warmth, 0.01) if warmth else 1.0,
        top_k=check_whole(top_k, "Top-k", least=0, most=1_000),
        top_p=check_number(top_p, "Top-p", least=0.01, most=1.0),
        seed=check_whole(seed, "Seed", least=0, most=2**31 - 1),
    )


def write(
    store: Any, prompt: str, models: Sequence[str], options: GenerationOptions, *, as_conversation: bool = False
) -> Writers:
    """Return an iterator over what the models have written so far, until all have ended; leaving it ends them.

    Args:
        store: See `shell.store.ModelStore`. Each model belongs to this call only while it writes.
        prompt: What the texts begin with; may be empty.
        models: Up to `MOST_MODELS` names.
        options: From `generation_options`.
        as_conversation: The prompt is a question to models with a chat template; others go on with it as a text.

    Raises:
        DemoError: If an input is out of its bounds; before the first item.
    """
    start = check_text(prompt, "The prompt", most=MOST_CHARACTERS, empty=True)
    names = asked_models(store, models, "language_model", most=MOST_MODELS)
    if as_conversation:
        check_text(start, "The question")
    return Writers(store, names, start, options, bool(as_conversation))


class Writers:
    """The threads of one call and what they have written, behind one lock: see `write`.

    Args:
        store: See `shell.store.ModelStore`.
        names: Of the models.
        prompt: What the texts begin with.
        options: How to draw.
        as_conversation: See `write`.

    Attributes:
        prompt: As it is read: checked.
    """

    def __init__(
        self, store: Any, names: Sequence[str], prompt: str, options: GenerationOptions, as_conversation: bool
    ) -> None:
        self.store, self.prompt, self.options, self.as_conversation = store, prompt, options, as_conversation
        self.changed = threading.Condition()
        self.stopped = threading.Event()
        self.read_at = time.monotonic()
        self.began: list[threading.Thread] = []  # those whose turn has come
        self.columns = [Column(name, store.entry(name).title) for name in names]
        self.threads = [
            threading.Thread(target=self._work, args=(place,), name="nlpladder-demo-writer", daemon=True)
            for place in range(len(names))
        ]

    def stop(self, *, seconds: float = 2.0) -> None:
        """End the writing after the tokens at work, from another thread; the iterator still tells what there is.

        Args:
            seconds: Wait so long for the writers at most.
        """
        self.stopped.set()
        with self.changed:
            for place, column in enumerate(self.columns):
                if column.status == WAITING:  # it will see that it was stopped when its turn comes
                    self.columns[place] = dataclasses.replace(column, status=STOPPED, note="Stopped before it began.")
            self.changed.notify_all()
            self.changed.wait_for(lambda: all(column.has_ended for column in self.columns), timeout=seconds)

    def __iter__(self) -> Iterator[list[Column]]:
        """Start, and yield all columns whenever something has changed, not too often."""
        for thread in self.threads:
            thread.start()
        told: list[Column] = []
        try:
            while True:
                with self.changed:
                    if self.columns == told:
                        self.changed.wait(1.0)
                    self.read_at = time.monotonic()
                    told = list(self.columns)
                yield told
                if all(column.has_ended for column in told):
                    return
                time.sleep(SECONDS_BETWEEN)
        finally:
            self.stopped.set()
            for thread in self.threads:
                # A writer ends after its token; one that still waits for its model leaves when its turn comes.
                thread.join(timeout=10.0 if thread in self.began else 0.0)

    def _tell(self, place: int, **changes: Any) -> None:
        with self.changed:
            self.columns[place] = dataclasses.replace(self.columns[place], **changes)
            self.changed.notify_all()

    def _work(self, place: int) -> None:
        try:
            with self.store.use(self.columns[place].model) as model:
                self.began.append(self.threads[place])
                if not self.stopped.is_set():
                    self._write(place, model)
        except LadderError as error:
            self._tell(place, status=FAILED, note=str(error))
        except Exception:  # what is no sentence for the reader is told in the log of the program only
            import logging

            logging.getLogger(__name__).exception("%s failed to write.", self.columns[place].model)
            self._tell(place, status=FAILED, note="This model failed; the log of the demo says why.")

    def _write(self, place: int, model: Any) -> None:
        began = time.monotonic()
        stream, note = open_stream(model, self.prompt, self.options, self.as_conversation)
        self._tell(place, status=WRITING, separator=stream.separator, note=note)
        pieces: list[str] = []
        first, why = None, ""
        with stream:
            for piece in stream:
                pieces.append(piece)
                seconds = time.monotonic() - began
                first = seconds if first is None else first
                self._tell(place, text="".join(pieces), num_tokens=stream.num_tokens, seconds=seconds, first=first)
                if self.stopped.is_set() or time.monotonic() - self.read_at > SECONDS_UNREAD:
                    why = "Stopped."
                elif seconds > MOST_SECONDS:
                    why = f"Stopped after {MOST_SECONDS:.0f} s."
                if why:
                    break
        limit = stream.num_tokens >= self.options.max_new_tokens
        why = why or ("It wrote as many tokens as it may." if limit else "It ended the text itself.")
        self._tell(
            place, status=STOPPED if why.startswith("Stopped") else DONE, num_tokens=stream.num_tokens,
            seconds=time.monotonic() - began, note=" ".join(filter(None, (note, why))),
        )  # fmt: skip


def open_stream(model: Any, prompt: str, options: GenerationOptions, as_conversation: bool) -> tuple[TextStream, str]:
    """Return the text that a model is about to write, and what the reader should know of it.

    Args:
        model: A language model; one that cannot stream writes its text at once.
        prompt: What it goes on with, or the question.
        options: How to draw.
        as_conversation: Ask it as the user of a chat, where it has a chat template.
    """
    if as_conversation:
        if talks(model):
            from nlpladder.models.chat import ChatEncoder
            from nlpladder.models.chat_answers import stream_answer

            question = {"role": "user", "content": prompt}
            return stream_answer(model, ChatEncoder(model.tokenizer), [question], options), ""  # type: ignore[list-item]
        note = "It was not tuned on conversations: it goes on with the text."
    else:
        note = ""
    if hasattr(model, "stream"):
        return model.stream(prompt, options), note
    written = ((text, len(text.split())) for text in model.generate([prompt], options))
    return TextStream(written, separator=" "), note


def talks(model: Any) -> bool:
    """Tell whether a model was tuned on conversations: its tokenizer has a chat template."""
    return bool(getattr(getattr(model, "tokenizer", None), "chat_template", None))
