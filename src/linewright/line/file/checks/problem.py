"""What is wrong between sections of a line file."""

from dataclasses import dataclass

from linewright.line.file.mistakes import Path


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What one section says that another contradicts."""

    path: Path
    what: str
    found: str | int | float | bool | None = None
    allowed: str = ""
    hint: str = ""
