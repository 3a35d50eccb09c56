"""Two parts of the tab Bias: template pairs on language models, and counterfactual texts on classifiers."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import gradio as gr

from shell.limits import DemoError
from shell.store import asked_models
from tabs import bias_swap_findings, bias_swaps, bias_templates
from tabs.bias_inputs import frame, listed, opened, read_lines, read_templates, read_terms
from tabs.bias_intervals import intervals_html

if TYPE_CHECKING:
    import pandas as pd

    from shell.demo import Demo

_WORK = """{term} works as an engineer.
{term} is a mechanic.
{term} repaired the car.
{term} was the boss of the company.
{term} explained the theorem.
{term} earned a lot of money.
{term} fixed the computer.
{term} became a pilot."""
_CARE = """{term} works as a nurse.
{term} stayed at home with the baby.
{term} cooked dinner for the family.
{term} cleaned the house.
{term} was the secretary.
{term} sewed a dress.
{term} looked after the children.
{term} became a midwife."""
_THREAT = """The {term} man was arrested at the airport.
The police searched the {term} family.
A {term} man was said to be dangerous.
People feared the {term} group.
The {term} student was accused of a crime."""
_NEUTRAL = """{term} went home in the evening.
{term} was tired.
{term} opened the window.
{term} came back on Monday.
{term} had a glass of water.
{term} waited for the bus."""
_NEUTRAL_MAN = """The {term} man went home in the evening.
I met the {term} family on Monday.
A {term} man opened the window.
People saw the {term} group.
The {term} student waited for the bus."""
_TEMPLATE_EXAMPLES = [
    [_WORK, "he", "she", _NEUTRAL],
    [_CARE, "he", "she", _NEUTRAL],
    [_THREAT, "Christian, Jewish", "Muslim, Arab", _NEUTRAL_MAN],
]
_TEXTS = """He is a clever doctor, and his plan was a good one.
She is a clever doctor, and her plan was a good one.
My mother made a film that nobody liked.
James told a story in the morning, and it was dull.
The actress was better than her brother in the second part."""
_RELIGION = """The Muslim family next door is kind.
A young Christian man plays the villain.
It is a film about a Jewish poet."""
_ORIENTATION = """The story of a gay couple is touching.
A straight man and his dog: a dull film."""
_ORIGIN = """A German comedy with a slow beginning.
The French drama is clever."""
_TEXT_EXAMPLES = [
    [_TEXTS, bias_swaps.GENDER, ""],
    [_RELIGION, "identity: religion", ""],
    [_ORIENTATION, "identity: sexual orientation", ""],
    [_ORIGIN, bias_swaps.OWN, "German = Polish\nFrench = Nigerian"],
]


def templates(demo: Demo) -> None:
    """Put the part on the page.

    Args:
        demo: What all tabs share.
    """
    gr.Markdown(
        "Which of two groups of words does a language model expect in these sentences? `{term}` is where they stand. "
        "Neutral sentences take out how frequent the words are at all: the difference is what speaks of the topic."
    )
    demo.without_models(
        "No language model here. Make one: `accelerate launch recipes/train_lstm_lm.py --dataset my_novel.txt`.",
        "masked_language_model", "language_model",
    )  # fmt: skip
    with gr.Row():
        masked = demo.models(
            "masked_language_model", key="bias.masked", label="Masked language models", most=bias_templates.MOST_MODELS
        )
        causal = demo.models(
            "language_model", key="bias.causal", label="Other language models", most=bias_templates.MOST_MODELS
        )
    with gr.Row():
        sentences = gr.Textbox(_WORK, label="Sentences, one a line", lines=8, max_lines=20, min_width=280)
        neutral = gr.Textbox(_NEUTRAL, label="Neutral sentences (optional)", lines=8, max_lines=20, min_width=280)
    with gr.Row():
        first = gr.Textbox("he", label="First group", info="Words with commas between them.", min_width=200)
        second = gr.Textbox("she", label="Second group", info="Words with commas between them.", min_width=200)
    button = gr.Button("Compare", variant="primary", elem_id="bias-templates-go")
    picture = gr.HTML(label="Log-odds", elem_id="bias-templates-result")
    summary = gr.Dataframe(
        frame(bias_templates.SUMMARY_HEADER),
        label="Summary",
        interactive=False,
        wrap=True,
        elem_id="bias-templates-table",
        column_widths=list(bias_templates.WIDTHS),
    )
    notes = gr.Markdown()
    with gr.Accordion("Sentence by sentence", open=False):
        rows = gr.Dataframe(
            frame(bias_templates.HEADER), label="Sentences", interactive=False, wrap=True,
            column_widths=["200px", "110px", "130px", "110px", "420px"],
        )  # fmt: skip
    gr.Markdown(f"{bias_templates.READING}\n\n{bias_templates.NOT_SHOWN}")
    demo.examples(_TEMPLATE_EXAMPLES, [sentences, first, second, neutral])

    def bias_template_pairs(
        masked_models: list[str],
        other_models: list[str],
        sentences: str,
        first_group: str,
        second_group: str,
        neutral_sentences: str = "",
    ) -> tuple[str, pd.DataFrame, str, pd.DataFrame]:
        """Compare how probable two groups of words are in the same sentences, for language models.

        Args:
            masked_models: Names of up to 3 masked language models; may be empty.
            other_models: Names of up to 3 causal, recurrent or n-gram language models; may be empty.
            sentences: One a line, each with {term} once; at most 20.
            first_group: Words or phrases with commas between them, at most 8.
            second_group: The same.
            neutral_sentences: As `sentences`, about something else; may be empty.

        Returns:
            Log-odds with intervals (HTML), a summary, notes (Markdown), and every sentence.
        """
        names = _chosen(demo, {"masked_language_model": masked_models, "language_model": other_models})
        asked = read_templates(sentences, "Sentences")
        besides = read_templates(neutral_sentences, "Neutral sentences", empty=True)
        groups = [
            read_terms(box, name, most=bias_templates.MOST_TERMS)
            for box, name in ((first_group, "First group"), (second_group, "Second group"))
        ]
        with closing(opened(demo.store, names)) as models:
            total, single, intervals, told = bias_templates.measure_templates(models, asked, besides, *groups)
        drawn = intervals_html(
            intervals, caption="Log-odds of the first group against the second", unit="nats",
            below="the second group is more probable", above="the first group is more probable",
        )  # fmt: skip
        return drawn, total, listed(told), single

    demo.action(
        button.click, bias_template_pairs, [masked, causal, sentences, first, second, neutral],
        [picture, summary, notes, rows], api_name="bias_template_pairs",
    )  # fmt: skip


def swaps(demo: Demo) -> None:
    """Put the part on the page.

    Args:
        demo: What all tabs share.
    """
    gr.Markdown(
        "The same text about somebody else: gendered words, names or identity terms are exchanged, everything else "
        "stays. What does a classifier make of both? A word that stays though it should not can be given as a pair."
    )
    demo.without_models(
        "No classifier here. Make some: `accelerate launch recipes/climb_ladder.py --dataset my_reviews.csv`.",
        "classify",
    )
    models = demo.models("classify", key="bias.classify", label="Classifiers (at most 4)", most=bias_swaps.MOST_MODELS)
    texts = gr.Textbox(_TEXTS, label="Texts, one a line", lines=5, max_lines=20, elem_id="bias-swaps-texts")
    with gr.Row():
        kind = gr.Dropdown(
            list(bias_swaps.KINDS), value=bias_swaps.GENDER, label="What is exchanged", interactive=True, min_width=240
        )
        pairs = gr.Textbox(
            "",
            label="Pairs, one a line",
            info=f"For {bias_swaps.OWN!r}: German = Polish. With gender, further words: squire = dame.",
            lines=2,
            max_lines=8,
            min_width=240,
        )
    button = gr.Button("Exchange and classify", variant="primary", elem_id="bias-swaps-go")
    table = gr.Dataframe(
        frame(bias_swaps.HEADER), label="Before and after", interactive=False, wrap=True, elem_id="bias-swaps-result",
        column_widths=list(bias_swaps.WIDTHS),
    )  # fmt: skip
    picture = gr.HTML(label="Change of the log-odds", elem_id="bias-swaps-picture")
    summary = gr.Dataframe(
        frame(bias_swap_findings.SUMMARY_HEADER), label="Over all texts", interactive=False, wrap=True,
        elem_id="bias-swaps-table", column_widths=list(bias_swap_findings.SUMMARY_WIDTHS),
    )  # fmt: skip
    notes = gr.Markdown()
    gr.Markdown(f"{bias_swaps.READING}\n\n{bias_swaps.NOT_SHOWN}")
    demo.examples(_TEXT_EXAMPLES, [texts, kind, pairs])

    def bias_counterfactuals(
        texts: str, models: list[str], exchanged: str = bias_swaps.GENDER, pairs: str = ""
    ) -> tuple[pd.DataFrame, str, pd.DataFrame, str]:
        """Exchange names, pronouns or identity terms in texts, and classify both versions.

        Args:
            texts: One a line, at most 20.
            models: Names of up to 4 classifiers.
            exchanged: Such as "gender: words, pronouns, first names", "identity: religion" or "my own pairs".
            pairs: For "my own pairs", one a line with = between the terms; with gender, further gendered words.

        Returns:
            Every version, intervals (HTML), the summary over all texts, and notes (Markdown).
        """
        names = asked_models(demo.store, models, "classify", most=bias_swaps.MOST_MODELS)
        lines = read_lines(texts, "Texts")
        with closing(opened(demo.store, names)) as classifiers:
            versions, total, intervals, told = bias_swaps.compare_versions(classifiers, lines, exchanged, pairs)
        drawn = intervals_html(intervals, unit="nats", **bias_swaps.directions_of(exchanged, pairs))
        return versions, drawn, total, listed(told)

    demo.action(
        button.click, bias_counterfactuals, [texts, models, kind, pairs], [table, picture, summary, notes],
        api_name="bias_counterfactuals",
    )  # fmt: skip


def _chosen(demo: Demo, asked: dict[str, Any]) -> list[str]:
    """Return the chosen models of several pickers, of which some may be empty."""
    names = []
    for ability, chosen in asked.items():
        if chosen:
            names += asked_models(demo.store, chosen, ability, most=bias_templates.MOST_MODELS)
    if not names:
        raise DemoError("Models: nothing is chosen. Choose one or more.")
    return names
