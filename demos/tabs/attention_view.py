"""One attention map of one model, chosen and described, as a heat table, and the others beside it as small pictures."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from nlpladder.evaluation.attention_rollout import attention_rollout
from nlpladder.models.attention_maps import KINDS, AttentionMap, attention_maps
from nlpladder.views.heat_table import PRINTED_FROM, heat_label, heat_table_html
from shell.limits import MAX_ATTENTION_TOKENS, DemoError, check_choice, check_text, check_whole
from shell.store import asked_model
from tabs.attention_grid import grid_html

if TYPE_CHECKING:
    from shell.store import ModelStore

ABILITY = "attention"
#: What can be chosen -> the kinds of maps that it means, the first that the model has.
ALL_PARTS = "what the model has"
PARTS: dict[str, tuple[str, ...]] = {
    ALL_PARTS: ("self", "causal", "cross", "encoder", "decoder", "pooling"),
    "text on itself": ("self", "causal", "encoder"),
    "translation on source": ("cross",),
    "translation on itself": ("decoder",),
    "pooling into one vector": ("pooling",),
}
WEIGHTS, ROLLOUT = "weights", "rollout"
WAYS = (WEIGHTS, ROLLOUT)
MOST_LAYERS, MOST_HEADS = 96, 128
_AXES = {"cross": ("Written", "Read"), "decoder": ("Written", "Read before"), "pooling": ("", "Read")}
_MOST_READ = 5
_SHAPE = re.compile(r"It has (\d{1,4}) layers? of (\d{1,4}) heads?\.", re.ASCII)
NO_MODEL = (
    "No model here has attention. Make one: `accelerate launch recipes/train_transformer.py --dataset "
    "world:phrasebook --output_dir outputs/transformer`, or `make demo` for a tiny set of everything."
)


def attention_view(
    store: ModelStore,
    model: Any,
    text: Any,
    second: Any = "",
    *,
    part: Any = ALL_PARTS,
    way: Any = WEIGHTS,
    layer: Any = 0,
    head: Any = 0,
    hide_special: Any = False,
) -> tuple[str, str, str]:
    """Return one map as a heat table, a few sentences on it, and small pictures of all heads of its layer.

    Args:
        store: The models.
        model: Name of one.
        text: At most `MAX_ATTENTION_TOKENS` tokens.
        second: The context of a question, or a translation; may be empty.
        part: A key of `PARTS`.
        way: ``weights`` or ``rollout``.
        layer: From 1; 0 for the mean over all, or for the rollout through all.
        head: From 1; 0 for the mean over all.
        hide_special: Leave out the tokens that the model adds.

    Returns:
        The table (HTML), the sentences (Markdown), and the pictures (HTML): of the layers where none is chosen.

    Raises:
        DemoError: Something is not as expected.
        LadderError: The model cannot be opened, has no attention, or the text is too long.
    """
    name = asked_model(store, model, ABILITY)
    text = check_text(text, "The text")
    second = check_text(second, "The second text", empty=True).strip()
    part = check_choice(part, "Parts", PARTS)
    way = check_choice(way, "Ways", WAYS)
    layer = check_whole(layer, "The layer", least=0, most=MOST_LAYERS)
    head = check_whole(head, "The head", least=0, most=MOST_HEADS)
    with store.use(name) as opened:
        maps = attention_maps(opened, text, second or None, max_tokens=MAX_ATTENTION_TOKENS)
    kind = next((kind for kind in PARTS[part] if kind in maps), None)
    if kind is None:
        raise DemoError(f"{name} has no such attention. It has: {', '.join(_parts_of(maps))}.")
    found = maps[kind]
    layers, heads = found.weights.shape[:2]
    _check_there("layer", layer, layers)
    _check_there("head", head, heads)
    values = _values(found, way, layer, head)
    told = [
        _told(found, way, layer, head),
        shape_text(layers, heads),
    ]
    others, unit = _others(found, way, layer, head)
    rows, columns = found.rows, found.columns
    if bool(hide_special):
        others = [_visible(found, one)[0] for one in others]
        values, rows, columns, gone = _visible(found, values)
        if not values.size:
            raise DemoError("Without the special tokens nothing is left. Show them.")
        if gone >= 0.005:
            told.append(f"Hidden special tokens receive {gone:.0%} of the attention, so rows do not sum to 1.")
    told.append(_most_read(values, columns))
    row_name, column_name = _AXES.get(kind, ("Reads", "Is read"))
    shown = heat_table_html(
        values, rows, columns, caption=f"{name}: {_caption(kind, way, layer, head)}", row_name=row_name,
        column_name=column_name, printed_from=min(PRINTED_FROM, max(0.01, round(float(values.max()) / 2, 2))),
    )  # fmt: skip
    grid = ""
    if len(others) > 1:
        upwards = "back to all layers" if unit == "head" and layers > 1 and layer else ""
        chosen = layer if unit == "layer" else head
        whole = "through all layers" if way == ROLLOUT else f"mean of all {unit}s"
        grid = grid_html(np.stack(others), columns, unit=unit, chosen=chosen, whole=whole, upwards=upwards)
    return shown, " ".join(told), grid


def shape_text(layers: int, heads: int) -> str:
    """Say how much there is to choose from; see `shape_in`."""
    return f"It has {layers} {_plural('layer', layers)} of {heads} {_plural('head', heads)}."


def shape_in(told: Any) -> tuple[int, int] | None:
    """Return layers and heads as `attention_view` told them; None where nothing was told.

    Args:
        told: The sentences, as a page sends them back.
    """
    found = _SHAPE.search(told) if isinstance(told, str) else None
    return (min(int(found[1]), MOST_LAYERS), min(int(found[2]), MOST_HEADS)) if found else None


def _others(
    found: AttentionMap, way: str, layer: int, head: int
) -> tuple[list[npt.NDArray[np.floating]], Literal["layer", "head"]]:
    """Return the maps that can be chosen from here: the heads of the layer, or the layers where none is chosen."""
    layers, heads = found.weights.shape[:2]
    if way == ROLLOUT:
        return list(attention_rollout(found.weights)), "layer"
    if heads > 1 and (layer or layers == 1):
        return list(found.weights[layer - 1 if layer else 0]), "head"
    return [found.chosen(layer=one, head=head - 1 if head else None) for one in range(layers)], "layer"


def _values(found: AttentionMap, way: str, layer: int, head: int) -> npt.NDArray[np.floating]:
    """Return the matrix that is shown."""
    if way == WEIGHTS:
        return found.chosen(layer=layer - 1 if layer else None, head=head - 1 if head else None)
    if found.kind not in ("self", "causal", "encoder", "decoder"):
        raise DemoError("Rollout follows the attention of a text on itself from layer to layer. Choose the weights.")
    if found.kind == "decoder":
        # A decoder's rows are the tokens that are written, one step behind those that are read.
        raise DemoError("Rollout of a decoder would leave out what comes from the source. Choose the weights.")
    if head:
        raise DemoError("Rollout takes the mean of the heads. Set the head to 0, or choose the weights.")
    return attention_rollout(found.weights)[layer - 1 if layer else -1]


def _check_there(what: str, number: int, count: int) -> None:
    if number > count:
        raise DemoError(f"There is no {what} {number}: this model has {count}. 0 is the mean over all.")


def _visible(
    found: AttentionMap, values: npt.NDArray[np.floating]
) -> tuple[npt.NDArray[np.floating], tuple[str, ...], tuple[str, ...], float]:
    """Return the matrix without special tokens, and the share of the other rows that went to them."""
    rows = [place for place, special in enumerate(found.special_rows) if not special]
    columns = [place for place, special in enumerate(found.special_columns) if not special]
    kept = values[np.ix_(rows, columns)]
    gone = 1.0 - float(kept.sum(axis=1).mean()) if kept.size else 0.0
    return kept, tuple(found.rows[row] for row in rows), tuple(found.columns[column] for column in columns), gone


def _told(found: AttentionMap, way: str, layer: int, head: int) -> str:
    if way == ROLLOUT:
        upto = f"layer {layer}" if layer else "the last layer"
        return f"How much of each input token (column) reaches each position (row) by {upto}, if attention is followed."
    return f"In this map, {KINDS[found.kind]}."


def _caption(kind: str, way: str, layer: int, head: int) -> str:
    part = next(name for name, kinds in PARTS.items() if kind in kinds and len(kinds) < len(PARTS[ALL_PARTS]))
    if way == ROLLOUT:
        return f"rollout of {part}, {f'up to layer {layer}' if layer else 'all layers'}"
    which = "mean over all layers and heads"
    if layer or head:
        which = ", ".join(
            f"{what} {number}" if number else f"mean over all {what}s"
            for what, number in (("layer", layer), ("head", head))
        )
    return f"{part}, {which}"


def _most_read(values: npt.NDArray[np.floating], columns: tuple[str, ...]) -> str:
    shares = values.mean(axis=0)
    first = np.argsort(-shares, kind="stable")[:_MOST_READ]
    listed = ", ".join(f"{_quoted(columns[place])} {shares[place]:.0%}" for place in first)
    return f"Most read, mean over the rows: {listed}."


def _quoted(token: str) -> str:
    """Return a token that Markdown leaves as it is."""
    return "".join(f"\\{one}" if one in r"\`*_{}[]()#+-.!|<>~$&" else one for one in heat_label(token))


def _parts_of(maps: dict[str, AttentionMap]) -> list[str]:
    return [name for name, kinds in list(PARTS.items())[1:] if any(kind in maps for kind in kinds)]


def _plural(word: str, number: int) -> str:
    return word if number == 1 else f"{word}s"
