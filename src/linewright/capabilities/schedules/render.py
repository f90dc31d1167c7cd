"""What is done by a schedule, as a table."""

from linewright.capabilities.schedules.operations import ScheduledTask, Schedules
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.words import clipped, grid
from linewright.store.clock import said

_HEAD = ("line", "what", "name", "when", "last", "rows", "new", "to", "next")
_NUMBERS = ("rows", "new")
_WIDEST = 60


@renderer.register
def schedule_text(found: Schedules) -> str:
    """Show a row for each task, without columns that are empty in all of them; below it what failed."""
    rows = [_cells(one) for one in found.tasks]
    filled = [i for i in range(len(_HEAD)) if any(row[i] for row in rows)]
    head = [_HEAD[i] for i in filled]
    numbers = [at for at, name in enumerate(head) if name in _NUMBERS]
    table = (
        grid(head, [[row[i] for i in filled] for row in rows], numbers=numbers)
        if rows
        else ["Nothing is scheduled."]
    )
    failed = [f"failed: {one.line}, {one.name}: {one.trouble}" for one in found.tasks if one.trouble]
    return "\n".join([*table, *failed, *(f"failed: {one}" for one in found.troubles)])


def _cells(one: ScheduledTask) -> list[str]:
    return [
        one.line,
        one.what,
        one.name,
        ", ".join(one.when),
        said(one.last) if one.last else "",
        "" if one.rows is None else f"{one.rows:,}",
        "" if one.versions is None else f"{one.versions:,}",
        clipped(one.to, _WIDEST),
        said(one.next) if one.next else "",
    ]
