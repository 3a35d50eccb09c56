"""A stream of texts that can be read several times and checks what it hands out."""

from __future__ import annotations

import json
import tempfile
import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from nlpladder.errors import DataError


class TextCorpus:
    """Texts, checked while they are read, and readable again.

    A list, a column of a data set or anything else that starts anew when iterated is read from its source each time.
    A generator can be read only once, so the first reading also writes it to a temporary file that vanishes with
    the object: memory stays flat.

    Args:
        texts: The texts.
        readings: How often they will be read; a generator is kept only when it is more than once.
    """

    def __init__(self, texts: Iterable[str], *, readings: int = 2) -> None:
        if isinstance(texts, (str, bytes)):
            raise DataError("Expected a list of texts, not one text.")
        self._source = texts
        self._keep = readings > 1 and iter(texts) is texts
        self._spool: tempfile.SpooledTemporaryFile[bytes] | None = None

    def __iter__(self) -> Iterator[str]:
        """Yield every text.

        Raises:
            DataError: naming the first entry that is not a string or that no file could hold.
        """
        if self._spool is not None:
            self._spool.seek(0)
            yield from map(json.loads, self._spool)
            return
        spool = tempfile.SpooledTemporaryFile(max_size=2**24) if self._keep else None  # noqa: SIM115  closed by `close`
        try:
            for index, text in enumerate(self._source):
                _check(text, index)
                if spool is not None:
                    spool.write(json.dumps(text).encode() + b"\n")
                yield text
        except BaseException:
            if spool is not None:
                spool.close()
            raise
        if spool is not None:
            weakref.finalize(self, spool.close)
        self._spool = spool

    def close(self) -> None:
        """Delete the temporary file, if there is one."""
        if self._spool is not None:
            self._spool.close()

    def count_characters(self, normalize: Callable[[str], str]) -> Counter[str]:
        """Count the characters of the normalised texts, white space left out.

        Args:
            normalize: Applied to every text.
        """
        counts: Counter[str] = Counter()
        for text in self:
            counts.update(normalize(text))
        return Counter({character: count for character, count in counts.items() if not character.isspace()})


def _check(text: object, index: int) -> None:
    if not isinstance(text, str):
        raise DataError(f"Text {index} is {text!r}, a {type(text).__name__}, not a string.")
    if not text.isascii():
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise DataError(
                f"Text {index} holds a lone surrogate at character {error.start}, which is not a valid character. "
                "The preprocessing step 'clean_control_characters' replaces it."
            ) from None
