"""A worker process: it holds one model, and answers what comes through its socket until that is closed.

Started by `nlpladder.serving.processes` as ``python -m nlpladder.serving.worker FD NAME``. The main thread only reads
the socket, so that the process ends at once when the front does, whatever it is doing. One thread opens the model and
answers batches, and each text that is written has a thread of its own.
"""

from __future__ import annotations

import os
import queue
import re
import signal
import socket
import sys
import threading
import time
import traceback
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from nlpladder.errors import ConfigError, LadderError
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
from nlpladder.serving.jobs import ItemError, ItemResult, ModelInfo, Piece, RefusedItemError
from nlpladder.serving.logs import log_to_stderr

if TYPE_CHECKING:
    from nlpladder.serving.engines import Engines

#: Variables that say how many threads numerical libraries start; they are read when those are imported.
THREAD_VARIABLES = (
    "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "RAYON_NUM_THREADS",
)  # fmt: skip
_PORTION = 1 << 18


class Worker:
    """Answers what the front sends.

    Args:
        connection: To the front.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._sending = threading.Lock()
        self._batches: queue.SimpleQueue[AnswerBatch] = queue.SimpleQueue()
        self._stopped: dict[int, threading.Event] = {}
        self._engines: Engines | None = None

    def run(self) -> None:
        """Read messages until the socket is closed."""
        unpacker = Unpacker()
        while data := self._receive():
            for message in unpacker.feed(data):
                if isinstance(message, AnswerBatch):
                    self._batches.put(message)
                elif isinstance(message, StartStream):
                    self._stopped[message.number] = threading.Event()
                    self._start(self._write, message)
                elif isinstance(message, StopStream):
                    if message.number in self._stopped:
                        self._stopped[message.number].set()
                else:
                    self._start(self._serve, message)

    def _receive(self) -> bytes:
        try:
            return self._connection.recv(_PORTION)
        except ConnectionError:  # the front was killed with something unread
            return b""

    def _start(self, target: Any, message: Any) -> None:
        threading.Thread(target=target, args=(message,), daemon=True).start()

    def _send(self, message: Any) -> None:
        data = packed(message)
        with self._sending:
            try:
                self._connection.sendall(data)
            except OSError:
                os._exit(0)  # the front is gone: nobody is left to answer

    def _serve(self, message: OpenModel) -> None:
        """Open the model, then answer batches for ever."""
        try:
            self._engines, info = open_model(message)
        except BaseException as error:
            if not isinstance(error, LadderError):
                traceback.print_exc()
            said = str(error) if isinstance(error, LadderError) else f"{type(error).__name__}: {error}"
            self._send(OpenFailed(said))
            os._exit(1)
        self._send(Opened(info))
        while True:
            batch = self._batches.get()
            began = time.perf_counter()
            results = answer_batch(self._engines, batch)
            self._send(BatchAnswered(batch.number, tuple(results), time.perf_counter() - began))

    def _write(self, message: StartStream) -> None:
        """Write one text, and end when nobody reads it any more."""
        assert self._engines is not None
        stopped, writer = self._stopped[message.number], self._engines.writer
        began, told, end = time.perf_counter(), [], Piece("", last=True)
        error, read, cut = None, 0, False
        try:
            read, cut = writer.count(message.item.text), writer.is_cut(message.item.text)
            pieces = writer.write(message.item, message.parameters, truncate=message.truncate)
            try:
                for piece in pieces:
                    if stopped.is_set():
                        break
                    if piece.last:
                        end = piece
                    elif message.whole:
                        told.append(piece.text)
                    else:
                        self._send(StreamPiece(message.number, piece))
            finally:
                pieces.close()
            text = "".join(told) if message.whole else ""
            last = Piece(text, last=True, tokens=end.tokens, reason=end.reason, prompt_tokens=read, truncated=cut)
            self._send(StreamPiece(message.number, last))
        except Exception as failure:
            error = error_of(failure, message.parameters)
        finally:
            del self._stopped[message.number]
        seconds = time.perf_counter() - began
        self._send(StreamEnded(message.number, seconds, tokens=read + end.tokens, error=error, truncated=cut))


def open_model(message: OpenModel) -> tuple[Engines, ModelInfo]:
    """Open a model and ask it everything once.

    Args:
        message: Which, and with how many threads.

    Raises:
        LadderError: It cannot be opened, or is of no kind that is served.
    """
    began = time.perf_counter()
    limit_threads(message.threads)
    from nlpladder.hub.loading import load
    from nlpladder.serving.engines import engines_of

    from_hub = not os.path.isdir(message.path)
    engines = engines_of(
        load(message.path, local_files_only=True) if message.local_files_only and from_hub else load(message.path)
    )
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(message.threads)
    engines.warm_up()
    info = ModelInfo(
        message.name,
        engines.kind,
        engines.tasks,
        label_names=engines.label_names,
        label_task=engines.label_task,
        parameters=engines.parameters,
        max_tokens=engines.max_tokens,
        streams=engines.writer is not None,
        seconds_to_open=time.perf_counter() - began,
    )
    return engines, info


def limit_threads(threads: int) -> None:
    """Tell numerical libraries, none of which may be imported yet, how many threads they may start.

    Args:
        threads: Of this process.
    """
    for name in THREAD_VARIABLES:
        os.environ[name] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "true" if threads > 1 else "false"


def answer_batch(engines: Engines, batch: AnswerBatch) -> list[ItemResult]:
    """Answer the texts of a batch; one on which the model stumbles does not take the others with it.

    Args:
        engines: Of the model.
        batch: Its texts.
    """
    engine = engines.by_task[batch.task]
    try:
        return engine.answer(batch.items, batch.parameters, truncate=batch.truncate)
    except Exception as error:
        if isinstance(error, ConfigError) or len(batch.items) == 1:
            return [ItemResult(None, error_of(error, batch.parameters))] * len(batch.items)
    results = []
    for item in batch.items:
        try:
            results += engine.answer([item], batch.parameters, truncate=batch.truncate)
        except Exception as error:
            results.append(ItemResult(None, error_of(error, batch.parameters)))
    return results


def error_of(error: Exception, parameters: Iterable[str] = ()) -> ItemError:
    """Return why a text has no answer. What models say of a text often repeats it, so that only its kind is told.

    Args:
        error: What a model raised.
        parameters: Names of those that were given: the first that the error names is the field that is wrong.
    """
    if isinstance(error, RefusedItemError):
        return error.error
    if isinstance(error, ConfigError):  # of a parameter
        names, message = set(parameters), str(error)
        field = next((word for word in re.findall(r"\w+", message) if word in names), None)
        return ItemError("bad_parameter", message, field=field)
    if isinstance(error, LadderError | ValueError | TypeError):
        return ItemError("unreadable", f"The model cannot read this text ({type(error).__name__}).")
    print("A model failed at a text:", file=sys.stderr)  # noqa: T201
    traceback.print_exc(limit=-6)
    return ItemError("model_error", f"The model failed at this text ({type(error).__name__}).")


def main() -> None:
    """Run a worker on the socket whose number is the first argument; the second one is the name of its model."""
    # The front ends its workers by closing their sockets, once all that was accepted is answered.
    for ignored in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ignored, signal.SIG_IGN)
    log_to_stderr(sys.argv[2])
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        Worker(connection).run()
    os._exit(0)  # threads that still compute have nobody to tell


if __name__ == "__main__":
    main()
