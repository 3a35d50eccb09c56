"""The tab Generate: one prompt, up to three models that write side by side, streamed, with a Stop button."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import gradio as gr
import pandas as pd

from shell.limits import MAX_NEW_TOKENS, TYPED_PER_READ
from tabs.generate_columns import MOST_CHARACTERS, MOST_MODELS, Writers, generation_options, write
from tabs.generate_view import COLUMNS, cards_html, columns_table

if TYPE_CHECKING:
    from shell.demo import Demo

TITLE = "Generate"

_NO_MODEL = """
There is no model here yet that writes. Train one, then press **Refresh** in the side bar:

`python recipes/train_ngram_lm.py --dataset world:stories --output_dir outputs/trigram --order 3`

`python recipes/train_lstm_lm.py --dataset world:stories --output_dir outputs/lstm`
"""

_EXAMPLES = [
    ["Sarah lives in", False],
    ["Once upon a time", False],
    ["ROMEO:", False],
    ["Give three tips for staying healthy.", True],
]

#: Of the columns of the table: a heading is not broken within a word.
_WIDTHS = ["170px", "90px", "110px", "160px", "120px", "120px", "120px", "220px", "480px"]

_HOW = r"""
A language model writes by **drawing** one token after the other from $p(w \mid h)$, and reading what it wrote as part
of the history $h$. **Temperature** $T$ sharpens or flattens, $p_T(w) \propto p(w)^{1/T}$; 0 always takes the most
probable token. **Top-k** draws from the $k$ most probable tokens (Fan et al. 2018,
[arXiv 1805.04833](https://arxiv.org/abs/1805.04833)), **top-p** from the smallest set whose probabilities reach $p$
(Holtzman et al. 2020, [arXiv 1904.09751](https://arxiv.org/abs/1904.09751)). The same seed gives the same text.

**Distinct-n** is the share of different n-grams of words among all of a text (Li et al. 2016,
[arXiv 1510.03055](https://arxiv.org/abs/1510.03055)). **Repetition** is $1 - \frac{\text{different 4-grams}}{\text{all
4-grams}}$ (Welleck et al. 2020, [arXiv 1908.04319](https://arxiv.org/abs/1908.04319)): near 1, a text goes round in
circles. Both depend on the length: compare texts of about the same length. Neither says whether a text is true.

Tokens differ between models: 100 characters are not 100 words. Tokens per second compare machines, not models, and are
lower when several models write at once.

A model writes for one visitor at a time; others wait in order. **Stop** ends the writing after the token at work.

Modules: `src/nlpladder/generation.py`, `src/nlpladder/models/neural_generation.py`,
`src/nlpladder/models/ngram/distribution.py`, `src/nlpladder/evaluation/diversity.py`.
"""


def build(demo: Demo) -> None:
    """Put the tab on the page.

    Args:
        demo: What all tabs share.
    """
    gr.Markdown("One prompt, up to three models. They write at the same time, token by token: a word or a part of one.")
    missing = demo.without_models(_NO_MODEL, "language_model")
    models = demo.models("language_model", key="generate.models", label=f"Models (at most {MOST_MODELS})", most=3)
    prompt = gr.Textbox(
        _EXAMPLES[0][0], label="Prompt", info="What the texts begin with; may be empty.", lines=2, max_lines=8,
        max_length=TYPED_PER_READ * MOST_CHARACTERS, elem_id="generate-text",
    )  # fmt: skip
    conversation = gr.Checkbox(
        False, label="As a conversation", info="Ask the prompt as a question, where a model was tuned to answer.",
        elem_id="generate-conversation",
    )  # fmt: skip
    with demo.advanced():
        with gr.Row():
            temperature = gr.Slider(
                0, 2, 0.8, step=0.05, label="Temperature", info="0: always the most probable token.", min_width=200
            )
            length = gr.Slider(
                1, MAX_NEW_TOKENS, 80, step=1, label="New tokens", info="At most.", min_width=200,
                elem_id="generate-length",
            )  # fmt: skip
        with gr.Row():
            top_k = gr.Slider(0, 200, 0, step=1, label="Top-k", info="0 draws from all tokens.", min_width=160)
            top_p = gr.Slider(0.05, 1, 1.0, step=0.05, label="Top-p", info="1 draws from all tokens.", min_width=160)
            seed = gr.Number(0, label="Seed", info="The same seed gives the same text.", precision=0, min_width=160)
    with gr.Row():
        go = gr.Button("Write", variant="primary", elem_id="generate-go")
        stop = gr.Button("Stop", variant="stop", elem_id="generate-stop")
    result = gr.HTML(label="What they write", elem_id="generate-result")
    with gr.Accordion("The numbers", open=False):
        table = gr.Dataframe(
            pd.DataFrame(columns=list(COLUMNS)), label="Texts, speed and variety", interactive=False, wrap=True,
            column_widths=_WIDTHS,
            elem_id="generate-table",
        )  # fmt: skip
    demo.examples(_EXAMPLES, [prompt, conversation])
    demo.how_it_works(_HOW)
    settings = {
        "prompt": prompt, "conversation": conversation, "temperature": temperature, "length": length, "top_k": top_k,
        "top_p": top_p, "seed": seed,
    }  # fmt: skip
    for key, component in settings.items():
        demo.remember(f"generate.{key}", component)

    running: dict[int, tuple[str | None, Writers]] = {}  # whose, and what is being written

    def generate(
        prompt: str,
        models: list[str],
        as_conversation: bool = False,
        max_new_tokens: int = 80,
        temperature: float = 0.8,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int = 0,
        request: gr.Request | None = None,
    ) -> Iterator[tuple[str, Any]]:
        """Write a continuation of a prompt with several language models, token by token.

        Args:
            prompt: What the texts begin with, at most 2,000 characters; may be empty.
            models: Names of up to 3 language models.
            as_conversation: Ask the prompt as a question, where a model was tuned to answer.
            max_new_tokens: Tokens that each model writes at most, 1 to 256.
            temperature: 0 to 2; 0 always takes the most probable token.
            top_k: Draw from the k most probable tokens, 0 to 1,000; 0 draws from all.
            top_p: Draw from the smallest set of tokens whose probabilities sum to p, 0.01 to 1.
            seed: Of the draws, 0 or more.
            request: Whose it is; gradio gives it.

        Yields:
            The texts so far (HTML), and with the last item a table: tokens, tokens per second, milliseconds to the
            first token, distinct-1, distinct-2, repetition, why it ended, and the text.
        """
        options = generation_options(
            max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed
        )
        writers = write(demo.store, prompt, models, options, as_conversation=as_conversation)
        running[id(writers)] = (None if request is None else request.session_hash, writers)
        try:
            for columns in writers:
                ended = all(column.has_ended for column in columns)
                cards = cards_html(columns, writers.prompt, as_conversation=writers.as_conversation)
                yield cards, columns_table(columns) if ended else gr.skip()
        finally:
            running.pop(id(writers), None)

    def stop_writing(request: gr.Request) -> None:
        """End what this visitor has running; the texts so far stay."""
        for visitor, writers in list(running.values()):
            if visitor is not None and visitor == request.session_hash:
                writers.stop()

    inputs = [prompt, models, conversation, length, temperature, top_k, top_p, seed]
    outputs = [result, table]
    first = demo.action(go.click, generate, inputs, outputs, api_name="generate", show_progress="hidden")
    second = demo.plumbing(prompt.submit, generate, inputs, outputs, show_progress="hidden")
    stopped = demo.plumbing(stop.click, stop_writing, None, None, queue=False, show_progress="hidden")
    demo.plumbing(
        models.change, lambda: gr.update(visible=not demo.store.names("language_model")), None, missing,
        show_progress="hidden",
    )  # fmt: skip
    # What had not begun is taken out of the queue.
    stopped.then(None, None, None, cancels=[first, second], api_visibility="private")
