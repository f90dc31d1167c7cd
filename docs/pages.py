"""Hooks of the site's generator (`mkdocs.yml`): pages that lie outside of `docs/`, and links that lead out of it."""

import re
from pathlib import Path, PurePosixPath
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
PAGES = {"index.md": "README.md", "changelog.md": "CHANGELOG.md", "benchmarks.md": "benchmarks/README.md"}
"""Pages of the site that are files of the repository."""
_LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|#)([^)#]+)(#[^)]*)?\)")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie elsewhere, with links as they are seen from `docs/`."""
    for name, source in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, name, content=moved(text, source)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: object) -> str:
    """Name what a page of `docs/` links to outside of it."""
    return markdown if page.file.generated_by else moved(markdown, f"docs/{page.file.src_uri}")


def moved(text: str, source: str) -> str:
    """Return a page of the repository with links for its place on the site; a file that is no page is named by its path.

    A link that leads nowhere stays as it is, so that the strict build refuses it.
    """
    new = {old: name for name, old in PAGES.items()}
    here = PurePosixPath(
        next((name for name, old in PAGES.items() if old == source), source.removeprefix("docs/"))
    )

    def link(found: re.Match[str]) -> str:
        picture, words, target, anchor = found.groups(default="")
        path = ROOT / PurePosixPath(source).parent / target
        if not path.exists():
            return found[0]
        name = path.resolve().relative_to(ROOT).as_posix()
        if name in new or name.startswith("docs/"):
            place = new.get(name, name.removeprefix("docs/"))
            return f"{picture}[{words}]({'../' * (len(here.parts) - 1)}{place}{anchor})"
        return f"{words} (`{name}`)"

    return _LINK.sub(link, text)
