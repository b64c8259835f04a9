"""Looks at the built site in headless Chromium, asks its matrix, and follows its links.

`python tests/look_at_site.py site PICTURES` leaves a picture of each page: light, dark, narrow.
"""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import sys
import threading
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urldefrag, urljoin

from playwright.sync_api import sync_playwright

if TYPE_CHECKING:
    from playwright.sync_api import Page

QUESTIONS = {
    "torch 2.9, TTS 0.22.0, macOS": ("compatible", "Speaks and streams"),
    "coqui-tts==0.27.2 torch==2.8.0 linux": ("compatible", "Speaks"),
    "coqui-tts 0.28, torch 2.8, Windows": ("incompatible", "needs six"),
    "tts 0.22 pytorch 2.9 transformers 4.57": ("incompatible", "Cannot start"),
    "TTS 0.22.0, torch 1.13": ("unknown", "torch 1.13 was never run"),
    "TTS 9.9, torch 2.9": ("unknown", "TTS 9.9 was never run"),
    "I have a Mac": ("unknown", "Which torch?"),
}
PAGES = (
    *("", "ask/", "start/broken/", "start/ci/", "issues/", "issues/XC002/", "commands/", "json/"),
    "api/",
)


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.names: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        if name := told.get("id") or told.get("name"):
            self.names.add(name)
        link = told.get("href") if tag in ("a", "link") else told.get("src")
        if link:
            self.links.append(link)


def broken_links(site: Path) -> list[str]:
    """Return the links of all pages that lead to nothing on the site."""
    pages = {}
    for path in site.rglob("*.html"):
        parser = _Links()
        parser.feed(path.read_text("utf-8"))
        pages[path.relative_to(site).as_posix()] = parser
    broken = []
    for name, parser in pages.items():
        for link in parser.links:
            if re.match(r"[a-z]+:|//", link) or name == "404.html":
                continue
            address, fragment = urldefrag(urljoin(f"/{name}", unquote(link)))
            target = address.lstrip("/")
            target = f"{target}index.html" if not target or target.endswith("/") else target
            if not (site / target).exists():
                broken.append(f"{name}: {link}")
            elif fragment and target in pages and fragment not in pages[target].names:
                broken.append(f"{name}: {link} (no such place in it)")
    return broken


def ask(page: Page, address: str) -> list[str]:
    """Return what is wrong with the answers, and with the filter."""
    wrong = []
    page.goto(f"{address}ask/")
    page.wait_for_function("document.querySelector('#ask-answer').textContent.trim()")
    for question, (verdict, text) in QUESTIONS.items():
        page.fill("#ask-question", question)
        told = page.inner_text("#ask-answer")
        if page.get_attribute("#ask-answer", "class") != verdict or text not in told:
            wrong.append(f"{question}: {told}")
        print(f"{question} -> {told}")
    every = page.locator("#runs tbody tr").count()
    page.fill("#runs-filter", "coqui-tts 0.28 2.8.0")
    fewer = page.locator("#runs tbody tr").count()
    if not 0 < fewer < every:
        wrong.append(f"the filter leaves {fewer} of {every} runs")
    page.goto(f"{address}ask/?q=TTS+0.22.0+torch+2.5")
    page.wait_for_function("document.querySelector('#ask-answer').textContent.includes('2.5.1')")
    return wrong


def find(page: Page, address: str) -> list[str]:
    """Return what is wrong with the search."""
    page.goto(address)
    page.fill("input[name=query]", "BeamSearchScorer")
    page.wait_for_selector(".md-search-result__item a", state="attached", timeout=15_000)
    first = page.locator(".md-search-result__item a").first.get_attribute("href") or ""
    return [] if "XC002" in first else [f"the search finds {first} first"]


def look(site: Path, pictures: Path) -> list[str]:
    """Return what is wrong with the site."""
    pictures.mkdir(parents=True, exist_ok=True)
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            wrong: list[str] = []
            for scheme, width in (("light", 1200), ("dark", 1200), ("light", 390)):
                page = browser.new_page(
                    color_scheme=scheme, viewport={"width": width, "height": 900}
                )
                page.on("pageerror", lambda error: wrong.append(f"an error in a script: {error}"))
                for name in PAGES:
                    page.goto(address + name)
                    page.wait_for_timeout(300)
                    shown = name.strip("/").replace("/", "-") or "home"
                    page.screenshot(path=pictures / f"{shown}-{scheme}-{width}.png")
                    wide = page.evaluate("document.documentElement.scrollWidth")
                    if wide > width:
                        wrong.append(f"{name} is {wide} wide on a screen of {width}")
            wrong += ask(page, address) + find(page, address)
            browser.close()
        server.shutdown()
    return wrong


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    found = broken_links(Path(sys.argv[1])) + look(Path(sys.argv[1]), Path(sys.argv[2]))
    print(*found, sep="\n")
    sys.exit(1 if found else 0)
