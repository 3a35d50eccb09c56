"""Text from a causal language model: `generate` of transformers with our filters, our draws and our stop strings.

`generate` runs greedily over scores from which the last processor has already drawn: it leaves one token per row. So
every prompt has its own stream of random numbers, and what a seed gives does not depend on the other prompts of the
batch nor on torch's global state. The filters before it are those of transformers, in its order.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import (
    GenerationConfig,
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    StoppingCriteria,
    StoppingCriteriaList,
    SuppressTokensLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from nlpladder.generation import GenerationOptions

#: Turns the token ids of a continuation into its text, given the number of the prompt in the batch; -1 is no prompt.
Decode = Callable[[int, Sequence[int]], str]


def generate_tokens(
    model: Any,
    prompts: Sequence[Sequence[int]],
    options: GenerationOptions,
    *,
    decode: Decode,
    marks: Sequence[int],
    end_ids: Sequence[int],
    never: Sequence[int],
    pad_id: int,
    first_index: int = 0,
    streamer: Any = None,
    cancelled: threading.Event | None = None,
) -> list[list[int]]:
    """Continue a batch of prompts.

    Args:
        model: Any causal language model with `generate`.
        prompts: Token ids of each prompt; at least one each.
        options: How to draw.
        decode: For the stop strings.
        marks: Ids that the repetition penalty leaves alone, such as the mark that every text begins after.
        end_ids: Ids that end a text; none runs to `max_new_tokens`.
        never: Ids that are never drawn.
        pad_id: Fills the left of shorter prompts.
        first_index: Number of the first prompt, which with the seed gives its stream of random numbers.
        streamer: Gets every token as it comes, as `transformers.TextStreamer` does.
        cancelled: Ends the generation when set.

    Returns:
        The new ids of each prompt, without the end mark.
    """
    longest = max(map(len, prompts))
    device = next(model.parameters()).device
    ids = torch.tensor([[pad_id] * (longest - len(row)) + list(row) for row in prompts], device=device)
    mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in prompts], device=device)
    config = GenerationConfig(
        max_new_tokens=options.max_new_tokens,  # the default length is 20
        do_sample=False,
        num_beams=1,
        repetition_penalty=1.0,
        pad_token_id=pad_id,
        eos_token_id=list(end_ids) or None,
        bos_token_id=int(prompts[0][0]),
    )
    stopping: list[StoppingCriteria] = (
        [_StopAtText(options.stop_strings, decode, longest)] if options.stop_strings else []
    )
    if cancelled is not None:
        stopping.append(_StopWhenCancelled(cancelled))
    with _OnlyGivenSettings(model):
        output = model.generate(
            input_ids=ids,
            attention_mask=mask,
            generation_config=config,
            logits_processor=_processors(options, marks, never, len(prompts), first_index, mask),
            stopping_criteria=StoppingCriteriaList(stopping),
            streamer=streamer,
        )
    ends = set(end_ids)
    continuations = []
    for row, written in enumerate(output[:, longest:].tolist()):
        stop = next((place for place, token in enumerate(written) if token in ends), len(written))
        continuations.append(_cut_at_stop(written[:stop], row, options.stop_strings, decode))
    return continuations


def stream_text(
    run: Callable[[Any, threading.Event], object], decode: Callable[[Sequence[int]], str], stop_strings: Sequence[str]
) -> Iterator[str]:
    """Yield a text piece by piece while it is generated in a thread; leaving the iterator ends the generation.

    Characters of which only some bytes are there are held back until they are whole.

    Args:
        run: Generates; gets a streamer and the event that ends it.
        decode: Turns ids into text.
        stop_strings: The text ends behind the first of them.
    """
    tokens: queue.Queue[Any] = queue.Queue()
    cancelled = threading.Event()

    def work() -> None:
        try:
            run(_QueueStreamer(tokens), cancelled)
        except BaseException as error:  # handed to the reader, who raises it
            tokens.put(error)
        else:
            tokens.put(None)

    thread = threading.Thread(target=work, name="nlpladder-stream", daemon=True)
    thread.start()
    try:
        written: list[int] = []
        told = ""
        while (token := tokens.get()) is not None:
            if isinstance(token, BaseException):
                raise token
            written.append(token)
            text = cut_text(decode(written), stop_strings)
            whole = text.rstrip("\ufffd")
            if whole.startswith(told) and len(whole) > len(told):
                yield whole[len(told) :]
                told = whole
        text = cut_text(decode(written), stop_strings)
        if text.startswith(told) and len(text) > len(told):
            yield text[len(told) :]
    finally:
        cancelled.set()
        thread.join()


def cut_text(text: str, stop_strings: Sequence[str]) -> str:
    """Cut `text` behind the stop string that ends first."""
    ends = [text.index(stop) + len(stop) for stop in stop_strings if stop in text]
    return text[: min(ends)] if ends else text


def _cut_at_stop(written: list[int], row: int, stop_strings: Sequence[str], decode: Decode) -> list[int]:
    """Drop the tokens behind the one that completes a stop string: other rows may have gone on."""
    if not stop_strings or not any(stop in decode(row, written) for stop in stop_strings):
        return written
    low, high = 1, len(written)
    while low < high:  # the shortest beginning that holds a stop string
        middle = (low + high) // 2
        if any(stop in decode(row, written[:middle]) for stop in stop_strings):
            high = middle
        else:
            low = middle + 1
    return written[:low]


def _processors(
    options: GenerationOptions, marks: Sequence[int], never: Sequence[int], rows: int, first_index: int, mask: Tensor
) -> LogitsProcessorList:
    found: list[LogitsProcessor] = []
    if never:
        found.append(SuppressTokensLogitsProcessor(list(never), device=str(mask.device)))
    if options.repetition_penalty != 1.0:
        found.append(_RepetitionPenalty(options.repetition_penalty, marks, mask))
    if options.do_sample:
        if options.temperature != 1.0:
            found.append(TemperatureLogitsWarper(options.temperature))
        if options.top_k:
            found.append(TopKLogitsWarper(options.top_k))
        if options.top_p < 1.0:
            found.append(TopPLogitsWarper(options.top_p))
        if options.min_p:
            found.append(MinPLogitsWarper(options.min_p))
        found.append(_Draw(options.seed, range(first_index, first_index + rows)))
    return LogitsProcessorList(found)


class _RepetitionPenalty(LogitsProcessor):
    """Keskar et al. 2019, equation 2, as transformers reads it (negative scores are multiplied), marks left alone.

    The mark that every prompt begins after is often the end mark too: penalised, no text would end.
    """

    def __init__(self, penalty: float, marks: Sequence[int], mask: Tensor) -> None:
        self.penalty, self.marks, self.mask = penalty, torch.tensor(list(marks), device=mask.device), mask.bool()

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        counts = ~torch.isin(input_ids, self.marks)
        counts[:, : self.mask.shape[1]] &= self.mask  # padding was never said
        seen = torch.zeros_like(scores)
        seen.scatter_add_(1, input_ids, counts.to(scores.dtype))  # (rows, vocabulary)
        return torch.where(seen > 0, torch.where(scores < 0, scores * self.penalty, scores / self.penalty), scores)


class _Draw(LogitsProcessor):
    """Draws one token of each row and leaves no other; each row has its own stream of random numbers."""

    def __init__(self, seed: int | None, indices: Sequence[int]) -> None:
        self.generators = [torch.Generator() for _ in indices]
        for generator, index in zip(self.generators, indices, strict=True):
            if seed is None:
                generator.seed()
            else:
                generator.manual_seed((seed * 1_000_003 + index) % 2**63)

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        points = torch.stack([torch.rand((), generator=one, dtype=torch.float64) for one in self.generators])
        mass = torch.softmax(scores.double(), dim=-1).cumsum(-1)  # (rows, vocabulary)
        # Scaled to each row's own total, a rounding error there cannot choose a token without mass.
        points = (points.to(mass.device) * mass[:, -1])[:, None]
        drawn = torch.searchsorted(mass, points, right=True).clamp(max=scores.shape[1] - 1)  # (rows, 1)
        return torch.full_like(scores, -torch.inf).scatter_(1, drawn, 0.0)


class _StopAtText(StoppingCriteria):
    """Ends a row once its new text holds a stop string."""

    def __init__(self, stop_strings: Sequence[str], decode: Decode, prompt_length: int) -> None:
        self.stop_strings, self.decode, self.prompt_length = stop_strings, decode, prompt_length
        # A token has at least a byte, a character at most four. Anything that ended earlier was seen earlier.
        self.tail = 4 * max(map(len, stop_strings)) + 8

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        written = input_ids[:, self.prompt_length :].tolist()
        found = []
        for row, ids in enumerate(written):
            text = self.decode(row, ids) if len(ids) <= self.tail else self.decode(-1, ids[-self.tail :])
            found.append(any(stop in text for stop in self.stop_strings))
        return torch.tensor(found, device=input_ids.device)


class _StopWhenCancelled(StoppingCriteria):
    def __init__(self, cancelled: threading.Event) -> None:
        self.cancelled = cancelled

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        return torch.full((len(input_ids),), self.cancelled.is_set(), device=input_ids.device)


class _QueueStreamer:
    """Puts every new token into a queue; the first thing `generate` sends is the prompt."""

    def __init__(self, tokens: queue.Queue[Any]) -> None:
        self.tokens, self.prompt_seen = tokens, False

    def put(self, value: Tensor) -> None:
        if self.prompt_seen:
            for token in value.reshape(-1).tolist():
                self.tokens.put(token)
        self.prompt_seen = True

    def end(self) -> None:
        """Nothing is held back here."""


class _OnlyGivenSettings:
    """Keeps a checkpoint's own generation settings, such as a temperature, from joining those asked for."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def __enter__(self) -> None:
        self.kept = self.model.generation_config
        self.model.generation_config = GenerationConfig()

    def __exit__(self, *_: object) -> None:
        self.model.generation_config = self.kept
