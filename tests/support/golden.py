"""Compares what is made now with files that are kept, and shows the difference as a person reads it."""

import difflib
import json
import os
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parents[1] / "freeze" / "golden"
WRITES = "LINEWRIGHT_FREEZE_WRITES"
"""Variable of the environment; where it is set, files are written and nothing is compared."""
_MOST_LINES = 200
"""Of a difference, how many are shown."""


def compare(name: str, text: str) -> None:
    """Compare a text with the file that is kept of it, or write the file anew."""
    file = FOLDER / name
    if WRITES in os.environ:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return
    kept = file.read_text() if file.exists() else ""
    if kept != text:
        changed = difflib.unified_diff(
            kept.splitlines(), text.splitlines(), f"golden/{name}", "now", lineterm=""
        )
        refuse(name, list(changed))


def compare_json(name: str, value: Any) -> None:
    """Compare a value as indented JSON whose keys are sorted."""
    compare(name, to_text(value))


def to_text(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def kept(name: str) -> Any:
    """Return the value of a file of JSON; nothing where there is no file yet."""
    file = FOLDER / name
    return json.loads(file.read_text()) if file.exists() else {}


def refuse(name: str, difference: list[str]) -> None:
    """End a test with a difference and with the command that writes the file anew."""
    part = name.partition("/")[0].partition(".")[0]
    shown = "\n".join(difference[:_MOST_LINES])
    more = f"\n… and {len(difference) - _MOST_LINES} more lines" if len(difference) > _MOST_LINES else ""
    pytest.fail(
        f"tests/freeze/golden/{name} differs\n{shown}{more}\n"
        f"If that is wanted: python tests/freeze/write.py {part}, and name the difference in the message of the commit.",
        pytrace=False,
    )
