"""A neural language model as a user holds it: model and tokenizer together, texts in, probabilities and texts out."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nlpladder.errors import ConfigError, ModelError
from nlpladder.generation import GenerationOptions, TextStream
from nlpladder.models.model_with_tokenizer import ModelWithTokenizer
from nlpladder.models.neural_tokens import TextEncoder, check_vocabulary, texts_behind
from nlpladder.models.targets import check_texts
from nlpladder.protocols import FloatArray, TokenScores

if TYPE_CHECKING:
    import threading

    from nlpladder.data.conversations import Message

logger = logging.getLogger(__name__)

#: Models without positions: they carry a state and see everything before a token.
RECURRENT_TYPES = ("nlpladder_recurrent_lm",)
#: The window of a model that names no limit, or a longer one: attention takes the square of it.
LONGEST_WINDOW = 2048
#: A recurrent model reads so many tokens of a text at once.
STATE_CHUNK = 1024
_PROMPT_TOKENS_AT_ONCE = 8192


class NeuralLanguageModel(ModelWithTokenizer):
    """Wraps any causal language model of transformers, GPT-2 as well as ours, with its fast tokenizer.

    A text w1 … wn is scored as it was learnt: it begins after the model's begin mark, and its end mark is predicted
    after wn. Our models have one mark for both, ``</s>``, as GPT-2 has ``<|endoftext|>``.

    Args:
        model: Takes ``input_ids`` and ``attention_mask``, returns ``logits`` (batch, tokens, vocabulary).
        tokenizer: A ``PreTrainedTokenizerFast``.
        context_window: Tokens that the model reads at once; by default its number of positions, at most 2,048. Without
            meaning for a recurrent model, which sees everything before a token.
        stride: Tokens by which a window over a longer text moves; by default half the window.

    Raises:
        ModelError: Model and tokenizer do not fit each other.
        ConfigError: The window is longer than the model's positions, or the stride than the window.
    """

    def __init__(
        self, model: Any, tokenizer: Any, *, context_window: int | None = None, stride: int | None = None
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.encoder = TextEncoder(model.config, tokenizer)
        check_vocabulary(model, tokenizer)
        self.context_window, self.stride = self._window_and_stride(context_window, stride)

    @property
    def is_recurrent(self) -> bool:
        """Whether the model carries a state instead of reading windows."""
        return self.model.config.model_type in RECURRENT_TYPES

    def score(self, texts: Sequence[str]) -> list[TokenScores]:
        """Return how each text was predicted, each by itself, and its end.

        Texts longer than the model's window are read with a sliding window (see `describe_scoring`).
        """
        encoded = self.encoder.encode(check_texts(texts))
        scores = self.log_probabilities(
            [self.encoder.inputs(text.ids) for text in encoded],
            [self.encoder.targets(text.ids) for text in encoded],
            self.context_window,
            self.stride,
        )
        return [text.scores(found) for text, found in zip(encoded, scores, strict=True)]

    def score_running(
        self, texts: Sequence[str], *, window: int | None = None, stride: int | None = None
    ) -> list[TokenScores]:
        """Return how each text was predicted when all are read as one running text, in their order.

        This is how perplexities of WikiText-2 are published: earlier texts are context for later ones.

        Args:
            texts: In their order; each is followed by the end mark.
            window: Tokens that the model reads at once; the model's own window if not given.
            stride: Tokens by which the window moves; half the window if not given. Smaller is slower and better.

        Raises:
            ConfigError: The window or the stride does not fit the model.
        """
        encoded = self.encoder.encode(check_texts(texts))
        if not encoded:
            return []
        window, stride = self._given_window_and_stride(window, stride)
        inputs, targets, borders = self.encoder.running([text.ids for text in encoded])
        (scores,) = self.log_probabilities([inputs], [targets], window, stride)
        return [text.scores(scores[begin:end]) for text, (begin, end) in zip(encoded, borders, strict=True)]

    def describe_scoring(self, *, running: bool = False, window: int | None = None, stride: int | None = None) -> str:
        """Say in a sentence or two what is predicted, and with how much context.

        Args:
            running: Of `score_running`; else of `score`.
            window: As given to `score_running`.
            stride: As given to `score_running`.
        """
        begin, end = self.encoder.begin_name, self.encoder.end_name
        unit = f"tokens of the model's own tokenizer ({len(self.tokenizer):,} entries)"
        how = "all texts as one running text" if running else "each text by itself"
        marks = f"after {begin}, its end mark {end} counted" if end else f"after {begin}, no end mark"
        if self.is_recurrent:
            context = "The state is carried from token to token: no limit of context."
        else:
            window, stride = self._given_window_and_stride(window, stride)
            context = (
                f"Longer ones are read in windows of {window:,} tokens that move by {stride:,}: each token is scored "
                f"once, with at least {window - stride:,} tokens before it where there are so many."
            )
        return f"Unit: {unit}; {how}, {marks}. {context}"

    def next_token_distribution(self, prefix: str) -> tuple[list[str], FloatArray]:
        """Return all tokens and their probabilities after `prefix`, shape (vocabulary,), which sum to 1."""
        import torch

        (encoded,) = self.encoder.encode(check_texts([prefix]))
        ids = self.encoder.prompt(encoded.ids)
        if not self.is_recurrent:
            ids = ids[-self.context_window :]
        with self.evaluating():
            device = next(self.model.parameters()).device
            logits = self.model(input_ids=torch.tensor([ids], device=device), use_cache=False).logits[0, -1]
            probabilities = torch.softmax(logits.double(), dim=-1).cpu().numpy()
        return self.encoder.names(len(probabilities)), probabilities

    def token_texts(self, prefix: str, numbers: Sequence[int]) -> list[str]:
        """Return what tokens write behind `prefix`, given their ids: see `nlpladder.protocols.StreamingModel`."""
        (text,) = self.encoder.encode(check_texts([prefix]))
        return texts_behind(self.encoder, text.ids, numbers, never=self.generation_ids()["never"])

    def generate(self, prompts: Sequence[str], options: GenerationOptions | None = None) -> list[str]:
        """Return a continuation of each prompt, without the prompt and up to the end mark.

        With a seed, what a prompt gets depends on its place in the list, and not on the other prompts. The continuation
        ends behind a stop string. The unknown token, padding and mask are never drawn.

        A text may grow beyond the positions of the model: where they are full, its beginning is left out and what
        remains is read again, as nanoGPT crops its context. At most half of the positions are freed at once, so that
        each token is drawn after at least half a window, and reading again costs little. Up to there, a text is the
        same whatever `max_new_tokens`. A prompt that fills the positions loses its beginning at once, which is logged.
        Beam search holds prompt and new tokens in one window.

        Args:
            prompts: Texts; an empty one gives a text from its beginning.
            options: How to draw.

        Raises:
            ConfigError: Beam search is to write more new tokens than the model has positions.
        """
        from nlpladder.models.neural_generation import cut_text, generate_tokens

        options = options or GenerationOptions()
        rows = self._prompts(prompts, options)
        texts: list[str] = []
        longest = max(map(len, rows), default=1) + options.max_new_tokens
        longest = min(longest, self.positions or longest) * options.num_beams
        at_once = max(1, _PROMPT_TOKENS_AT_ONCE // longest)
        for start in range(0, len(rows), at_once):
            batch = rows[start : start + at_once]

            def decode(row: int, ids: Sequence[int], prompts: list[list[int]] = batch) -> str:
                return self.encoder.continuation(prompts[row] if row >= 0 else [], ids)

            with self.evaluating():
                continuations = generate_tokens(
                    self.model, batch, options, first_index=start, decode=decode, window=self.positions,
                    **self.generation_ids(),
                )  # fmt: skip
            texts.extend(
                cut_text(self.encoder.continuation(prompt, ids), options.stop_strings)
                for prompt, ids in zip(batch, continuations, strict=True)
            )
        return texts

    def stream(self, prompt: str, options: GenerationOptions | None = None) -> TextStream:
        """Return a continuation piece by piece; the pieces together are what `generate([prompt])` returns.

        Beam search knows its text only at the end: it comes as one piece.

        Args:
            prompt: A text; may be empty.
            options: How to draw.

        Raises:
            ConfigError: As `generate`.
        """
        from nlpladder.models.neural_generation import generate_tokens, stream_text

        options = options or GenerationOptions()
        if options.num_beams > 1:
            return TextStream(
                (text, self.encoder.encode([text])[0].ids.size) for text in self.generate([prompt], options)
            )
        rows = self._prompts([prompt], options)

        def decode(ids: Sequence[int]) -> str:
            return self.encoder.continuation(rows[0], ids)

        def run(streamer: Any, cancelled: threading.Event) -> None:
            with self.evaluating():
                generate_tokens(
                    self.model, rows, options, decode=lambda _, ids: decode(ids), streamer=streamer,
                    cancelled=cancelled, window=self.positions, **self.generation_ids(),
                )  # fmt: skip

        return stream_text(run, decode, options.stop_strings)

    def answer(self, messages: str | Sequence[Message], options: GenerationOptions | None = None) -> str:
        """Return what the assistant says to a question, or next in a conversation; see `chat_answers` for more.

        Raises:
            ModelError: The tokenizer has no chat template, so that the model was not tuned on conversations.
        """
        from nlpladder.models.chat import ChatEncoder
        from nlpladder.models.chat_answers import answer

        if not self.tokenizer.chat_template:
            raise ModelError("This model was not tuned on conversations (no chat template): use generate().")
        said = [{"role": "user", "content": messages}] if isinstance(messages, str) else messages
        return answer(self, ChatEncoder(self.tokenizer), [said], options)[0]  # type: ignore[list-item]

    @property
    def positions(self) -> int | None:
        """How many tokens the model can read at once; None where nothing limits them.

        Learnt vectors of an adapter (prompt, prefix and P-tuning) take some of the model's positions.
        """
        if self.is_recurrent:
            return None
        from nlpladder.models.neural_generation import learnt_positions

        limit = _positions(self.model.config)
        return None if limit is None else limit - learnt_positions(self.model)

    def generation_ids(self) -> dict[str, Any]:
        """Return the ids that generation treats in their own way, as `generate_tokens` takes them.

        A chat model often has an end mark for its turns beside that of its pretraining: only the settings of its
        generation, or its tokenizer, name it. All of them end a text.
        """
        found = self.encoder.generation_ids()
        named = getattr(getattr(self.model, "generation_config", None), "eos_token_id", None)
        more = [*(named if isinstance(named, (list, tuple)) else [named]), self.tokenizer.eos_token_id]
        ends = list(dict.fromkeys([*found["end_ids"], *(int(one) for one in more if one is not None)]))
        return {
            **found,
            "end_ids": ends,
            "marks": sorted({*found["marks"], *ends}),
            "never": [one for one in found["never"] if one not in ends],
        }

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike[str],
        *,
        context_window: int | None = None,
        stride: int | None = None,
        base_model: str | None = None,
        **arguments: Any,
    ) -> Self:
        """Load from a folder or a Hub id.

        Args:
            path: Any causal language model with safetensors weights and a fast tokenizer, or an adapter for one.
            context_window: See the class.
            stride: See the class.
            base_model: Where an adapter's base lies, when it has moved.
            arguments: Passed on to ``from_pretrained`` (revision, token, cache_dir, …).

        Raises:
            ModelError: Something is missing, damaged, or does not fit.
        """
        from nlpladder.models.pretrained.loading import load_model

        model, tokenizer = load_model(path, head="causal", base_model=base_model, **arguments)
        return cls(model, tokenizer, context_window=context_window, stride=stride)

    def log_probabilities(
        self, inputs: list[np.ndarray], targets: list[np.ndarray], window: int, stride: int
    ) -> list[np.ndarray]:
        """Return the natural log-probability of every target, row by row, for rows that are tokens already.

        Args:
            inputs: Token ids of each row, shape (tokens,).
            targets: What each position predicts, shape (tokens,).
            window: Tokens that the model reads at once; without meaning for a recurrent model.
            stride: Tokens by which the window moves.
        """
        from nlpladder.models.neural_scoring import score_in_windows, score_with_state

        pad_id = self.encoder.pad_id
        with self.evaluating():
            if self.is_recurrent:
                return score_with_state(self.model, inputs, targets, chunk=STATE_CHUNK, pad_id=pad_id)
            return score_in_windows(self.model, inputs, targets, window=window, stride=stride, pad_id=pad_id)

    def _prompts(self, prompts: Sequence[str], options: GenerationOptions) -> list[list[int]]:
        """Encode prompts; those that leave no room for a new token are cut on the left."""
        rows = [self.encoder.prompt(text.ids) for text in self.encoder.encode(check_texts(prompts))]
        limit, new = self.positions, options.max_new_tokens
        if limit is None:
            return rows
        if options.num_beams > 1:
            longest = room = limit - new
            if room < 1:
                raise ConfigError(
                    f"max_new_tokens is {new}, but the model has {limit} positions, which prompt and new tokens share "
                    f"in a beam search. Ask for at most {limit - 1}, or set num_beams to 1."
                )
        else:
            longest, room = limit - 1, max(1, limit - min(new, limit // 2))
        for number, row in enumerate(rows):
            if len(row) > longest:
                logger.warning(
                    "Prompt %d has %s tokens; with new ones the model's %d positions hold its last %d. The beginning "
                    "is left out.", number, f"{len(row):,}", limit, room,
                )  # fmt: skip
                rows[number] = row[-room:]
        return rows

    def _given_window_and_stride(self, window: int | None, stride: int | None) -> tuple[int, int]:
        if window is None and stride is None:
            return self.context_window, self.stride
        return self._window_and_stride(self.context_window if window is None else window, stride)

    def _window_and_stride(self, window: int | None, stride: int | None) -> tuple[int, int]:
        limit = self.positions
        if window is None:
            window = min(limit or LONGEST_WINDOW, LONGEST_WINDOW)
        if window < 1 or (limit is not None and window > limit):
            raise ConfigError(
                f"The window is {window} tokens; the model has {limit or 'any number of'} positions. Choose 1 to "
                f"{limit or 'what memory allows'}."
            )
        stride = max(1, window // 2) if stride is None else stride
        if not 1 <= stride <= window:
            raise ConfigError(f"The stride is {stride} tokens; it must lie between 1 and the window, {window}.")
        return window, stride


def _positions(config: Any) -> int | None:
    """Return how many positions a model has; None where nothing limits them."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    return int(positions) if positions else None
