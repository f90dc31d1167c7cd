"""Destinations of predictions: how each is named, and that no two have the same."""

from collections.abc import Iterator, Mapping
from contextlib import suppress

from linewright.errors import LinewrightError, SpecError
from linewright.line.factory import Factory
from linewright.line.file.checks.schedules import place_of_answers
from linewright.line.spec import FileDestination, LineSpec, PredictSpec, TableDestination
from linewright.store.files.secret import shown_place


def refuse_shared(factory: Factory, spec: LineSpec) -> None:
    """Refuse a destination that other predictions have too, of this line or another."""
    for name, job in spec.predict.items():
        for line, other, _ in of_equal_place(factory, spec, name, job):
            raise shared_place(spec, name, f"{line}: predict.{other}")


def of_equal_place(
    factory: Factory, spec: LineSpec, name: str, job: PredictSpec
) -> Iterator[tuple[str, str, PredictSpec]]:
    """Give line, name and declaration of other predictions with the destination of these."""
    root = str(factory.root)
    place = place_of_answers(job.to, spec.line, root)
    for line in factory.names():
        jobs: Mapping[str, PredictSpec] = {}
        with suppress(LinewrightError):  # a wrong file writes nothing
            jobs = spec.predict if line == spec.line else factory.line(line).predict
        for other, of in jobs.items():
            if (line, other) != (spec.line, name) and place_of_answers(of.to, line, root) == place:
                yield line, other, of


def shared_place(spec: LineSpec, job: str, other: str) -> SpecError:
    """Return the error that other predictions have the destination of these."""
    to = spec.predict[job].to
    word = "file" if isinstance(to, FileDestination) else "table"
    return SpecError(
        f"other predictions write the same {word}: {other}",
        where=f"predict.{job}.to.{word}",
        found=described(to, spec.line),
        hint=f"name another {word}"
        + ("; {line} in it becomes the name of the line" if word == "file" else ""),
    )


def described(to: FileDestination | TableDestination, line: str, began: str = "") -> str:
    """Name a destination, without secrets.

    Examples
    --------
    >>> described(FileDestination(file="out/{line}-{at}.csv"), "claims", "2026-11-30T01:30:00.000000Z")
    'out/claims-20261130T013000Z.csv'
    """
    if isinstance(to, FileDestination):
        file = to.file.replace("{line}", line)
        return file.replace("{at}", f"{began[:19].replace('-', '').replace(':', '')}Z") if began else file
    return f"table {to.table} of {shown_place(to.at)}"
