"""Which files a source names: one, all in a folder, or all of a pattern."""

import fnmatch
import glob
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import takewhile
from pathlib import Path

from linewright.errors import RequestError
from linewright.text.suggest import near_file


def files_of(written: str, root: Path, where: str) -> tuple[Path, ...]:
    r"""Return the files that a source names, in the order of their paths.

    Of a folder these are the files right in it, but for those whose names begin with "." or "_", which programs write
    beside their data. In a pattern, ``**`` stands for any folders.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name in ("b.csv", "a.csv", "_SUCCESS"):
    ...     _ = (folder / name).write_text("x\n1\n")
    >>> [file.name for file in files_of(".", folder, "sources.a.file")]
    ['a.csv', 'b.csv']
    """
    try:
        return _files_of(written, root, where)
    except PermissionError as error:  # what it holds is not left out in silence
        raise unreadable_folder(error, where) from error


def unreadable_folder(error: OSError, where: str) -> RequestError:
    """Return what to say of a folder whose files cannot be listed."""
    return RequestError(
        f"a folder cannot be read: {error.strerror}",
        where=where,
        found=str(error.filename),
        hint="let this user read it, or name files elsewhere",
    )


def _files_of(written: str, root: Path, where: str) -> tuple[Path, ...]:
    path = root / written
    if path.is_file():
        return (path,)
    if path.is_dir():
        found = [file for file in path.iterdir() if file.is_file() and file.name[0] not in "._"]
        problem = "the folder has no files"
    elif is_pattern(written):
        found = [file for file in _matching(written, root) if file.is_file()]
        problem = "there is no file of that pattern"
    else:
        found, problem = [], "this is not a file" if path.exists() else "there is no such file"
    if not found:
        hint = (not path.exists() and near_file(path, written=written)) or f"paths start from {root}"
        raise RequestError(problem, where=where, found=written, hint=hint)
    return tuple(sorted(found, key=lambda file: file.as_posix()))


def different_files(files: Sequence[Path]) -> tuple[Path, ...]:
    """Return paths without links to files that others of them lead to, in the same order: a row counts once."""
    kept = dict[Path, Path]()
    for path in sorted(files, key=lambda path: (path.is_symlink(), len(path.parts))):
        kept.setdefault(real(path), path)
    names = set(kept.values())
    return tuple(path for path in files if path in names)


def _matching(written: str, root: Path) -> Iterable[Path]:
    if "**" not in Path(written).parts:
        return (root / file for file in glob.iglob(written, root_dir=root))  # noqa: PTH207 -- the pattern may be absolute
    folder = fixed_folder(written, root)
    pattern = (root / written).parts[len(folder.parts) :]
    return (path for path in _below(folder, ()) if fits(path.parts[len(folder.parts) :], pattern))


def _below(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    """Give all files below a folder; a link that leads back up is not followed, which `glob` does forty times."""
    here = real(folder)
    if here in above:
        return
    with suppress(FileNotFoundError, NotADirectoryError):
        for path in folder.iterdir():
            if path.is_dir():
                yield from _below(path, (*above, here))
            else:
                yield path


def fits(name: Sequence[str], pattern: Sequence[str]) -> bool:
    """Return whether the parts of a path fit those of a pattern, in which ``**`` stands for any folders, and for all files at its end.

    Examples
    --------
    >>> fits(("a", "b", "c.csv"), ("a", "**", "*.csv")), fits(("a", ".b", "c.csv"), ("a", "**")), fits(("a", "c"), ("a", "**"))
    (True, False, True)
    """
    if not pattern or not name:
        return not pattern and not name
    is_hidden = name[0].startswith(".")
    if pattern[0] == "**":
        return fits(name, pattern[1:] or ("*",)) or (
            not is_hidden and len(name) > 1 and fits(name[1:], pattern)
        )
    is_meant = not is_hidden or pattern[0].startswith(".")
    return is_meant and fnmatch.fnmatchcase(name[0], pattern[0]) and fits(name[1:], pattern[1:])


def is_one_of(path: Path, written: str, root: Path) -> bool:
    """Return whether a file, there or to be written, is or would be among those that a source names."""
    target, whole = real(path), real(root / written)
    if is_pattern(written) and not whole.exists():
        return fnmatch.fnmatch(str(target), str(whole))
    return target == whole or (whole.is_dir() and target.parent == whole)


def fixed_folder(written: str, root: Path) -> Path:
    """Return the folder that a file, a folder or a pattern names, of a pattern as far as it has no wildcard.

    Examples
    --------
    >>> fixed_folder("pictures/*/*.png", Path("/data")).as_posix()
    '/data/pictures'
    >>> fixed_folder("table.csv", Path("/data")).as_posix()
    '/data'
    """
    path = root / written
    if path.is_dir():
        return path
    if path.is_file() or not is_pattern(written):
        return path.parent
    return root.joinpath(*takewhile(lambda part: not is_pattern(part), Path(written).parts))


def is_pattern(written: str) -> bool:
    """Return whether a path is a pattern, such as ``part-*.csv``."""
    return glob.has_magic(written)


def real(path: Path) -> Path:
    """Return where a path leads; one that leads nowhere (links in a circle) as far as it can be followed."""
    try:
        return Path(os.path.realpath(path))
    except ValueError:
        return path
