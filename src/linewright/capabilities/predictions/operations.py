"""Operations."""

from pathlib import Path
from typing import Annotated, Any

import msgspec

from linewright.capabilities.annotation.questions import visible_question
from linewright.capabilities.predictions.picture_rights import note_sent, require_seen
from linewright.capabilities.predictions.pictures import KeptPicture, ShownPicture, keep_picture, show_picture
from linewright.capabilities.predictions.try_row import RequestForm, Tried, try_row
from linewright.capabilities.predictions.try_row import request_form as form_of
from linewright.capabilities.schedules.predictions import predict_job as make_predictions
from linewright.capabilities.schedules.task_state import record_job
from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.line.personal import hidden_columns
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.operations.declare import operation

Side = Annotated[int, msgspec.Meta(ge=16, le=1024, description="16 to 1,024 pixels")]


@operation(permission="view", effect="read")
def picture_show(
    factory: Factory, line: str, digest: str, /, *, of: str | None = None, side: Side = 320
) -> ShownPicture:
    """Show a picture that a row names, scaled down.

    Who may see rows of the line sees their pictures; who labels them sees those of questions. Who keeps a picture sees it for an hour.

    Parameters
    ----------
    line
        Name of the line.
    digest
        What the row names the picture by: sha256: and 64 hex digits.
    of
        Id of the prediction or annotation question whose row names it; needed unless a dataset version does.
    side
        Largest side in pixels, 16 to 1,024.
    """
    asked = visible_question(factory, line, of) if of else {}
    require_seen(factory, line, digest, of, asked)
    return show_picture(factory, digest, side)


@operation(permission="predict", effect="act", expensive=True, files={"file": "in"})
def picture_keep(factory: Factory, line: str, file: Path, /) -> KeptPicture:
    """Keep a picture, so that a row which is tried can name it.

    `gc` removes it after an hour, unless a prediction or a dataset names it.

    Parameters
    ----------
    line
        Name of the line.
    file
        PNG, JPEG, WebP, TIFF or BMP of at most 20 MB and 25 million pixels.
    """
    kept = keep_picture(factory, file)
    note_sent(factory, line, kept.digest)
    return kept


class Predicted(msgspec.Struct, frozen=True, kw_only=True):
    """Answers for a file."""

    line: str
    model: str
    digest: str
    rows: int
    out: str
    first: tuple[dict[str, Any], ...]
    """The first answers."""
    warned: int = 0
    """Rows with a value that the contract does not allow or the model does not know."""
    warnings: tuple[str, ...] = ()
    """What is doubtful in the first of them."""
    quarantined: int = 0
    """Rows that break the contract: they are not answered."""
    quarantine: str = ""
    """The file that holds them, each with its place and the reason; empty where there are none."""
    reasons: tuple[str, ...] = ()
    """Place and reason of the first of them."""
    is_cut: bool = False
    """Whether the file ends within a row, so that rows after it may be missing."""
    note: str = ""
    """How the file was read where the line file is broken; else empty."""


@operation(
    permission="predict",
    effect="act",
    expensive=True,
    files={"file": "in", "out": "out"},
)
def predict(
    factory: Factory,
    line: str,
    file: Path,
    /,
    *,
    out: Path | None = None,
    explain: bool = False,
    strict: bool = False,
) -> Predicted:
    """Answer every row of a file with the model that serves.

    The file may be larger than memory. The answers appear when all are there. Rows that break the contract (a cell is not of
    its type, a value is missing, a row has another number of fields than the header) are not answered: they are written
    beside the answers, to ``OUT.quarantine.csv``, each with its place and the reason.

    Parameters
    ----------
    line
        Name of the line.
    file
        File of CSV, JSON lines (each packed or not) or Parquet whose rows are rows of the line's table.
    out
        Where to write the answers, CSV or Parquet by its ending (default: beside the file, ``FILE.LINE.csv``). Its last
        column, ``warnings``, says what is doubtful in a row, and is empty where nothing is.
    explain
        Write what each column contributed as well, as ``contributions_COLUMN``; a row takes milliseconds then.
    strict
        Answer nothing where a row breaks the contract.
    """
    return Predicted(**predict_file(factory, line, file, out, explain=explain, strict=strict))


class FedBack(msgspec.Struct, frozen=True, kw_only=True):
    """What became of labels that were handed in."""

    line: str
    accepted: int
    repeated: int
    unknown: int
    corrected: int = 0
    """Labels that replaced the one which they name."""
    unlabelled: int = 0
    """Rows of the file that hold no label yet."""
    unknown_first: tuple[dict[str, str], ...] = ()
    """The first labels that no prediction was found for: where they stand, their id or key, and why."""
    note: str = ""
    """How the file was read where the line file is broken; else empty."""


@operation(permission="label", effect="act", expensive=True, files={"file": "in"})
def feedback(factory: Factory, line: str, file: Path, /) -> FedBack:
    """Send labels for predictions, by id or key, from a file.

    Parameters
    ----------
    line
        Name of the line.
    file
        CSV, JSON lines or Parquet with a column ``id`` (or ``key``, or the key column's name) and one ``label`` (or the label
        column's name), and perhaps ``at``: when the label became true; and ``corrects``: the label that it replaces.
    """
    return FedBack(line=line, **hand_in(factory, line, file))


Row = Annotated[
    str,
    msgspec.Meta(
        max_length=2**16, description="a JSON object of values by column, at most 65,536 characters"
    ),
]


@operation(permission="predict", effect="read")
def request_form(factory: Factory, line: str, /) -> RequestForm:
    """Say what a row that asks a line may hold: types, values, ranges and an example.

    Parameters
    ----------
    line
        Name of the line; its champion is meant.
    """
    return form_of(factory, line)


@operation(permission="predict", effect="read", expensive=True)
def try_(factory: Factory, line: str, /, *, row: Row) -> Tried:
    """Answer one row without logging it, say why, and find what would change the answer.

    The answer is the champion's. Values that recent rows have are tried in one column after the other, all else as it is; no more than
    5,000 rows are predicted for that.

    Parameters
    ----------
    line
        Name of the line.
    row
        The row, a JSON object such as ``{"Age": 41}``; numbers may be written as texts.
    """
    try:
        asked = msgspec.json.decode(row, type=dict[str, Any])
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise RequestError(
            f"not a row: {error}", where="--row", found=row[:80], allowed="a JSON object of values by column"
        ) from error
    return try_row(factory, line, asked)


class PredictedJob(msgspec.Struct, frozen=True, kw_only=True):
    """What became of predictions that a line file names."""

    line: str
    job: str
    model: str
    """As ``LINE@VERSION``."""
    run: str
    """Id that each of the answers has."""
    rows: int
    """Answers that were written."""
    only_new: bool
    """Whether rows were left out that the source had the time before."""
    to: str
    """Destination of the answers, without secrets; empty if there were none to write."""
    quarantined: int
    """Rows that break the contract."""
    reasons: tuple[str, ...]
    """Place and reason of the first of them; none if you may not see rows."""


@operation(permission="run", effect="act", expensive=True)
def predict_job(factory: Factory, line: str, job: str, /, *, all: bool = False) -> PredictedJob:  # noqa: A002 -- the word of the command
    """Make predictions that a line file names under `predict` now, and write them to their destination.

    They are the same that `up` makes on their schedule. All answers are logged and written, or none; a run that was interrupted is
    finished, and nothing is written twice.

    Parameters
    ----------
    line
        Name of the line.
    job
        Name of the predictions in its file.
    all
        Predict for all rows, also if the line file asks for new ones.
    """
    done, reasons = make_predictions(factory, line, job, everything=all)
    record_job(factory, done)
    is_masked = not factory.may("view-personal", None) and bool(hidden_columns(factory, line))
    may_quote = factory.may("view-rows", line) and not is_masked
    return PredictedJob(
        line=done.line,
        job=done.job,
        model=f"{done.line}@{done.model}",
        run=done.run,
        rows=done.rows,
        only_new=done.only_new,
        to=done.to,
        quarantined=done.quarantined,
        reasons=reasons if may_quote else (),
    )
