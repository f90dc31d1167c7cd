"""Checks of what a line file says is done again and again: predictions, and reads of sources."""

import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress

from linewright.data.spec import AtTrigger, EveryTrigger, Schedule, SqlSource, mistakes_of_url
from linewright.errors import SpecError
from linewright.line.file.checks.problem import Problem
from linewright.line.file.mistakes import Path, did_you_mean
from linewright.line.spec import FileDestination, LineSpec, PredictSpec, TableDestination
from linewright.store.files.secret import read_secret, shown_place
from linewright.store.pushed_rows import SOURCE
from linewright.text.database_url import PORTS, read_database_url
from linewright.text.durations import duration_micros
from linewright.text.remote_url import BUCKETS, is_remote
from linewright.text.schedule import FORMS, read_schedule

ENDINGS = (".csv", ".parquet")
_PATTERN = re.compile(r"[*?\[\]]")
_TABLE = re.compile(r"[^\W\d]\w{0,62}(\.[^\W\d]\w{0,62})?")


def schedules(spec: LineSpec) -> Iterator[Problem]:
    """Find what is wrong with the section `predict`, and with `when` of sources."""
    for name, source in spec.sources.items():
        if isinstance(source, SqlSource):
            yield from when_problems(source.when, ("sources", name, "when"))
    places = dict[str, str]()
    for name, job in spec.predict.items():
        yield from _job(spec, name, job)
        word = "file" if isinstance(job.to, FileDestination) else "table"
        written = job.to.file if isinstance(job.to, FileDestination) else job.to.table
        site = spec.line.partition(".")[2]
        if word == "file" and site and "{line}" not in written and site not in written:
            yield Problem(
                path=("predict", name, "to", "file"),
                what="all sites would write the same file",
                found=written,
                hint="put {line} into its name",
            )
        other = places.setdefault(place_of_answers(job.to, spec.line), name)
        if other != name:
            yield Problem(
                path=("predict", name, "to", word),
                what=f"'predict.{other}' writes the same {word}",
                found=written,
                hint=f"name another {word}",
            )


def place_of_answers(to: FileDestination | TableDestination, line: str, root: str = "") -> str:
    """Return what is equal for destinations that write over each other, or into each other.

    The ending of a file does not count: the rows that broke the contract stand in one file next to it, whatever its ending.

    Examples
    --------
    >>> place_of_answers(FileDestination(file="./out/{line}.csv"), "claims", "/plant")
    '/plant/out/claims'
    """
    if isinstance(to, TableDestination):
        return f"{to.table.removeprefix('public.').lower()} {_server(to.at, root)}"
    file = to.file.replace("{line}", line).rpartition(".")[0]
    return file if is_remote(file) else os.path.realpath(pathlib.Path(root, file))


def _server(at: str, root: str) -> str:
    """Return the database that a reference stands for, spelled in one way; what messages call it if it cannot be read."""
    kind, _, name = at.partition(":")
    if kind == "env" or root or pathlib.Path(name).is_absolute():
        with suppress(SpecError, ValueError):
            url = read_database_url(read_secret(at, pathlib.Path(root), where=""))
            return f"{url.scheme} {url.host} {url.port or PORTS.get(url.scheme)} {url.database}"
    return shown_place(at)


def when_problems(when: Schedule, path: Path) -> Iterator[Problem]:
    """Find times that are none, and durations of nothing."""
    for index, trigger in enumerate(when):
        match trigger:
            case AtTrigger():
                yield from at_problems(trigger.at, (*path, index, "at"))
            case EveryTrigger():
                yield from every_problems(trigger.every, (*path, index, "every"))


def at_problems(text: str, path: Path) -> Iterator[Problem]:
    """Find a text that cannot be a schedule."""
    try:
        read_schedule(text)
    except ValueError as error:
        yield Problem(path=path, what=str(error), found=text, allowed=FORMS)


def every_problems(text: str, path: Path) -> Iterator[Problem]:
    """Find that a duration is none."""
    if duration_micros(text) == 0:
        yield Problem(path=path, what="a duration of nothing", found=text, allowed="a longer one, e.g. 1h")


def _job(spec: LineSpec, name: str, job: PredictSpec) -> Iterator[Problem]:
    path: Path = ("predict", name)
    if not re.fullmatch(SOURCE, name):
        allowed = "1 to 63 small letters, digits, _ and hyphens"
        yield Problem(path=path, what="predictions cannot be called this", found=name, allowed=allowed)
    if isinstance(job.rows, str) and job.rows not in spec.sources:
        yield _unknown_source(job.rows, list(spec.sources), (*path, "rows"))
    elif job.source is not None:
        for error in job.source.mistakes():
            found = None if error.found is None else str(error.found)
            yield Problem(
                path=(*path, "rows", error.where),
                what=error.what,
                found=found,
                allowed=error.allowed,
                hint=error.hint,
            )
    yield from when_problems(job.when, (*path, "when"))
    if isinstance(job.to, FileDestination):
        yield from _file(job.to, (*path, "to"))
    elif not _TABLE.fullmatch(job.to.table):
        yield Problem(
            path=(*path, "to", "table"),
            what="this cannot be the name of a table",
            found=job.to.table,
            allowed="letters, digits and _, perhaps with the name of a schema and a dot before",
        )


def _unknown_source(name: str, sources: Sequence[str], path: Path) -> Problem:
    return Problem(
        path=path,
        what="the line has no such source",
        found=name,
        allowed=", ".join(sources),
        hint=did_you_mean(name, sources) or "or write another source here, such as rows: {file: new.csv}",
    )


def _file(to: FileDestination, path: Path) -> Iterator[Problem]:
    for error in mistakes_of_url(to.file, "file", to.at):
        yield Problem(
            path=(*path, error.where), what=error.what, found=to.file, allowed=error.allowed, hint=error.hint
        )
    path = (*path, "file")
    if is_remote(to.file) and not to.file.startswith(tuple(f"{scheme}://" for scheme in BUCKETS)):
        yield Problem(
            path=path, what="nothing is written there", found=to.file, allowed="a path, s3://, gs:// or az://"
        )
    if not to.file.endswith(ENDINGS):
        yield Problem(
            path=path, what="answers are CSV or Parquet", found=to.file, allowed=" or ".join(ENDINGS)
        )
    if _PATTERN.search(to.file) or re.search(r"[{}]", re.sub(r"\{(at|line)\}", "", to.file)):
        yield Problem(
            path=path,
            what="this cannot be the name of a file",
            found=to.file,
            allowed="letters, digits, {at} and {line}",
        )
