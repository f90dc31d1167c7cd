"""What `new` finds out about a model that somebody brings: its columns and classes in the table that was looked at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from linewright.data.checks.look import ColumnProfile, Profile
from linewright.data.profile.column import UNUSABLE
from linewright.errors import RequestError
from linewright.model.imported.match_columns import Match, match
from linewright.model.imported.mlflow import DESCRIPTION, Described, describe
from linewright.model.imported.onnx_file import (
    MOST_BYTES,
    Given,
    choose_output,
    require_answers,
    spelled_classes,
)
from linewright.model.imported.sandbox import tried
from linewright.model.task_facts import task_of

OPTION = "--model"
COLUMNS = "--columns"


@dataclass(frozen=True, kw_only=True)
class Brought:
    """An imported model, as the line file says it, with the reasons."""

    file: str
    """Path as the line file has it."""
    is_outside: bool
    """Whether it lies outside the factory's folder."""
    columns: tuple[str, ...]
    """Every column that it reads."""
    columns_said: bool
    """Whether the line file has to name them, because the model does not."""
    columns_because: str
    columns_guessed: bool
    """Whether nothing but the order of the table says which column is which."""
    classes: tuple[str, ...]
    """Classes that the line file has to name; empty where the model spells them as the data do."""
    classes_because: str
    made_by: str
    """Whose file it is, in a few words."""


def bring(
    root: Path, file: Path, profile: Profile, exclude: Sequence[str], columns: Sequence[str] = ()
) -> tuple[Brought, Profile]:
    """Look at a model, and find its columns and classes in a table."""
    described = _described(file)
    found, data = read_model(described.file if described else file)
    given = tried(data, where=f"{OPTION} {file}")
    signed = _signed(given, described.columns) if described else ()
    profile = _as_read(profile, given, columns or signed)
    reads = _match(given, profile, exclude, signed, columns)
    _refuse_unreadable(reads, profile, exclude)
    label = profile.label
    require_answers(given, task_of(label.form), where=OPTION)
    choose_output(given, task_of(label.form), wanted=None, where=OPTION)
    classes, because = _classes(given, [name for name, _ in label.classes]) if label.classes else ((), "")
    home = root.resolve()
    is_outside = not found.is_relative_to(home)
    return Brought(
        file=str(found) if is_outside else found.relative_to(home).as_posix(),
        is_outside=is_outside,
        columns=reads.columns,
        columns_said=reads.columns != tuple(one.name for one in given.inputs),
        columns_because=reads.because,
        columns_guessed=reads.is_guessed,
        classes=classes,
        classes_because=because,
        made_by=_made_by(given),
    ), profile


def _made_by(given: Given) -> str:
    made_by = " ".join(word for word in (given.producer, given.producer_version) if word)
    if given.library:
        return f"a file of {made_by}"
    return f"an ONNX file of {made_by}" if made_by else "an ONNX file"


def _described(file: Path) -> Described | None:
    folder = file.expanduser()
    return describe(folder, where=OPTION) if (folder / DESCRIPTION).is_file() else None


def _signed(given: Given, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the columns of a signature where the model does not say them, or not as they are spelled."""
    said = given.columns or tuple(one.name for one in given.inputs if given.library)
    is_respelled = said != columns and said == tuple(name.replace(" ", "_") for name in columns)
    is_wide = len(given.inputs) == 1 and given.inputs[0].width != 1 and not given.columns
    return columns if is_wide or (given.library and is_respelled) else ()


def read_model(file: Path) -> tuple[Path, bytes]:
    """Return the real path of the file of a model, and its bytes."""
    found = file.expanduser().resolve()
    if not found.is_file():
        what = "this is not a file" if found.exists() else "there is no such file"
        raise RequestError(
            what,
            where=OPTION,
            found=str(file),
            allowed="a file of ONNX, LightGBM or XGBoost, or the folder of an MLflow model that has one",
            hint="export the model to ONNX, for example with skl2onnx",
        )
    if found.stat().st_size > MOST_BYTES:
        raise RequestError(
            "the model is too large",
            where=OPTION,
            found=found.stat().st_size,
            allowed=f"at most {MOST_BYTES:,} bytes",
        )
    return found, found.read_bytes()


def _as_read(profile: Profile, given: Given, named: Sequence[str]) -> Profile:
    """Make categories of the columns that the model reads as text, so that it gets them as they are spelled."""
    names = named if len(named) == len(given.inputs) else [one.name for one in given.inputs]
    inputs = zip(names, given.inputs, strict=True)
    texts = {name for name, one in inputs if one.dtype == "string" and one.width == 1}
    columns = tuple(
        msgspec.structs.replace(column, type="category", format=None)
        if column.name in texts and column.type not in ("text", UNUSABLE)
        else column
        for column in profile.columns
    )
    return msgspec.structs.replace(profile, columns=columns)


def _match(
    given: Given, profile: Profile, exclude: Sequence[str], signed: Sequence[str], named: Sequence[str]
) -> Match:
    """Match with the columns that a person names, or the signature; else with all columns that have no other part; where that does not fit, without those that `look` leaves out."""
    types: Mapping[str, str] = {column.name: column.type for column in profile.columns}
    apart = {*profile.roles.parts, profile.label.column, *exclude}
    usable = [column for column in profile.columns if column.name not in apart]
    if named:
        found = match(given, types, usable=_named(usable), named=named, where=COLUMNS)
        return msgspec.structs.replace(found, because="you named them")
    if signed:
        found = match(given, types, usable=_named(usable), named=signed, where=OPTION)
        return msgspec.structs.replace(found, because="the signature of the MLflow model names them")
    try:
        return match(given, types, usable=_named(usable), named=(), where=OPTION)
    except RequestError:
        kept = [column for column in usable if not column.exclude]
        if len(kept) == len(usable):
            raise
        try:
            return match(given, types, usable=_named(kept), named=(), where=OPTION)
        except RequestError:
            pass
        raise


def _named(columns: Sequence[ColumnProfile]) -> list[str]:
    return [column.name for column in columns]


def _refuse_unreadable(reads: Match, profile: Profile, exclude: Sequence[str]) -> None:
    for name, dtype in zip(reads.columns, reads.dtypes, strict=True):
        if name == profile.label.column or name in exclude:
            raise RequestError(
                "the model reads the label"
                if name == profile.label.column
                else "the model reads a column that you exclude",
                where=OPTION,
                found=name,
                hint="bring a model that does not"
                if name == profile.label.column
                else "leave it out of --exclude",
            )
        missing = profile.column(name).missing
        if missing and dtype in ("int64", "bool"):
            raise RequestError(
                "the model reads a column that cannot be missing for it, and is",
                where=f"{OPTION}: column {name!r}",
                found=f"{missing:,} rows without a value",
                allowed=f"a value in every row, for the model reads {dtype}",
                hint="export the model with a float input for this column",
            )


def _classes(given: Given, labels: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Return the classes that the line file has to name, and why."""
    if given.codes:
        return _coded(given, labels)
    if not given.classes:
        return (
            tuple(sorted(labels)),
            "the model does not say its classes: these are in the order of spelling, as scikit-learn sorts them; check it",
        )
    if set(labels) <= set(given.classes):
        return (), ""
    by_value = {value: label for label in labels if (value := _number(label)) is not None}
    values = [_number(name) for name in given.classes]
    said = tuple(
        name if value is None else by_value.get(value, name)
        for name, value in zip(given.classes, values, strict=True)
    )
    spelled_classes(given.classes, labels, said=said, where=OPTION)
    return said, f"the model says {', '.join(given.classes)}; this is how the data spell them"


def _coded(given: Given, labels: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Return how the data spell the classes 0, 1, 2, … of a model."""
    spelled = {value: label for label in labels if (value := _number(label)) is not None}
    is_of_two = len(labels) == 2 != given.codes
    if not is_of_two and len(spelled) == len(labels) and spelled.keys() <= set(range(given.codes)):
        return (
            tuple(spelled.get(code, str(code)) for code in range(given.codes)),
            f"the model has the numbers 0 to {given.codes - 1}, as the data",
        )
    if len(labels) == given.codes:
        return (
            tuple(sorted(labels, key=lambda label: (_number(label) or 0, label)))
            if len(spelled) == len(labels)
            else tuple(sorted(labels)),
            f"the model has the numbers 0 to {given.codes - 1}: these are in the order of scikit-learn's LabelEncoder; check it",
        )
    raise RequestError(
        "the model has another number of classes than the data",
        where=OPTION,
        found=f"{len(labels)} labels: {', '.join(map(repr, labels[:10]))}",
        allowed=f"{given.codes} classes",
        hint="bring rows with a label of each class, or spell labels as the model has them: 0, 1, 2, …",
    )


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
