"""Associations in word vectors: all built-in categories at once, with one correction over all of them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from nlpladder.bias.words.association_data import OWN_TESTS, AssociationTest, WordList
from nlpladder.errors import LadderError
from nlpladder.views.bias_cells import p_text, score_text
from shell.limits import check_choices
from tabs.bias_inputs import STATISTICS, frame, read_terms, told_once
from tabs.bias_intervals import Interval, effect_with_interval

if TYPE_CHECKING:
    import pandas as pd

MOST_MODELS = 3
MOST_WORDS = 60
_DRAWS = 20_000
#: What was measured and how sure it is, then what it says: the columns behind lie beyond the edge of a screen.
HEADER = (
    "model", "category", "effect size d [95 %]", "n", "p", "p (Holm)", "what this says", "d can be",
    "difference, cosine [95 %]", "words found",
)  # fmt: skip
WIDTHS = ("150px", "190px", "220px", "95px", "70px", "90px", "230px", "110px", "220px", "330px")
#: How errors begin; the page names the category in words.
_TEST_NAME = re.compile(r"^Association test \w+: ")
#: What people choose -> name in `OWN_TESTS`.
CATEGORIES: dict[str, str] = {
    "names of men and women, career and family": "career_family_names",
    "career and family, male and female words": "career_family_terms",
    "science and arts, male and female words": "science_arts",
    "names of men and women, pleasant and unpleasant": "pleasant_names",
    "control that must show: flowers and vermin": "flowers_vermin",
    "control that must not: two halves of one list": "objects",
}
BOXES = ("X: first targets", "Y: second targets", "A: first attributes", "B: second attributes")
READING = (
    "**How to read a row.** *d* above 0: as the category names them, the first goes with the first and the second with "
    "the second (men with career, women with family). Below 0: the other way round. Near its bound (the column *d can "
    "be*) nearly every word leans the same way, however little. *n*: words of the two groups that have a vector. *p*: "
    "how often chance alone gives a *d* as far from 0. *p (Holm)*: the same, corrected for all rows of this table; "
    "below .05 an association counts as shown."
)
#: Where both controls were measured.
_CONTROLS = "Look at the control rows first: of each model one must show, the other must not."
_CONTROL_NAMES = ("flowers_vermin", "objects")
_WHERE_FROM = (
    "Take vectors of more text: train them on a corpus of your own (accelerate launch recipes/train_word2vec.py "
    "--dataset my_corpus.txt), or save published ones below the models folder "
    '(WordVectors.open("glove.6B.100d.txt").save_pretrained("outputs/glove"), of '
    "nlpladder.models.vectors.word_vectors)."
)
NOT_SHOWN = (
    "**What this does not show.** Whether a model that uses these vectors treats anybody differently. How large the "
    "association is: d tells how sure its direction is. What other words would give: another choice is another test. "
    "And no result is proof of no bias."
)


def lists_of(category: str) -> list[str]:
    """Return the four lists of a category as texts, for the boxes in which they can be edited.

    Args:
        category: A key of `CATEGORIES`; any other gives empty boxes.
    """
    test = OWN_TESTS.get(CATEGORIES.get(category, "")) if isinstance(category, str) else None
    return [""] * 4 if test is None else [", ".join(one.words) for one in (*test.targets, *test.attributes)]


def chosen_tests(categories: Any, boxes: Sequence[Any]) -> list[tuple[str, AssociationTest]]:
    """Return the tests to run: the chosen categories, and lists of the visitor's own where there are any.

    Args:
        categories: Keys of `CATEGORIES`; may be empty where there are own lists.
        boxes: The four lists of `BOXES` as texts; all may be empty.

    Raises:
        DemoError: Nothing is chosen, or some of the four boxes are empty and others not.
    """
    own = any(isinstance(box, str) and box.strip() for box in boxes)
    names = check_choices(categories, "Categories", CATEGORIES) if categories or not own else []
    tests = [(name, OWN_TESTS[CATEGORIES[name]]) for name in names]
    if own:
        words = [
            read_terms(box, name, most=MOST_WORDS, least=2 if name[0] in "XY" else 1)
            for box, name in zip(boxes, BOXES, strict=True)
        ]
        x, y, a, b = (
            WordList(name=f"{name[0]} ({one[0]}, …)", words=tuple(one)) for one, name in zip(words, BOXES, strict=True)
        )
        tests.append(("lists of my own", AssociationTest(name="own lists", targets=(x, y), attributes=(a, b))))
    return tests


def measure_associations(
    models: Iterable[tuple[str, Any]], tests: Sequence[tuple[str, AssociationTest]]
) -> tuple[pd.DataFrame, list[Interval], list[str]]:
    """Measure every test in every model, with Holm's correction over all of them.

    Args:
        models: Names and word vectors; each is asked before the next is taken.
        tests: Names and lists.

    Returns:
        A table under `HEADER`, the effect sizes with their intervals, and notes on words that have no vector.
    """
    from nlpladder.bias.statistics.multiplicity import adjust
    from nlpladder.bias.words.associations import weat

    found: list[tuple[str, str, AssociationTest, Any, Any]] = []
    told: list[tuple[str, str]] = []
    lacking: list[tuple[str, str]] = []
    asked = []
    for model, vectors in models:
        asked.append(model)
        for name, test in tests:
            try:
                effect, _, difference = weat(vectors, test, draws=_DRAWS, statistics=STATISTICS).findings
            except LadderError as error:
                lacking.append((model, f"Not measured: {name}. {_TEST_NAME.sub('', str(error))}"))
                continue
            found.append((model, name, test, effect, difference))
            told += [(model, f"{name}. {note}") for note in effect.notes if note.startswith(("Under", "Targets"))]
    rows, intervals = [], []
    for (model, name, test, effect, difference), adjusted in zip(found, adjust([one[3] for one in found]), strict=True):
        score = effect.score
        rows.append(
            (
                model,
                name,
                "undefined" if score.value is None else effect_with_interval(score.value, score.low, score.high),
                f"{effect.clusters} words",
                p_text(effect.p_value),
                p_text(adjusted.p_holm),
                _verdict(test, score.value, adjusted.p_holm),
                f"−{effect.ceiling:.2f} to {effect.ceiling:.2f}",
                score_text(difference.score.to_dict()),
                _coverage(effect.notes),
            )
        )
        n = f"n = {effect.clusters} target words"
        intervals.append(Interval(f"{model}: {name}", score.value, score.low, score.high, n))
    measured = {test.name for _, _, test, _, _ in found}
    notes = [_CONTROLS] if measured.issuperset(_CONTROL_NAMES) else []
    return frame(HEADER, rows), intervals, [*notes, *told_once(lacking, asked), *told_once(told, asked)]


def known_html(models: Sequence[str], tests: Sequence[tuple[str, AssociationTest]], table: pd.DataFrame) -> str:
    """Say for how many categories vectors know the words, and what helps; nothing where they know those of all.

    Args:
        models: Names of all that were asked.
        tests: All that were asked for.
        table: What was measured, under `HEADER`.
    """
    known = {name: int((table["model"] == name).sum()) for name in models}
    if all(count == len(tests) for count in known.values()):
        return ""
    counts = set(known.values())
    if len(counts) == 1:
        told = f"These vectors know enough words for {counts.pop()} of {_categories(len(tests))}."
    else:
        each = "; ".join(f"{name}: {count}" for name, count in known.items())
        told = f"Enough words are known for so many of {_categories(len(tests))}: {each}."
    lost = [name for name, test in tests if test.name == "flowers_vermin"]
    if lost and not set(lost) <= set(table["category"]):
        told += " The control that must show an association is not among them: what shows none here says nothing."
    return f'<p class="bias-known"><strong>{html.escape(told)}</strong> {html.escape(_WHERE_FROM)}</p>'


def _categories(number: int) -> str:
    return f"{number} {'category' if number == 1 else 'categories'}"


def _coverage(notes: Sequence[str]) -> str:
    return next((note.split(": ", 1)[1].rstrip(".") for note in notes if note.startswith("Words with")), "")


def _verdict(test: AssociationTest, value: float | None, p_holm: float | None) -> str:
    (x, y), (a, b) = test.targets, test.attributes
    if value is None or p_holm is None:
        return "nothing: all associations are equal"
    if p_holm > 0.05:
        return "no association is shown, which is not the same as none"
    near, far = (a, b) if value > 0 else (b, a)
    return f"{x.name} with {near.name}, {y.name} with {far.name}"
