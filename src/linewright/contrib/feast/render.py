"""What became of the definitions of a Feast repository."""

from linewright.contrib.feast.carry_over import FeastImport
from linewright.interfaces.cli.dispatch import renderer


@renderer.register
def imported_text(found: FeastImport) -> str:
    """Say of each object in which file it is now, and what was not carried over."""
    lines = list[str]()
    for one in found.objects:
        lines.append(
            f"{one.kind} {one.name}".rstrip() + f" ({one.where})" + (f": {one.file}" if one.file else "")
        )
        lines += [f"  {text}" for text in one.says]
    lines += [f"{where}: made in a function or a loop, so it was not read" for where in found.unread]
    new = ", ".join(found.written) or "no new file"
    return "\n".join([*lines, f"written: {new}"])
