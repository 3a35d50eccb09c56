"""The tab Next word: one prefix, what up to four models expect next, and how surprised each was by the text so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd
from gradio.context import Context

from shell.bars import clicks
from shell.limits import TYPED_PER_READ
from tabs.next_word_predictions import (
    COLUMNS,
    MOST_BARS,
    MOST_CHARACTERS,
    MOST_MODELS,
    appended,
    bars_html,
    predict,
    prediction_table,
)
from tabs.next_word_surprisal import TOTALS, TRACE, surprises, surprises_html, totals_table, trace_table

if TYPE_CHECKING:
    from shell.demo import Demo

TITLE = "Next word"
_OPENING = '<p class="nw-note">The first answer takes some seconds: the models are being opened.</p>'

_NO_MODEL = """
There is no language model here yet. Train one, then press **Refresh** in the side bar:

`python recipes/train_ngram_lm.py --dataset world:stories --output_dir outputs/trigram --order 3`

`python recipes/train_lstm_lm.py --dataset world:stories --output_dir outputs/lstm`
"""

_EXAMPLES = [
    ["Sarah lives in a little"],
    ["Tom works as a teacher and has a"],
    ["At night the parrot squawks and"],
    ["The film was not"],
    ["To be, or not to"],
]

_HOW = r"""
A **language model** gives each token $w$ a probability after the text before it, the history $h$. The bars are the
largest of $p(w \mid h)$, on one scale for all models. Its **surprisal** is $-\log_2 p(w \mid h)$, in bits (Shannon
1948): 0 for a token that was certain, one bit more for each halving. The surprisals of a text add up to the bits that
the model would need to transmit it. Divided by its characters or bytes they compare models of any vocabulary; divided
by tokens they do not, because tokens differ.

An **n-gram model** looks for the longest n-gram that it has met and backs off to a shorter history where there is none,
for a price: $p(w \mid h_1 \ldots h_n) = b(h_1 \ldots h_n)\, p(w \mid h_2 \ldots h_n)$ (Katz 1987; modified Kneser-Ney:
Chen and Goodman 1999). The table "Which n-gram answered" shows both. Neural models have no such step: an LSTM carries a
state (Hochreiter and Schmidhuber 1997), a Transformer looks back over its window (Vaswani et al. 2017,
[arXiv 1706.03762](https://arxiv.org/abs/1706.03762)).

**Temperature** $T$ divides the log-probabilities, $p_T(w) \propto p(w)^{1/T}$; **top-k** keeps the $k$ most probable
tokens (Fan et al. 2018, [arXiv 1805.04833](https://arxiv.org/abs/1805.04833)). Both change what is drawn, not what the
model believes: the surprisals below always are the model's own.

`␣` is a blank and `⏎` a line break that belongs to a token. A probability says what is frequent in the texts that a
model learnt from, not what is true.

Modules: `src/nlpladder/models/next_tokens.py`, `src/nlpladder/models/ngram/back_off.py`,
`src/nlpladder/models/neural_language_model.py`, `src/nlpladder/evaluation/language_modeling.py`.
"""


def build(demo: Demo) -> None:
    """Put the tab on the page.

    Args:
        demo: What all tabs share.
    """
    tab = Context.block
    gr.Markdown("Each model says which token (a word or a part of one) it expects next. **Click a bar** to append it.")
    missing = demo.without_models(_NO_MODEL, "language_model")
    models = demo.models("language_model", key="next_word.models", label=f"Models (at most {MOST_MODELS})", most=4)
    with gr.Row(equal_height=True):
        text = gr.Textbox(
            _EXAMPLES[0][0], label="Text so far", lines=2, max_lines=6, scale=5,
            max_length=TYPED_PER_READ * MOST_CHARACTERS, min_width=260, elem_id="next_word-text",
        )  # fmt: skip
        with gr.Column(scale=1, min_width=140):
            go = gr.Button("Predict", variant="primary", elem_id="next_word-go")
            undo = gr.Button("Remove last word", size="sm", elem_id="next_word-undo")
    with demo.advanced(), gr.Row():
        bars = gr.Slider(1, MOST_BARS, 10, step=1, label="Bars", info="Tokens shown of each model.", min_width=200)
        temperature = gr.Slider(
            0.1, 2.0, 1.0, step=0.1, label="Temperature", info="Below 1 sharper, above 1 flatter.", min_width=200
        )
        top_k = gr.Slider(
            0, 200, 0, step=1, label="Top-k", info="Keep the k most probable; 0 keeps all.", min_width=200
        )
    opening = _OPENING if demo.store.names("language_model") else ""
    result = gr.HTML(opening, label="Next tokens", elem_id="next_word-result", js_on_load=clicks())
    with gr.Accordion("The numbers of the bars", open=False):
        table = gr.Dataframe(_empty(COLUMNS), label="Next tokens", interactive=False, elem_id="next_word-table")
    gr.Markdown(
        "### How surprised each model was\nBits above each token: 0 is certain, 1 more is half as probable. Stronger "
        "colour is less expected; colours mean the same for all models. The last mark, such as `</s>`, ends the text."
    )
    surprisal_html = gr.HTML(label="Surprisal of the text", elem_id="next_word-surprisal")
    totals = gr.Dataframe(
        _empty(TOTALS), label="The whole text (compare models by bits/character and bits/byte)", interactive=False,
        elem_id="next_word-totals",
    )  # fmt: skip
    with gr.Accordion("Which n-gram answered (n-gram models)", open=False, elem_id="next_word-back-off"):
        gr.Markdown("The longest n-gram that the model has met, and the longer histories it gave up for it.")
        trace = gr.Dataframe(_empty(TRACE), label="Back-off", interactive=False, wrap=True, elem_id="next_word-trace")
    demo.examples(_EXAMPLES, [text])
    demo.how_it_works(_HOW)
    for key, component in {"text": text, "bars": bars, "temperature": temperature, "top_k": top_k}.items():
        demo.remember(f"next_word.{key}", component)

    def next_word(
        text: str, models: list[str], bars: int = 10, temperature: float = 1.0, top_k: int = 0
    ) -> tuple[str, pd.DataFrame]:
        """Show the most probable next tokens of several language models.

        Args:
            text: The text so far, at most 1,000 characters; may be empty.
            models: Names of up to 4 language models.
            bars: How many tokens of each model, 1 to 20.
            temperature: Divides the log-probabilities, 0.1 to 2; 1 leaves them as they are.
            top_k: Keeps the k most probable tokens, 0 to 200; 0 keeps all.

        Returns:
            The bars (HTML), and a table: model, rank, token, probability in percent, surprisal in bits.
        """
        found = predict(demo.store, text, models, bars=bars, temperature=temperature, top_k=top_k)
        return bars_html(found), prediction_table(found)

    def surprisal(text: str, models: list[str]) -> tuple[str, pd.DataFrame, pd.DataFrame]:
        """Show how surprised language models are by each token of a text, in bits.

        Args:
            text: The text, at most 1,000 characters.
            models: Names of up to 4 language models.

        Returns:
            The text coloured by surprisal (HTML), a table of sums (bits per character and per byte compare any models),
            and a table of the n-grams that answered, for n-gram models.
        """
        found = surprises(demo.store, text, models)
        return surprises_html(found), totals_table(found), trace_table(found)

    def append_token(text: str, event: gr.EventData) -> str:
        """Return the text with the token of the clicked bar behind it."""
        clicked = event._data if isinstance(event._data, dict) else {}  # a program may send none
        return appended(text, clicked.get("value"))

    live: dict[str, Any] = {"trigger_mode": "always_last", "show_progress": "hidden"}
    opened = [tab.select] if isinstance(tab, gr.Tab) else []
    changes = [text.change, models.change]
    inputs = [text, models, bars, temperature, top_k]
    demo.action(
        [go.click, text.submit], next_word, inputs, [result, table], api_name="next_word",
        **live,
    )  # fmt: skip
    shown = [surprisal_html, totals, trace]
    demo.action(
        [go.click, text.submit], surprisal, [text, models], shown, api_name="surprisal",
        **live,
    )  # fmt: skip

    # While somebody chooses other models there may be none for a moment: that is no mistake to be told.
    def next_word_live(text: str, models: list[str], *others: Any) -> tuple[str, pd.DataFrame]:
        return next_word(text, models, *others) if models else ("", _empty(COLUMNS))

    def surprisal_live(text: str, models: list[str]) -> tuple[str, pd.DataFrame, pd.DataFrame]:
        asked = models and str(text or "").strip()
        return surprisal(text, models) if asked else ("", _empty(TOTALS), _empty(TRACE))

    for event in (*changes, *opened, bars.change, temperature.change, top_k.change):
        demo.plumbing(event, next_word_live, inputs, [result, table], concurrency_id="next_word", **live)
    for event in (*changes, *opened):
        demo.plumbing(event, surprisal_live, [text, models], shown, concurrency_id="surprisal", **live)
    demo.plumbing(result.select, append_token, [text], text, show_progress="hidden")
    demo.plumbing(
        models.change, lambda: gr.update(visible=not demo.store.names("language_model")), None, missing,
        show_progress="hidden",
    )  # fmt: skip
    demo.plumbing(undo.click, without_last_word, [text], text, show_progress="hidden")


def without_last_word(text: str) -> str:
    """Return the text without its last word and the white space around it."""
    kept = text.rstrip() if isinstance(text, str) else ""
    return kept[: len(kept) - len(kept.split()[-1])].rstrip() if kept else ""


def _empty(columns: tuple[str, ...]) -> pd.DataFrame:
    return pd.DataFrame(columns=list(columns))
