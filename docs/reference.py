"""Write the reference pages from the code: operations, the line file, errors.

python docs/reference.py            write docs/reference/*.md
python docs/reference.py --check    exit 1 if a page is not what the code says
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from linewright import errors
from linewright.line.file.read import schema
from linewright.operations.declare import load
from linewright.operations.table import OPERATIONS

HERE = Path(__file__).parent / "reference"


def operations_page() -> str:
    """Return the page of all operations."""
    parts = [
        "# Operations",
        "Each is a command, a method of `Factory`, and (unless it holds the terminal) an HTTP route of the control plane.",
        "Every command takes `--factory DIR`, `--json` and `--quiet`.",
    ]
    for name in OPERATIONS:
        operation = load(name, OPERATIONS)
        route = "only a command" if operation.local else f"`{operation.method} {operation.path}`"
        route = f"{route}; right `{operation.permission}`"
        parts.append(f"## {name}\n\n{operation.summary} ({route})")
        if operation.parameters:
            rows = [
                f"| {_shown(parameter)} | {parameter.allowed} | {parameter.help} |"
                for parameter in operation.parameters
            ]
            parts.append("\n".join(["| parameter | what | meaning |", "|---|---|---|", *rows]))
    return "\n\n".join(parts) + "\n"


def _shown(parameter: Any) -> str:
    return (
        f"`{parameter.name.upper()}`" if parameter.positional else f"`--{parameter.name.replace('_', '-')}`"
    )


def line_page() -> str:
    """Return the page of the line file, from its JSON Schema."""
    whole = schema()
    parts = [
        "# The line file",
        "`lines/NAME.yaml`, YAML 1.2 without aliases and tags. `linewright schema` prints this as JSON Schema.",
        _table(whole, whole["$defs"]),
    ]
    for name, definition in sorted(whole["$defs"].items()):
        if "properties" in definition:
            about = definition.get("description", "").splitlines()[0]
            parts.append(f"## {name}\n\n{about}\n\n{_table(definition, whole['$defs'])}")
    return "\n\n".join(parts) + "\n"


def _table(definition: dict[str, Any], known: dict[str, Any]) -> str:
    required = set(definition.get("required", ()))
    rows = [
        f"| `{name}`{' (required)' if name in required else ''} | {_type(field)} | {_default(field)} | {_meaning(field, known)} |"
        for name, field in definition["properties"].items()
    ]
    return "\n".join(["| word | type | default | meaning |", "|---|---|---|---|", *rows])


def _meaning(field: dict[str, Any], known: dict[str, Any]) -> str:
    # A field that says the same as the type it refers to has no description of its own in the schema.
    about = field.get("description") or known.get(field.get("$ref", "").rsplit("/", 1)[-1], {}).get(
        "description", ""
    )
    return " ".join(about.split())


def _type(field: dict[str, Any]) -> str:
    if "$ref" in field:
        name = field["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "enum" in field:
        return " \\| ".join(f"`{value}`" for value in field["enum"])
    if "const" in field:
        return f"`{field['const']}`"
    if "anyOf" in field:
        return " \\| ".join(_type(one) for one in field["anyOf"] if one.get("type") != "null")
    if field.get("type") == "array":
        return f"list of {_type(field['items'])}" if "items" in field else "list"
    if field.get("type") == "object" and isinstance(field.get("additionalProperties"), dict):
        return f"by name: {_type(field['additionalProperties'])}"
    return str(field.get("type", "any"))


def _default(field: dict[str, Any]) -> str:
    default = field.get("default")
    return "" if default is None or isinstance(default, dict | list) else f"`{default}`"


def errors_page() -> str:
    """Return the page of what can go wrong."""
    rows = [
        f"| {'&nbsp;&nbsp;' * depth}`{kind.__name__}` | {(kind.__doc__ or '').splitlines()[0]} | {kind.exit_code} | {kind.http_status} |"
        for depth, kind in _tree(errors.LinewrightError, 0)
    ]
    return (
        "\n".join(["# Errors", "", "| error | meaning | exit code | HTTP |", "|---|---|---|---|", *rows])
        + "\n"
    )


def _tree(
    kind: type[errors.LinewrightError], depth: int
) -> Iterator[tuple[int, type[errors.LinewrightError]]]:
    yield depth, kind
    for below in kind.__subclasses__():
        if below.__module__ == errors.__name__:
            yield from _tree(below, depth + 1)


PAGES = {"operations.md": operations_page, "line-file.md": line_page, "errors.md": errors_page}


def main() -> int:
    """Write or check the pages."""
    stale: list[str] = []
    HERE.mkdir(exist_ok=True)
    for name, write in PAGES.items():
        page, text = HERE / name, write()
        if not page.exists() or page.read_text(encoding="utf-8") != text:
            stale.append(name)
            if "--check" not in sys.argv:
                page.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.stderr.write(f"not fresh: {', '.join(stale)}; write them anew with `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
