"""Reads the examples of the pages, and writes the table that the README speaks of."""

import random
import re
from collections.abc import Iterator
from pathlib import Path


def blocks(text: str) -> list[tuple[str, str]]:
    """Return the fenced blocks of a page in order, each with its language."""
    return re.findall(r"^```([^\n]*)\n(.*?)^```$", text, flags=re.DOTALL | re.MULTILINE)


def examples(block: str) -> Iterator[tuple[str, list[str]]]:
    """Give each command of a console block with the lines that must follow it."""
    command, expected = "", list[str]()
    for line in block.splitlines():
        if line.startswith("$ "):
            if command:
                yield command, expected
            command, expected = re.sub(r" {2,}# .*", "", line[2:]), []
        elif line == ">" or line.startswith("> "):
            command += "\n" + line[2:]
        else:
            expected.append(line)
    yield command, expected


def is_printed(expected: list[str], printed: str) -> bool:
    """Return whether the expected lines occur in order; ``...`` stands for anything."""
    pattern = ".*?".join(re.escape(part) for part in "\n".join(expected).split("..."))
    return re.search(f"^{pattern}$", printed, flags=re.DOTALL | re.MULTILINE) is not None


def write_customers(path: Path) -> None:
    """Write the table that the README speaks of."""
    chance = random.Random(1)
    rows = []
    for number in range(1000, 1600):
        calls, age = chance.randrange(12), chance.randrange(18, 80)
        plan = chance.choice(["basic", "plus"])
        truth = "yes" if calls + age / 6 + 3 * (plan == "basic") + chance.gauss(0, 2) > 15 else "no"
        rows.append(f"C-{number},{age},{plan},{calls},{truth}")
    path.write_text("\n".join(["customer,age,plan,calls,churned", *rows, ""]))
