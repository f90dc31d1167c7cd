"""Write the page of the map from the code: which package imports which, the life of a row, and the folder of each capability.

python docs/map.py            write docs/explanation/map.md and its two pictures
python docs/map.py --check    exit 1 if one of them is not what the code says
"""

import ast
import sys
import tomllib
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from textwrap import wrap

from linewright.operations.table import CAPABILITIES

ROOT = Path(__file__).parents[1]
SOURCE, HERE = ROOT / "src" / "linewright", Path(__file__).parent / "explanation"
PAGE = HERE / "map.md"
ROW_LIFE = (
    ("read", "data.read.source:read_source"),
    ("join", "data.table.build:build_table"),
    ("check the contract", "data.contract.check:check"),
    ("dataset version", "line.steps.ingest:ingest_step"),
    ("split", "line.steps.ingest:split_step"),
    ("train", "line.steps.train:train_step"),
    ("package", "line.steps.train:package_step"),
    ("evaluate", "line.steps.evaluate:evaluate_step"),
    ("gate", "line.steps.evaluate:gate_step"),
    ("promote", "release.promotion:promote"),
    ("serve", "serve.http.app:App"),
    ("log", "serve.log.writer:PredictionLog"),
    ("label", "serve.feedback.store:Feedback"),
    ("close a window", "line.loop.close_window:close_window"),
    ("monitor", "watch.monitors:find"),
    ("propose a retraining", "watch.retrain_proposal:propose"),
)
"""What a row meets, in order → the function or class that does it. After the last the row is read again, with its label."""
_WIDE, _ACROSS = 860, 4
_BEGIN, _END = "<!-- from the code: {} -->", "<!-- end -->"
_INK, _LINE, _FILL = "#1f2937", "#94a3b8", "#f1f5f9"


def sentence(path: Path, name: str = "") -> str:
    """Return the first sentence of the docstring of a module, or of a function or class in it; raise `LookupError` without one."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = next((node for node in tree.body if getattr(node, "name", None) == name), None) if name else tree
    text = isinstance(found, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(found)
    if not text:
        raise LookupError(f"{path.relative_to(ROOT)} has no {name or 'docstring'}")
    return " ".join(text.split("\n\n")[0].split())


def module_file(module: str) -> Path:
    """Return the file of a module, by its name after `linewright.`."""
    path = SOURCE.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def layers() -> list[list[str]]:
    """Return the packages by layers, the highest first, as `make check` holds them."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    house = next(one for one in contracts if one["type"] == "layers" and "containers" not in one)
    return [
        [name.strip().removeprefix("linewright.") for name in layer.split("|")] for layer in house["layers"]
    ]


def house_picture() -> str:
    """Return the layers as a picture: a band imports from the bands below it, never from one above."""
    parts, top = list[str](), 10
    for layer in layers():
        across = (_WIDE - 20 - 10 * (len(layer) - 1)) / len(layer)
        for place, name in enumerate(layer):
            about = sentence(module_file(name)).split(". ")[0]
            left, letters = (
                10 + place * (across + 10),
                int((across - 130 if len(layer) == 1 else across - 20) / 6.3),
            )
            lines = wrap(about, letters, max_lines=1 if len(layer) == 1 else 3, placeholder=" …")
            parts.append(_box(left, top, across, 34 if len(layer) == 1 else 74))
            parts.append(_text(left + 10, top + 22, name, bold=True))
            at = (left + 130, top + 22) if len(layer) == 1 else (left + 10, top + 38)
            parts += [_text(at[0], at[1] + 14 * row, line) for row, line in enumerate(lines)]
        top += 42 if len(layer) == 1 else 82
    return _svg(top + 4, "Packages of Linewright: each imports from those below it.", parts)


def row_picture() -> str:
    """Return what a row goes through as a picture, row by row from left to right."""
    across, high, gap = (_WIDE - 20 - 24 * (_ACROSS - 1)) / _ACROSS, 64, 34
    parts = list[str]()
    for place, (word, where) in enumerate(ROW_LIFE):
        row, column = divmod(place, _ACROSS)
        left, top = 10 + column * (across + 24), 10 + row * (high + gap)
        parts.append(_box(left, top, across, high))
        parts.append(_text(left + 10, top + 22, f"{place + 1} {word}", bold=True))
        parts += [
            _text(left + 10, top + 40 + 14 * line, text, small=True)
            for line, text in enumerate(where.split(":"))
        ]
        if column < _ACROSS - 1:
            parts.append(_arrow(f"M{left + across:.0f} {top + high / 2:.0f} h20"))
        elif place < len(ROW_LIFE) - 1:
            middle, down = 10 + across / 2, top + high + gap / 2
            parts.append(
                _arrow(
                    f"M{left + across / 2:.0f} {top + high:.0f} V{down:.0f} H{middle:.0f} V{top + high + gap - 4:.0f}"
                )
            )
    bottom = 10 + len(ROW_LIFE) // _ACROSS * (high + gap) - gap
    edge = _WIDE + 14
    parts.append(_arrow(f"M{_WIDE - 10:.0f} {bottom - high / 2:.0f} H{edge} V4 H{10 + across / 2:.0f} V8"))
    return _svg(
        bottom + 10,
        "The life of a row: from its source to a model, an answer, a label and a retraining.",
        parts,
        _WIDE + 24,
    )


def _box(left: float, top: float, wide: float, high: float) -> str:
    return f'<rect x="{left:.0f}" y="{top:.0f}" width="{wide:.0f}" height="{high}" rx="4" fill="{_FILL}" stroke="{_LINE}"/>'


def _text(left: float, top: float, text: str, *, bold: bool = False, small: bool = False) -> str:
    size, weight = (10 if small else 12), ' font-weight="bold"' if bold else ""
    return f'<text x="{left:.0f}" y="{top:.0f}" font-size="{size}"{weight}>{escape(text)}</text>'


def _arrow(path: str) -> str:
    return f'<path d="{path}" fill="none" stroke="{_INK}" marker-end="url(#to)"/>'


def _svg(high: float, title: str, parts: Sequence[str], wide: int = _WIDE) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {wide} {high:.0f}" width="{wide}" height="{high:.0f}" '
        f'font-family="system-ui, sans-serif" fill="{_INK}" role="img">'
    )
    tip = (
        '<defs><marker id="to" viewBox="0 0 8 8" refX="4" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        f'<path d="M0 0L8 4L0 8z" fill="{_INK}"/></marker></defs>'
    )
    back = f'<rect width="{wide}" height="{high:.0f}" fill="white"/>'
    return "\n".join([head, f"<title>{escape(title)}</title>", tip, back, *parts, "</svg>", ""])


def capability_rows() -> Iterator[str]:
    """Return the rows of the table: a capability, its folder, and its commands."""
    yield "| capability | folder | commands |"
    yield "|---|---|---|"
    for each in sorted(CAPABILITIES, key=lambda one: one.home.rpartition(".")[2]):
        module = each.home.removeprefix("linewright.")
        word, _, about = sentence(module_file(module)).rstrip(".").partition(": ")
        folder = module_file(module).parent.relative_to(ROOT).as_posix()
        commands = ", ".join(f"`{name}`" for name in each.operations) or "none"
        yield f"| **{word}**{': ' if about else ''}{about} | [`{module.replace('.', '/')}`](../../{folder}) | {commands} |"


def row_life_rows() -> Iterator[str]:
    """Return the rows of the table: what a row meets, where, and what that does by its own docstring."""
    yield "| | what | where | |"
    yield "|---|---|---|---|"
    for number, (word, where) in enumerate(ROW_LIFE, 1):
        module, _, name = where.partition(":")
        yield f"| {number} | {word} | `{module}.{name}` | {sentence(module_file(module), name)} |"


def page() -> str:
    """Return the page: its text, with the tables as the code has them today."""
    text = PAGE.read_text(encoding="utf-8")
    for name, rows in (("row", row_life_rows()), ("capabilities", capability_rows())):
        before, _, rest = text.partition(_BEGIN.format(name))
        _, _, after = rest.partition(_END)
        text = "\n".join([f"{before}{_BEGIN.format(name)}", *rows, f"{_END}{after}"])
    return text


def main() -> int:
    """Write or check the page and its pictures."""
    made = {PAGE: page(), HERE / "house.svg": house_picture(), HERE / "row.svg": row_picture()}
    stale = [
        path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" in sys.argv:
        print(
            *(f"{path.relative_to(ROOT)} is not what the code says: run make docs" for path in stale),
            sep="\n",
            end="",
        )
        return bool(stale)
    for path in stale:
        path.write_text(made[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
