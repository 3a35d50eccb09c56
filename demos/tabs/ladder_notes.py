"""What one must know to read the table of a climb: its columns in words, how it was measured, if it is tiny."""

from __future__ import annotations

import re
from collections.abc import Sequence

from nlpladder.errors import ConfigError
from nlpladder.ladder import Rung, find_rung
from nlpladder.views.ladder_table import foot_notes, metric_title
from tabs.runs_reading import Climb, without_folders
from tabs.runs_tables import harmless_markdown

_TINY = (
    "Tiny models, trained for seconds on a small made-up world: they show the way, not what a rung can do. `make "
    "ladder` and the recipes train in earnest."
)
#: Longest training of a model that counts as tiny: the tiny ladder's take half of it on two quiet cores.
_TINY_SECONDS = 60.0
#: How ``ladder.json`` calls what a world's grammar tells -> how people say it.
_CEILINGS = "Known from the grammar: "
_CEILING = re.compile(
    r"(?:^|(?<=, ))(?:(bayes|best (?:unigram|bigram|trigram|five gram)) )?([^,]+?) (\d[\d.]*(?: %)?)(?=[,.] )"
)
_SEES = {
    "bayes": "of any model", "best unigram": "of a model that sees single words",
    "best bigram": "of a model that sees two words at a time",
    "best trigram": "of a model that sees three words at a time",
    "best five gram": "of a model that sees five words at a time",
}  # fmt: skip
#: What the columns of a climb's table are, for who reads them for the first time. ECE stands in the table's own notes.
_MEANS = {
    "accuracy": "the share of right answers",
    "f1_macro": "how well a class is found (F1), as a mean over classes, so that rare ones count as much",
    "bits_per_byte": "how surprising the test text was, over its length: lower is better, whatever the tokens are",
    "perplexity_per_word": "between how many equally probable words it was in doubt, for each word",
    "perplexity": "the same for each token; it compares only models with the same tokens",
    "unknown_rate": "the share of tokens that the model has no entry for",
    "bleu": "runs of one to four words that the translation shares with the reference, 0 to 100",
    "bleu_lowercase": "the same without capitals",
    "chrf": "shared runs of letters, 0 to 100, kinder to nearly right forms than BLEU",
    "exact_match": "the share of answers that are the reference, letter for letter",
    "same_class": "rank correlation of the vectors' closeness with whether two words are of one kind, -1 to 1",
    "wordsim353": "rank correlation of the vectors' closeness with people's judgement (WordSim-353), -1 to 1",
    "simlex999": "the same with SimLex-999, which asks for likeness, not for what goes together",
    "analogies": 'the share of "a is to b as c is to ?" that the nearest word answers',
}


def climb_notes(climb: Climb) -> str:
    """Return what one must know to read the table, as Markdown."""
    notes = _once([_ceilings_in_words(without_folders(note)) for note in foot_notes(climb.content)])
    columns = [str(name) for name in climb.content["columns"] if name in _MEANS]
    told = "; ".join(f"*{metric_title(name)}* is {_MEANS[name]}" for name in columns)
    means = [f"Columns: {told}."] if columns else []
    tiny = [_TINY] if is_tiny(climb) else []
    return harmless_markdown("\n".join(f"- {note}" for note in (*tiny, *means, *notes)))


def is_tiny(climb: Climb) -> bool:
    """Tell whether models were trained here for seconds on a made-up world, as `demos/tiny_ladder.py` does."""
    trained = [
        float(row["training_seconds"])
        for row in climb.content["rows"]
        # Counting takes seconds of any text; of rungs that are trained, seconds are little.
        if (_is_network(str(row["rung"])) or climb.content["task"] == "embeddings")
        and isinstance(row.get("training_seconds"), (int, float))
    ]
    made_up = str(climb.content["dataset"]).startswith("world:")
    return made_up and bool(trained) and max(trained) < _TINY_SECONDS


def known_rung(name: str) -> Rung | None:
    """Return the rung of this name, None where it is of another program."""
    try:
        return find_rung(name)
    except ConfigError:
        return None


def _is_network(name: str) -> bool:
    rung = known_rung(name)
    return rung is not None and rung.kind != "classic"


def _once(notes: Sequence[str]) -> list[str]:
    """Return notes, those that are said of several rungs ("* title: note") once, behind all the titles."""
    said: dict[str, list[str]] = {}
    for note in notes:
        title, colon, sentence = note.removeprefix("* ").partition(": ")
        of_a_rung = note.startswith("* ") and colon
        said.setdefault(sentence if of_a_rung else note, []).extend([title] if of_a_rung else [])
    return [f"\\* {'; '.join(titles)}: {note}" if titles else note for note, titles in said.items()]


def _ceilings_in_words(note: str) -> str:
    """Return the note on what the grammar of a world tells, in words; another note as it is."""
    if not note.startswith(_CEILINGS):
        return note
    told = note.removeprefix(_CEILINGS)
    best: dict[str, list[str]] = {}
    for found in _CEILING.finditer(told):
        best.setdefault(found[2], []).append(f"{found[3]} {_SEES[found[1] or 'bayes']}")
    rest = told[told.index(". ") + 2 :] if ". " in told else ""
    words = "; ".join(f"the best {metric} is {', '.join(values)}" for metric, values in best.items())
    return f"{_CEILINGS}{words}. {rest}".rstrip()
