"""What making a factory gave, and a line file."""

from linewright.capabilities.lines.operations.files import LineFile, Made
from linewright.interfaces.cli.dispatch import renderer


@renderer.register
def line_file_text(file: LineFile) -> str:
    """Return its text."""
    return file.text.rstrip("\n")


@renderer.register
def made_text(made: Made) -> str:
    """Say where it is and what to do next."""
    return (
        f"The factory is in {made.factory}; lines: {', '.join(made.lines) or 'none yet'}.\n"
        "Next: linewright new NAME --data FILE --label COLUMN, or linewright up"
    )
