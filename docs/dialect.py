"""Count the words of our old dialect, and the words of the pages; `docs/words.md` has the plain ones.

python docs/dialect.py            lower the counts in docs/dialect.json to what there is now
python docs/dialect.py --check    exit 1 if a count is above the file's

The script never raises a count. With a reason, raise one by hand in the file, where a review sees it.
"""

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMITS = ROOT / "docs" / "dialect.json"
GENERATED = {
    "docs/words.md",
    "docs/explanation/map.md",
    "docs/reference/operations.md",
    "docs/reference/line-file.md",
    "docs/reference/errors.md",
    "docs/reference/licences.md",
}
"""Pages that list the old words, or that are written from the source, where they are counted."""
DIALECT = {
    "adopted": r"adopt(?:s|ed|ing)?",
    "anew": r"anew",
    "answered": r"answered",
    "at work": r"at work",
    "beside": r"beside",
    "brought": r"brought",
    "carried out": r"carr(?:y|ies|ied) out",
    "dear": r"dear(?:er|est)?",
    "doubt": r"doubt(?:s|ed)?",
    "forced to the disk": r"forced to the disk",
    "hand in": r"hand(?:s|ed)? (?:it |them )?in",
    "hung up": r"h(?:u|a)ngs? up",
    "in vain": r"in vain",
    "is asked": r"(?:is|are|was|were) asked",
    "is no": r"(?:is|are) no",
    "judge": r"judg(?:e|es|ed|ing|ement|ements)",
    "let go": r"lets? (?:\w+ )?go",
    "made elsewhere": r"made elsewhere",
    "mend": r"mend(?:s|ed|ing)?",
    "of your own": r"of (?:your|our|its|his|their) own",
    "parted": r"parted",
    "station": r"stations?",
    "stranger": r"strangers?",
    "surely": r"surely",
    "taken back": r"taken back",
    "told": r"told",
    "truth": r"(?<!ground )truth",
    "where a": r"where (?:an?|the|no|it|one|there) ",
    "whoever": r"whoever",
    "witness": r"witness(?:es)?",
}
"""Each word of the list, with its pattern between word boundaries; letters of either case count."""


def pages() -> list[Path]:
    """Return the pages that are written by hand."""
    return [
        page for page in sorted(ROOT.glob("docs/**/*.md")) if str(page.relative_to(ROOT)) not in GENERATED
    ]


def counts() -> dict[str, dict[str, int]]:
    """Return how often each word occurs in the source, the pages and the README, and how many words the pages have."""
    texts = {
        "src": _joined([*ROOT.glob("src/**/*.py"), *ROOT.glob("src/**/*.jinja")]),
        "docs": _joined(pages()),
        "README.md": _joined([ROOT / "README.md"]),
    }
    found = {
        place: {
            word: len(re.findall(rf"\b{pattern}\b" if not pattern.endswith(" ") else rf"\b{pattern}", text))
            for word, pattern in DIALECT.items()
        }
        for place, text in texts.items()
    }
    return found | {"words": {"docs": len(texts["docs"].split())}}


def above(now: dict[str, dict[str, int]], limits: dict[str, dict[str, int]]) -> list[str]:
    """Return each count that is above its limit, as a line to read."""
    return [
        f"{place}: {word!r} occurs {count} times, at most {limits[place][word]} are left over"
        for place, found in now.items()
        for word, count in found.items()
        if count > limits[place][word]
    ]


def lowered(now: dict[str, dict[str, int]], limits: dict[str, dict[str, int]]) -> dict[str, dict[str, int]]:
    """Return the limits, each lowered to the count of now if that is less; words of pages are in thousands, rounded up."""
    unit = {"words": 1000}
    rounded = {
        place: {word: -(-count // unit.get(place, 1)) * unit.get(place, 1) for word, count in found.items()}
        for place, found in now.items()
    }
    return {
        place: {word: min(count, limits.get(place, {}).get(word, count)) for word, count in found.items()}
        for place, found in rounded.items()
    }


def _joined(files: list[Path]) -> str:
    return "\n".join(file.read_text(encoding="utf-8") for file in sorted(files)).lower()


def main() -> int:
    """Lower or check the counts."""
    now = counts()
    limits = json.loads(LIMITS.read_text(encoding="utf-8")) if LIMITS.exists() else {}
    if "--check" not in sys.argv:
        LIMITS.write_text(json.dumps(lowered(now, limits), indent=1) + "\n", encoding="utf-8")
        return 0
    found = above(now, limits)
    sys.stderr.writelines(f"{line}; see docs/words.md\n" for line in found)
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
