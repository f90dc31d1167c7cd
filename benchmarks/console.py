"""What the pages of the console take, with many lines, runs and predictions, beside those of MLflow.

    python benchmarks/console.py [--lines N] [--runs N] [--predictions N] [--asked N] [--keep FOLDER] [--mlflow PYTHON] [--mlflow-runs N]

The factory is the one that `linewright demo` leaves, with copies of a further line up to N (see `many_lines.py`). All share the runs; `payments` and
`tumours` of the demo have a tenth of the predictions each, the others share the rest. The record and the logs are written as runs and endpoints write
them, and indexed. Then `up` serves. Each page of `linewright.interfaces.console.table` is asked for again and again over one connection, as a browser
asks for it; that none is missing is checked. The time is what the client waits for on this machine. A page whose slow part comes after it is measured
without that part, which has columns of its own: a part is worked out in a process of its own, or is another page. A browser (Debian's Chromium, an empty
cache) then loads each page once: requests and kB until the page is there, before its parts, and the seconds until nothing is loaded any more.

With `--keep` the factory is made in a folder, or taken from there if it was made before.

PYTHON is that of an environment with MLflow (default: this one; without MLflow it is left out), see `console_mlflow.py`.
"""

import argparse
import html
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat
from pathlib import Path
from statistics import median
from urllib.parse import urlencode

import httpx
import msgspec
from console_mlflow import MlflowServer
from many_lines import add_line, copies, grow, rested, worker
from msgspec.structs import replace
from page_times import ARGUMENTS, HEAD, Row, load, ms_of
from playwright.sync_api import Browser, Page, expect, sync_playwright
from swap import LINE

from linewright.capabilities.members.operations.console import console_link
from linewright.capabilities.predictions.try_row import request_form
from linewright.interfaces.console.table import routes
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Finished
from linewright.serve.facts import Predictions
from linewright.serve.log.ids import first_of_many
from linewright.serve.log.segments import read_log
from linewright.serve.log.writer import PredictionLog
from linewright.store.clock import uuid7

PARTS_ASKED, PART_MS = 3, 5_000
"""Requests of each part; ms after which it is asked for no more."""
PAGES = {route.name: route.entry for route in routes()}
ROWS = 1_000
"""Predictions of one request."""
BUSY, LABELLED = "payments", "tumours"
"""Lines of the demo with a tenth of the predictions each: the latter has alerts and questions for annotators."""
PAGE_KB, PAGE_REQUESTS, PAGE_MS = 100, 5, 200
NAVIGATION = {"accept": "text/html", "sec-fetch-mode": "navigate"}
"""What a browser says of itself that asks for a page, and below of a script that asks for a part."""
PART = {"accept": "text/html", "sec-fetch-mode": "cors", "x-fragment": "main"}
_LINK = re.compile(r'(?:href|data-load)="(/[^"#]*)"')


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--lines", type=int, default=1_000)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--predictions", type=int, default=10_000_000)
    parser.add_argument("--asked", type=int, default=40, help="requests of each page")
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--mlflow", default=sys.executable)
    parser.add_argument("--mlflow-runs", type=int, default=5_000)
    given = parser.parse_args()
    chromium = shutil.which("chromium") or sys.exit("Chromium is not here: apt-get install chromium")
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        root = given.keep or Path(name) / "factory"
        with MlflowServer(given.mlflow, Path(name), given.mlflow_runs) as peer:
            if not root.exists():
                make(root, given)
            filled = time.monotonic() - began
            peer.wait_until_filled()
            browser = playwright.chromium.launch(executable_path=chromium, args=list(ARGUMENTS))
            print(
                f"Python {platform.python_version()}, {os.cpu_count()} cores, {browser.browser_type.name} {browser.version}; {given.lines:,} lines, "
                f"{given.runs:,} runs, {given.predictions:,} predictions, made in {filled:.0f} s\n\n{HEAD}",
                flush=True,
            )
            rows = ours(root, browser, given.asked)
            for row in peer.rows(browser, given.asked):
                print(row, flush=True)
            browser.close()
    print(f"\n{verdict(rows)}\n{time.monotonic() - began:.0f} s in all; load {os.getloadavg()[2]:.1f}")


def verdict(rows: Sequence[Row]) -> str:
    """Return what was wanted of each page, and which miss it."""
    missed = [
        row.address
        for row in rows
        if row.p95 > PAGE_MS or (row.first and (row.first.kb > PAGE_KB or row.first.requests > PAGE_REQUESTS))
    ]
    wanted = f"at most {PAGE_KB} kB and {PAGE_REQUESTS} requests on the first load, p95 at most {PAGE_MS} ms"
    return f"Wanted of each page of ours: {wanted}. Missed by {len(missed)} of {len(rows)}: {', '.join(missed) or 'none'}"


def ours(root: Path, browser: Browser, asked: int) -> list[Row]:
    """Print the rows of the console, and return them."""
    rows = list[Row]()
    with worker(root) as (pid, base), httpx.Client(base_url=base, headers=NAVIGATION, timeout=300) as client:
        rested(pid)  # the first look at all lines is the worker's, not the pages'
        with Factory.open(root) as factory:
            code = console_link(factory, base).partition("code=")[2]
        assert client.post("/sign-in", data={"code": code}).status_code == 303
        cookies = dict(client.cookies)
        client.get("/")  # how all lines stand is worked out once
        for name, address in [*addresses(client).items(), *searches(root).items()]:
            times = [ms_of(lambda at=address: client.get(at)) for _ in range(asked)]
            found = {
                html.unescape(one) for one in re.findall(r'data-load="([^"]+)"', client.get(address).text)
            }
            parts = [median(part_times(client, part)) for part in sorted(found)]
            first = load(browser, base + address, cookies, parts_are_there)
            row = Row("linewright", name, address, times, max(parts, default=None), first)
            print(row, flush=True)
            rows.append(row)
    return rows


def part_times(client: httpx.Client, part: str) -> list[float]:
    """Return the ms of a part of a page: of one that takes very long, those of one request."""
    times = list[float]()
    while len(times) < PARTS_ASKED and sum(times) < PART_MS:
        times.append(ms_of(lambda: client.get(part, headers=PART)))
    return times


def parts_are_there(page: Page) -> None:
    """Wait until a page has loaded its parts."""
    expect(page.locator("[data-load], [aria-busy]")).to_have_count(0, timeout=300_000)


def addresses(client: httpx.Client) -> dict[str, str]:
    """Return an address of each page of the table: values in it are found on pages that lead to it."""
    found, read, links = dict[str, str](), set[str](), list[str]()
    starts = [at for name, entry in PAGES.items() if "{" not in (at := of_line(name, entry.path))]
    for at in (*starts, "/alerts?over=1", "/proposals?all=1"):
        links += [at, *links_of(client, at)]
        read.add(at)
    while True:
        found = {name: at for name, entry in PAGES.items() if (at := address_of(name, entry.path, links))}
        further = [at for at in found.values() if at not in read]
        if len(found) == len(PAGES) or not further:
            break
        for at in further:
            links += links_of(client, at)
            read.add(at)
    if missing := sorted(PAGES.keys() - found.keys()):
        sys.exit(f"no page leads to {', '.join(missing)}")
    return found


def address_of(name: str, path: str, links: Iterable[str]) -> str | None:
    """Return the first of some links that is one of a page."""
    pattern = re.compile(re.sub(r"\{[a-z_]+\}", "[^/?]+", of_line(name, path)) + r"(\?.*)?")
    matches = [each for each in links if pattern.fullmatch(each)]
    # Of a page of a fixed address that without a query; a difference is one of something.
    return min(matches, key=lambda each: ("?" in each) != (name == "difference"), default=None)


def of_line(name: str, path: str) -> str:
    """Return the address of a page with the line that has the most to show on it."""
    return path.replace("{line}", LABELLED if name in {"label", "labels"} else BUSY)


def links_of(client: httpx.Client, at: str) -> list[str]:
    """Return what a page leads to."""
    text = client.get(at).text
    versions = re.findall(r'<option value="(sha256:[0-9a-f]+)"', text)
    compared = [f"{at}/diff?{urlencode({'before': versions[0], 'after': versions[-1]})}"] if versions else []
    return [*map(html.unescape, _LINK.findall(text)), *compared]


def searches(root: Path) -> Mapping[str, str]:
    """Return pages with what somebody has filled in."""
    with Factory.open(root) as factory:
        row = {f"c.{each.name}": each.example for each in request_form(factory, BUSY).fields}
    return {
        "factory, a search": "/?q=line-09",
        "factory, its next page": "/?page=2",
        "factory, by tag": "/?by=tag",
        "alerts, also those that are over": "/alerts?over=1",
        "runs of a line": f"/runs?line={BUSY}",
        "audit of a line": f"/audit?line={BUSY}",
        "predictions of a key": f"/lines/{BUSY}/predictions?key=00000001",
        "try, with a row": f"/lines/{BUSY}/try?{urlencode({name: value for name, value in row.items() if value is not None})}",
    }


def make(root: Path, given: argparse.Namespace) -> None:
    """Live through the demo, declare further lines, and write what happened to all of them."""
    asked = [sys.executable, "-m", "linewright", "demo", "--factory", str(root)]
    subprocess.run(asked, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with Factory.open(root) as factory:
        lived = factory.metadata.lines()
        add_line(factory)
    grow(root, given.lines - len(lived))
    lines = [*lived, LINE, *copies(given.lines - len(lived))]
    with Factory.open(root) as factory:
        run(factory, lines, given.runs)
    tenth = given.predictions // 10
    others = (given.predictions - 2 * tenth) // (len(lines) - 2)
    counts = [tenth if line in {BUSY, LABELLED} else others for line in lines]
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(log, repeat(root), lines, counts, chunksize=8):
            pass


def run(factory: Factory, lines: Sequence[str], wanted: int) -> None:
    """Record so many runs, those of each line as its first one went."""
    first = {
        line: (
            factory.metadata.events(Accepted, line=line, limit=1)[0],
            factory.metadata.events(Finished, line=line, limit=1)[0],
        )
        for line in lines
    }
    for start in range(0, wanted, ROWS):
        numbers = range(start, min(start + ROWS, wanted))
        runs = [(lines[number % len(lines)], uuid7()) for number in numbers]
        factory.metadata.record_all(
            [replace(event, line=line, run=id_) for line, id_ in runs for event in first[line]]
        )


def log(root: Path, line: str, wanted: int) -> None:
    """Log answers as an endpoint does, in requests of a thousand rows, and index them."""
    with Factory.open(root) as factory:
        folder = factory.state / "log" / line
        like = next(read_log(folder)).record
        kept = PredictionLog(folder)
        for first in range(0, wanted, ROWS):
            n = min(ROWS, wanted - first)
            kept.append_request(
                Predictions(
                    many=n,
                    first=first_of_many(uuid7()),
                    line=line,
                    generation=like.generation,
                    model=like.model,
                    digest=like.digest,
                    at=factory.now(),
                    keys=[f"{first + number:08}" for number in range(n)],
                    request=msgspec.Raw(msgspec.json.encode({"rows": [like.row] * n})),
                    answers=[like.answer] * n,
                    threshold=like.threshold,
                )
            )
        kept.close()
        factory.labels_of(line).catch_up()


if __name__ == "__main__":
    main()
