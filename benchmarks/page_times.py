"""What pages take: the ms of a request, and what a browser loads of a page; a row of a table says both."""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import httpx
from playwright.sync_api import Browser, Page, Request

ARGUMENTS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
"""Of Chromium, which then asks for nothing by itself."""
HEAD = (
    "| server | page | address | p50 ms | p95 ms | first load: requests | kB | slowest part, median ms | s until all is there |\n"
    "|---|---|---|---:|---:|---:|---:|---:|---:|"
)
PART = "x-fragment"
"""Header by which our script asks for a part of a page that is there already."""
QUIET_MS, MOST_S = 2_000, 60
"""After which without an answer nothing is loaded any more, and how long that is waited for."""
SETTLES_MS = 300
"""After which what a browser has loaded is counted."""
LONGEST = 60
"""Characters of an address that are shown."""


@dataclass(frozen=True)
class Load:
    """What a browser with an empty cache loads."""

    requests: int
    """Those of the page, its styles and scripts; without those of its parts, which come after it."""
    kb: float
    """Of these, as they are sent: most are compressed."""
    seconds: float
    """Until nothing is loaded any more."""
    asked: Sequence[tuple[str, str, str | None]]
    """Method, address and body of each request until then."""


@dataclass(frozen=True)
class Row:
    """What one page takes."""

    server: str
    page: str
    address: str
    times: Sequence[float]
    """ms."""
    part: float | None
    """ms of the slowest of its parts; `None` if it has none."""
    first: Load | None
    """`None` of what is no page."""

    @property
    def p95(self) -> float:
        """Within which nineteen of twenty requests were answered, ms."""
        return sorted(self.times)[int(0.95 * len(self.times))]

    def __str__(self) -> str:
        at = self.address if len(self.address) <= LONGEST else f"{self.address[: LONGEST - 1]}…"
        part = "" if self.part is None else f"{self.part:,.0f}"
        first = " | |" if self.first is None else f"{self.first.requests} | {self.first.kb:,.0f} |"
        took = "" if self.first is None else f"{self.first.seconds:.1f}"
        return (
            f"| {self.server} | {self.page} | `{at}` | {statistics.median(self.times):.0f} | {self.p95:.0f} "
            f"| {first} {part} | {took} |"
        )


def ms_of(ask: Callable[[], httpx.Response], *, right: Sequence[int] = (200,)) -> float:
    """Return the ms that a client waits for an answer, which has one of some statuses."""
    began = time.perf_counter()
    answer = ask()
    took = (time.perf_counter() - began) * 1000
    assert answer.status_code in right, (str(answer.url), answer.text[:500])
    return took


def load(
    browser: Browser, url: str, cookies: Mapping[str, str], until: Callable[[Page], object] | None = None
) -> Load:
    """Load a page with an empty cache.

    Parameters
    ----------
    until
        Waits until nothing is loaded any more (default: until nothing came for two seconds).
    """
    context = browser.new_context()
    context.add_cookies([{"name": name, "value": value, "url": url} for name, value in cookies.items()])
    # What a page asks of other servers is not its own server's time; nothing leaves this machine.
    context.route(lambda to: "//127.0.0.1:" not in to, lambda route: route.abort())
    page = context.new_page()
    sizes, asked = list[int](), list[tuple[str, str, str | None]]()

    def count(done: Request) -> None:
        told = done.sizes()
        if PART not in done.headers:
            sizes.append(told["responseBodySize"] + told["responseHeadersSize"])
        asked.append((done.method, done.url, done.post_data))

    page.on("requestfinished", count)
    began, took = time.monotonic(), 0.0
    answer = page.goto(url, timeout=120_000)
    assert answer is not None, url
    assert answer.ok, (url, answer.status, answer.text()[:500])
    if until is None:
        before = -1
        while len(sizes) > before and time.monotonic() < began + MOST_S:
            before, took = len(sizes), time.monotonic() - began
            page.wait_for_timeout(QUIET_MS)
    else:
        until(page)
        took = time.monotonic() - began
        page.wait_for_timeout(SETTLES_MS)
    page.remove_listener("requestfinished", count)
    context.close()
    return Load(len(sizes), sum(sizes) / 1000, took, asked)
