"""Training of sub-word, word, character and byte tokenizers that any Hugging Face model can use."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, get_args

from nlpladder.errors import ConfigError, DataError, did_you_mean
from nlpladder.text.corpus import TextCorpus
from nlpladder.text.tokenization import WORD_REGEX

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from transformers import PreTrainedTokenizerFast

Scheme = Literal["bpe", "wordpiece", "unigram", "byte_bpe", "word", "whitespace", "char", "byte"]
Template = Literal["none", "cls_sep", "bos_eos", "eos"]
Role = Literal["pad", "unk", "bos", "eos", "mask", "cls", "sep"]

_BERT_TOKENS = {"pad": "[PAD]", "unk": "[UNK]", "bos": "[CLS]", "eos": "[SEP]", "mask": "[MASK]"}
_DEFAULT_TOKENS = {"pad": "<pad>", "unk": "<unk>", "bos": "<s>", "eos": "</s>", "mask": "<mask>"}
_CONTINUATION = "##"
#: What the `tokenizers` library takes for a word between white space; Python's white space has these four more.
_WHITESPACE_WORD = re.compile(r"[\S\x1c-\x1f]+")


def train_subword_tokenizer(
    texts: Iterable[str],
    *,
    scheme: Scheme = "wordpiece",
    vocab_size: int = 30_000,
    lowercase: bool | None = None,
    special_tokens: Mapping[Role, str] | None = None,
    additional_special_tokens: Sequence[str] = (),
    min_frequency: int | None = None,
    limit_alphabet: int | None = None,
    template: Template | None = None,
    model_max_length: int = 512,
) -> PreTrainedTokenizerFast:
    """Train a tokenizer on `texts`; the same texts always give the same tokenizer, whatever the number of threads.

    ============ ============================================= ========================== ==============================
    scheme       algorithm                                     decode(encode(text))       template
    ============ ============================================= ========================== ==============================
    wordpiece    WordPiece (Schuster & Nakajima 2012), BERT's  words joined by spaces     [CLS] A [SEP] B [SEP]
    bpe          BPE (Sennrich et al. 2016) on "▁" spaces      normalised text            none
    unigram      unigram model (Kudo 2018) on "▁" spaces       normalised text            none
    byte_bpe     byte-level BPE (Radford et al. 2019), GPT-2's the text itself, always    none
    word         whole words of the regex tokeniser            words joined by spaces     none
    whitespace   whole words between white space, as written   words joined by spaces     none
    char         characters                                    the text, if no unknown    none
    byte         the 256 bytes of UTF-8; no training           the text itself, always    none
    ============ ============================================= ========================== ==============================

    ``word`` and ``wordpiece`` split as `nlpladder.text.tokenization.regex_tokenize`: "Isn't it?" gives "is", "n't",
    "it", "?". They apply NFKC and straighten apostrophes; ``bpe`` and ``unigram`` apply NFKC and squeeze white space.
    The promise of ``byte_bpe`` and ``byte`` holds for ``lowercase=False``, without the template's tokens and for texts
    that do not spell out a special token. ``whitespace`` is for text that is tokenised already, such as WikiText:
    "@-@" stays one token and "<unk>" in the text is the unknown token. The ids of ``byte`` are the byte plus the number
    of special tokens. Segment ids of a pair are returned with ``return_token_type_ids=True``.

    Args:
        texts: A list, a column, or a generator; it is streamed. ``wordpiece`` reads it twice, and puts a generator
            into a temporary file meanwhile.
        scheme: One of the table.
        vocab_size: Entries at most, special tokens included; ``byte`` has always 256 and the special tokens.
        lowercase: The default is true for ``word`` and ``wordpiece``.
        special_tokens: Replaces the tokens of some roles (pad, unk, bos, eos, mask; cls and sep are bos and eos unless
            given). Ids start with pad = 0, unk = 1, bos = 2, eos = 3, mask = 4.
        additional_special_tokens: More tokens that are never split, for example the placeholders of a preprocessor.
        min_frequency: How often a word or a pair must occur to become an entry; the default is 2, for ``whitespace`` 1.
            ``unigram``, ``char`` and ``byte`` have no use for it.
        limit_alphabet: Keep only so many characters, the most frequent ones, for ``bpe`` and ``wordpiece``.
        template: What is put around a text: ``cls_sep``, ``bos_eos``, ``eos`` or ``none``.
        model_max_length: Where truncation cuts.

    Returns:
        A tokenizer with all special tokens set; ``save_pretrained`` writes it and ``AutoTokenizer`` reads it offline.

    Raises:
        ConfigError: for an unknown scheme, or a `vocab_size` below the alphabet and special tokens (the smallest
            possible is named).
        DataError: for a corpus without text, or an entry that is not a string.
    """
    from transformers import PreTrainedTokenizerFast

    if scheme not in get_args(Scheme):
        raise ConfigError(
            f"There is no scheme {scheme!r}.{did_you_mean(scheme, get_args(Scheme))} Choose from {get_args(Scheme)}."
        )
    roles = _roles(scheme, special_tokens)
    specials = list(dict.fromkeys([*roles.values(), *additional_special_tokens]))
    minimum = len(specials) + (256 if scheme == "byte_bpe" else 1)
    if vocab_size < minimum and scheme != "byte":
        raise _too_small(vocab_size, minimum, f"{len(specials)} special tokens and {minimum - len(specials)} more")
    lowercase = scheme in ("word", "wordpiece") if lowercase is None else lowercase
    if min_frequency is None:
        min_frequency = 1 if scheme == "whitespace" else 2

    trained: Tokenizer = _pipeline(scheme, lowercase)
    corpus = TextCorpus(texts, readings=2 if scheme == "wordpiece" else 1)
    try:
        model = _train(trained, corpus, scheme, vocab_size, specials, roles["unk"], min_frequency, limit_alphabet)
    finally:
        corpus.close()
    # A fresh tokenizer, so that nothing of the training stays behind.
    tokenizer = _pipeline(scheme, lowercase)
    tokenizer.model = model
    size = tokenizer.get_vocab_size()
    if size > vocab_size and scheme != "byte":
        raise _too_small(vocab_size, size, f"{len(specials)} special tokens and the alphabet of the texts")
    if size <= len(specials):
        raise DataError(
            f"The texts hold no word that occurs {min_frequency} times. Lower min_frequency or give more text."
        )
    post_processor = _post_processor(template or ("cls_sep" if scheme == "wordpiece" else "none"), roles, tokenizer)
    if post_processor is not None:
        tokenizer.post_processor = post_processor
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=model_max_length,
        clean_up_tokenization_spaces=False,
        extra_special_tokens=list(additional_special_tokens),
        **{f"{role}_token": token for role, token in roles.items()},
    )


def _roles(scheme: Scheme, given: Mapping[Role, str] | None) -> dict[str, str]:
    """Return the special token of every role, in the order of their ids."""
    valid = get_args(Role)
    for role in given or {}:
        if role not in valid:
            raise ConfigError(
                f"There is no special token for the role {role!r}.{did_you_mean(role, valid)} Roles: {valid}."
            )
    roles = dict(_BERT_TOKENS if scheme == "wordpiece" else _DEFAULT_TOKENS) | {
        str(k): v for k, v in (given or {}).items()
    }
    roles.setdefault("cls", roles["bos"])
    roles.setdefault("sep", roles["eos"])
    return roles


def _too_small(vocab_size: int, smallest: int, what: str) -> ConfigError:
    return ConfigError(
        f"vocab_size is {vocab_size}, but {what} need {smallest}: the smallest possible vocab_size is {smallest}. "
        "(limit_alphabet drops rare characters in the schemes bpe and wordpiece; byte_bpe needs none of them.)"
    )


def _pipeline(scheme: Scheme, lowercase: bool) -> Tokenizer:
    """Return a tokenizer with an empty model and everything around it."""
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    lower = [normalizers.Lowercase()] if lowercase else []
    if scheme in ("word", "wordpiece"):
        tokenizer = Tokenizer(models.WordLevel() if scheme == "word" else models.WordPiece())
        tokenizer.normalizer = normalizers.Sequence(
            [
                normalizers.NFKC(),
                normalizers.Replace("’", "'"),
                # Accents stay: in most languages they tell words apart.
                normalizers.BertNormalizer(lowercase=lowercase, strip_accents=False),
            ]
        )
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(WORD_REGEX), "removed", invert=True)
        tokenizer.decoder = decoders.WordPiece(prefix=_CONTINUATION, cleanup=False)
    elif scheme in ("bpe", "unigram"):
        tokenizer = Tokenizer(models.BPE() if scheme == "bpe" else models.Unigram())
        squeeze = [normalizers.Replace(Regex(r"\s+"), " "), normalizers.Strip()]
        tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), *lower, *squeeze])
        # Punctuation stands alone, as SentencePiece has it; "▁" is a symbol, not punctuation.
        punctuation = pre_tokenizers.Split(Regex(r"\p{P}"), "isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Metaspace(), punctuation])
        tokenizer.decoder = decoders.Metaspace()
    elif scheme == "byte_bpe":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.Sequence(lower)
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
    elif scheme == "byte":
        tokenizer = Tokenizer(models.BPE())
        tokenizer.normalizer = normalizers.Sequence(lower)
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        tokenizer.decoder = decoders.ByteLevel()
    elif scheme == "whitespace":
        tokenizer = Tokenizer(models.WordLevel())
        tokenizer.normalizer = normalizers.Sequence(lower)
        tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()  # without a decoder, tokens are joined by blanks
    else:
        tokenizer = Tokenizer(models.WordLevel())
        tokenizer.normalizer = normalizers.Sequence(lower)
        tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        tokenizer.decoder = decoders.Fuse()
    return tokenizer


def _train(
    tokenizer: Tokenizer,
    corpus: TextCorpus,
    scheme: Scheme,
    vocab_size: int,
    specials: list[str],
    unk: str,
    min_frequency: int,
    limit_alphabet: int | None,
) -> Any:
    """Train `tokenizer` and return a model in which nothing depends on the order of a hash table."""
    from tokenizers import models, pre_tokenizers, trainers

    if scheme == "byte":
        return _byte_model(specials)
    if scheme == "whitespace":
        return models.WordLevel(_count_words(tokenizer, corpus, vocab_size, specials, min_frequency), unk_token=unk)
    options: dict[str, Any] = {"vocab_size": vocab_size, "special_tokens": specials, "show_progress": False}
    if scheme in ("word", "char"):
        trainer: Any = trainers.WordLevelTrainer(**options, min_frequency=min_frequency if scheme == "word" else 1)
    elif scheme == "unigram":
        trainer = trainers.UnigramTrainer(**options, unk_token=unk)
    elif scheme == "byte_bpe":
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(**options, min_frequency=min_frequency, initial_alphabet=alphabet)
    elif scheme == "bpe":
        limit: dict[str, Any] = {} if limit_alphabet is None else {"limit_alphabet": limit_alphabet}
        trainer = trainers.BpeTrainer(**options, min_frequency=min_frequency, **limit)
    else:
        trainer = _wordpiece_trainer(tokenizer, corpus, options, min_frequency, limit_alphabet)

    read = _Reading(corpus)
    if scheme == "unigram":
        vocab = _train_unigram(tokenizer, read, trainer, vocab_size, len(specials))
        return models.Unigram(vocab, unk_id=specials.index(unk))
    tokenizer.train_from_iterator(iter(read), trainer)
    read.check()
    state = json.loads(tokenizer.to_str())["model"]
    if scheme in ("bpe", "byte_bpe"):
        merges = [tuple(merge) for merge in state["merges"]]
        return models.BPE(vocab=state["vocab"], merges=merges, unk_token=unk if scheme == "bpe" else None)
    if scheme == "wordpiece":
        return models.WordPiece(vocab=state["vocab"], unk_token=unk, continuing_subword_prefix=_CONTINUATION)
    return models.WordLevel(vocab=state["vocab"], unk_token=unk)


def _byte_model(specials: list[str]) -> Any:
    """Return a byte-pair model without a pair; the characters that stand for bytes are those of GPT-2."""
    from tokenizers import models

    # Printable bytes stand for themselves, the others for the characters from 256 on.
    shown = [byte for byte in range(256) if 33 <= byte <= 126 or 161 <= byte <= 172 or byte >= 174]
    hidden = [byte for byte in range(256) if byte not in shown]
    characters = {byte: chr(byte) for byte in shown} | {byte: chr(256 + place) for place, byte in enumerate(hidden)}
    entries = [*specials, *(characters[byte] for byte in range(256))]
    return models.BPE(vocab={entry: number for number, entry in enumerate(entries)}, merges=[])


def _count_words(
    tokenizer: Tokenizer, corpus: TextCorpus, vocab_size: int, specials: list[str], min_frequency: int
) -> dict[str, int]:
    """Return the special tokens and the most frequent words by rank, ties by code points.

    The library's own trainer would count a ``<unk>`` of the text as one more word and number the special token anew.
    """
    read = _Reading(corpus)
    counts: Counter[str] = Counter()
    for text in read:
        counts.update(_WHITESPACE_WORD.findall(tokenizer.normalizer.normalize_str(text)))
    read.check()
    for special in specials:
        counts.pop(special, None)
    ranked = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    words = [word for word, count in ranked if count >= min_frequency]
    return {word: number for number, word in enumerate([*specials, *words][:vocab_size])}


class _Reading:
    """Iterates over a corpus once and remembers whether there was any text."""

    def __init__(self, corpus: TextCorpus) -> None:
        self.corpus = corpus
        self.count = 0
        self.has_text = False

    def __iter__(self) -> Any:
        for text in self.corpus:
            self.count += 1
            self.has_text = self.has_text or bool(text.strip())
            yield text

    def check(self) -> None:
        """Raise `DataError` for a corpus without text."""
        if not self.has_text:
            raise DataError(f"A tokenizer cannot be trained without text: {self.count} texts were given, all empty.")


def _wordpiece_trainer(
    tokenizer: Tokenizer, corpus: TextCorpus, options: dict[str, Any], min_frequency: int, limit_alphabet: int | None
) -> Any:
    """Return a trainer whose alphabet is fixed beforehand.

    The library numbers the continuing characters ("##e") in the order in which its hash table yields the words, and
    breaks ties between pairs by these numbers, so that two trainings differ. Given as "special tokens" they are
    numbered by us; the model is rebuilt without that afterwards.
    """
    from tokenizers import trainers

    normalizer = tokenizer.normalizer
    lowercase = normalizer.normalize_str("A") == "a"

    def normalize(text: str) -> str:
        if text.isascii():
            return text.lower() if lowercase else text
        return normalizer.normalize_str(text)

    counts = corpus.count_characters(normalize)
    ranked = sorted(counts, key=lambda character: (-counts[character], character))[:limit_alphabet]
    alphabet = sorted(ranked)
    continuing = [_CONTINUATION + character for character in alphabet]
    smallest = len(options["special_tokens"]) + 2 * len(alphabet)
    if options["vocab_size"] < smallest:
        raise _too_small(
            options["vocab_size"],
            smallest,
            f"{len(options['special_tokens'])} special tokens and {len(alphabet)} characters",
        )
    return trainers.WordPieceTrainer(
        **(options | {"special_tokens": options["special_tokens"] + continuing}),
        min_frequency=min_frequency,
        initial_alphabet=alphabet,
        limit_alphabet=len(alphabet),
        continuing_subword_prefix=_CONTINUATION,
    )


def _train_unigram(
    tokenizer: Tokenizer, read: _Reading, trainer: Any, vocab_size: int, specials: int
) -> list[tuple[str, float]]:
    """Train a unigram model and return its entries in a fixed order with fixed scores.

    Characters that the algorithm pruned are put back by the library with the scores m, m + 1e-4, m + 2e-4, … above
    the lowest score m, in the order of a hash table; here they get them in the order of their code points. Sums of
    floating-point numbers over threads differ in the last digits, so scores are rounded.
    """
    try:
        tokenizer.train_from_iterator(iter(read), trainer)
    except DataError:
        raise
    except Exception as error:  # tokenizers raises bare Exception
        read.check()
        raise ConfigError(f"The unigram trainer cannot make {vocab_size} entries of these texts: {error}") from error
    read.check()
    entries = [(piece, round(score, 9)) for piece, score in json.loads(tokenizer.to_str())["model"]["vocab"]]
    head, learnt = entries[:specials], entries[specials:]
    if not learnt:
        return entries
    lowest = min(score for _, score in learnt)
    restored = sorted(
        piece
        for piece, score in learnt
        if len(piece) == 1 and abs((score - lowest) * 1e4 - round((score - lowest) * 1e4)) < 1e-4 * 10
    )
    scores = dict(learnt)
    ladder = sorted(scores[piece] for piece in restored)
    scores.update(zip(restored, ladder, strict=True))
    return head + sorted(scores.items(), key=lambda entry: (-entry[1], entry[0]))


def _post_processor(template: Template, roles: Mapping[str, str], tokenizer: Tokenizer) -> Any:
    from tokenizers import processors

    if template == "none":
        return None
    if template not in get_args(Template):
        raise ConfigError(f"There is no template {template!r}.{did_you_mean(template, get_args(Template))}")
    start, end = (roles["cls"], roles["sep"]) if template == "cls_sep" else (roles["bos"], roles["eos"])
    if template == "eos":
        single, pair = f"$A {end}", f"$A {end} $B:1 {end}:1"
    else:
        single, pair = f"{start} $A {end}", f"{start} $A {end} $B:1 {end}:1"
    ids = [(token, tokenizer.token_to_id(token)) for token in dict.fromkeys((start, end))]
    return processors.TemplateProcessing(single=single, pair=pair, special_tokens=ids)
