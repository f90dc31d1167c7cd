"""Writes what the front page tells of the demo: runs it, about a minute, and keeps its picture and the table of README.md.

python docs/picture.py

A test holds both against the same life; whatever changes training, gates or monitors changes it.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.worlds.demo.operations import demo
from linewright.worlds.life import Life
from linewright.worlds.story import THIN, in_whole, worth

SEED = 1
ROOT = Path(__file__).parents[1]
PICTURE, PAGE = ROOT / "docs" / "demo.svg", ROOT / "README.md"
_TABLE = re.compile(r"(?<=\n)\| \| \|\n\|---\|---\|\n(?:\| (?:day|worth) .*\n)+")


def table(life: Life) -> str:
    """Return the table of the front page: what was found and done, and what the decisions were worth."""
    return "\n".join(["| | |", "|---|---|", *(f"| {left} | {right} |" for left, right in _rows(life)), ""])


def _rows(life: Life) -> Iterator[tuple[str, str]]:
    asked = {(moment.day, moment.says) for moment in life.moments if moment.kind == "proposed"}
    for moment in life.moments:
        if moment.kind in {"alert", "promoted", "refused"}:
            says = moment.says.replace(" 00:00:00Z", "").rstrip(".")
            also = "; a training is proposed" if (moment.day, moment.says) in asked else ""
            yield f"day {moment.day}", f"{moment.kind}: {says}{also}"
    sums = worth(life)
    value, never, best = (in_whole(cents).replace(THIN, " ") for cents in sums)
    yield (
        "worth of all decisions",
        f"{life.currency} {value}; never retrained {never}; the best possible by the true chances {best}",
    )


def table_of(page: str) -> str:
    """Return the table as a front page has it; empty where it has none."""
    found = _TABLE.search(page)
    return found[0] if found else ""


def main() -> None:
    """Live through the demo in a folder of its own, tell its story, and write both."""
    with tempfile.TemporaryDirectory() as folder:
        told = demo(Factory(Path(folder, "factory")), "fraud", seed=SEED)
        print(result_text(told))
        shutil.copyfile(told.picture, PICTURE)
    page, found = _TABLE.subn(lambda _: table(told.life), PAGE.read_text(encoding="utf-8"), count=1)
    if not found:
        raise SystemExit(f"{PAGE.name} has no table of the demo")
    PAGE.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
