"""The tab Attention: where a model looks, layer by layer and head by head, and what that does not show."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr

from shell.bars import clicks
from shell.limits import MAX_ATTENTION_TOKENS, MAX_CHARACTERS, TYPED_PER_READ
from tabs.attention_grid import clicked
from tabs.attention_shape import shape_of
from tabs.attention_view import ABILITY, ALL_PARTS, NO_MODEL, PARTS, WAYS, WEIGHTS, attention_view, shape_in

if TYPE_CHECKING:
    from shell.demo import Demo

TITLE = "Attention"

_EXAMPLES = [
    ["The animal didn't cross the street because it was too tired.", ""],
    ["The film was not good, and the acting was worse.", ""],
    ["A group of men are loading cotton onto a truck.", ""],
    ["Who wrote the letter?", "The letter was written by Anna, and read by Paul."],
    ["Once upon a time there was a little dog who liked to run.", ""],
]

_CAVEAT = (
    "**Attention is not explanation.** The weights show where a layer reads from, not why the model answers as it "
    "does: other weights can give the same answer (Jain and Wallace 2019, "
    "[arXiv 1902.10186](https://arxiv.org/abs/1902.10186)); what follows from that is disputed (Wiegreffe and Pinter "
    "2019, [arXiv 1908.04626](https://arxiv.org/abs/1908.04626)). For what words contribute to an answer, see the tab "
    "Classify."
)

_HOW = r"""
A head compares what a token looks for (its query $q_i$) with what each token offers (its key $k_j$), and reads their
values in these shares: $a_{ij} = \frac{\exp(q_i \cdot k_j / \sqrt d)}{\sum_m \exp(q_i \cdot k_m / \sqrt d)}$, so
every row sums to 1 (Vaswani et al. 2017, [arXiv 1706.03762](https://arxiv.org/abs/1706.03762), equation 1). In a
causal model a token reads nothing that follows it. Recurrent models have one layer with one head (Bahdanau et al.
2014, [arXiv 1409.0473](https://arxiv.org/abs/1409.0473)); the BiLSTM classifier weighs its states for one vector
(Yang et al. 2016).

**Rollout** follows attention through the layers: the heads are averaged, the path around the attention is added, $A =
\frac12 W + \frac12 I$, and the maps are multiplied: $\tilde A_l = A_l \, \tilde A_{l-1}$ (Abnar and Zuidema 2020,
[arXiv 2005.00928](https://arxiv.org/abs/2005.00928), equation 1). It leaves out what the other parts of a layer do.

Many heads look at the first token or at a separator when there is nothing to read (Clark et al. 2019, [arXiv
1906.04341](https://arxiv.org/abs/1906.04341)): hide the special tokens to see the rest.

Modules: `src/nlpladder/models/attention_maps.py`, `src/nlpladder/evaluation/attention_rollout.py`,
`src/nlpladder/views/heat_table.py`.
"""


def bounds(told: str) -> tuple[Any, Any]:
    """Let the sliders end where the model ends.

    Args:
        told: What was said of the model's attention.
    """
    shape = shape_in(told)
    if shape is None:
        return gr.skip(), gr.skip()
    layers, heads = shape
    return gr.update(maximum=layers), gr.update(maximum=heads)


def bounds_of(store: Any, model: Any) -> tuple[Any, Any]:
    """Let the sliders end where the config of a model says that it ends, both at 0: each has the mean of all.

    Args:
        store: The models.
        model: Name of one; of any other the sliders keep their ends.
    """
    shape = shape_of(store, model)
    if shape is None:
        return gr.update(value=0), gr.update(value=0)
    return gr.update(maximum=shape[0], value=0), gr.update(maximum=shape[1], value=0)


def build(demo: Demo) -> None:
    """Put the tab on the page.

    Args:
        demo: What all tabs share.
    """
    gr.Markdown(
        "A model reads a text as tokens: words, or parts of words (▁ or Ġ begins a word, ## goes on with one). Which "
        "tokens does it look at for each token?"
    )
    demo.without_models(NO_MODEL, ABILITY)
    model = demo.models(ABILITY, key="attention.model", label="Model", multiple=False)
    with gr.Row():
        text = gr.Textbox(
            _EXAMPLES[0][0], label="Text", info=f"At most {MAX_ATTENTION_TOKENS} tokens.", lines=2, max_lines=4,
            max_length=TYPED_PER_READ * MAX_CHARACTERS, min_width=280, elem_id="attention-text",
        )  # fmt: skip
        second = gr.Textbox(
            "", label="Second text (optional)", lines=2, max_lines=4, min_width=280,
            max_length=TYPED_PER_READ * MAX_CHARACTERS,
            info="The context of a question, or a translation; a translator writes one itself.",
            elem_id="attention-second",
        )  # fmt: skip
    layers, heads = shape_of(demo.store, model.value) or (24, 32)
    with gr.Row():
        layer = gr.Slider(
            0, layers, 0, step=1, label="Layer", info="1 is nearest to the text; 0 is the mean over all.",
            min_width=180, elem_id="attention-layer",
        )  # fmt: skip
        head = gr.Slider(
            0, heads, 0, step=1, label="Head", info="0 is the mean over all.", min_width=180, elem_id="attention-head"
        )
        way = gr.Radio(
            list(WAYS), value=WEIGHTS, label="Show", info="Rollout follows the weights through the layers.",
            min_width=200, elem_id="attention-way",
        )  # fmt: skip
        hide = gr.Checkbox(
            False, label="Hide special tokens", info="[CLS], end marks, learnt prompts.", min_width=180,
            elem_id="attention-hide",
        )  # fmt: skip
    with demo.advanced():
        part = gr.Radio(
            list(PARTS), value=ALL_PARTS, label="Attention of", elem_id="attention-part",
            info="Encoder-decoders have three kinds.",
        )  # fmt: skip
    button = gr.Button("Show attention", variant="primary", elem_id="attention-go")
    result = gr.HTML(label="Attention weights", elem_id="attention-result")
    told = gr.Markdown(elem_id="attention-told")
    grid = gr.HTML(label="All heads", elem_id="attention-grid", js_on_load=clicks())
    gr.Markdown(_CAVEAT, elem_id="attention-caveat")
    demo.examples(_EXAMPLES, [text, second])
    demo.how_it_works(_HOW)
    demo.remember("attention.hide", hide)

    def attention(
        text: str,
        model: str,
        second_text: str = "",
        layer: int = 0,
        head: int = 0,
        show: str = WEIGHTS,
        attention_of: str = ALL_PARTS,
        hide_special: bool = False,
    ) -> tuple[str, str, str]:
        """Show the attention weights of a model for a text. They are not an explanation of its answer.

        Args:
            text: At most 64 tokens.
            model: Name of a model that has attention weights.
            second_text: The context of a question, or a translation; may be empty.
            layer: From 1; 0 for the mean over all.
            head: From 1; 0 for the mean over all.
            show: "weights" or "rollout".
            attention_of: "what the model has", "text on itself", "translation on source", "translation on itself" or
                "pooling into one vector".
            hide_special: Leave out the tokens that the model adds.

        Returns:
            The weights as an HTML table, what they are in words, and small pictures of all heads of the layer, or of
            all layers where none is chosen (HTML).
        """
        return attention_view(
            demo.store, model, text, second_text, part=attention_of, way=show, layer=layer, head=head,
            hide_special=hide_special,
        )  # fmt: skip

    inputs, outputs = [text, model, second, layer, head, way, part, hide], [result, told, grid]
    demo.action([button.click, text.submit], attention, inputs, outputs, api_name="attention")
    demo.plumbing(told.change, bounds, [told], [layer, head], show_progress="hidden", queue=False)
    # Another model has other layers; on a reload the page chooses one anew.
    demo.plumbing(
        model.change, lambda name: bounds_of(demo.store, name), [model], [layer, head], show_progress="hidden",
        queue=False,
    )  # fmt: skip

    def choose(
        text: str, model: str, second: str, layer: int, head: int, way: str, part: str, hide: bool, event: gr.EventData
    ) -> tuple[Any, ...]:
        """Show the layer or the head whose picture was clicked."""
        data = event._data if isinstance(event._data, dict) else {}  # a program may send none
        layer, head = clicked(data.get("value"), layer, head)
        return layer, head, *attention(text, model, second, layer, head, way, part, hide)

    demo.plumbing(
        grid.select, choose, inputs, [layer, head, *outputs], concurrency_id="attention", show_progress="hidden"
    )
