"""Counterfactual texts: words, names and identity terms exchanged for those of another group, the rest unchanged.

Lu et al. 2020 ("Gender bias in neural natural language processing") train on such texts, and Hall Maudslay et al. 2019
("It's all in the name", section 3) swap names too. Published word lists are applied by splitting at spaces and by exact
case, which leaves "He," and "HE" as they are; here words are found wherever they stand, and the case is kept.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from nlpladder.bias.swapping.first_names import ALSO_WORDS, FIRST_NAME_PAIRS, TITLE_PAIRS
from nlpladder.bias.swapping.name_context import is_surname, is_title, name_like
from nlpladder.bias.swapping.pronoun_context import before_noun
from nlpladder.bias.swapping.term_finding import Found, TermFinder
from nlpladder.errors import ConfigError

Pair = tuple[str, str]

_ARTICLE = re.compile(r"(?<![\w'’-])(an?)\s+\Z", re.IGNORECASE)
_SENTENCE_BEGINS = re.compile(r"(?:\A|[.!?:\n])[\s\"“”„«»‘’'()\[\]*_>-]*\Z")
#: Spellings whose first letter misleads: a consonant sound, and a vowel sound.
_CONSONANT_SOUND = ("eu", "uni", "use", "usu", "ut", "one", "once", "ukr", "uga")
_VOWEL_SOUND = ("heir", "honest", "honour", "honor", "hour")


@dataclass(frozen=True)
class Replacement:
    """One term that is exchanged.

    Attributes:
        start: Where it stands in the text, in characters.
        end: Where it ends, exclusive.
        old: As it stands there.
        new: What takes its place, in the same case.
        side: 0 where `old` is the first of its pair, 1 where it is the second.
    """

    start: int
    end: int
    old: str
    new: str
    side: int = 0


@dataclass(frozen=True)
class SwappedRows:
    """What became of many texts.

    Attributes:
        texts: One a row, unchanged where nothing was found.
        replaced: How many terms were exchanged in each.
    """

    texts: tuple[str, ...]
    replaced: tuple[int, ...]

    @property
    def changed(self) -> int:
        """How many rows were changed."""
        return sum(count > 0 for count in self.replaced)


class CounterfactualSwapper:
    """Exchanges the two sides of word pairs in running text, both ways in one pass.

    * Terms are whole words in any script; of overlapping ones the longest is taken, and nothing is exchanged twice.
    * The case is kept: "he", "He" and "HE" become "she", "She" and "SHE". A pair that is not written alike on both
      sides, such as ("Black", "white"), is written as in the list except at the start of a sentence.
    * "a" and "an" before an exchanged term follow the sound it begins with.
    * A word with several partners takes the first that is listed; of the pronouns "her" (him, his) and "his" (her,
      hers) the context decides, see `nlpladder.bias.swapping.pronoun_context`.
    * Names are exchanged only where they begin with a capital: "Mark" but not "mark". One that begins a sentence may
      still be a word ("Will you come?"). What stands beside them, such as surnames and names of no list, stays.

    Where each word has one partner that is written alike, swapping twice gives the text back.

    Args:
        pairs: (first, second); words or phrases.
        names: Pairs of names.
        uncased: Those of the names that are found in texts without any capital too.
        leave: Tells of a term in its text that it is another word there and stays, such as the surname "James".

    Raises:
        ConfigError: There are no pairs, a pair is not two different terms, or a term is no word.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        *,
        names: Sequence[Pair] = (),
        uncased: Sequence[str] = (),
        leave: Callable[[str, Found], bool] | None = None,
    ) -> None:
        self._leave = leave
        self._partners: dict[str, list[str]] = {}
        self._name_partners: dict[str, list[str]] = {}
        for table, given in ((self._partners, pairs), (self._name_partners, names)):
            for pair in given:
                if isinstance(pair, str) or len(pair) != 2 or not all(isinstance(term, str) for term in pair):
                    raise ConfigError(f"A pair is two terms, such as ('he', 'she'); got {pair!r}.")
                first, second = pair
                if first.lower() == second.lower():
                    raise ConfigError(f"The pair {pair!r} is twice the same term: swapping it changes nothing.")
                for term, partner in ((first, second), (second, first)):
                    known = table.setdefault(term.lower(), [])
                    if partner not in known:
                        known.append(partner)
        if not self._partners and not self._name_partners:
            raise ConfigError("There are no pairs to swap: give at least one, such as ('he', 'she').")
        self._finder = TermFinder(
            [term for pair in pairs for term in pair], capitalised=[term for pair in names for term in pair]
        )
        self._uncased_finder = (
            TermFinder([*(term for pair in pairs for term in pair), *uncased]) if uncased else self._finder
        )
        self._ordered = frozenset((first.lower(), second.lower()) for first, second in (*pairs, *names))
        self._names = frozenset(term for pair in names for term in pair)

    @property
    def one_to_one(self) -> bool:
        """Whether no term has two partners, so that swapping twice gives a text back."""
        return all(len(partners) == 1 for table in (self._partners, self._name_partners) for partners in table.values())

    @property
    def terms(self) -> tuple[str, ...]:
        """All terms in lower case, names too."""
        return tuple(dict.fromkeys((*self._partners, *self._name_partners)))

    def replacements(self, text: str) -> list[Replacement]:
        """Return what `swap` exchanges in `text`, from left to right."""
        return [self._replacement(text, found) for found in self._found(text)]

    def swap(self, text: str) -> str:
        """Return `text` with every term exchanged for its partner."""
        return apply_replacements(text, self.replacements(text))

    def changes(self, text: str) -> int:
        """Return how many terms `swap` exchanges in `text`."""
        return sum(1 for _ in self._found(text))

    def unknown_names(self, text: str) -> list[str]:
        """Return the words of `text` that look like names of people and stay as they are, by rule.

        How often that is right: see `nlpladder.bias.swapping.name_context`. Surnames behind a name or title that is
        known are none of them; names of places sometimes are. In a text without any capital none is seen.
        """
        return [one.text for one in name_like(text, [(one.start, one.end) for one in self._finder.find(text)])]

    def _found(self, text: str) -> Iterator[Found]:
        leave, finder = self._leave, self._uncased_finder if text.islower() else self._finder
        return (one for one in finder.find(text) if leave is None or not leave(text, one))

    def swap_rows(self, texts: Iterable[str]) -> SwappedRows:
        """Swap many texts and count what was exchanged in each."""
        swapped, counts = [], []
        for text in texts:
            found = self.replacements(text)
            swapped.append(apply_replacements(text, found) if found else text)
            counts.append(len(found))
        return SwappedRows(tuple(swapped), tuple(counts))

    def _replacement(self, text: str, found: Found) -> Replacement:
        old = text[found.start : found.end]
        key = found.term.lower()
        # A term may be both a word and a name: then the capital decides, and the finder has looked at it.
        is_name = found.term in self._names and (old[0].isupper() or key not in self._partners)
        partners = self._name_partners[key] if is_name else self._partners[key]
        partner = partners[0]
        if len(partners) > 1:
            by_lower = {word.lower(): word for word in partners}
            if key == "her" and {"him", "his"} <= by_lower.keys():
                partner = by_lower["his" if before_noun(text, found.start, found.end) else "him"]
            elif key == "his" and {"her", "hers"} <= by_lower.keys():
                partner = by_lower["her" if before_noun(text, found.start, found.end) else "hers"]
        side = int((found.term.lower(), partner.lower()) not in self._ordered)
        new = in_case_of(old, found.term, partner, text, found.start)
        return Replacement(found.start, found.end, old, new, side)


def apply_replacements(text: str, replacements: Sequence[Replacement]) -> str:
    """Return `text` with these replacements made, and "a" or "an" before them changed where the sound changes.

    Args:
        text: The text.
        replacements: From left to right, not overlapping.
    """
    parts, done = [], 0
    for item in replacements:
        between = text[done : item.start]
        if _vowel_sound(item.old) != _vowel_sound(item.new):
            article = _ARTICLE.search(between)
            if article is not None:
                begin, end = article.span(1)
                between = between[:begin] + _other_article(article.group(1), item.old) + between[end:]
        parts += [between, item.new]
        done = item.end
    return "".join([*parts, text[done:]])


def in_case_of(old: str, term: str, new: str, text: str, start: int) -> str:
    """Write the term `new` in the case of `old`.

    Args:
        old: A term as it stands in the text.
        term: The same as the list writes it.
        new: What takes its place, as the list writes it.
        text: The text.
        start: Where `old` begins in it.
    """
    if old.isupper() and sum(map(str.isalpha, old)) > 1:
        return new.upper()
    if old.islower():
        # A list that writes "Christian" says nothing about a text in which everything is lower case.
        return new if old == term else new.lower()
    if old[:1].isupper():
        if old == term and not (new[:1].islower() and _SENTENCE_BEGINS.search(text[max(0, start - 40) : start])):
            return new
        return new[:1].upper() + new[1:]
    return new


def _vowel_sound(term: str) -> bool:
    lowered = term.lower()
    if lowered.startswith(_VOWEL_SOUND):
        return True
    return lowered[:1] in tuple("aeiou") and not lowered.startswith(_CONSONANT_SOUND)


def _other_article(article: str, term: str) -> str:
    other = "an" if article.lower() == "a" else "a"
    if article.isupper() and term.isupper():
        return other.upper()
    return other.capitalize() if article[0].isupper() else other


def gender_swapper(*, names: bool = True, more: Sequence[Pair] = ()) -> CounterfactualSwapper:
    """Return a swapper of our own gendered words, pronouns, titles, and first names one to one (`FIRST_NAME_PAIRS`).

    Surnames stay: "Mr. James" becomes "Ms. James", and "Henry James" a woman of that surname. A text with a first name
    as surname does therefore not always come back when it is swapped twice. In a text without any capital, names are
    found too, but for those that are words as well (`ALSO_WORDS`).

    Args:
        names: Whether first names are swapped too.
        more: Further pairs, the masculine word first, such as ("actor", "actress").
    """
    from nlpladder.bias import lexicon

    pronouns = [(masculine, feminine) for masculine, feminine, _ in lexicon.PRONOUNS]
    titles = [(masculine.lower(), feminine.lower()) for masculine, feminine in TITLE_PAIRS]
    pairs = list(dict.fromkeys([*lexicon.GENDERED_PAIRS, *pronouns, *titles, *more]))
    given = FIRST_NAME_PAIRS if names else ()
    uncased = [name for pair in given for name in pair if name not in ALSO_WORDS]
    return CounterfactualSwapper(pairs, names=given, uncased=uncased, leave=_other_word)


_TITLES = frozenset(title.lower() for pair in TITLE_PAIRS for title in pair)
_MEN = frozenset(masculine for masculine, _ in FIRST_NAME_PAIRS)
_FIRST_NAMES = frozenset(name.lower() for pair in FIRST_NAME_PAIRS for name in pair)


def _other_word(text: str, found: Found) -> bool:
    """Tell whether a title or first name of ours is something else here."""
    term = found.term.lower()
    if term in _TITLES:
        return not is_title(text, found.start, found.end)
    if term not in _FIRST_NAMES:
        return False
    return is_surname(text, found.start, found.end, masculine=found.term in _MEN, known=_FIRST_NAMES)
