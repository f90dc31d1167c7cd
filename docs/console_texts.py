"""Write the catalogue of the console's texts, and the words that its pages explain; with --check, fail if they are not fresh.

    python docs/console_texts.py [--check]

Texts are what templates have in `_("...")` and `{% trans %}`, the titles of pages, and what scripts of a page say. Another language is another
file in `src/linewright/interfaces/console/texts/` with the same keys.
"""

import json
import re
import sys
from pathlib import Path

from linewright.interfaces.console.render import environment
from linewright.interfaces.console.table import routes

PAGES = {route.name: route.entry for route in routes()}
ROOT = Path(__file__).parents[1]
HOME = ROOT / "src/linewright/interfaces/console"
_ROW = re.compile(r"^\| ([^|]+?) \| (.+?) \|$")
_LINK = re.compile(r"\[([^\]]+)\]\([^)]*\)")


def texts() -> dict[str, str]:
    """Return each text of ours, by itself: the catalogue of English."""
    found = {entry.title for entry in PAGES.values()} | {entry.tab for entry in PAGES.values() if entry.tab}
    found.add("This did not work")
    for file in sorted((ROOT / "src/linewright").rglob("*.html.jinja")):
        extract = environment().extract_translations  # type: ignore[attr-defined] -- the extension adds it
        for _, _, said in extract(file.read_text(encoding="utf-8")):
            found |= {
                one for one in ([said] if isinstance(said, str) else said or ()) if isinstance(one, str)
            }
    return {text: text for text in sorted(found)}


def words() -> dict[str, str]:
    """Return the words of docs/words.md with their meanings, as plain text."""
    found: dict[str, str] = {}
    for line in (ROOT / "docs/words.md").read_text(encoding="utf-8").splitlines():
        row = _ROW.match(line)
        if row and row[1] not in {"word", "---"} and not row[1].startswith("-"):
            meaning = re.sub(r" \(\[[^\]]*\]\([^)]*\)\)", "", row[2])
            meaning = _LINK.sub(r"\1", meaning).replace("`", "").strip()
            for word in row[1].replace("`", "").split(", "):
                found[re.sub(r" \(.*\)$", "", word)] = meaning
    return found


def main() -> None:
    """Write both files, or say which is not fresh."""
    made = {"en.json": texts(), "words.json": words()}
    stale: list[str] = []
    for name, content in made.items():
        file, fresh = HOME / "texts" / name, json.dumps(content, indent=1, ensure_ascii=False) + "\n"
        if "--check" in sys.argv:
            stale += [name] if file.read_text(encoding="utf-8") != fresh else []
        else:
            file.write_text(fresh, encoding="utf-8")
    if stale:
        sys.exit(f"not fresh: {', '.join(stale)}; run: python docs/console_texts.py")


if __name__ == "__main__":
    main()
