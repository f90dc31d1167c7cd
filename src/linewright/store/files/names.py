"""Names of lines as parts of paths: one that is read back from a store is no more to be trusted than one of a request."""

import re
from pathlib import Path

from linewright.errors import Corrupt

CLIENT_FILES = "files"
"""Folder of the files of clients, in the state folder."""
LINE = r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})?"
"""What the name of a line matches as a whole: of a site's line that of the site follows."""
_LINE = re.compile(LINE)
ENDING = ".yaml"
"""Of the names of line files."""


def is_line_name(name: str) -> bool:
    """Whether a line, or a line of a site, can have this name.

    Examples
    --------
    >>> [is_line_name(name) for name in ("claims", "inspect.lyon", "", "..", "a/b", "../claims", "Claims")]
    [True, True, False, False, False, False, False]
    """
    return _LINE.fullmatch(name) is not None


def line_path(folder: Path, line: str, ending: str = "") -> Path:
    """Return where a folder has the file or the folder of a line; only a name of a line ever becomes a path.

    Examples
    --------
    >>> line_path(Path("serving"), "claims", ".json").as_posix()
    'serving/claims.json'
    """
    if not is_line_name(line):
        raise Corrupt(
            "no line can have this name",
            where=str(folder),
            found=line[:100],
            allowed="a-z, 0-9 and hyphens, at most 63 of them; of a site's line a dot and the same again",
            hint="linewright verify says what else was changed; restore a backup",
        )
    return folder / f"{line}{ending}"


def file_of(folder: Path, line: str) -> Path:
    """Return the path of the file that declares a line in a folder: that of a site is in the file of its template.

    Examples
    --------
    >>> file_of(Path("lines"), "claims").as_posix(), file_of(Path("lines"), "inspect.lyon").as_posix()
    ('lines/claims.yaml', 'lines/inspect.yaml')
    """
    return folder / f"{line.partition('.')[0]}{ENDING}"
