"""Write the page of licences from the metadata of the installed packages.

python docs/licences.py            write docs/reference/licences.md
python docs/licences.py --check    exit 1 if the page is not what is installed
"""

import re
import sys
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement

PAGE = Path(__file__).parent / "reference" / "licences.md"
COPYLEFT = re.compile(r"L?GPL|MPL|Mozilla", re.IGNORECASE)
HEAD = """\
# Licences

Linewright is MIT. It contains no third-party code; this is what it is installed with, from each package's own metadata
(`python docs/licences.py` writes this page, `make check` compares it).
"""


def closure(extras: set[str]) -> dict[str, Distribution]:
    """Return all packages that Linewright brings with these extras, by normalised name."""
    found: dict[str, Distribution] = {}
    waiting = [("linewright", extras)]
    seen: set[tuple[str, frozenset[str]]] = set()
    while waiting:
        name, wanted = waiting.pop()
        if (name, frozenset(wanted)) in seen:
            continue
        seen.add((name, frozenset(wanted)))
        try:
            package = distribution(name)
        except PackageNotFoundError:
            continue
        found[name] = package
        for line in package.requires or ():
            requirement = Requirement(line)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in (*wanted, "")):
                waiting.append((re.sub(r"[-_.]+", "-", requirement.name).lower(), requirement.extras))
    del found["linewright"]
    return found


def licence_of(package: Distribution) -> str:
    """Return a package's licence: its SPDX expression, else its classifiers, else the field's first line."""
    metadata = package.metadata
    if expression := metadata.get("License-Expression"):
        return expression
    classifiers = [
        one.rsplit(" :: ", 1)[-1]
        for one in metadata.get_all("Classifier") or ()
        if one.startswith("License ::")
    ]
    named = [one for one in classifiers if one != "OSI Approved"]
    return ", ".join(named) or (metadata.get("License") or "see the package").splitlines()[0][:60]


def page() -> str:
    """Return the page."""
    runtime = closure(set())
    more = {
        name: package for name, package in closure({"test", "docs", "workers"}).items() if name not in runtime
    }
    parts = [
        HEAD,
        "## At run time\n",
        table(runtime),
        "\n## For tests and docs, and the extra `workers`\n",
        table(more),
    ]
    parts.append(f"""
## Copyleft

Unmodified, as a dependency brings them.

- At run time: {copyleft(runtime)}.
- For tests and docs, and the extra `workers`: {copyleft(more)}.

The tables tell the licence of each package itself. These wheels also hold compiled libraries of others, such as GCC's
run-time libraries, OpenBLAS and OpenSSL, under their own licences: {bundling({**runtime, **more})}.
""")
    return "\n".join(parts)


def copyleft(packages: dict[str, Distribution]) -> str:
    """Name the packages whose own licence is copyleft, with the licence."""
    said = {name: licence_of(package) for name, package in sorted(packages.items())}
    return (
        ", ".join(f"{name} ({licence})" for name, licence in said.items() if COPYLEFT.search(licence))
        or "none"
    )


def bundling(packages: dict[str, Distribution]) -> str:
    """Name the packages that were installed with shared libraries of others, in a folder ``NAME.libs``."""
    return ", ".join(
        name
        for name, package in sorted(packages.items())
        if any(file.parts[0].endswith(".libs") for file in package.files or ())
    )


def table(packages: dict[str, Distribution]) -> str:
    """Return one row a package."""
    rows = [f"| {name} | {licence_of(package)} |" for name, package in sorted(packages.items())]
    return "\n".join(["| package | licence |", "|---|---|", *rows])


def main() -> int:
    """Write or check the page."""
    text = page()
    if "--check" not in sys.argv:
        PAGE.write_text(text, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text:
        sys.stderr.write("docs/reference/licences.md is not fresh; write it anew with `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
