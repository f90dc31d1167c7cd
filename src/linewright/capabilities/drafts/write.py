"""Write the first line file from a look at the data."""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
import polars as pl

from linewright.capabilities.drafts.anomaly_draft import TASK as ODD
from linewright.capabilities.drafts.anomaly_draft import LabelledRows, with_labels
from linewright.capabilities.drafts.database_table import ordered_by_key, table_source
from linewright.capabilities.drafts.draft import Draft, source_name, write_draft
from linewright.capabilities.drafts.event_draft import draft_events, find_events
from linewright.capabilities.drafts.fitting_views import fitting_views
from linewright.capabilities.drafts.imported_model import COLUMNS, bring
from linewright.capabilities.drafts.picture_folder import draft_pictures, pictures_in
from linewright.capabilities.drafts.remote_data import (
    OF_THIS_MACHINE,
    Access,
    delta_table,
    fetched,
    refuse_no_secret,
    url_of,
)
from linewright.capabilities.drafts.rest_pages import rest_source
from linewright.capabilities.drafts.series_draft import draft_series
from linewright.data.checks.look import Profile, look
from linewright.data.checks.registry import check_rows
from linewright.data.checks.values import Weight
from linewright.data.facts import Finding
from linewright.data.finding_text import evidence_in_words
from linewright.data.profile.column import Seen, see_all
from linewright.data.profile.label import LabelProfile
from linewright.data.profile.roles import GivenRoles
from linewright.data.read.file.csv_file import names_hint
from linewright.data.read.file.paths import files_of
from linewright.data.read.file.sniff import (
    Commas,
    commas,
    first_fields,
    looks_like_data,
    missing_spellings,
    names_apart,
    sniff,
)
from linewright.data.read.locate import place_of
from linewright.data.read.sample import sample
from linewright.data.read.source import clean, open_source, with_points
from linewright.data.spec import FUNCTION, DltSource, FileSource, LabelSpec, SourceSpec, source_specs
from linewright.data.table.survival_labels import CENSORED, with_one_label
from linewright.errors import Conflict, RequestError
from linewright.line.check.report import rows_of
from linewright.line.engines import SENTENCES, absent_modules, check_engine
from linewright.line.file.read import parse_line
from linewright.model.spec import TrainSpec
from linewright.store.files.rights import as_asked, make_asked_folder
from linewright.text.numbers import share_in_words
from linewright.text.suggest import listed, nearest

NewTask = Literal["auto", "recommend", "forecast", "anomaly"]
"""Kinds of lines that `new` makes."""
_TEST = 0.2
_HEAD = 1 << 16


class NewLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line file that was written, and what the look at the data found."""

    path: str
    task: str
    rows: int
    """Rows that were looked at."""
    of: int
    """Rows of the data; more than were looked at where all would not fit in memory."""
    columns: int
    findings: tuple[Finding, ...]
    """What the checks found: of columns, in the order of the table, then of rows."""
    excluded: tuple[str, ...]
    """Columns that no model sees, beside label, key, time, group and weight."""
    key: str | None
    time: str | None
    group: str | None
    split: str
    model: str | None = None
    """File of the model that takes the place of training."""
    by: str = ""
    """What chooses and fits the model, where that is not the built-in engine: a function of the user's, or an engine."""
    reads: tuple[str, ...] = ()
    """Columns that this model reads."""
    views: tuple[str, ...] = ()
    """Feature views that the line reads."""


def new_line(
    root: Path,
    name: str,
    data: Path,
    given: GivenRoles,
    *,
    model: Path | None = None,
    columns: Sequence[str] = (),
    python: str | None = None,
    engine: Literal["built-in", "flaml", "autogluon"] = "built-in",
    task: NewTask = "auto",
    access: Access = OF_THIS_MACHINE,
) -> NewLine:
    """Look at a table and write ``lines/NAME.yaml``, each choice with its reason as a comment."""
    path = root / "lines" / f"{name}.yaml"
    _refuse_name(name, path)
    _check_way(root, model=model, python=python, engine=engine, columns=columns)
    _refuse_with_many(given, task, model=model, python=python, engine=engine)
    folder = data.expanduser()
    if files := pictures_in(folder):
        return _of_pictures(
            root,
            name,
            path=path,
            files=files,
            folder=folder,
            given=given,
            model=model,
            is_trained=python is None
            and engine == "built-in"
            and task in ({"auto", ODD} if model is None else {"auto"}),
            is_odd=task == ODD,
        )
    _refuse_no_label(given.label, needs_label=task != ODD)
    source, is_outside, renamed = _source(root, name, data, given.label, access)
    opened = open_source(source_name(name), source, root)
    frame, rows = sample(opened)
    if not frame.height:
        raise RequestError("the data have no rows", where="--data", found=str(data))
    with_comma = commas(frame) if isinstance(source, FileSource) else Commas((), {})
    if with_comma.decimal:
        source = source.model_copy(update={"decimal": ","})
        frame = with_points(frame)
    missing = missing_spellings(frame, given.label) if given.label in frame.columns else {}
    spelled = source.with_missing((*source.missing_texts, *missing))
    if spelled is None:
        missing = {}
    elif missing:
        source, frame = spelled, clean(frame, spelled.missing_texts)
    if task in {"recommend", "forecast"}:
        seen = see_all(frame, names=(given.key, given.group))
        return _of_events_or_series(path, task, source, seen, given, rows=rows)
    where = partial(place_of, replace(opened, decimal="," if with_comma.decimal else opened.decimal))
    frame, given, odd = _as_odd(frame, given, task)
    seen, profile = _looked_at(frame, given, where, source_name(name))
    if odd is not None:
        profile = odd.without_label(profile)
    brought = None
    if model is not None:
        brought, profile = bring(root, model, profile, given.exclude, columns)
    by, because = _split(seen, profile)
    read = brought.columns if brought else ()
    views = () if model is not None else fitting_views(root, profile, given.exclude)
    kept = {*read, *(name for view in views for name in view.entities)}
    excluded = {name: why for name, why in _excluded(profile, given.exclude).items() if name not in kept}
    draft = Draft(
        name=name,
        source=ordered_by_key(source, root, profile.roles.key),
        is_outside=is_outside,
        missing=missing,
        commas=with_comma,
        profile=profile,
        of=rows,
        excluded=excluded,
        by=by,
        by_because=because,
        brought=brought,
        python=python,
        engine=engine,
        event=given.event,
        has_sentences=not absent_modules(SENTENCES),
        views=views,
        odd=odd,
    )
    # The line as it would be is looked at as `check` does, so that both find the same.
    text = write_draft(draft)
    declared = parse_line(text, name=str(path))
    of_rows = check_rows(rows_of(declared, seen, where)) if draft.has_meaning else ()
    if of_rows:
        # Only then is it another text, and to read one with thousands of columns takes seconds.
        text = write_draft(replace(draft, of_rows=of_rows))
        parse_line(text, name=str(path))
    _write(path, text)
    return NewLine(
        path=str(path),
        task=draft.task,
        rows=profile.rows,
        of=rows,
        columns=len(profile.columns),
        findings=(
            *(finding for column in profile.columns for finding in column.findings),
            *draft.doubtful_commas,
            *(_note("renamed", column, name=name) for column, name in renamed.items()),
            *_events_in(seen, given),
            *of_rows,
        ),
        excluded=tuple(excluded),
        key=profile.roles.key,
        time=profile.roles.time,
        group=profile.roles.group,
        split=by,
        model=brought.file if brought else None,
        by=python or (engine if engine != "built-in" else ""),
        reads=brought.columns if brought else (),
        views=tuple(view.view for view in views),
    )


def _as_odd(
    frame: pl.DataFrame, given: GivenRoles, task: str
) -> tuple[pl.DataFrame, GivenRoles, LabelledRows | None]:
    if task != ODD:
        return frame, given, None
    odd = with_labels(frame, given)
    return odd.frame, odd.given, odd


def _looked_at(
    frame: pl.DataFrame, given: GivenRoles, where: Callable[..., str], source: str
) -> tuple[Mapping[str, Seen], Profile]:
    about_times, frame = _timed(frame, given)
    seen = see_all(frame, names=(given.key, given.group))
    profile = look(frame, given, seen=seen, where=where, source=source)
    if about_times:
        profile = msgspec.structs.replace(profile, label=_as_time(profile, about_times))
    return seen, profile


def _timed(frame: pl.DataFrame, given: GivenRoles) -> tuple[str, pl.DataFrame]:
    """Return what a label of two columns has, in words, and the rows without the one that says what happened; nothing of another label."""
    if given.event is None or given.label not in frame.columns:
        return "", frame
    if given.event not in frame.columns:
        near = nearest(given.event, frame.columns)
        raise RequestError(
            "the data has no such column",
            where="--event",
            found=given.event,
            allowed=listed(frame.columns),
            hint=f"did you mean {near!r}?" if near else "",
        )
    if given.positive is not None:
        raise RequestError(
            "a label that is a time has no positive value",
            where="--positive",
            found=given.positive,
            hint="leave --positive out: --event says what happened",
        )
    both = LabelSpec(column=given.label, event=given.event)
    texts = with_one_label(frame, both)[given.label].drop_nulls()
    share = 1 - float(texts.str.ends_with(CENSORED).sum()) / max(len(texts), 1)
    about = f"times, at {share_in_words(share)} of which it happened; the others are censored"
    return about, frame.drop(given.event)


def _as_time(profile: Profile, because: str) -> LabelProfile:
    return msgspec.structs.replace(profile.label, form="time", because=because, largest=None)


def _of_pictures(
    root: Path,
    name: str,
    *,
    path: Path,
    files: Sequence[Path],
    folder: Path,
    given: GivenRoles,
    model: Path | None,
    is_trained: bool,
    is_odd: bool,
) -> NewLine:
    """Write the line file of a folder of pictures."""
    if not is_trained:
        raise RequestError(
            "a line on pictures is trained by the built-in engine",
            where="--python, --engine or --task",
            hint="leave it out; --model names your own network",
        )
    home = root.resolve()
    real = folder.resolve()
    written = real.relative_to(home).as_posix() if real.is_relative_to(home) else str(real)
    draft = draft_pictures(
        name, files, folder, given, written=written, model=model and (home, model), is_odd=is_odd
    )
    parse_line(draft.text, name=str(path))
    _write(path, draft.text)
    return NewLine(
        path=str(path),
        task=draft.task,
        rows=draft.rows,
        of=draft.rows,
        columns=len(("name", "file", "folder")),
        findings=draft.findings,
        excluded=(),
        key="name",
        time=None,
        group=draft.group,
        split=draft.split,
        model=draft.model,
        reads=("file",) if draft.model else (),
    )


def _refuse_with_many(
    given: GivenRoles, task: str, *, model: Path | None, python: str | None, engine: str
) -> None:
    """Refuse what is said of single rows, or chooses another model, if events or values are to become rows."""
    if task == "auto":
        return
    said = {
        "--positive": given.positive,
        "--event": given.event,
        "--key": given.key,
        "--weight": given.weight,
        "--model": model,
        "--python": python,
        "--engine": None if engine == "built-in" else engine,
    }
    if task == ODD:
        said = {name: value for name, value in said.items() if name not in {"--positive", "--key"}}
    wrong = [name for name, value in said.items() if value is not None]
    if wrong:
        raise RequestError(
            f"this is not for lines of task {task}",
            where=wrong[0],
            found=str(said[wrong[0]]),
            allowed="--label ITEM, --group USER, --time WHEN"
            if task == "recommend"
            else "--label COLUMN, --positive VALUE, --key COLUMN, --time COLUMN, --group COLUMN, --exclude COLUMNS"
            if task == ODD
            else "--label VALUE, --group SERIES, --time WHEN",
            hint="leave it out",
        )


def _of_events_or_series(
    path: Path, task: str, source: SourceSpec, seen: Mapping[str, Seen], given: GivenRoles, *, rows: int
) -> NewLine:
    """Write the line file of events or of series, which become rows."""
    name = path.stem
    if task == "recommend":
        events = draft_events(name, source, seen, given, source_name=source_name(name))
        text, time, group = events.text, events.time, events.user
    else:
        series = draft_series(name, source, seen, given, source_name=source_name(name))
        text, time, group = series.text, series.time, series.series
    parse_line(text, name=str(path))
    _write(path, text)
    return NewLine(
        path=str(path),
        task=task,
        rows=min(rows, len(next(iter(seen.values())).values)),
        of=rows,
        columns=len(seen),
        findings=(),
        excluded=(),
        key=None,
        time=time,
        group=group,
        split="time",
    )


def _check_way(
    root: Path, *, model: Path | None, python: str | None, engine: str, columns: Sequence[str]
) -> None:
    """See that a model is made in one way, that this way is there, and that columns are in an order only for an imported model."""
    if columns and model is None:
        raise RequestError(
            "only an imported model reads columns in an order",
            where=COLUMNS,
            found=", ".join(columns),
            hint="name its file with --model; to leave columns out of a model that is trained here: --exclude",
        )
    ways = {"--model": model, "--python": python, "--engine": None if engine == "built-in" else engine}
    said = [name for name, value in ways.items() if value is not None]
    if len(said) > 1:
        raise RequestError(
            "a line makes its model in one way", where=" ".join(said), allowed=f"one of {', '.join(said)}"
        )
    if python is not None and not re.fullmatch(FUNCTION, python):
        raise RequestError(
            "this names no function of a file",
            where="--python",
            found=python,
            allowed="FILE.py:FUNCTION, the file in the factory's folder",
        )
    check_engine(root.resolve(), TrainSpec.model_validate({"python": python, "engine": engine}))


def _events_in(seen: Mapping[str, Seen], given: GivenRoles) -> Iterator[Finding]:
    """Say that a table is one of events, if no task was named."""
    if (found := find_events(seen, given)) is not None:
        user, item, time = found
        yield _note("events", item, user=user, item=item, time=time)


def _note(check: str, column: str, **evidence: str) -> Finding:
    return Finding(check=check, severity="note", columns=(column,), evidence={**evidence})


def _refuse_name(name: str, path: Path) -> None:
    if not re.fullmatch(r"[a-z0-9-]{1,63}", name):
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63]
        raise RequestError(
            "this cannot be the name of a line",
            found=name,
            allowed="1 to 63 small letters, digits and hyphens",
            hint=f"{near!r} could" if near else "",
        )
    if path.exists():
        raise _exists(path)


def _exists(path: Path) -> Conflict:
    return Conflict(
        "there is a line of that name, and it is never overwritten",
        where=str(path),
        hint="choose another name, or remove the file",
    )


def _refuse_no_label(label: str, *, needs_label: bool) -> None:
    if not label and needs_label:
        raise RequestError(
            "a table does not say by itself what is to be predicted",
            where="--label",
            hint="name the column: --label COLUMN; a folder of pictures needs none, nor does --task anomaly",
        )


def _source(
    root: Path, name: str, data: Path, label: str, access: Access
) -> tuple[SourceSpec, bool, dict[str, str]]:
    """Return how the data are read, whether they lie outside the factory, and new names of columns whose name an earlier one has."""
    if re.fullmatch(FUNCTION, str(data)):
        refuse_no_secret(access.at)
        return DltSource(dlt=str(data), at=access.at), False, {}
    url = url_of(data, access.at)
    if (of_delta := delta_table(data, url, access.at, root)) is not None:
        is_outside, written = (False, url) if url else _place(root, data, is_one=True)
        return of_delta.model_copy(update={"delta": written}), is_outside, {}
    if url is not None:
        with fetched(root, source_name(name), url, access.at) as files:
            if (of_pages := rest_source(url, access.at, files[0])) is not None:
                return of_pages, False, {}
            of_files, renamed = _of_files(files, url, label)
        return of_files.model_copy(update={"at": access.at}), False, renamed
    if (of_database := table_source(root, data, access.table)) is not None:
        return of_database, False, {}
    files = files_of(str(data.expanduser()), Path.cwd(), "--data")
    is_outside, written = _place(root, data, is_one=len(files) == 1)
    if len(files) == 1 and (offered := _offered(files[0], written)) is not None:
        return offered, is_outside, {}
    of_files, renamed = _of_files(files, written, label)
    return of_files, is_outside, renamed


def _place(root: Path, data: Path, *, is_one: bool) -> tuple[bool, str]:
    """Return whether data lie outside the factory, and their path as the line file shall have it."""
    found, home = Path(os.path.abspath(data.expanduser())), root.resolve()  # noqa: PTH100 -- may be a pattern
    found = found.resolve() if is_one or found.is_dir() else found.parent.resolve() / found.name
    is_outside = not found.is_relative_to(home)
    return is_outside, str(found) if is_outside else found.relative_to(home).as_posix()


def _of_files(files: Sequence[Path], written: str, label: str) -> tuple[FileSource, dict[str, str]]:
    """Return how files are read, and new names of columns whose name an earlier one has."""
    sources = [sniff(file, written) for file in files]
    other = next((number for number, one in enumerate(sources) if one != sources[0]), None)
    if other is not None:
        raise RequestError(
            "the files are not written in the same way",
            where="--data",
            found=f"{files[0].name}: {_way(sources[0])}, {files[other].name}: {_way(sources[other])}",
            hint="name those that belong together by a pattern, e.g. 'data/*.csv'",
        )
    fields = first_fields(files[0], sources[0])
    _refuse_no_header(fields, sources[0], label)
    names = names_apart(fields)
    renamed = {name: field for name, field in zip(names, fields, strict=True) if name != field}
    source = sources[0].model_copy(update={"names": names}) if renamed else sources[0]
    return source, renamed


def _offered(file: Path, written: str) -> SourceSpec | None:
    """Return the source of another kind that takes a file for its own."""
    try:
        with file.open("rb") as opened:
            head = opened.read(_HEAD)
    except OSError:  # `sniff` says why
        return None
    offers = (kind.offered(written, head) for kind in source_specs())
    return next((source for source in offers if source is not None), None)


def _way(source: FileSource) -> str:
    return f"{source.encoding} with {source.separator!r}"


def _refuse_no_header(fields: tuple[str, ...], source: FileSource, label: str) -> None:
    if label not in fields and looks_like_data(fields):
        raise RequestError(
            "the first line looks like data: every field is a number",
            where="--data",
            found=source.separator.join(fields)[:80],
            allowed="a first line with the name of each column",
            hint=f"put one there; or, in a line file of your own, {names_hint(fields, 'header: false')}",
        )


def _split(seen: Mapping[str, Seen], profile: Profile) -> tuple[str, str]:
    """Choose the kind of split, and say why."""
    roles = profile.roles
    if roles.time is not None:
        if not (alone := _only_class(seen, profile, roles.time)):
            shared = f"; rows of one {roles.group} can be in both parts" if roles.group else ""
            return "time", f"the latest fifth by {roles.time} is the test part, as in real use{shared}"
        return (
            "random",
            f"not by time: the label is {alone} only in a fifth of the rows at one end of {roles.time}",
        )
    if roles.group is not None:
        return "group", f"no {roles.group} is in both parts, so that knowing one does not help"
    because = f"a salted hash of {roles.key or 'the whole row'} decides, so a row stays in its part"
    if profile.repeated:
        because += f"; {profile.repeated:,} rows repeat an earlier one, and equal rows stay together"
    if profile.order:
        because += f"; {profile.order}"
    return "random", because


def _only_class(seen: Mapping[str, Seen], profile: Profile, time: str) -> str | None:
    """Return the class that is alone at the early or the late end of time, where one is."""
    if profile.label.form in {"number", "time"}:
        return None
    rows = pl.DataFrame(
        {"time": seen[time].values, "label": seen[profile.label.column].values.cast(pl.String)}
    )
    known = rows.drop_nulls().sort("time")
    cut = int(len(known) * (1 - _TEST))
    for end in (known["label"].slice(cut), known["label"].head(cut)):
        if end.n_unique() < 2:
            return repr(end[0]) if len(end) else "unknown"
    return None


def _excluded(profile: Profile, exclude: Sequence[str]) -> dict[str, str]:
    """Columns that no model sees, with the evidence, in the order of the table."""
    excluded: dict[str, str] = {}
    for column in profile.columns:
        said = ["you named it"] if column.name in exclude else []
        evidence = [f"{one.check}: {evidence_in_words(one.check, one.evidence)}" for one in column.findings]
        if said or column.exclude:
            proposal = (
                [f"to use it: table.weight or `new` with --weight {column.name}"]
                if column.has(Weight.id)
                else []
            )
            excluded[column.name] = "; ".join(said + evidence + proposal)
    return excluded


def _write(path: Path, text: str) -> None:
    """Write the file whole or not at all, and never over another."""
    make_asked_folder(path.parent)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("w", encoding="utf-8") as file:
            as_asked(part)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        # `link` fails where the name exists, which `rename` would overwrite.
        path.hardlink_to(part)
    except FileExistsError:
        raise _exists(path) from None
    finally:
        part.unlink(missing_ok=True)
