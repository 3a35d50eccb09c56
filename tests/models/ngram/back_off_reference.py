"""A back-off model as a dictionary, answering by the literal recursion; the same model as levels and as ARPA text."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import strategies as st

from nlpladder.models.ngram.levels import SPECIAL_WORDS, NGramLevel

WORDS = [*SPECIAL_WORDS, "a", "b", "naïve", "d,e", "ß" * 40, "<x>", "-1.5", "\\end\\"]
NUM_WORDS = len(WORDS)


def random_model(seed, order, num_words=NUM_WORDS, density=0.4):
    """n-gram -> (log10 probability, log10 back-off), float32; prefixes of listed n-grams are listed."""
    generator = np.random.default_rng(seed)
    model = {(word,): None for word in range(num_words)}
    longest = list(model)
    for _ in range(2, order + 1):
        longest = [
            (*ngram, word) for ngram in longest for word in range(num_words) if word != 1 and ngram[-1] != 2
            if generator.random() < density / 2
        ]  # fmt: skip
        model.update(dict.fromkeys(longest))
    for ngram in model:
        probability, backoff = np.float32(-4 * generator.random()), np.float32(1 - 2 * generator.random())
        model[ngram] = (probability, backoff if len(ngram) < order else np.float32(0))
    model[(1,)] = (np.float32(-99), model[(1,)][1])
    return model


def score_literally(model, order, context, word):
    """Return log10 probability and the length of the n-gram that answered, adding in float32 as tables do."""
    context = context[max(len(context) - order + 1, 0) :]
    for length in range(len(context), -1, -1):
        ngram = (*context[len(context) - length :], word)
        if ngram in model:
            total = model[ngram][0]
            for longer in range(length + 1, len(context) + 1):
                total = np.float32(total + model.get(tuple(context[len(context) - longer :]), (0, np.float32(0)))[1])
            return total, length + 1
    raise AssertionError("every word is a unigram")


def score_text_literally(model, order, ids, *, begin_mark):
    """Score each id after those before it."""
    history = [1] if begin_mark else []
    results = []
    for word in ids:
        results.append(score_literally(model, order, tuple(history), word))
        history.append(word)
    return results


def levels_of(model, order):
    """Sort the dictionary into levels."""
    below = {(): 0}
    levels = []
    for length in range(1, order + 1):
        ngrams = sorted(ngram for ngram in model if len(ngram) == length)
        highest = length == order
        levels.append(
            NGramLevel(
                np.array([below[ngram[:-1]] for ngram in ngrams], np.int32),
                np.array([ngram[-1] for ngram in ngrams], np.int32),
                np.array([model[ngram][0] for ngram in ngrams], np.float32),
                np.array([] if highest else [model[ngram][1] for ngram in ngrams], np.float32),
            )
        )
        below = {ngram: place for place, ngram in enumerate(ngrams)}
    return levels


def arpa_text(model, order, words=WORDS, *, shuffle=None):
    """Write the dictionary as ARPA text, digits enough for float32."""
    lines = ["\\data\\"]
    by_length = {length: [ngram for ngram in model if len(ngram) == length] for length in range(1, order + 1)}
    lines += [f"ngram {length}={len(ngrams)}" for length, ngrams in by_length.items()]
    for length, ngrams in by_length.items():
        if shuffle is not None and length > 1:
            shuffle.shuffle(ngrams)
        lines += ["", f"\\{length}-grams:"]
        for ngram in ngrams:
            backoff = f"\t{model[ngram][1]:.9g}" if length < order else ""
            lines.append(f"{model[ngram][0]:.9g}\t{' '.join(words[word] for word in ngram)}{backoff}")
    return "\n".join([*lines, "", "\\end\\", ""])


models = st.tuples(st.integers(0, 10**6), st.integers(1, 5))
texts_of_ids = st.lists(st.lists(st.sampled_from([0, *range(3, len(WORDS))]), max_size=12), max_size=40)


def spelled(ids):
    """Write ids as a text; the unknown word as one that no vocabulary has."""
    return " ".join(WORDS[word] if word else "unheard-of" for word in ids)


def normalised_model(order=3, seed=4, words=WORDS):
    """A dictionary whose probabilities sum to 1 after every context: back-offs are what is left over."""
    dictionary = random_model(seed, order, len(words), density=0.5)
    outcomes = [word for word in range(len(words)) if word != 1]
    generator = np.random.default_rng(seed)
    probabilities = dict(zip(outcomes, generator.dirichlet(np.ones(len(outcomes))), strict=True))
    model = {(word,): (np.float32(np.log10(p)), np.float32(0)) for word, p in probabilities.items()}
    model[(1,)] = (np.float32(-99), np.float32(0))
    for length in range(2, order + 1):
        for context in sorted({ngram[:-1] for ngram in dictionary if len(ngram) == length}):
            followers = [ngram[-1] for ngram in dictionary if ngram[:-1] == context and len(ngram) == length]
            shorter = {
                word: 10.0 ** float(score_literally(model, length - 1, context[1:], word)[0]) for word in outcomes
            }
            left = 0.3 + 0.4 * generator.random()
            mass = 1.0 - sum(shorter[word] for word in followers)
            share = generator.dirichlet(np.ones(len(followers))) * (1 - left)
            for word, p in zip(followers, share, strict=True):
                model[(*context, word)] = (np.float32(np.log10(p)), np.float32(0))
            model[context] = (model[context][0], np.float32(np.log10(left / mass)))
    return model


def same_levels(first, second):
    return all(
        np.array_equal(getattr(one, field.name), getattr(other, field.name))
        for one, other in zip(first, second, strict=True)
        for field in dataclasses.fields(NGramLevel)
    )
