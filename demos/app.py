"""The demo: every rung in one Gradio app, on the runs that the recipes leave behind. It trains nothing.

    python demos/app.py
    python demos/app.py --models_dir outputs --port 7860
    python demos/app.py --host 0.0.0.0 --auth_file passwords.txt

`make demo` trains a tiny set of all rungs first, where outputs/ holds none. Endpoints for programs: demos/README.md.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from nlpladder.config import parse, run_recipe
from nlpladder.errors import ConfigError
from shell.options import DemoOptions
from shell.store import ModelStore

#: In the order in which they are shown; each is a module of `tabs`.
TABS = (
    "ladder", "preprocess", "classify", "vectors", "next_word", "generate", "translate", "attention", "bias", "runs",
    "share",
)  # fmt: skip
STYLE = Path(__file__).parent / "shell" / "style.css"
#: Calls that may wait for their turn; further ones are told to come back.
QUEUE = 128


def open_store(options: DemoOptions) -> ModelStore:
    """Return the models below ``models_dir``."""
    return ModelStore(Path(options.models_dir), max_bytes=int(options.max_model_gb * 2**30))


def build(options: DemoOptions, store: ModelStore) -> Any:
    """Return the app, a ``gradio.Blocks``, to be launched with `launch_arguments`.

    Args:
        options: See `DemoOptions`.
        store: The models.
    """
    import gradio as gr

    from shell.demo import Demo
    from shell.sidebar import build_sidebar, wire_sidebar

    with gr.Blocks(title="nlpladder", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        demo = Demo(store, options)
        parts = build_sidebar()
        with gr.Row(elem_id="heading"):
            with gr.Column(scale=5, min_width=220):
                gr.Markdown("# nlpladder\nEvery model family of NLP, one rung each, side by side.")
            with gr.Column(scale=1, min_width=160):
                switch = gr.Checkbox(False, label="Advanced", info="Show every option.", elem_id="advanced")
        with gr.Tabs(elem_id="tabs"):
            for name in TABS:
                tab = importlib.import_module(f"tabs.{name}")
                with gr.Tab(tab.TITLE, id=name, elem_id=f"tab-{name}"):
                    tab.build(demo)
        wire_sidebar(demo, page, parts)
        demo.finish(page, switch)
    return page.queue(max_size=QUEUE, default_concurrency_limit=8)


def launch_arguments(options: DemoOptions) -> dict[str, Any]:
    """Return what ``launch`` is called with: everything that keeps the machine to itself.

    Args:
        options: See `DemoOptions`.
    """
    repository = Path(__file__).resolve().parent.parent
    return {
        "server_name": options.host,
        "server_port": options.port,
        "auth": options.credentials(),
        "share": False,  # a tunnel would publish the machine
        "show_error": False,  # errors meant for people are raised as gr.Error; others tell nothing
        "enable_monitoring": False,
        "ssr_mode": False,
        "run_history": False,  # what was typed is not kept
        "max_file_size": "1mb",
        "blocked_paths": [str(repository), str(Path.home())],
        "strict_cors": True,
        "mcp_server": options.mcp,
        "inbrowser": options.browser,
        "footer_links": ["api"],
        "theme": legible_theme(),
        "css_paths": [STYLE],
        "quiet": True,
    }


def legible_theme() -> Any:
    """Return gradio's theme with fonts of the visitor's machine, and colours that can be read.

    WCAG 2.2 (success criterion 1.4.3) asks for a contrast of 4.5. Gradio's grey of hints has 2.6 on white, white on its
    orange 3.6 and on its red 3.8; here these are 7.7, 5.2 and 6.5.
    """
    import gradio as gr

    theme = gr.themes.Default(font=("system-ui", "sans-serif"), font_mono=("ui-monospace", "monospace"))
    return theme.set(
        body_text_color_subdued="*neutral_600", input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400", checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        button_primary_background_fill="*primary_700", button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover="*primary_800", button_primary_background_fill_hover_dark="*primary_800",
        button_cancel_background_fill="#b91c1c", button_cancel_background_fill_dark="#b91c1c",
        button_cancel_background_fill_hover="#991b1b", button_cancel_background_fill_hover_dark="#991b1b",
    )  # fmt: skip


def serve(page: Any, options: DemoOptions) -> str:
    """Serve the app from a thread of its own; return its address.

    Args:
        page: Of `build`.
        options: See `DemoOptions`.
    """
    from shell.sessions import keep_little

    _, address, _ = page.launch(**launch_arguments(options), prevent_thread_lock=True)
    keep_little(page)
    return str(address)


def private_environment() -> None:
    """Keep gradio from calling home, and its files in a folder of this program alone. Before gradio is imported."""
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    os.environ.setdefault("GRADIO_TEMP_DIR", tempfile.mkdtemp(prefix="nlpladder-demo-"))
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    # Of its last ten thousand calls gradio makes a table after each call, which nobody here reads.
    os.environ["GRADIO_ANALYTICS_MAX_EVENTS"] = "1"
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(10**9)


def main() -> None:
    """Start the demo and wait for Ctrl-C."""
    started = time.perf_counter()
    options = parse(DemoOptions, description=__doc__)
    if options.mcp and importlib.util.find_spec("mcp") is None:
        # gradio would start without them, and say nothing.
        raise ConfigError("MCP tools need a package that is not installed: pip install 'gradio[mcp]'")
    options.credentials()  # a mistake in them is told before anything is imported
    private_environment()
    print("Starting the demo …", file=sys.stderr, flush=True)
    store = open_store(options)
    page = build(options, store)
    # Nothing of the folder that it is started from can be asked for: gradio offers files of the working directory.
    os.chdir(os.environ["GRADIO_TEMP_DIR"])
    address = serve(page, options)
    seconds, models = time.perf_counter() - started, len(store.entries())
    print(f"The demo is at {address} (after {seconds:.1f} s; {models} models). Ctrl-C ends it.", flush=True)
    for link in store.skipped:
        print(
            f"{options.models_dir}/{link} is a link, which the demo does not follow: start it on the folder itself, or "
            "move that here.",
            file=sys.stderr,
            flush=True,
        )
    # The first click shall not wait for the imports of torch and transformers, nor the page for them.
    threading.Thread(target=import_libraries, daemon=True).start()
    page.block_thread()


def import_libraries() -> None:
    """Import what models are opened with."""
    import transformers  # noqa: F401

    from nlpladder.models.pretrained import loading  # noqa: F401


if __name__ == "__main__":
    run_recipe(main)
