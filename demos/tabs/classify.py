"""The tab Classify: one text or a file, all chosen rungs side by side, why each says so, and how good it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import gradio as gr

from shell.csv_files import read_rows, write_table
from shell.limits import MAX_CHARACTERS, MAX_ROWS, TYPED_PER_READ, DemoError, check_text
from shell.store import asked_models
from tabs.classify_answers import (
    ABILITY,
    DEFAULT_METHOD,
    FEATURES_HEADER,
    METHODS,
    agreement,
    features_table,
    file_predictions,
    file_summary,
    predictions,
)
from tabs.classify_view import (
    NO_MODEL,
    QUALITY_HEADER,
    cards_html,
    explanations_html,
    model_figures_html,
    quality_table,
)

if TYPE_CHECKING:
    import pandas as pd

    from shell.demo import Demo

TITLE = "Classify"

_EXAMPLES = [
    ["The plot is dull, but the acting is superb."],
    ["The food was not good and the service was slow."],
    ["I did not find this film boring at all."],
    ["A warm, funny and surprisingly clever little movie."],
    ["Shares fell after the company said that profits will be lower this year."],
]

_HOW = r"""
A **linear** model adds up its features: $s = b + \sum_f w_f x_f$, where $x_f$ is the TF-IDF weight of a word or
n-gram $f$ in this text and $w_f$ what was learnt. Every contribution $w_f x_f$ is a term of the sum, so the numbers
over the words, with the intercept $b$, give the score exactly. The same holds for naive Bayes (log-odds), averaged
word vectors and the fastText classifier. An n-gram's term is shared equally by its words.

A **network** is no sum. Shown are integrated gradients: for the embedding $e_i$ of each token, $(e_i - e'_i) \cdot
\int_0^1 \nabla_{e_i} s\,(e' + \alpha (e - e'))\, d\alpha$, where the baseline $e'$ is the same text with every token
masked (pretrained models) or blank (ours). They sum to the score of the text minus that of the baseline
(Sundararajan, Taly and Yan 2017, [arXiv 1703.01365](https://arxiv.org/abs/1703.01365), equation 1). In Advanced mode
gradient × input, $\nabla_{e_i} s \cdot e_i$, can be chosen: one gradient, faster, a first-order estimate that may
leave most of the score unexplained (Denil, Demiraj and de Freitas 2014, [arXiv
1412.6815](https://arxiv.org/abs/1412.6815); Shrikumar, Greenside and Kundaje 2017, [arXiv
1704.02685](https://arxiv.org/abs/1704.02685)). Other baselines give other numbers.

The score is that of the predicted class minus that of the next probable one, before it becomes a probability. It is
in another unit for each kind of model, so compare signs and ranks between models, not sizes. It does not tell what a
model would say without a word.

Modules: `src/nlpladder/models/attributions.py`, `src/nlpladder/models/attributions_linear.py`,
`src/nlpladder/models/attribution_gradients.py`; the models: `src/nlpladder/models/counts/`,
`src/nlpladder/models/classifiers/`, `src/nlpladder/models/sequence_classifier.py`.
"""


def build(demo: Demo) -> None:
    """Put the tab on the page.

    Args:
        demo: What all tabs share.
    """
    gr.Markdown("One text, all the models you choose. Each answers with the classes that it was trained on.")
    demo.without_models(NO_MODEL, ABILITY)
    models = demo.models(ABILITY, key="classify.models")
    text = gr.Textbox(
        _EXAMPLES[0][0], label="Text", lines=2, max_lines=8, max_length=TYPED_PER_READ * MAX_CHARACTERS,
        elem_id="classify-text", info=f"At most {MAX_CHARACTERS:,} characters.",
    )  # fmt: skip
    with demo.advanced():
        explain = gr.Textbox(
            "", label="Class to explain", info="Empty: the one that each model predicts.", max_length=200, max_lines=1,
            elem_id="classify-explain",
        )  # fmt: skip
        method = gr.Radio(
            list(METHODS), value=DEFAULT_METHOD, label="How networks are taken apart",
            info="Models that add up features are taken apart exactly.", elem_id="classify-method",
        )  # fmt: skip
    button = gr.Button("Classify", variant="primary", elem_id="classify-go")
    result = gr.HTML(label="Answers", elem_id="classify-result")
    agreed = gr.Markdown(elem_id="classify-agreement")
    with gr.Accordion("Why: what each word contributes", open=True):
        why = gr.HTML(label="Contributions", elem_id="classify-why")
        with demo.advanced():
            strongest = gr.Dataframe(
                _empty(FEATURES_HEADER), label="Strongest features", interactive=False, wrap=True,
                elem_id="classify-features",
            )  # fmt: skip
    demo.examples(_EXAMPLES, [text])
    with gr.Accordion("How good is each model? What its run measured", open=False) as quality:
        measured = gr.Dataframe(
            _empty(QUALITY_HEADER), label="On the test split of its training data", interactive=False, wrap=True,
            elem_id="classify-quality",
        )  # fmt: skip
        pictures = gr.HTML(label="Confusion matrices and reliability diagrams", elem_id="classify-figures")
        gr.Markdown(
            "The numbers hold for texts like those of the test split, and say nothing of others. A reliability diagram "
            "shows whether 80 % probable means right in 80 of 100 cases; ECE, the expected calibration error, is the "
            "mean gap in it. Macro F1 is the mean over classes of how well each is found: rare ones count as much."
        )
    with gr.Accordion("Many texts: a CSV file", open=False):
        gr.Markdown(
            f"At most {MAX_ROWS} rows and 1 MB, UTF-8, one text a row; of several columns that called text, sentence "
            "or review is read."
        )
        with gr.Row():
            file = gr.File(label="CSV file", file_types=[".csv"], elem_id="classify-file", min_width=240)
            with gr.Column(min_width=200):
                column = gr.Textbox(
                    "", label="Column with the texts (optional)", max_length=200, max_lines=1, elem_id="classify-column"
                )
                read = gr.Button("Classify the file", elem_id="classify-file-go")
        summary = gr.Markdown(elem_id="classify-file-summary")
        table = gr.Dataframe(
            _empty(("text", "answers")), label="Answers by row", interactive=False, wrap=False,
            elem_id="classify-file-result",
        )  # fmt: skip
        download = gr.File(label="Answers as CSV", interactive=False, elem_id="classify-download")
    demo.how_it_works(_HOW)

    def classify(
        text: str, models: list[str], class_to_explain: str = "", method: str = DEFAULT_METHOD
    ) -> tuple[str, str, str, pd.DataFrame]:
        """Classify a text with several models, and show what each word contributes.

        Args:
            text: At most 5,000 characters.
            models: Names of up to 6 models that classify.
            class_to_explain: Whose score is taken apart; empty for the class that each model predicts.
            method: For networks, "integrated gradients" or "gradient × input"; other models are taken apart exactly.

        Returns:
            Probabilities (HTML), a sentence on agreement, the text with contributions (HTML), the strongest features.
        """
        answers = predictions(demo.store, text, models, explain=class_to_explain, method=method)
        return cards_html(answers), agreement(answers), explanations_html(answers), features_table(answers)

    def classify_file(file: str, models: list[str], column: str = "") -> tuple[str, pd.DataFrame, str]:
        """Classify the texts of a CSV file with several models.

        Args:
            file: UTF-8, at most 500 rows and 1 MB.
            models: Names of up to 6 models that classify.
            column: Heading of the column with the texts; found by its name if empty.

        Returns:
            A summary, the answers by row, and the same as a CSV file.
        """
        import pandas as pd

        asked_models(demo.store, models, ABILITY)
        if not isinstance(file, str) or not file:
            raise DemoError("There is no file. Choose a CSV file first.")
        name = check_text(column, "The column", most=200, empty=True).strip()
        header, rows = file_predictions(demo.store, read_rows(file, column=name or None), models)
        written = write_table(header, rows, "classified")
        return file_summary(header, rows), pd.DataFrame(rows, columns=header), str(written)

    def classifier_quality(models: list[str]) -> tuple[pd.DataFrame, str]:
        """Show what the runs of some classifiers measured on their test splits.

        Args:
            models: Names of up to 6 models that classify.

        Returns:
            Measures with intervals, and figures (HTML): confusion matrix and reliability diagram of each.
        """
        names = asked_models(demo.store, models, ABILITY)
        return quality_table(demo.store, names), model_figures_html(demo.store, names)

    demo.action(
        [button.click, text.submit], classify, [text, models, explain, method], [result, agreed, why, strongest],
        api_name="classify",
    )  # fmt: skip
    demo.action(read.click, classify_file, [file, models, column], [summary, table, download], api_name="classify_file")
    demo.action(
        [quality.expand, button.click],
        classifier_quality,
        [models],
        [measured, pictures],
        api_name="classifier_quality",
    )


def _empty(header: tuple[str, ...]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame(columns=list(header))
