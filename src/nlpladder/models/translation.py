"""A translation model as a user holds it: encoder-decoder and tokenizers together, texts in, translations out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from nlpladder.errors import ConfigError, ModelError
from nlpladder.models.alignment import copied_words, fill_unknown
from nlpladder.models.model_with_tokenizer import ModelWithTokenizer
from nlpladder.models.targets import check_texts
from nlpladder.models.translation_encoding import TextFormat, never_written, shortened, source_ids, target_ids
from nlpladder.models.translation_pieces import cut, length_batches
from nlpladder.models.translation_result import Translation, joined, trimmed
from nlpladder.protocols import TokenScores

if TYPE_CHECKING:
    from nlpladder.models.translation_search import Hypothesis

#: Source tokens read at once by a model without a limit of its own; longer texts are translated in pieces.
_PIECE_TOKENS = 512


@dataclass(frozen=True)
class _Source:
    """A text, or a piece of one, as the model reads it."""

    text: str
    ids: list[int]
    note: str | None = None


class Translator(ModelWithTokenizer):
    """Wraps any encoder-decoder (our Seq2Seq and Transformer, Marian, BART, T5) with its tokenizers.

    Args:
        model: A ``…ForConditionalGeneration`` or ``MarianMTModel``.
        tokenizer: Of the source; it puts the end mark behind a text by itself.
        target_tokenizer: Of the target, where the vocabularies are separate.
        lowercase: Lower-case the source before the tokenizer sees it; short for a `text_format` with nothing else.
        alignment_layer: The decoder layer from which alignments are read; see
            `nlpladder.models.translation_search.cross_attention`.
        text_format: What is done to texts around the tokenizer: prefix, languages, what happens to long sources.

    Raises:
        ModelError: when a vocabulary does not fit the model.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        target_tokenizer: Any = None,
        *,
        lowercase: bool = False,
        alignment_layer: int | None = None,
        text_format: TextFormat | None = None,
    ) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.target_tokenizer = tokenizer if target_tokenizer is None else target_tokenizer
        self.text_format = text_format or TextFormat(lowercase=lowercase)
        self.lowercase = self.text_format.lowercase
        self.alignment_layer = alignment_layer
        _check_vocabulary(self.tokenizer, model.get_input_embeddings(), "source")
        _check_vocabulary(self.target_tokenizer, model.get_output_embeddings(), "target")

    def translate(
        self,
        texts: Sequence[str],
        *,
        num_beams: int = 5,
        length_penalty: float = 1.0,
        n_best: int = 1,
        max_new_tokens: int | None = None,
        tokens_per_batch: int = 8192,
        coverage_penalty: float = 0.0,
        copy_unknown: bool = True,
        alignments: bool = True,
    ) -> list[Translation]:
        """Translate texts; the answers stand in the order given, and do not depend on each other.

        Args:
            texts: Cased, untokenised sentences. An empty one gives an empty translation.
            num_beams: Hypotheses kept at each step; 1 is greedy search.
            length_penalty: Hypotheses are ranked by log p / length^length_penalty: above 0 favours long ones. (This is
                the penalty of transformers; that of Wu et al. 2016 is ((5 + length) / 6)^alpha.)
            n_best: How many hypotheses to return, the further ones as `Translation.alternatives`.
            max_new_tokens: Most target tokens; what the model's generation config says when not given, as after
                fine-tuning, else twice the source's and 10.
            tokens_per_batch: Source tokens times beams, padding included, that are searched at once; texts are sorted
                by length, so little of it is padding.
            coverage_penalty: Weight beta of the coverage penalty (Wu et al. 2016, eq. 14) by which the finished
                hypotheses of the beam are ranked again; 0 for none.
            copy_unknown: Replace unknown tokens by the source word they attend to most.
            alignments: Return attention weights.

        Raises:
            ConfigError: for options that contradict each other.
            ModelError: when the model has no attention and coverage is asked for.
        """
        texts = check_texts(texts)
        _check_options(num_beams, n_best, max_new_tokens, coverage_penalty, tokens_per_batch)
        if coverage_penalty and not self._has_attention():
            raise ModelError("This model has no attention, so there is no coverage to penalise: coverage_penalty=0.")
        sources = self._sources(texts)
        pieces = [piece for several in sources for piece in several]
        attend = self._has_attention() and (alignments or copy_unknown or bool(coverage_penalty))
        translated = iter(
            self._search(
                pieces,
                tokens_per_batch=tokens_per_batch,
                limits=[self._limit(piece, max_new_tokens) for piece in pieces],
                num_beams=num_beams,
                length_penalty=length_penalty,
                num_hypotheses=num_beams if coverage_penalty else n_best,
                with_attention=attend,
            )
        )

        def rank(hypothesis: Hypothesis) -> float:
            return hypothesis.score(length_penalty=length_penalty, coverage_penalty=coverage_penalty)

        answers = []
        for several in sources:
            parts = []
            for piece in several:
                best = sorted(next(translated), key=rank, reverse=True)[:n_best]
                written = [self._written(piece, one, rank(one), copy_unknown, alignments) for one in best]
                parts.append(replace(written[0], alternatives=tuple(written[1:])))
            answers.append(joined(parts))
        return answers

    def _search(
        self, pieces: list[_Source], *, tokens_per_batch: int, limits: list[int], num_beams: int, **options: Any
    ) -> list[list[Hypothesis]]:
        """Return the hypotheses of every piece, searched in batches of like lengths."""
        from nlpladder.models.translation_search import search

        found: list[list[Hypothesis]] = [[] for _ in pieces]
        with self.evaluating():
            for numbers in length_batches([len(piece.ids) for piece in pieces], max(1, tokens_per_batch // num_beams)):
                hypotheses = search(
                    self.model,
                    [pieces[number].ids for number in numbers],
                    limits=[limits[number] for number in numbers],
                    num_beams=num_beams,
                    attention_layer=self.alignment_layer,
                    never=self._never_written(),
                    **options,
                )
                for number, several in zip(numbers, hypotheses, strict=True):
                    found[number] = several
        return found

    def score_targets(
        self, sources: Sequence[str], targets: Sequence[str], *, tokens_per_batch: int = 8192
    ) -> list[TokenScores]:
        """Return how each target is predicted from its source; see `nlpladder.models.translation_scoring`.

        Args:
            sources: As `translate` takes them, each short enough to be read at once.
            targets: One a source.
            tokens_per_batch: Source and target tokens, padding included, that are read at once.

        Raises:
            DataError: Sources and targets do not go together, or one is longer than the model reads at once.
        """
        from nlpladder.models.translation_scoring import score_targets

        return score_targets(self, sources, targets, tokens_per_batch=tokens_per_batch)

    def attention_maps(self, text: str, translation: Translation) -> dict[str, np.ndarray]:
        """Return all attention weights for a text and its translation, from a teacher-forced pass.

        Args:
            text: The source, short enough to be read at once.
            translation: What `translate` returned for it.

        Returns:
            ``cross`` (layers, heads, target, source) and, for a Transformer, ``encoder`` (layers, heads, source,
            source) and ``decoder`` (layers, heads, target, target). Source axes are labelled by
            `Translation.source_tokens`, target axes by `Translation.target_tokens`; a row of target is the step that
            wrote that token, a column of ``decoder`` the token read before it.
        """
        from nlpladder.models.translation_search import all_attentions

        (sources,) = self._sources([text])
        if len(sources) != 1 or translation.note is not None:
            return {}
        target = self.target_tokenizer.convert_tokens_to_ids(list(translation.target_tokens))
        return all_attentions(self.model, sources[0].ids, target)

    def save_pretrained(self, save_directory: str | os.PathLike[str]) -> None:
        """Write model, tokenizers and settings into one folder; see `nlpladder.models.translation_files`."""
        from nlpladder.models.translation_files import save_translator

        separate = None if self.target_tokenizer is self.tokenizer else self.target_tokenizer
        settings = {**self.text_format.to_dict(), "alignment_layer": self.alignment_layer}
        save_translator(save_directory, self.model, self.tokenizer, separate, settings)

    @classmethod
    def from_pretrained(cls, path: str | os.PathLike[str], **arguments: Any) -> Self:
        """Load from a folder or a Hub id.

        Args:
            path: What `save_pretrained` wrote, or any encoder-decoder of transformers.
            arguments: ``revision``, ``token``, ``cache_dir``, ``local_files_only``.

        Raises:
            ModelError: when something is missing, damaged, or does not fit together.
        """
        from nlpladder.models.translation_files import load_translator

        model, tokenizer, target_tokenizer, settings = load_translator(os.fspath(path), **arguments)
        layer = settings.pop("alignment_layer", None)
        return cls(model, tokenizer, target_tokenizer, alignment_layer=layer, text_format=TextFormat(**settings))

    def _never_written(self) -> list[int]:
        """Return the ids of the marks that stand in no sentence."""
        return never_written(self.target_tokenizer, [self._first_token()])

    def _first_token(self) -> int | None:
        """Return the mark with which every target of this model begins (BART, mBART), None where there is none."""
        return getattr(self.model.generation_config, "forced_bos_token_id", None)

    def _has_attention(self) -> bool:
        return getattr(self.model.config, "attention", "all") != "none"

    def _limit(self, source: _Source, max_new_tokens: int | None) -> int:
        """Return the most target tokens for a source."""
        if max_new_tokens is None:
            max_new_tokens = getattr(self.model.generation_config, "max_new_tokens", None)
        limit = 2 * len(source.ids) + 10 if max_new_tokens is None else max_new_tokens
        positions = getattr(self.model.config, "max_position_embeddings", None)
        return min(limit, positions - 1) if positions else limit

    def source_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each source as the model reads it: what training is given, too.

        Args:
            texts: Sources; a long one is cut if the text format says so, and whole otherwise.
        """
        rows = source_ids(self.tokenizer, texts, self.text_format)
        limit = self.text_format.max_source_length
        if limit is None or not self.text_format.cut_long_sources:
            return rows
        special = frozenset(self.tokenizer.all_special_ids)
        return [shortened(row, limit, special) for row in rows]

    def target_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Return the token ids of each target with its end mark, of any length: what the decoder learns to write."""
        return target_ids(self.target_tokenizer, texts, self.text_format)

    def _sources(self, texts: Sequence[str]) -> list[list[_Source]]:
        """Tokenise texts: one longer than the model reads at once is cut or in pieces, an empty one not at all."""
        filled = [number for number, text in enumerate(texts) if text.strip()]
        sources: list[list[_Source]] = [[] for _ in texts]
        limit = min(getattr(self.model.config, "max_position_embeddings", None) or _PIECE_TOKENS, _PIECE_TOKENS)
        limit = self.text_format.max_source_length or limit
        special = frozenset(self.tokenizer.all_special_ids)
        rows = source_ids(self.tokenizer, [texts[number] for number in filled], self.text_format)
        for number, ids in zip(filled, rows, strict=True):
            if len(ids) <= limit:
                sources[number] = [_Source(texts[number], ids)]
            elif self.text_format.cut_long_sources:
                note = f"The text has {len(ids):,} tokens; as in training, only the first {limit:,} were read."
                sources[number] = [_Source(texts[number], shortened(ids, limit, special), note)]
            else:
                pieces = cut(texts[number], lambda part: len(self.source_ids([part])[0]), limit)
                sources[number] = [_Source(*pair) for pair in zip(pieces, self.source_ids(pieces), strict=True)]
        return sources

    def _words(self, source: _Source) -> tuple[str, list[tuple[int, int] | None]]:
        """Return the text and, for each token, the characters of its word in it."""
        prefix = len(self.text_format.prefix)
        whole = self.text_format.read(source.text)
        read, encoded = whole[prefix:], self.tokenizer(whole, truncation=False)
        words: list[tuple[int, int] | None] = []
        for position in range(len(source.ids)):
            # At the end of a text that was cut stands a mark where the whole text goes on.
            same = encoded["input_ids"][position] == source.ids[position]
            word = encoded.token_to_word(position) if same else None
            span = None if word is None else encoded.word_to_chars(word)
            if span is None or span.end <= prefix:  # a word of the prefix is nothing to copy
                words.append(None)
            else:
                words.append(trimmed(read, max(0, span.start - prefix), span.end - prefix))
        # Lower-casing may change the length of a text; then the characters of the original are not known.
        return source.text if len(source.text) == len(read) else read, words

    def _written(
        self, source: _Source, found: Hypothesis, score: float, copy_unknown: bool, alignments: bool
    ) -> Translation:
        """Turn token ids into text."""
        tokenizer = self.target_tokenizer
        unknown = tokenizer.unk_token_id
        # Not skip_special_tokens: the unknown token is one too, and must stay to be replaced.
        dropped = {*tokenizer.all_special_ids, self._first_token()} - {unknown}
        kept = [place for place, token in enumerate(found.ids) if token not in dropped]
        ids = [found.ids[place] for place in kept]
        text = tokenizer.decode(ids, skip_special_tokens=False).strip()
        is_fast = getattr(self.tokenizer, "is_fast", False)  # only such a one knows where its tokens stand
        if copy_unknown and unknown in ids and found.attention is not None and is_fast:
            read, words = self._words(source)
            text = fill_unknown(
                text, tokenizer.unk_token, copied_words(ids, unknown, found.attention[kept], words, read)
            ).strip()
        return Translation(
            text,
            score,
            tuple(self.tokenizer.convert_ids_to_tokens(source.ids)),
            tuple(tokenizer.convert_ids_to_tokens(found.ids)),
            found.attention if alignments else None,
            note=source.note,
        )


def _check_options(
    num_beams: int, n_best: int, max_new_tokens: int | None, coverage_penalty: float, tokens_per_batch: int
) -> None:
    for name, value in (
        ("num_beams", num_beams),
        ("max_new_tokens", max_new_tokens),
        ("tokens_per_batch", tokens_per_batch),
    ):
        if value is not None and value < 1:
            raise ConfigError(f"{name} is {value}; it must be at least 1.")
    if not 1 <= n_best <= num_beams:
        raise ConfigError(f"n_best is {n_best}, expected 1 to num_beams, which is {num_beams}.")
    if coverage_penalty < 0:
        raise ConfigError(f"coverage_penalty is {coverage_penalty}; it must be 0 or more.")


def _check_vocabulary(tokenizer: Any, table: Any, side: str) -> None:
    """Refuse a vocabulary with ids that the model does not have."""
    rows = table.weight.shape[0]
    vocabulary = tokenizer.get_vocab()
    token, largest = max(vocabulary.items(), key=lambda entry: entry[1])
    if largest >= rows:
        raise ModelError(
            f"The {side} vocabulary does not fit the model: its token {token!r} has the id {largest}, but the model's "
            f"{side} table has {rows} rows. Give the tokenizer that the model was trained with."
        )
