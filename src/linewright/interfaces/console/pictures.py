"""Pictures on pages: scaled down and re-encoded by an operation, and part of the page itself."""

import base64
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from html import escape
from typing import Any

from markupsafe import Markup

from linewright.errors import LinewrightError
from linewright.interfaces.console.page import Ask

_DIGEST = re.compile("sha256:[0-9a-f]{64}")
_SIDE = 320
_PNG = "data:image/png;base64,"
_HEADER = 32
"""Characters of base64 that have the header of a PNG, with its sides."""
_NOTHING = 1e-6
"""A largest change that is less is none, and not drawn as the strongest."""
_STRONGEST = 0.7
"""How much of the picture the strongest cell hides."""


def pictures_of(ask: Ask, line: str, row: Mapping[str, Any], of: str = "") -> Mapping[str, str]:
    """Return the address of each picture that a row names, by column; those that are gone, or that the viewer may not see, are left out."""
    found: dict[str, str] = {}
    for name, cell in row.items():
        if isinstance(cell, str) and _DIGEST.fullmatch(cell):
            with suppress(LinewrightError):
                shown = ask("picture show", line=line, digest=cell, of=of or None, side=_SIDE)
                found[name] = f"{_PNG}{shown.png}"
    return found


def occlusion_map(seen: Mapping[str, Any], address: str, *, title: str, summary: str = "Table") -> Markup:
    """Draw what the parts of a picture say for its answer over the picture; what speaks against it stands in the table alone."""
    drawn = seen.get("log_odds", seen["patches"])
    most = max(*map(max, drawn), _NOTHING)
    cells = [
        [f"{-100 * cell:+.2f} %" if "log_odds" in seen else f"{-cell:+.4g}" for cell in row]
        for row in seen["patches"]
    ]
    grid = [[max(cell, 0.0) / most for cell in row] for row in drawn]
    return heat_map(grid, address, title=title, cells=cells, summary=summary)


def heat_map(
    grid: Sequence[Sequence[float]],
    address: str,
    *,
    title: str,
    cells: Sequence[Sequence[str]] | None = None,
    summary: str = "Table",
) -> Markup:
    """Draw a grid of numbers over a picture, with the table behind it, as a `<figure>` without script or style.

    Examples
    --------
    >>> png = "iVBORw0KGgoAAAANSUhEUgAAAEAAAAAwCAIAAAAuKetIAAAA"
    >>> drawn = heat_map([[0.0, 1.0]], f"data:image/png;base64,{png}", title="place of the fault")
    >>> 'viewBox="0 0 64 48"' in drawn, drawn.count("<rect"), "<td>1.00</td>" in drawn
    (True, 1, True)
    """
    head = base64.b64decode(address.removeprefix(_PNG)[:_HEADER])
    width, height = (int.from_bytes(head[at : at + 4]) for at in (16, 20))
    down, across = height / len(grid), width / len(grid[0])
    squares = "".join(
        f'<rect x="{x * across:.2f}" y="{y * down:.2f}" width="{across:.2f}" height="{down:.2f}" '
        f'fill="var(--two, #b4520a)" fill-opacity="{_STRONGEST * min(cell, 1.0):.3f}"/>'
        for y, row in enumerate(grid)
        for x, cell in enumerate(row)
        if cell > 0
    )
    drawn = (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{escape(title)}">'
        f'<image href="{escape(address)}" width="{width}" height="{height}"/>{squares}</svg>'
    )
    said = [[f"{cell:.2f}" for cell in row] for row in grid] if cells is None else cells
    columns = "".join(f'<th scope="col">{x + 1}</th>' for x in range(len(grid[0])))
    rows = "".join(
        f'<tr><th scope="row">{y + 1}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in row)}</tr>'
        for y, row in enumerate(said)
    )
    # All that is not ours, the texts and the address, is escaped above.
    return Markup(  # noqa: S704
        f'<figure class="chart"><figcaption>{escape(title)}</figcaption>{drawn}<details><summary>{escape(summary)}</summary>'
        f'<div class="scroll"><table><thead><tr><td></td>{columns}</tr></thead><tbody>{rows}</tbody></table></div></details></figure>'
    )
