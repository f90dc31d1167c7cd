"""The site is built strictly, and a reader's browser asks nobody else for anything."""

import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

pytest.importorskip("mkdocs", reason="needs the extra `docs`")
ROOT = Path(__file__).parents[2]


def build(config: Path, target: Path) -> subprocess.CompletedProcess[str]:
    # Not --quiet: it would keep the warnings from being counted, and nothing would be strict.
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", str(config), "-d", str(target)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT / "mkdocs.yml", target)

    assert 0 == done.returncode, done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return target


class Loads(HTMLParser):
    """What a browser fetches of itself for a page; where the page's links lead is the reader's own choice."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        held = dict(attrs)
        names = ["src", "srcset", "data", "poster"] + ["href"] * (
            tag == "link" and held.get("rel") != "canonical"
        )
        self.found += [value for name in names if (value := held.get(name))]


def is_elsewhere(address: str) -> bool:
    return re.match(r"\s*(?:https?:)?//", address) is not None


def test_nothing_is_loaded_from_elsewhere(site):
    """No fonts, scripts or pictures of others: who reads what is nobody's business, and planes have no network."""
    pages = list(site.rglob("*.html"))
    loads = {page.name: Loads(page).found for page in pages}
    styles = [each for file in site.rglob("*.css") for each in styled(file.read_text())]

    assert len(pages) > 25
    assert all(any(each.endswith(".css") for each in found) for found in loads.values())
    assert [] == [each for found in loads.values() for each in found if is_elsewhere(each)]
    assert styles
    assert [] == [each for each in styles if is_elsewhere(each)]


def styled(text: str) -> list[str]:
    return re.findall(r"""(?:url\(|@import)\s*["']?([^"')\s;]+)""", text)


def test_a_load_from_elsewhere_would_be_seen(tmp_path):
    """The check above can fail."""
    page = tmp_path / "page.html"
    page.write_text(
        '<link rel="stylesheet" href="https://cdn.example/x.css"><script src="//cdn.example/x.js"></script>'
    )

    assert [True, True] == [is_elsewhere(each) for each in Loads(page).found]
    assert [True] == [
        is_elsewhere(each) for each in styled("@font-face {src: url('https://fonts.example/x')}")
    ]


def test_all_that_a_page_loads_is_there(site):
    """The search, its index and the pictures are part of the site."""
    for page in site.rglob("*.html"):
        if page.name != "404.html":  # shown in place of any address, so its own are from the root
            for each in Loads(page).found:
                assert (page.parent / each.partition("?")[0].partition("#")[0]).exists(), (
                    f"{page.name}: {each}"
                )


def test_the_search_knows_the_pages(site):
    """The index is a file of the site, and words of each page are in it."""
    index = json.loads((site / "search" / "search_index.json").read_text())
    texts = {entry["location"]: entry["text"] for entry in index["docs"]}

    assert (site / "search" / "lunr.js").exists()
    assert {page.relative_to(site).as_posix() for page in site.rglob("*.html")} - {
        "404.html",
        "search.html",
    } <= {place.partition("#")[0] for place in texts}
    assert any(
        "quarantine" in text for place, text in texts.items() if place.startswith("tutorial/first-line.html")
    )
    assert any(
        "--because" in text for place, text in texts.items() if place.startswith("reference/operations")
    )


@pytest.mark.parametrize(
    "change",
    [
        "[gone](gone.md)",
        "[gone](../words.md#gone)",
        "[gone](../../gone.md)",
    ],
)
def test_a_broken_link_is_an_error(tmp_path, change):
    """Strict means that the build fails, not that it prints."""
    for name in ("docs", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("mkdocs.yml", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    page = tmp_path / "docs" / "how-to" / "serving.md"
    page.write_text(f"{page.read_text()}\n{change}\n")

    done = build(tmp_path / "mkdocs.yml", tmp_path / "site")

    assert done.returncode != 0
    assert "serving.md" in done.stderr + done.stdout
