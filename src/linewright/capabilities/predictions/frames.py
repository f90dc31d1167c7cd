"""Frames in place of files: what the methods of `Factory` take and give in a notebook. Neither polars' nor pandas' type is asked for.

A frame is whatever gives its columns through Arrow's C stream (``__arrow_c_stream__``): a DataFrame of polars or pandas (from 2.2), a
table of pyarrow, a relation of DuckDB.
"""

import re
import shutil
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl

from linewright.capabilities.predictions.operations import Predicted
from linewright.capabilities.predictions.render import predicted_text
from linewright.errors import Conflict, LinewrightError, RequestError
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.python.notebook import is_frame
from linewright.store.files.names import is_line_name
from linewright.store.files.rights import make_asked_folder

_INDEX = re.compile(r"__index_level_\d+__")
"""Names that pandas gives an index without a name; an index is no column."""
_PLACE = "the frame"
"""What errors and reasons call the file that a frame was written to."""


class PredictedFrame(Predicted, frozen=True, kw_only=True):
    """Answers for a frame."""

    frame: Any
    """The answers, one row for each row that keeps the contract: a DataFrame of polars, or of pandas where one was asked with."""
    broken: Any
    """The rows that break it, each with its place and the reason; `None` where there are none."""


@renderer.register
def _answers_text(batch: PredictedFrame) -> str:
    """Say how many rows got a prediction of which model; what is in no file is in the fields."""
    told: dict[str, Any] = {name: getattr(batch, name) for name in Predicted.__struct_fields__}
    told |= {
        "out": batch.out or "see .frame",
        "quarantine": batch.quarantine or "see .broken",
        "first": (),
    }
    return predicted_text(Predicted(**told))


def call_with_frame(
    name: str, call: Callable[[Mapping[str, Any]], Any], given: Mapping[str, Any], *, root: Path
) -> Any:
    """Call an operation whose file is given as a frame.

    Parameters
    ----------
    name
        Of the operation.
    call
        Carries it out, given its arguments.
    given
        Arguments by name, of which one or more are frames.
    root
        The factory's folder.

    Raises
    ------
    RequestError
        If the operation takes no table, or a column is of a type that no file of a table holds.
    Conflict
        If `new` would write over a file.
    """
    frames = {key: value for key, value in given.items() if is_frame(value)}
    (parameter, frame), *others = frames.items()
    match name, parameter:
        case _ if others:
            pass
        case "new", "data":
            return _new(call, given, frame, root)
        case "predict", "file":
            return _predict(call, given, frame)
        case "feedback", "file":
            with _written(frame) as file, _told_apart(file):
                return call({**given, parameter: file})
        case _:
            pass
    raise RequestError(
        "a frame is not taken here",
        where=f"{name}: {', '.join(frames)}",
        allowed="frames for new(data=), predict(line, file) and feedback(line, file)",
    )


def _new(call: Callable[[Mapping[str, Any]], Any], given: Mapping[str, Any], frame: Any, root: Path) -> Any:
    """Keep the frame as a source of the line; where no line comes of it, nothing stays."""
    name = str(given.get("name"))
    if not is_line_name(name):
        with _written(frame) as draft:
            return call({**given, "data": draft})  # it says what a name may be
    file = root / "data" / f"{name}.parquet"
    if file.exists():
        raise Conflict(
            "there is a file of that name, and a frame is never written over one",
            where=str(file),
            hint="name the line otherwise, or name this file as its data",
        )
    with _written(frame) as draft:
        is_new = not file.parent.exists()
        make_asked_folder(file.parent)
        shutil.copyfile(draft, file)
    try:
        return call({**given, "data": file})
    except BaseException:
        file.unlink(missing_ok=True)
        if is_new and not any(file.parent.iterdir()):
            file.parent.rmdir()
        raise


def _predict(call: Callable[[Mapping[str, Any]], Any], given: Mapping[str, Any], frame: Any) -> Any:
    with _written(frame) as file, _told_apart(file):
        asked = given.get("out")
        out = Path(asked) if asked else file.with_name("answers.parquet")
        told: Predicted = call({**given, "file": file, "out": out})
        answers = pl.read_parquet(out) if out.suffix == ".parquet" else pl.read_csv(out)
        broken = pl.read_csv(told.quarantine, infer_schema_length=None) if told.quarantine else None
        like = _like(frame)
        parts: dict[str, Any] = {
            **{field: getattr(told, field) for field in told.__struct_fields__},
            "out": told.out if asked else "",
            "quarantine": told.quarantine if asked else "",
            "reasons": tuple(reason.replace(str(file), _PLACE) for reason in told.reasons),
            "warnings": tuple(text.replace(str(file), _PLACE) for text in told.warnings),
        }
        return PredictedFrame(**parts, frame=like(answers), broken=None if broken is None else like(broken))


def _like(frame: Any) -> Callable[[pl.DataFrame], Any]:
    """Return what makes a frame of polars one of the kind of another: of pandas where that is one."""
    return pl.DataFrame.to_pandas if type(frame).__module__.partition(".")[0] == "pandas" else lambda one: one


@contextmanager
def _written(frame: Any) -> Generator[Path]:
    """Write a frame as a file of Parquet that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="linewright-") as folder:
        file = Path(folder, "frame.parquet")
        try:
            table = pl.DataFrame(frame)
            table.select(name for name in table.columns if not _INDEX.fullmatch(name)).write_parquet(file)
        except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
            raise RequestError(
                f"a column cannot be read: {error}",
                where=_PLACE,
                hint="cast columns of mixed values to one type",
            ) from error
        yield file


@contextmanager
def _told_apart(file: Path) -> Generator[None]:
    """Let errors about a frame name no file that nobody has written."""
    try:
        yield
    except LinewrightError as error:
        error.where = error.where.replace(str(file), _PLACE)
        raise
