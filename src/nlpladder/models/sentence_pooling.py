"""How a text encoder makes one vector of a text's states, and the files that say so: those of sentence-transformers.

Nothing here imports torch: what a folder holds is told before it is opened. `nlpladder.models.pooled_states` computes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nlpladder.errors import ModelError
from nlpladder.models.saved_files import CONFIG_NAME, check_inside, read_settings

MODULES_NAME = "modules.json"
TRANSFORMER_NAME = "sentence_bert_config.json"
LIBRARY_NAME = "config_sentence_transformers.json"
_POOLING_FOLDER, _NORMALIZE_FOLDER = "1_Pooling", "2_Normalize"

#: Ways of pooling, in the order in which sentence-transformers joins the vectors of several -> its key for each.
POOLING_KEYS: dict[str, str] = {
    "cls": "pooling_mode_cls_token",
    "max": "pooling_mode_max_tokens",
    "mean": "pooling_mode_mean_tokens",
    "mean_sqrt_len_tokens": "pooling_mode_mean_sqrt_len_tokens",
    "weightedmean": "pooling_mode_weightedmean_tokens",
    "lasttoken": "pooling_mode_lasttoken",
}

#: Model types of transformers that read a text from both sides, and whose states are those of its tokens. FNet is none
#: of them: it has no mask, so that the padding of a batch would change its vectors.
ENCODERS = frozenset(
    (
        "albert", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta", "deberta-v2", "distilbert",
        "electra", "ernie", "eurobert", "flaubert", "ibert", "longformer", "luke", "megatron-bert", "mobilebert",
        "modernbert", "mpnet", "mra", "nomic_bert", "nystromformer", "rembert", "roberta", "roberta-prelayernorm",
        "roc_bert", "roformer", "squeezebert", "xlm", "xlm-roberta", "xlm-roberta-xl", "xmod", "yoso",
    )
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Pooling:
    """How texts become vectors.

    Attributes:
        modes: Keys of `POOLING_KEYS`; the vectors of several are joined, in the order of that table.
        normalise: Whether vectors are brought to length 1.
        max_length: Tokens a text is cut to, special ones included; None for what model and tokenizer take.
        lower_case: Whether texts are written in small letters first.
        prompt: What is put before every text.
    """

    modes: tuple[str, ...] = ("mean",)
    normalise: bool = False
    max_length: int | None = None
    lower_case: bool = False
    prompt: str = ""

    def __post_init__(self) -> None:
        """Check what no type can say."""
        unknown = [mode for mode in self.modes if mode not in POOLING_KEYS]
        if unknown or not self.modes or len(set(self.modes)) < len(self.modes):
            told = ", ".join(map(repr, self.modes)) or "nothing"
            raise ModelError(f"The pooling is {told}; take one or several different of {', '.join(POOLING_KEYS)}.")
        if self.max_length is not None and self.max_length < 1:
            raise ModelError(f"A text is cut to {self.max_length} tokens; it must be at least 1.")


def read_pooling(folder: str | Path) -> Pooling:
    """Return how the encoder of a folder pools: as its ``modules.json`` says, else the mean of all tokens.

    The mean of all tokens, special ones included, is also what sentence-transformers makes of a folder that is none of
    its own.

    Args:
        folder: Of a model.

    Raises:
        ModelError: A file is damaged or lies elsewhere, or there is a module that is not run here (Dense, LSTM, …):
            without it the vectors would be others than its maker's.
    """
    place = Path(folder)
    modules = place / MODULES_NAME
    if not modules.is_file():
        return Pooling()
    check_inside(place, MODULES_NAME, str(place))
    listed = read_settings(modules).get("")
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise ModelError(f"{modules} is damaged: expected a list of modules. Save or download the model again.")
    kinds = [str(one.get("type", "")).rpartition(".")[2] for one in listed]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ModelError(
            f"{modules} names the modules {', '.join(kinds) or 'none'}. nlpladder runs a Transformer, a Pooling and a "
            "Normalize, in this order; without the others the vectors would not be those of this model."
        )
    path = listed[0].get("path") or ""
    if path:
        raise ModelError(
            f"{modules} has its transformer in the folder {str(path)[:80]!r}; nlpladder opens the one beside "
            f'{MODULES_NAME}. Move the files of that folder up and set its path to "".'
        )
    return Pooling(
        modes=_modes(place, listed[1].get("path")), normalise="Normalize" in kinds, prompt=_prompt(place),
        **_limits(place),
    )  # fmt: skip


def write_pooling(pooling: Pooling, folder: str | Path, *, width: int) -> None:
    """Write the files with which sentence-transformers opens a folder that holds a model and its tokenizer.

    Args:
        pooling: How the encoder pools.
        folder: Of the model.
        width: Of its states.
    """
    place = Path(folder)
    (place / _POOLING_FOLDER).mkdir(parents=True, exist_ok=True)
    flags = {key: mode in pooling.modes for mode, key in POOLING_KEYS.items()}
    _write(place / _POOLING_FOLDER / CONFIG_NAME, {"word_embedding_dimension": width, **flags, "include_prompt": True})
    _write(place / TRANSFORMER_NAME, {"max_seq_length": pooling.max_length, "do_lower_case": pooling.lower_case})
    default = "default" if pooling.prompt else None
    prompts = {"default": pooling.prompt} if pooling.prompt else {}
    _write(place / LIBRARY_NAME, {"prompts": prompts, "default_prompt_name": default})
    parts = [("Transformer", ""), ("Pooling", _POOLING_FOLDER)]
    if pooling.normalise:
        (place / _NORMALIZE_FOLDER).mkdir(exist_ok=True)  # empty, as sentence-transformers leaves it
        parts.append(("Normalize", _NORMALIZE_FOLDER))
    modules = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(parts)
    ]
    _write(place / MODULES_NAME, modules)  # last: it says that the others are there


def no_encoder(config: Mapping[str, Any]) -> str:
    """Return what a model without a head is instead of an encoder, for a sentence; empty for an encoder.

    Args:
        config: ``config.json``.
    """
    model_type = str(config.get("model_type"))
    if config.get("is_encoder_decoder"):
        return "an encoder-decoder without its head"
    if config.get("is_decoder"):
        return "a decoder without its head"
    if model_type in ENCODERS:
        return ""
    return "a model without its head, and none of the encoders that nlpladder knows"


def _modes(folder: Path, path: Any) -> tuple[str, ...]:
    """Return the ways of pooling that the config of the module says."""
    name = f"{path or _POOLING_FOLDER}/{CONFIG_NAME}"
    file = check_inside(folder, name, str(folder / MODULES_NAME))
    if not file.is_file():
        raise ModelError(f"{folder} is not whole: its pooling, {name}, is missing. Save or download the model again.")
    config = read_settings(file)
    if config.get("include_prompt") is False and _prompt(folder):
        raise ModelError(f"{file} leaves the prompt out of the pooling, which nlpladder does not do.")
    named = config.get("pooling_mode")  # a name or several; before that, sentence-transformers wrote a flag each
    if named is not None:
        wanted = {str(one) for one in (named if isinstance(named, list) else [named])}
    else:
        known = {key: mode for mode, key in POOLING_KEYS.items()}
        wanted = {known.get(key, key) for key, value in config.items() if key.startswith("pooling_mode_") and value}
    unknown = sorted(wanted - set(POOLING_KEYS))
    if unknown or not wanted:
        raise ModelError(
            f"{file} pools by {unknown[0][:80] if unknown else 'nothing'}; nlpladder pools by "
            f"{', '.join(POOLING_KEYS)}."
        )
    return tuple(mode for mode in POOLING_KEYS if mode in wanted)


def _limits(folder: Path) -> dict[str, Any]:
    """Return after how many tokens texts are cut, and whether they are written in small letters."""
    file = folder / TRANSFORMER_NAME
    if not file.is_file():
        return {}
    check_inside(folder, TRANSFORMER_NAME, str(folder))
    found = read_settings(file)
    length = found.get("max_seq_length")
    if length is not None and (type(length) is not int or length < 1):
        raise ModelError(f"{file} says max_seq_length {str(length)[:40]}; expected a whole number above 0.")
    return {"max_length": length, "lower_case": bool(found.get("do_lower_case"))}


def _prompt(folder: Path) -> str:
    """Return what stands before every text where the caller chooses no prompt."""
    file = folder / LIBRARY_NAME
    if not file.is_file():
        return ""
    check_inside(folder, LIBRARY_NAME, str(folder))
    found = read_settings(file)
    name, prompts = found.get("default_prompt_name"), found.get("prompts")
    if name is None:
        return ""
    prompt = prompts.get(str(name)) if isinstance(prompts, Mapping) else None
    if not isinstance(prompt, str):
        raise ModelError(f"{file} has the default prompt {str(name)[:80]!r}, but no text for it.")
    return prompt


def _write(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
