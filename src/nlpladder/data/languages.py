"""Telling from the name of a column or the ending of a file which language is in it."""

from __future__ import annotations

import re
from collections.abc import Mapping


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: ISO 639-1: the two-letter codes of languages.
_CODES = _words("""
    aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee
    el en eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik io is
    it iu ja jv ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mr ms
    mt my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg si sk
    sl sm sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi
    yo za zh zu
""")
#: Longer names that stand for a language: English names, and the common three-letter codes of ISO 639-3.
_NAMES: Mapping[str, str] = {
    "arabic": "ar", "bengali": "bn", "bulgarian": "bg", "catalan": "ca", "chinese": "zh", "croatian": "hr",
    "czech": "cs", "danish": "da", "dutch": "nl", "english": "en", "estonian": "et", "finnish": "fi", "french": "fr",
    "german": "de", "greek": "el", "hebrew": "he", "hindi": "hi", "hungarian": "hu", "indonesian": "id",
    "italian": "it", "japanese": "ja", "korean": "ko", "latin": "la", "norwegian": "no", "persian": "fa",
    "polish": "pl", "portuguese": "pt", "romanian": "ro", "russian": "ru", "slovak": "sk", "spanish": "es",
    "swahili": "sw", "swedish": "sv", "tamil": "ta", "thai": "th", "turkish": "tr", "ukrainian": "uk", "urdu": "ur",
    "vietnamese": "vi",
    "ara": "ar", "ces": "cs", "cmn": "zh", "dan": "da", "deu": "de", "ell": "el", "eng": "en", "fin": "fi",
    "fra": "fr", "heb": "he", "hin": "hi", "hun": "hu", "ind": "id", "ita": "it", "jpn": "ja", "kor": "ko",
    "nld": "nl", "pol": "pl", "por": "pt", "ron": "ro", "rus": "ru", "spa": "es", "swe": "sv", "tur": "tr",
    "ukr": "uk", "vie": "vi", "zho": "zh",
}  # fmt: skip
#: Words that may stand beside a code in the name of a column: ``text_en``, ``sentence_de``.
_COMPANIONS = _words("text texts sentence sent translation src tgt trg source target")
#: NLLB and others write the script or the region behind the code: deu_Latn, pt_BR, zh-Hans-CN.
_WITH_REGION = re.compile(r"([a-z]{2,3})([-_]([A-Z]{2}|[A-Z][a-z]{3}))+")


def language_of(name: str) -> str | None:
    """Return the language code that a name stands for, or None.

    Args:
        name: Of a column or a file ending: ``"de"``, ``"German"``, ``"deu_Latn"``, ``"pt-BR"``, ``"text_en"``.

    Returns:
        The code of ISO 639-1; with script or region where the name has one (``"pt-BR"``).
    """
    region = _WITH_REGION.fullmatch(name)
    if region and (region[1] in _CODES or region[1] in _NAMES):
        return name
    lowered = name.strip().lower()
    if lowered in _CODES:
        return lowered
    if lowered in _NAMES:
        return _NAMES[lowered]
    words = re.split(r"[^a-z]+", lowered)
    codes = [word for word in words if word not in _COMPANIONS]
    if len(words) == 2 and len(codes) == 1:
        return codes[0] if codes[0] in _CODES else _NAMES.get(codes[0])
    return None
