"""A headless Chromium to open pages in, with the network off."""

import os
import shutil
import subprocess
from contextlib import suppress

import pytest

INSTALL = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "chromium"]


@pytest.fixture(scope="module")
def chromium():
    """Debian's, installed where that may be done: as root, on a machine with apt, unless ITMAPS_NO_INSTALL is set."""

    def found():
        return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

    if found() is None and os.geteuid() == 0 and shutil.which("apt-get") and not os.environ.get("ITMAPS_NO_INSTALL"):
        quiet = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
        for command in (["apt-get", "update", "-qq"], INSTALL):
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(command, capture_output=True, check=False, timeout=180, env=quiet)
    if found() is None:
        pytest.skip("NO CHROMIUM HERE: NO REPORT WAS OPENED IN A BROWSER. Install it: apt-get install chromium")
    return found()


@pytest.fixture(scope="module")
def browser(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        running = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def opened(browser):
    """Opens a file, with everything that went wrong in a list."""
    contexts = []

    def open_page(path, width=1280, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        context.set_offline(True)
        contexts.append(context)
        page = context.new_page()
        page.trouble = []
        page.on("console", lambda message: page.trouble.append(message.text))
        page.on("pageerror", lambda error: page.trouble.append(str(error)))
        page.on("request", lambda asked: asked.url.startswith(("data:", "file:")) or page.trouble.append(asked.url))
        page.goto(path.as_uri())
        page.wait_for_load_state("load")
        return page

    yield open_page
    for context in contexts:
        context.close()
