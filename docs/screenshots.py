"""Take pictures of every page of the console, desktop and phone, light and dark, of the factory that the demo leaves.

    python docs/screenshots.py [--factory FOLDER] [--out FOLDER]

Without a factory it lives through the demo first. It needs Chromium (apt-get install chromium), and says of each page how long it took to
load while others did; `benchmarks/console.py` measures them one by one.
"""

import argparse
import asyncio
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from pathlib import Path

import httpx
from playwright.async_api import BrowserContext, Page, async_playwright, expect

from linewright.interfaces.console.page import none_apart
from linewright.interfaces.console.table import routes

PAGES = {route.name: route.entry for route in routes()}

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
SCHEMES = ("light", "dark")
LINE, LABELLED = "payments", "tumours"
"""Lines of the demo: the lived one, and the one with questions for annotators."""
USES = ("digits", "zeros", "shop", "sales", "wear.lyon")
"""Lines of other uses: an answer of each has a view of its own."""
AT_ONCE = 3
"""Pages that load at once: two wait for the server, which carries out two long operations at once, while one is drawn."""
PATIENCE_MS = 120_000


def main() -> None:
    """Take all pictures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--factory", type=Path)
    parser.add_argument("--out", type=Path, default=Path("screenshots"))
    given = parser.parse_args()
    chromium = shutil.which("chromium") or sys.exit("Chromium is not here: apt-get install chromium")
    given.out.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        factory = given.factory or Path(folder) / "demo"
        if given.factory is None:
            subprocess.run(
                [*command(), "demo", "--factory", str(factory)],
                check=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
        with up(factory, Path(folder)) as (base, link):
            asyncio.run(take_all(chromium, base, link, given.out))


def command() -> list[str]:
    """Return what runs Linewright."""
    return [sys.executable, "-m", "linewright"]


@contextmanager
def up(factory: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Hold a factory up; give the address of its console, and the link that signs the owner in."""
    ports = [_free_port(), _free_port()]
    log = folder / "up.log"
    with log.open("w") as said:
        asked = [
            *command(),
            "up",
            "--factory",
            str(factory),
            "--port",
            str(ports[0]),
            "--control-port",
            str(ports[1]),
        ]
        process = subprocess.Popen(asked, stderr=said, stdout=said)
        try:
            until = time.monotonic() + 60
            while "ready:" not in log.read_text():
                if time.monotonic() > until or process.poll() is not None:
                    sys.exit(log.read_text())
                time.sleep(0.2)
            asked = [*command(), "console", "--factory", str(factory), "--control-port", str(ports[1])]
            told = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
            yield f"http://127.0.0.1:{ports[1]}", told.split()[0]
        finally:
            process.terminate()
            process.wait(60)


async def take_all(chromium: str, base: str, link: str, out: Path) -> None:
    """Take pictures of each page in each size and scheme, in one session."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
        context = await browser.new_context(base_url=base, locale="en-GB", timezone_id="UTC")
        page = await context.new_page()
        await page.goto(link)
        await page.get_by_role("button", name="Open").click()
        await page.wait_for_url(f"{base}/")
        await page.close()
        cookies = {each["name"]: each["value"] for each in await context.cookies()}
        found = await asyncio.to_thread(addresses, cookies, base)
        # What takes long begins first, so that at the end nothing is waited for alone.
        slow = {route.name for route in routes() if route.page.apart is not none_apart} | {
            "line-value",
            "file",
        }
        left = sorted(found, key=lambda name: name not in slow)
        left.reverse()
        state = await context.storage_state()
        await browser.close()
        print("| page | s |\n|---|---:|")

        async def take_in_own_browser() -> None:
            # Pages of one browser that change their sizes at once come out as tiles of each other now and then.
            own = await playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
            session = await own.new_context(
                base_url=base, locale="en-GB", timezone_id="UTC", storage_state=state
            )
            await take_some(session, found, left, out)
            await own.close()

        await asyncio.gather(*(take_in_own_browser() for _ in range(AT_ONCE)))
    for name in PAGES.keys() - found:
        print(f"No page of the factory leads to {name!r}: there is no picture of it.")


async def take_some(context: BrowserContext, paths: dict[str, str], left: list[str], out: Path) -> None:
    """Take pictures of pages until none is left."""
    while left:
        name = left.pop()
        page = await context.new_page()
        await take(page, paths[name], name, out)
        await page.close()


async def take(page: Page, path: str, name: str, out: Path) -> None:
    """Take four pictures of a page once all its parts are there: nothing is loaded again for another size or scheme."""
    began = time.monotonic()
    await page.goto(path, timeout=PATIENCE_MS)
    await expect(page.locator("[data-load], [aria-busy]")).to_have_count(0, timeout=PATIENCE_MS)
    print(f"| {path} | {time.monotonic() - began:.1f} |")
    for size, (width, height) in SIZES.items():
        await page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            await page.screenshot(path=out / f"{name}-{size}-{scheme}.png", full_page=True)


def addresses(cookies: dict[str, str], base: str) -> dict[str, str]:
    """Return an address of each page: one with values is found on the pages that lead to it, from the first page on."""
    of_line = {
        name: entry.path.replace("{line}", LABELLED if name in {"label", "labels"} else LINE)
        for name, entry in PAGES.items()
    }
    known = {name: entry.path for name, entry in PAGES.items() if "{" not in entry.path}
    found = dict(known)
    waiting = [f"/lines/{LINE}", "/alerts?over=1", "/proposals?all=1", *known.values()]
    seen: set[str] = set()
    with httpx.Client(base_url=base, cookies=cookies, headers={"accept": "text/html"}, timeout=60) as client:
        while waiting and len(found) < len(PAGES):
            address = waiting.pop(0)
            for link in map(unescape, re.findall(r'href="(/[^"#]*)"', client.get(address).text)):
                path = link.partition("?")[0]
                route = next((each for each in routes() if each.pattern.fullmatch(path)), None)
                is_ours = not path.startswith("/lines/") or path.startswith(f"/lines/{LINE}")
                if route is None or route.name in seen or not is_ours:
                    continue
                if path == link or route.name not in found:
                    found[route.name] = link
                if path == link:
                    seen.add(route.name)
                    if route.page.apart is none_apart:
                        waiting.append(link)
        answers = {f"prediction-{line}": first_answer(client, line) for line in USES}
    fixed = {name: path for name, path in of_line.items() if "{" not in path}
    found = fixed | found | known | {name: path for name, path in fixed.items() if LABELLED in path}
    sites = {"factory-sites": "/?by=site"}
    return found | parts_of(found) | sites | {name: path for name, path in answers.items() if path}


def first_answer(client: httpx.Client, line: str) -> str:
    """Return the address of the first answer that the list of a line has; nothing if there is none."""
    links = re.findall(r'href="(/predictions/[^"#]*)"', client.get(f"/lines/{line}/predictions").text)
    return unescape(next(iter(links), ""))


def parts_of(found: dict[str, str]) -> dict[str, str]:
    """Return the addresses of pages that other pages load as a part of theirs, and have no link to."""
    return {
        name: found[whole].partition("?")[0] + rest
        for name, entry in PAGES.items()
        for whole in found
        if name not in found and (rest := entry.path.removeprefix(PAGES[whole].path)).startswith("/")
        if rest != entry.path and "{" not in rest
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
