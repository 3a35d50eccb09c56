"""The tab Translate: one source, up to three models, what each wrote, what else it found, and where it looked."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

import gradio as gr

from nlpladder.views.heat_table import heat_table_html
from shell.limits import TYPED_PER_READ
from shell.store import asked_models
from tabs.translate_search import MAPS, MOST_BEAMS, MOST_CHARACTERS, MOST_MODELS, Search, Translations, direction_of
from tabs.translate_view import (
    HEADER,
    SCORES_HEADER,
    alignments_html,
    cards_html,
    directions_text,
    greedy_text,
    hypotheses_table,
    reference_scores,
    references_of,
)

if TYPE_CHECKING:
    import pandas as pd

    from shell.demo import Demo

TITLE = "Translate"

_EXAMPLES = [
    [
        "Tomorrow, she will see the horses in our new school.",
        "Demain, elle verra les chevaux dans notre nouvelle école.",
    ],
    ["Did Thomas know this small father?", "Thomas connaissait-il ce petit père ?"],
    ["Ein Mann mit einem Hut sitzt auf einer Bank und liest.", "A man in a hat sits on a bench and reads."],
    ["Two children are playing with a brown dog.", "Zwei Kinder spielen mit einem braunen Hund."],
    ["name[The Mill], eatType[pub], area[riverside]", "The Mill is a pub by the riverside."],
]

_HOW = r"""
An **encoder** reads the source. A **decoder** writes one token after the other and, before each, looks back at the
source. Where it looks is a row of the heat table: weights $a_{ij}$ of target token $i$ on source token $j$, each row
summing to 1: $c_i = \sum_j a_{ij} h_j, \quad a_{ij} = \frac{\exp e_{ij}}{\sum_k \exp e_{ik}}$ (Bahdanau, Cho and Bengio
2014, [arXiv 1409.0473](https://arxiv.org/abs/1409.0473), equations 5 and 6; with several heads Vaswani et al. 2017,
[arXiv 1706.03762](https://arxiv.org/abs/1706.03762), equation 1).

**Beam search** keeps several beginnings at each step, and ranks the finished ones by
$\frac{\log p(y \mid x)}{|y|^{\alpha}} + \beta \sum_j \log \min(\sum_i a_{ij}, 1)$, where $\alpha$ is the length penalty
and $\beta$ the coverage penalty (Wu et al. 2016, [arXiv 1609.08144](https://arxiv.org/abs/1609.08144), equation 14; the
length penalty here is that of transformers). With $\alpha = 1$ and $\beta = 0$ the score is the mean log-probability of
a token, in nats; 0 would be certainty. **Greedy search** keeps one beginning.

An alignment shows where the model looked, not why it chose a word (Jain and Wallace 2019,
[arXiv 1902.10186](https://arxiv.org/abs/1902.10186)). Of a Transformer the last layer but one is shown, the mean of its
heads, which agrees best with alignments made by hand (Garg et al. 2019,
[arXiv 1909.02074](https://arxiv.org/abs/1909.02074)).

Modules: `src/nlpladder/models/translation.py`, `src/nlpladder/models/beam_search.py`,
`src/nlpladder/models/seq2seq/`, `src/nlpladder/models/transformer/`.
"""


def build(demo: Demo) -> None:
    """Put the tab on the page.

    Args:
        demo: What all tabs share.
    """
    asked = Translations(demo.store)
    gr.Markdown("One sentence, up to three models. A model answers only in the languages that it was trained on.")
    models = demo.models("translate", key="translate.models", label=f"Models (at most {MOST_MODELS})", most=MOST_MODELS)
    reads = gr.Markdown(_directions(demo, models.value), elem_id="translate-directions")
    with gr.Row():
        text = gr.Textbox(
            _EXAMPLES[0][0], label="Text to translate", lines=2, max_lines=6, min_width=280,
            max_length=TYPED_PER_READ * MOST_CHARACTERS,
            elem_id="translate-text",
        )  # fmt: skip
        reference = gr.Textbox(
            "", label="Right translation (optional)", lines=2, max_lines=6, min_width=280,
            info="For BLEU and chrF: how much of it the answer shares, 0 to 100. One a line where there are several.",
            elem_id="translate-reference",
        )  # fmt: skip
    with demo.advanced(), gr.Row():
        beams = gr.Slider(1, MOST_BEAMS, 5, step=1, label="Beams", info="Beginnings kept at each step.", min_width=200)
        length = gr.Slider(
            -2, 3, 1.0, step=0.1, label="Length penalty", info="Above 0 favours long ones.", min_width=200
        )
        coverage = gr.Slider(
            0,
            2,
            0.0,
            step=0.1,
            label="Coverage penalty",
            info="Against words left out; needs attention.",
            min_width=200,
        )
        greedy = gr.Checkbox(False, label="Greedy search", info="Beside beam search.", min_width=160)
    button = gr.Button("Translate", variant="primary", elem_id="translate-go")
    answers = gr.HTML(label="Translations", elem_id="translate-result")
    scores = gr.Dataframe(
        _empty(SCORES_HEADER), label="Against the right translation", interactive=False, visible=False,
        elem_id="translate-scores",
    )  # fmt: skip
    scored = gr.HTML(label="How it was scored", elem_id="translate-scored")
    with gr.Accordion("Where the model looked", open=True):
        gr.Markdown(
            "Rows are what it wrote, columns what it read, in tokens: words or parts of words (▁ begins a word, `</s>` "
            "ends the text). It shows where the model looked, not why."
        )
        alignments = gr.HTML(label="Alignments", elem_id="translate-alignments")
    with gr.Accordion("All hypotheses: what else was found", open=False):
        gr.Markdown(
            "The score is the log-probability in nats, divided by length to the power of the penalty. It compares "
            "hypotheses of one model, not models: their tokens differ."
        )
        hypotheses = gr.Dataframe(
            _empty(HEADER), label="Hypotheses", interactive=False, wrap=True, elem_id="translate-hypotheses"
        )
        searches = gr.Markdown(elem_id="translate-searches")
    with demo.advanced():
        gr.Markdown("### One layer, one head")
        with gr.Row():
            model = demo.models("translate", key="translate.attention", label="Model", multiple=False)
            kind = gr.Radio(list(MAPS), value=next(iter(MAPS)), label="Attention of", min_width=240)
            layer = gr.Slider(1, 24, 1, step=1, label="Layer", info="1 is nearest to the text.", min_width=160)
            head = gr.Slider(0, 32, 0, step=1, label="Head", info="0 is the mean over all.", min_width=160)
        look = gr.Button("Show", elem_id="translate-look")
        weights = gr.HTML(label="Attention weights", elem_id="translate-attention")
    demo.examples(_EXAMPLES, [text, reference])
    demo.how_it_works(_HOW)
    for key, component in {"beams": beams, "length": length, "coverage": coverage, "greedy": greedy}.items():
        demo.remember(f"translate.{key}", component)

    def translate(
        text: str,
        models: list[str],
        reference: str = "",
        num_beams: int = 5,
        length_penalty: float = 1.0,
        coverage_penalty: float = 0.0,
        greedy_search: bool = False,
    ) -> tuple[str, pd.DataFrame, str, str, Any, str]:
        """Translate a text with several models.

        Args:
            text: The source, at most 1,000 characters.
            models: Names of up to 3 models that translate.
            reference: Right translations, one a line, for BLEU and chrF; may be empty.
            num_beams: Hypotheses kept at each step, 1 to 10.
            length_penalty: Hypotheses are ranked by log p / length^length_penalty, -2 to 3.
            coverage_penalty: Weight of the penalty for source words left out, 0 to 2.
            greedy_search: Look greedily as well.

        Returns:
            Cards (HTML), hypotheses with scores, a sentence on greedy search, alignments (HTML), BLEU and chrF, and how
            they were computed.
        """
        search = Search(
            num_beams=num_beams, length_penalty=length_penalty, coverage_penalty=coverage_penalty, greedy=greedy_search
        )
        references = references_of(reference)
        found = asked.ask(text, models, search)
        table, told = reference_scores(found, references)
        return (
            cards_html(found),
            hypotheses_table(found),
            greedy_text(found),
            alignments_html(found),
            gr.update(value=table, visible=bool(len(table))),
            f'<p style="overflow-wrap:anywhere"><small>{html.escape(told)}</small></p>' if told else "",
        )

    def translation_attention(
        text: str,
        model: str,
        attention_of: str = "translation on source",
        layer: int = 1,
        head: int = 0,
        num_beams: int = 5,
        length_penalty: float = 1.0,
        coverage_penalty: float = 0.0,
    ) -> str:
        """Show the attention weights of one layer and head of a translation model.

        Args:
            text: The source, at most 64 tokens.
            model: Name of a model that translates.
            attention_of: "translation on source", "source on source" or "translation on itself".
            layer: From 1.
            head: From 1; 0 for the mean over all heads.
            num_beams: Of the search for the translation, 1 to 10.
            length_penalty: Of the search, -2 to 3.
            coverage_penalty: Of the search, 0 to 2.

        Returns:
            The weights as an HTML table.
        """
        search = Search(num_beams=num_beams, length_penalty=length_penalty, coverage_penalty=coverage_penalty)
        values, rows, columns, caption = asked.attention(text, model, search, kind=attention_of, layer=layer, head=head)
        return heat_table_html(values, rows, columns, caption=caption, strongest=1.0)

    demo.action(
        [button.click, text.submit], translate, [text, models, reference, beams, length, coverage, greedy],
        [answers, hypotheses, searches, alignments, scores, scored], api_name="translate",
    )  # fmt: skip
    demo.action(
        look.click, translation_attention, [text, model, kind, layer, head, beams, length, coverage], [weights],
        api_name="translation_attention",
    )  # fmt: skip
    demo.plumbing(models.change, lambda chosen: _directions(demo, chosen), [models], [reads], show_progress="hidden")


def _directions(demo: Demo, chosen: Any) -> str:
    """Return what the chosen models read and write."""
    names = asked_models(demo.store, chosen, "translate", most=MOST_MODELS) if chosen else []
    if demo.store.names("translate") and not names:
        return "Choose a model."
    return directions_text({name: direction_of(demo.store.entry(name)) for name in names})


def _empty(header: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns=list(header))
