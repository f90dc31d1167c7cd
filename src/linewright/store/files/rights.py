"""Who may read what is written: state is its owner's alone, a file that a person asks for by name is as they make their files.

The rights of new files are the process's own business (its umask), so a program says once, at its start, that it writes state;
those few that write for a person say so of each file.
"""

import os
import secrets
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from linewright.errors import Denied

OWNER_ONLY = 0o700
"""Rights of the folder of all state: whoever cannot pass it reaches nothing below, whatever the rights there are."""
OUT_OF_GIT = ".gitignore"
"""In the folder of all state: version control takes none of it."""
LOCK = 0o600
"""Rights of a file that is locked: whoever may open it may hold the lock."""
OTHERS = 0o077
"""The rights of everybody but the owner."""
_UNCHANGED = -1
_before: list[int] = []
"""The umask that this process was started with, while it makes files for their owner alone."""


@contextmanager
def owner_only() -> Generator[None]:
    """Have all files and folders that this process makes be its user's alone, in a block.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with owner_only():
    ...     _ = (folder / "state").write_bytes(b"")
    >>> f"{(folder / 'state').stat().st_mode & OTHERS:o}"
    '0'
    """
    _before.append(os.umask(OTHERS))
    try:
        yield
    finally:
        os.umask(_before.pop())


def read_owned(path: Path, most: int, *, what: str, hint: str) -> bytes:
    """Return the first `most` bytes of a file that holds secrets, or says who may do what; no link is followed."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & OTHERS:
            raise Denied(
                what,
                where=str(path),
                found=f"{stat.S_IMODE(found.st_mode):04o}, user {found.st_uid}",
                allowed="a file of this user, 0600",
                hint=hint,
            )
        return file.read(most)


def write_owned(path: Path, body: bytes) -> None:
    """Put a file that nobody but this user may read or change in the place of another, whole or not at all."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, LOCK)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(body)
            file.flush()
            os.fsync(descriptor)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def asked_umask() -> int:
    """Return the umask of the person who started this process, for children: they make files for people too; -1 means the current one."""
    return _before[0] if _before else _UNCHANGED


def as_asked(path: Path) -> None:
    """Give a file or folder that was just made for a person the rights that they give their files."""
    if _before:
        path.chmod((0o777 if path.is_dir() else 0o666) & ~_before[0])


def make_state_folder(state: Path) -> None:
    """Make the folder of all state: its owner's alone, and kept out of git, where it would publish tokens and rows; what is there stays."""
    state.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
    with suppress(FileExistsError), (state / OUT_OF_GIT).open("x", encoding="ascii") as file:
        file.write("*\n")


def make_asked_folder(folder: Path) -> None:
    """Make a folder for a person, with those above it; what is there stays as it is."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for made in missing:
        as_asked(made)
