"""A tagger as a user holds it: model and tokenizer together, words or texts in, tags and entities out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from nlpladder.errors import DataError
from nlpladder.models.model_with_tokenizer import ModelWithTokenizer
from nlpladder.models.sequence_classifier import usable_length
from nlpladder.models.tag_decoding import TagGrammar, best_sequence
from nlpladder.models.text_windows import (
    Ints,
    Pieces,
    Window,
    best_windows,
    by_row,
    check_tokenizer,
    find_frame,
    read_windows,
    split_pieces,
    text_windows,
)

Float = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TaggedWords:
    """The tags of one sentence.

    Attributes:
        words: Its words.
        tags: One a word.
        probabilities: Of each tag at each word, (words, tags); the columns are in the order of `tag_names`.
        starts: First character of each word in the text that was given (in the words joined by blanks, for words).
        ends: Behind its last character.
        without_pieces: Numbers of the words of which the tokenizer keeps nothing, such as control characters; they
            are tagged ``O`` where there is such a tag, else like the word beside them.
    """

    words: tuple[str, ...]
    tags: tuple[str, ...]
    probabilities: Float
    starts: tuple[int, ...]
    ends: tuple[int, ...]
    without_pieces: tuple[int, ...] = ()


@dataclass(frozen=True)
class Entity:
    """A named entity in a text.

    Attributes:
        text: The characters ``text[start:end]``.
        type: Such as PER.
        start: Its first character.
        end: Behind its last character.
        score: Mean probability of its tags.
    """

    text: str
    type: str
    start: int
    end: int
    score: float


class TokenClassifier(ModelWithTokenizer):
    """Wraps any ``…ForTokenClassification`` (or a peft adapter around one) with its tokenizer.

    A word is tagged at its first sub-word (Devlin et al. 2019, section 5.3). Sentences longer than the window are read
    in several windows that overlap; every word is tagged, in the window that shows most of its surroundings.

    Args:
        model: Takes ``input_ids`` and ``attention_mask``, returns ``logits`` (batch, tokens, tags).
        tokenizer: A fast ``PreTrainedTokenizerBase``.
        max_length: Tokens of a window; as in training, or what the model takes, when not given.
        overlap: Tokens that neighbouring windows share; a quarter of the window when not given.
        tokens_per_batch: Padded tokens of one forward pass.
        valid_tags: Whether only whole entities are tagged (`nlpladder.models.tag_decoding`): the most probable
            sequence without, for example, an ``I-PER`` behind an ``O``. By default every word has its most probable
            tag, as in Devlin et al. (2019), and broken entities are read as ``conlleval`` reads them. It is saved with
            the model. For tags of IOB2 and IOBES, not of IOB1, which allows what the others forbid;
            recipes/finetune_bert.py asks for it where the training tags are such.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        *,
        max_length: int | None = None,
        overlap: int | None = None,
        tokens_per_batch: int = 8192,
        valid_tags: bool | None = None,
    ) -> None:
        check_tokenizer(tokenizer)
        self.model = model
        self.tokenizer = tokenizer
        saved = getattr(model.config, "reading_windows", None) or {}
        self.max_length = usable_length(model, tokenizer, max_length or saved.get("length"))
        self.frame = find_frame(tokenizer, pair=False)
        wanted = saved.get("overlap") if overlap is None else overlap
        room = max(1, self.max_length - self.frame.size)
        self.overlap = min(self.max_length // 4 if wanted is None else int(wanted), room - 1)
        self.tokens_per_batch = tokens_per_batch
        self.valid_tags = bool(saved.get("valid_tags")) if valid_tags is None else valid_tags
        self._grammar = TagGrammar.of(self.tag_names) if self.valid_tags else None

    @property
    def tag_names(self) -> tuple[str, ...]:
        """Tags in the order of the logits."""
        config = self.model.config
        return tuple(str(config.id2label[index]) for index in range(config.num_labels))

    def predict(self, sentences: Sequence[str | Sequence[str]]) -> list[TaggedWords]:
        """Tag every word of some sentences.

        Args:
            sentences: Lists of words, as in training, or texts, which are split into words and punctuation marks.

        Raises:
            DataError: A sentence is neither.
        """
        if isinstance(sentences, str):
            raise DataError("Give a list of sentences, not one text: predict([text]).")
        given = [_words_of(sentence, number) for number, sentence in enumerate(sentences)]
        logits, known = self.word_logits([words for words, _, _ in given])
        found = []
        for (words, starts, ends), row, there in zip(given, logits, known, strict=True):
            probabilities, tags = self.decode(row, there)
            missing = tuple(np.flatnonzero(~there).tolist())
            found.append(TaggedWords(tuple(words), tags, probabilities, tuple(starts), tuple(ends), missing))
        return found

    def decode(self, logits: npt.NDArray[np.float32], known: npt.NDArray[np.bool_]) -> tuple[Float, tuple[str, ...]]:
        """Return probabilities, (words, tags), and the tags: the most probable of each word, or valid ones.

        Args:
            logits: Of one sentence, from `word_logits`.
            known: Whether each word has a sub-word.
        """
        from scipy.special import log_softmax, softmax

        names = self.tag_names
        probabilities = _filled(softmax(logits.astype(np.float64), axis=1), known, names)
        if self._grammar is None:
            return probabilities, tuple(names[index] for index in probabilities.argmax(axis=1).tolist())
        with np.errstate(divide="ignore"):
            scores = np.log(probabilities)
        # Not the logarithm of the softmax: a probability that is too small for a float would forbid the tag.
        scores[known] = log_softmax(logits[known].astype(np.float64), axis=1)
        return probabilities, tuple(names[index] for index in best_sequence(scores, self._grammar))

    def entities(self, text: str) -> list[Entity]:
        """Return the entities of a text, in their order, with their characters.

        Raises:
            DataError: The tags of this model do not mark entities, or several texts were given.
        """
        if not isinstance(text, str):
            raise DataError("entities() reads one text; several, in a list, are read by entities_of().")
        return self.entities_of([text])[0]

    def entities_of(self, texts: Sequence[str]) -> list[list[Entity]]:
        """Return the entities of several texts; see `entities`."""
        from nlpladder.evaluation.entities import entity_spans

        found = []
        for text, tagged in zip(texts, self.predict(list(texts)), strict=True):
            columns = np.array([self.tag_names.index(tag) for tag in tagged.tags], dtype=np.int64)
            best = tagged.probabilities[np.arange(len(columns)), columns]
            entities = []
            for kind, first, behind in sorted(entity_spans(tagged.tags), key=lambda span: span[1]):
                start, end = tagged.starts[first], tagged.ends[behind - 1]
                entities.append(Entity(text[start:end], kind, start, end, float(best[first:behind].mean())))
            found.append(entities)
        return found

    def word_logits(self, sentences: Sequence[Sequence[str]]) -> tuple[list[npt.NDArray[np.float32]], list[Any]]:
        """Return the logits of each word, (words, tags), and whether it has a sub-word at all, (words,)."""
        encoded = encode_words(self.tokenizer, sentences)
        windows = text_windows(
            [pieces for pieces, _ in encoded], self.frame, length=self.max_length, overlap=self.overlap
        )
        read = read_windows(
            self.model, self.tokenizer, windows, tokens_per_batch=self.tokens_per_batch, read=lambda out: (out.logits,)
        )
        logits, known = [], []
        for (pieces, words), numbers, sentence in zip(encoded, by_row(windows, len(sentences)), sentences, strict=True):
            row = np.zeros((len(sentence), self.model.config.num_labels), dtype=np.float32)
            there = np.zeros(len(sentence), dtype=bool)
            if numbers:
                inside = [windows[number] for number in numbers]
                chosen = best_windows(inside, len(pieces))  # (pieces,)
                for word, piece in zip(*first_pieces(words), strict=True):
                    window = inside[chosen[piece]]
                    row[word] = read[numbers[chosen[piece]]][0][window.offset + piece - window.first]
                    there[word] = True
            logits.append(row)
            known.append(there)
        return logits, known

    def _write_settings(self, folder: Path) -> None:
        """Put how texts are read into the config, where a reload finds it."""
        reading = {"length": self.max_length, "overlap": self.overlap}
        self.model.config.reading_windows = {**reading, "valid_tags": True} if self.valid_tags else reading

    @classmethod
    def from_pretrained(
        cls,
        path: str | os.PathLike[str],
        *,
        base_model: str | None = None,
        valid_tags: bool | None = None,
        **arguments: Any,
    ) -> Self:
        """Load from a folder or a Hub id; see `nlpladder.models.pretrained.loading`.

        Args:
            path: Folder or Hub id.
            base_model: Where an adapter's base lies, when it has moved.
            valid_tags: See the class; as saved when not given.
            arguments: ``revision``, ``token``, ``cache_dir``, ``local_files_only``.
        """
        from nlpladder.models.pretrained.loading import load_model

        model, tokenizer = load_model(os.fspath(path), head="token_classification", base_model=base_model, **arguments)
        return cls(model, tokenizer, valid_tags=valid_tags)


def encode_words(tokenizer: Any, sentences: Sequence[Sequence[str]]) -> list[tuple[Pieces, Ints]]:
    """Split words into pieces: the pieces of the words joined by blanks, and the number of each piece's word.

    Joined by blanks, words are split as in running text by tokenizers of every kind, those included that mark the
    blank before a word (byte-level BPE, SentencePiece).
    """
    texts = [" ".join(words) for words in sentences]
    found = []
    for words, pieces in zip(sentences, split_pieces(tokenizer, texts), strict=True):
        lengths = np.array([len(word) for word in words], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths + 1)[:-1]]) if len(words) else lengths  # (words,)
        visible = pieces.ends > pieces.starts
        numbers = np.searchsorted(starts, pieces.starts, side="right") - 1
        # A piece of white space alone belongs to no word.
        found.append((pieces, np.where(visible, numbers, -1)))
    return found


def first_pieces(words: Ints) -> tuple[list[int], list[int]]:
    """Return the words that have pieces, and the first piece of each.

    Args:
        words: The number of each piece's word, -1 for none, (pieces,).
    """
    numbers, firsts = np.unique(words, return_index=True)
    kept = numbers >= 0
    return numbers[kept].tolist(), firsts[kept].tolist()


def _filled(probabilities: Float, known: npt.NDArray[np.bool_], names: Sequence[str]) -> Float:
    """Give words without pieces the tag ``O``, or the probabilities of the nearest word that has pieces."""
    missing = np.flatnonzero(~known)
    if not len(missing):
        return probabilities
    there = np.flatnonzero(known)
    filled = probabilities.copy()
    for word in missing.tolist():
        if "O" in names or not len(there):
            filled[word] = 0.0
            filled[word, names.index("O") if "O" in names else 0] = 1.0
        else:
            filled[word] = probabilities[there[np.argmin(np.abs(there - word))]]
    return filled


def _words_of(sentence: str | Sequence[str], number: int) -> tuple[list[str], list[int], list[int]]:
    """Return words with their characters: of a text where they stand, of a list of words as joined by blanks."""
    from nlpladder.text.tokenization import regex_tokenize

    if isinstance(sentence, str):
        words = regex_tokenize(sentence)
        starts, place = [], 0
        for word in words:
            place = sentence.index(word, place)
            starts.append(place)
            place += len(word)
    else:
        words = list(sentence)
        if not all(isinstance(word, str) for word in words):
            raise DataError(f"Sentence {number} is no text and no list of words: it holds {words[:3]!r}.")
        starts = np.cumsum([0, *(len(word) + 1 for word in words)])[:-1].tolist()
    return words, starts, [start + len(word) for start, word in zip(starts, words, strict=True)]


def label_positions(
    windows: Sequence[Window], pieces: Pieces, words: Ints, *, every_piece: bool
) -> list[tuple[Ints, Ints]]:
    """Return for each window of one sentence the positions to be learnt and the words they stand for.

    Every word is learnt once, in the window where it is read, so that no overlap counts twice.

    Args:
        windows: Of one sentence.
        pieces: Of the sentence.
        words: The number of each piece's word, -1 for none, (pieces,).
        every_piece: Learn the tag at every piece of a word, not at the first alone.
    """
    chosen = best_windows(windows, len(pieces))
    if every_piece:
        learnt = np.flatnonzero(words >= 0)
    else:
        learnt = np.array(first_pieces(words)[1], dtype=np.int64)
    found = []
    for number, window in enumerate(windows):
        mine = learnt[chosen[learnt] == number]
        found.append((window.offset + mine - window.first, words[mine]))
    return found
