"""NLTK's data sets, which are downloaded apart from NLTK."""

from __future__ import annotations

from nlpladder.errors import DataError

#: Where NLTK keeps each package.
LOCATIONS = {
    "wordnet": "corpora/wordnet",
    "omw-1.4": "corpora/omw-1.4",
    "stopwords": "corpora/stopwords",
    "punkt_tab": "tokenizers/punkt_tab",
}


def require_nltk_data(*packages: str, purpose: str, instead: str) -> None:
    """Check that NLTK's data is on this machine.

    Args:
        packages: Keys of `LOCATIONS`.
        purpose: What needs it, as the subject of the error's sentence.
        instead: What works without it.

    Raises:
        DataError: with the exact download command.
    """
    import nltk.data

    for package in packages:
        try:
            nltk.data.find(LOCATIONS[package])
        except LookupError:
            try:  # NLTK reads a corpus from its zip file as well
                nltk.data.find(f"{LOCATIONS[package]}.zip")
            except LookupError:
                raise DataError(
                    f"{purpose} needs NLTK's {package!r} data, which is not on this machine. "
                    f"Run: python -m nltk.downloader {' '.join(packages)} - or {instead}."
                ) from None
