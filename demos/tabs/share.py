"""The tab that says how a run is put on the Hub: the exact command, the files, the card. It takes no token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import pandas as pd

from shell.demo import Demo
from shell.limits import check_text
from tabs.runs_reading import find_runs, newest_first, run_named
from tabs.share_command import FILE_HEADER, card_preview, file_rows, look_at, push_command, verdict

TITLE = "Share"
_EMPTY = (
    "There is no finished run below `{folder}` yet. Train one, for example with `python demos/tiny_ladder.py`, then "
    "reload this page."
)
_ABOUT = """
This page sends nothing, and it never asks for a token: a token typed into a web page can be read by whoever runs it.
Log in once in a terminal, with `hf auth login`, and start the command below there. A new repository is **private**
until you say otherwise.
"""
_HOW = """
What is sent is what somebody else needs to use and to judge the model: weights (safetensors), configs, tokenizer, card,
scores, figures. Checkpoints, pickles, test texts and per-example figures stay here. Absolute paths of this machine are
cut out of the copies; the files here are not changed. Each file is compared by its hash,

$\\text{sha256}(\\text{file here}) = \\text{sha256}(\\text{file there})$,

and is sent only where they differ, all in one commit. The card follows Mitchell et al., *Model cards for model
reporting* (2019). **What this page does not show**: what stands in the repository already;
the command looks before it writes.

Code: `src/nlpladder/hub/push_plan.py`, `src/nlpladder/hub/push_preview.py`, `src/nlpladder/hub/cards.py`.
"""


def shareable_runs(models_dir: Path) -> list[tuple[str, str]]:
    """Return what the picker shows, and the names it stands for: finished runs with a model, the newest first."""
    models = ("config.json", "adapter_config.json")
    return [
        (f"{run.name}: {run.title}", run.name)
        for run in newest_first(find_runs(models_dir))
        if run.finished and any((run.folder / name).is_file() for name in models)
    ]


def share(
    models_dir: Path,
    named: str,
    run: str | None,
    repo_id: str,
    public: bool,
    license: str,
    language: str,
    base_model: str,
) -> tuple[str, str, pd.DataFrame, str, str]:
    """Return the command, the verdict, the files, the card's head and the card.

    Args:
        models_dir: Below it runs are looked for.
        named: How it is called in the command.
        run: Name of the run; None for the newest.
        repo_id: Where it would go; empty where the visitor has not said yet.
        public: Make a new repository public.
        license: Of the model.
        language: Its languages.
        base_model: Of an adapter.
    """
    chosen = run_named(models_dir, run)
    unnamed = not (isinstance(repo_id, str) and repo_id.strip())
    licensed, spoken = check_text(license, "Licence", empty=True), check_text(language, "Languages", empty=True)
    based = check_text(base_model, "Base model", empty=True)
    repo_id = "" if unnamed else repo_id
    command = push_command(
        chosen, repo_id, models_dir=named, public=bool(public), license=licensed, language=spoken, base_model=based
    )
    preview = look_at(chosen, repo_id, based)
    head, card = card_preview(preview)
    files, told = pd.DataFrame(file_rows(preview), columns=FILE_HEADER), verdict(preview, models_dir, unnamed=unnamed)
    return command, told, files, head, card or "This run has no card yet; the push writes one."


def build(demo: Demo) -> None:
    """Put the tab on the page."""
    models_dir, named = demo.store.models_dir, demo.options.models_dir
    choices = shareable_runs(models_dir)
    some = bool(choices)
    empty = gr.Markdown(_EMPTY.format(folder=models_dir.name), elem_id="share-empty", visible=not some)
    gr.Markdown(_ABOUT)
    with gr.Row():
        picker = gr.Dropdown(
            choices, value=choices[0][1] if some else None, label="Run", interactive=True, elem_id="share-run",
            min_width=280, scale=2,
        )  # fmt: skip
        repo_id = gr.Textbox(
            "", label="Repository", info="Your name on the Hub, and a name for the model.", max_lines=1,
            placeholder="YOUR-NAME/model", elem_id="share-repository", min_width=220, scale=1,
        )  # fmt: skip
    with gr.Row():
        public = gr.Checkbox(False, label="Public", info="Everybody can see and download it.", min_width=160)
        license = gr.Textbox("", label="Licence", placeholder="apache-2.0", max_lines=1, min_width=160)
        language = gr.Textbox("", label="Languages", placeholder="en, or en,de", max_lines=1, min_width=160)
        base_model = gr.Textbox(
            "", label="Base model", placeholder="user/base", info="For an adapter whose base was a folder here.",
            max_lines=1, min_width=200,
        )  # fmt: skip
    button = gr.Button("Show the command", variant="primary", elem_id="share-show")
    # An empty box of code is a large picture of nothing.
    command = gr.Code(
        "# The button above writes it here.", label="In a terminal, in the repository", language="shell", lines=1,
        elem_id="share-command", interactive=False, wrap_lines=True,
    )  # fmt: skip
    state = gr.Markdown(elem_id="share-verdict")
    files = gr.Dataframe(
        pd.DataFrame(columns=FILE_HEADER), label="What would be sent, and what stays", interactive=False, wrap=True,
        max_height=360, elem_id="share-files",
    )  # fmt: skip
    with gr.Accordion("The card as it would stand on the Hub", open=False):
        head = gr.Code(label="Head of the card, for the Hub", language="yaml", interactive=False, elem_id="share-head")
        card = gr.Markdown(elem_id="share-card")
    demo.how_it_works(_HOW)
    demo.remember("share.repository", repo_id)

    def push(
        run: str | None = None,
        repository: str = "",
        public: bool = False,
        license: str = "",
        language: str = "",
        base_model: str = "",
    ) -> tuple[str, str, Any, str, str]:
        """Return the command that pushes a run to the Hub, and what it would send. Nothing is sent.

        Args:
            run: Name of the run: its folder below the models folder; the newest if not given.
            repository: Where it would go, owner/name; the command has a placeholder if not given.
            public: Whether a new repository is public; it is private otherwise.
            license: Of the model, such as apache-2.0; may be empty.
            language: Languages of the model, such as en,de; may be empty.
            base_model: For an adapter, the Hub id of its base; may be empty.

        Returns:
            The command; whether something stands in its way; the files; head and text of the card.
        """
        return share(models_dir, named, run, repository, public, license, language, base_model)

    def look() -> list[Any]:
        found = shareable_runs(models_dir)
        return [gr.update(visible=not found), gr.update(choices=found, value=found[0][1] if found else None)]

    demo.action(
        [button.click, repo_id.submit], push, [picker, repo_id, public, license, language, base_model],
        [command, state, files, head, card], api_name="share",
    )  # fmt: skip
    demo.plumbing(
        lambda *arguments, **options: gr.on(None, *arguments, **options), look, [], [empty, picker],
        show_progress="hidden",
    )  # fmt: skip
