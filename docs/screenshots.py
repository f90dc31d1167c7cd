"""Take pictures of every page of the console, desktop and phone, light and dark, of the factory that the demo leaves.

    python docs/screenshots.py [--factory FOLDER] [--out FOLDER]

Without a factory it lives through the demo first. It needs Chromium (apt-get install chromium), and says of each page how long it took to
load, how many requests that were and how many bytes.
"""

import argparse
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
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, expect, sync_playwright

from linewright.interfaces.console.table import PAGES

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
SIZES = {"desktop": (1280, 900), "phone": (390, 844)}
LINE = "payments"


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
        with up(factory, Path(folder)) as (base, link), sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
            take_all(browser, base, link, given.out)
            browser.close()


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


def take_all(browser: Browser, base: str, link: str, out: Path) -> None:
    """Take pictures of each page in each size and scheme, with the cookie of one session."""
    context = browser.new_context(base_url=base)
    page = context.new_page()
    page.goto(link)
    page.get_by_role("button", name="Open").click()
    page.wait_for_url(f"{base}/")
    cookies = context.cookies()
    paths = addresses(httpx.Cookies({each["name"]: each["value"] for each in cookies}), base)
    context.close()
    print("| page | requests | kB | s |\n|---|---:|---:|---:|")
    for scheme in ("light", "dark"):
        for size, (width, height) in SIZES.items():
            context = browser.new_context(
                base_url=base,
                color_scheme=scheme,
                viewport={"width": width, "height": height},
                locale="en-GB",
                timezone_id="UTC",
            )
            context.add_cookies(
                [{"name": each["name"], "value": each["value"], "url": base} for each in cookies]
            )
            for name, path in paths.items():
                page = context.new_page()
                told = take(page, path, out / f"{name}-{size}-{scheme}.png")
                if (scheme, size) == ("light", "desktop"):
                    print(f"| {path} | {told} |")
                page.close()
            context.close()


def take(page: Page, path: str, file: Path) -> str:
    """Take a picture of a page once all its parts are there; return its requests, its size and how long that took."""
    sizes: list[int] = []
    page.on("requestfinished", lambda done: sizes.append(done.sizes()["responseBodySize"]))
    began = time.monotonic()
    page.goto(path, timeout=120_000)
    first = len(sizes), sum(sizes)
    expect(page.locator("[data-load], [aria-busy]")).to_have_count(0, timeout=120_000)
    took = time.monotonic() - began
    page.screenshot(path=file, full_page=True)
    return f"{first[0]} | {first[1] / 1000:.0f} | {took:.1f}"


def addresses(cookies: httpx.Cookies, base: str) -> dict[str, str]:
    """Return an address of each page: values in it are found on the pages that lead to it."""
    with httpx.Client(base_url=base, cookies=cookies, headers={"accept": "text/html"}, timeout=60) as client:
        seen = {
            path: client.get(path).text
            for path in ("/", f"/lines/{LINE}", "/alerts?over=1", "/proposals?all=1")
        }
        for path in re.findall(rf'href="(/lines/{LINE}/[a-z]+)"', seen[f"/lines/{LINE}"]):
            seen[path] = client.get(path).text
        links = [link for text in seen.values() for link in re.findall(r'href="(/[^"?#]*)"', text)]
    found: dict[str, str] = {}
    for name, entry in PAGES.items():
        pattern = re.compile(re.sub(r"\{[a-z_]+\}", "[^/]+", entry.path.replace("{line}", LINE)))
        link = next((each for each in links if pattern.fullmatch(each)), None)
        if "{" not in entry.path or link:
            found[name] = link or entry.path
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    main()
