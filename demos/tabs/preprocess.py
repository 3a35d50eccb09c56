"""The tab Preprocess: from raw text to stems and lemmas, the sub-words of several tokenizers, counts and TF-IDF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd
from gradio.context import Context

from nlpladder.text.languages import LANGUAGES
from shell.limits import MAX_CHARACTERS, TYPED_PER_READ
from tabs import preprocess_counts as counts_view
from tabs import preprocess_steps as steps_view
from tabs import preprocess_subwords as subwords_view
from tabs.preprocess_texts import EXAMPLES, HOW

if TYPE_CHECKING:
    from shell.demo import Demo

TITLE = "Preprocess"


def build(demo: Demo) -> None:
    """Put the tab on the page.

    Args:
        demo: What all tabs share.
    """
    tab = Context.block
    gr.Markdown("What a model really reads. Type one text, or 2 to 5 lines to compare their words.")
    text = gr.Textbox(
        EXAMPLES[0][0],
        label="Text",
        lines=4,
        max_lines=10,
        max_length=TYPED_PER_READ * MAX_CHARACTERS,
        elem_id="preprocess-text",
    )
    go = gr.Button("Show", variant="primary", elem_id="preprocess-go")
    demo.examples(EXAMPLES, [text])
    demo.remember("preprocess.text", text)
    triggers = [go.click, *([tab.select] if isinstance(tab, gr.Tab) else [])]
    with gr.Tabs(elem_id="preprocess-sections"):
        with gr.Tab("Steps", id="steps"):
            _build_steps(demo, text, triggers)
        with gr.Tab("Sub-words", id="subwords"):
            _build_subwords(demo, text, triggers)
        with gr.Tab("Counts", id="counts"):
            _build_counts(demo, text, triggers)
    demo.how_it_works(HOW)


def _build_steps(demo: Demo, text: Any, triggers: list[Any]) -> None:
    with gr.Row():
        language = gr.Dropdown(
            list(LANGUAGES), value="English", label="Language", info="Of stop words, stems and lemmas.", min_width=200,
            interactive=True,
        )  # fmt: skip
        stop_words = gr.Radio(
            list(steps_view.STOP_WORDS), value=steps_view.STOP_WORDS[0], label="Stop words", min_width=260
        )
    with demo.advanced():
        normalisations = gr.CheckboxGroup(
            list(steps_view.NORMALISATIONS), value=list(steps_view.USUAL), label="Normalise by",
            info="Applied from left to right.",
        )  # fmt: skip
        tokenizer = gr.Radio(list(steps_view.TOKENIZERS), value=steps_view.WORDS_AND_MARKS, label="Split by")
    gr.Markdown("Underlined is new, ~~struck through~~ is gone, an arrow → shows what a word became.")
    result = gr.HTML(label="Steps", elem_id="preprocess-result")
    with gr.Accordion("The steps as a table", open=False):
        table = gr.Dataframe(
            pd.DataFrame(columns=list(steps_view.COLUMNS)), label="Steps", interactive=False, wrap=True
        )
    demo.remember("preprocess.language", language)
    demo.remember("preprocess.stop_words", stop_words)
    demo.remember("preprocess.tokenizer", tokenizer)

    def preprocess(
        text: str,
        language: str = "English",
        stop_words: str = steps_view.STOP_WORDS[0],
        normalisations: list[str] | None = None,
        split_by: str = steps_view.WORDS_AND_MARKS,
    ) -> tuple[str, pd.DataFrame]:
        """Take a text from its raw form to tokens, stems and lemmas, one step at a time.

        Args:
            text: Any text, at most 5,000 characters.
            language: English name of the language of stop words, stemmer and lemmatiser.
            stop_words: "keep negations", "remove negations too" or "remove nothing".
            normalisations: Steps on characters such as "lowercase"; none are applied if the list is empty.
            split_by: Which word tokeniser.

        Returns:
            The steps with their changes marked (HTML), and a table: step, what it does, result, number of changes.
        """
        stages = steps_view.steps_of(text, language, normalisations, split_by, stop_words)
        return steps_view.page_of(stages), steps_view.table_of(stages)

    options = [language, stop_words, normalisations, tokenizer]
    demo.action(
        [*triggers, *(option.input for option in options)], preprocess, [text, *options], [result, table],
        api_name="preprocess", trigger_mode="always_last", show_progress="hidden",
    )  # fmt: skip


def _build_subwords(demo: Demo, text: Any, triggers: list[Any]) -> None:
    schemes = gr.CheckboxGroup(
        list(subwords_view.SCHEMES), value=list(subwords_view.USUAL), label="Tokenizers",
        info="Each learns its vocabulary from the same text.",
    )  # fmt: skip
    with gr.Row():
        source = gr.Radio(list(subwords_view.SOURCES), value=subwords_view.SOURCES[0], label="Learnt from",
                          min_width=260)  # fmt: skip
        size = gr.Radio(list(subwords_view.SIZES), value=subwords_view.SIZES[2], label="Vocabulary (entries, at most)",
                        min_width=260)  # fmt: skip
    names = subwords_view.tokenizer_names(demo.store)
    models = gr.Dropdown(
        names, value=[], multiselect=True, max_choices=subwords_view.MAX_MODELS, interactive=True,
        label="Tokenizers of models", info="What they were trained with.", visible=bool(names),
        elem_id="preprocess-models",
    )  # fmt: skip
    result = gr.HTML(label="Sub-words", elem_id="preprocess-subwords")
    table = gr.Dataframe(
        pd.DataFrame(columns=list(subwords_view.COLUMNS)), label="How many tokens each makes", interactive=False
    )

    def subwords(
        text: str,
        tokenizers: list[str] | None = None,
        learnt_from: str = subwords_view.SOURCES[0],
        vocabulary: int = subwords_view.SIZES[2],
        models: list[str] | None = None,
    ) -> tuple[str, pd.DataFrame]:
        """Split a text by word, BPE, WordPiece, Unigram and other tokenizers side by side.

        Args:
            text: Any text, at most 5,000 characters.
            tokenizers: Names such as "words", "BPE", "WordPiece", "Unigram"; they learn their vocabularies first.
            learnt_from: "built-in stories", "built-in reviews" or "the text itself".
            vocabulary: Entries that each may learn: 120, 300, 600 or 1200.
            models: Up to 3 models of this demo whose own tokenizers split the text besides.

        Returns:
            The tokens (HTML), and a table: tokenizer, tokens, tokens a word, unknown ones, vocabulary.
        """
        splits = subwords_view.splits_of(demo.store, text, tokenizers, learnt_from, vocabulary, models)
        return subwords_view.page_of(splits), subwords_view.table_of(splits, text)

    options = [schemes, source, size, models]
    demo.action(
        [*triggers, *(option.input for option in options)], subwords, [text, *options], [result, table],
        api_name="subwords", trigger_mode="always_last", show_progress="hidden",
    )  # fmt: skip


def _build_counts(demo: Demo, text: Any, triggers: list[Any]) -> None:
    with gr.Row():
        weights = gr.Radio(list(counts_view.WEIGHTS), value=counts_view.WEIGHTS[1], label="Weights", min_width=200)
        terms = gr.Radio(list(counts_view.TERMS), value="words", label="Terms", min_width=260)
    result = gr.HTML(label="Weights of the terms", elem_id="preprocess-counts")
    with gr.Accordion("All terms as a table", open=False):
        table = gr.Dataframe(pd.DataFrame(columns=["Term", "In lines"]), label="Terms", interactive=False)

    def count_terms(text: str, weights: str = counts_view.WEIGHTS[1], terms: str = "words") -> tuple[str, pd.DataFrame]:
        """Count the terms of 2 to 5 lines, and weigh them by TF-IDF.

        Args:
            text: A document a line.
            weights: "counts" or "TF-IDF": what the bars show.
            terms: "words", "words and pairs" or "pairs".

        Returns:
            Bars on one scale (HTML), and a table: term, in how many lines, count and TF-IDF in each.
        """
        weighted = counts_view.weights_of(text, weights, terms)
        return counts_view.page_of(weighted), weighted.table

    options = [weights, terms]
    demo.action(
        [*triggers, *(option.input for option in options)], count_terms, [text, *options], [result, table],
        api_name="count_terms", trigger_mode="always_last", show_progress="hidden",
    )  # fmt: skip
