"""The page at ``/docs`` in a real Chromium: it describes every endpoint, and asks nobody but its server."""

from __future__ import annotations

import asyncio
import shutil
import threading

import pytest

from nlpladder.serving.options import ServeOptions
from nlpladder.serving.server import GracefulServer, bind
from serving.clients import Asking
from serving.fakes import FakePool

pytestmark = pytest.mark.browser


def test_the_page_describes_every_endpoint_and_loads_nothing_from_elsewhere():
    playwright = pytest.importorskip("playwright.sync_api")
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("There is no Chromium on the PATH (Debian: apt-get install chromium).")
    pool, options = FakePool(), ServeOptions()
    asking = Asking(pool, options, keys=None, watch=None)
    with bind("127.0.0.1", 0) as listener:
        listener.listen()
        server = GracefulServer(asking.app, pool, options, asking.state)  # type: ignore[arg-type]
        thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        try:
            with playwright.sync_playwright() as started:
                browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
                page, asked, said = browser.new_page(), [], []
                page.on("request", lambda request: asked.append(request.url))
                page.on("console", lambda message: said.append(message.text))
                page.on("pageerror", lambda error: said.append(str(error)))
                page.goto(f"{url}docs")
                page.wait_for_selector(".opblock", timeout=60_000)
                assert len(page.query_selector_all(".opblock")) == 12
                page.click("#operations-models-classify .opblock-summary")
                page.wait_for_selector("#operations-models-classify .opblock-body")
                page.click("#operations-models-classify .try-out__btn")
                page.click("#operations-models-classify .execute")
                page.wait_for_selector("#operations-models-classify .live-responses-table", timeout=60_000)
                assert '"label"' in page.inner_text("#operations-models-classify .live-responses-table")
                browser.close()
            assert said == []
            assert asked
            assert all(one.startswith((url, "data:")) for one in asked)
        finally:
            server.should_exit = True
            thread.join(30)
            asking.log.close()
