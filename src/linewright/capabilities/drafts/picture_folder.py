"""A line on a folder of pictures: what each shows is the name of its folder, and names say which belong together."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import NamedTuple

import polars as pl

from linewright.capabilities.drafts.anomaly_draft import TASK
from linewright.capabilities.drafts.draft import source_name
from linewright.data.facts import Finding
from linewright.data.profile.column import as_declared
from linewright.data.profile.label import LabelProfile, describe_label
from linewright.data.profile.roles import ENOUGH_GROUPS, GivenRoles
from linewright.data.read.files_source import PATIENT, patient_of
from linewright.errors import RequestError, SpecError
from linewright.model.pictures import decoded
from linewright.model.task_facts import task_of
from linewright.model.tasks import task as rules_of
from linewright.text.good_and_faulty import FAULTY, good_and_faulty
from linewright.text.numbers import count
from linewright.text.quoting import quoted, quoted_sentence

ENDINGS = frozenset({".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp"})
FOLDER, LABEL, THING, STATE = "folder", "label", "thing", "state"
_DICOM = frozenset({".dcm", ".dicom"})
_GOOD = frozenset({"good", "ok", "normal", "free", "pass"})
"""Names of the one folder of several whose pictures are good."""
_MOSTLY = 0.5
_LOOKED_AT = 200
"""Pictures that are opened; a run opens all."""
_LARGE = 200
"""Pixels of a side from which on 128 may be too few."""
_APART = 0.75
"""Of pictures that belong together there are fewer groups than this share of them."""
_PARTS = frozenset({"train", "training", "test", "testing", "val", "valid", "validation"})
"""Names of folders that say which pictures train and which test, and not what they show."""
_FEWEST_THINGS = 10
"""Folders below those of the classes; of fewer a fifth, which is to test, may well be none."""
_BEFORE = {
    "the last": "([^/]*)[-_ ][^/]*$",
    "the first": "([^/_ -]*)[-_ ][^/]*$",
}
"""What a name begins with, before the last or the first hyphen, underscore or blank, as an expression."""


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """Return the files of a folder, if most of them are called as pictures are; none otherwise. Hidden ones do not count."""
    if not folder.is_dir():
        return ()
    below = (path for path in sorted(folder.rglob("*")) if path.is_file())
    files = [path for path in below if not any(part[0] in "._" for part in path.relative_to(folder).parts)]
    pictures = sum(path.suffix.lower() in ENDINGS for path in files)
    return tuple(files) if pictures > _MOSTLY * len(files) else ()


class PictureDraft(NamedTuple):
    """The line file of a folder of pictures."""

    text: str
    label: LabelProfile | None
    """`None` where good pictures alone are learned from."""
    group: str | None
    split: str
    rows: int
    findings: tuple[Finding, ...]
    model: str | None = None
    """File of a network that takes the place of training."""

    @property
    def task(self) -> str:
        """What kind of answer it gives."""
        return TASK if self.label is None else task_of(self.label.form)


def draft_pictures(
    name: str,
    files: Sequence[Path],
    folder: Path,
    given: GivenRoles,
    *,
    written: str,
    model: tuple[Path, Path] | None = None,
    is_odd: bool = False,
) -> PictureDraft:
    """Look at a folder of pictures and return the line file for it, each choice with its reason as a comment."""
    _refuse_others(given)
    names = [file.relative_to(folder).as_posix() for file in files]
    side = _typical_side(files)
    is_deep = _is_class_above(names)
    labels = [one.split("/")[0] if is_deep else Path(one).parent.name for one in names]
    if {label.lower() for label in labels} <= _PARTS:
        raise RequestError(
            "the folders say which pictures train and which test, and not what they show",
            where="--data",
            found=", ".join(sorted(set(labels))),
            allowed="one folder for each class",
            hint="put the pictures of all these folders into one folder for each class; the split is made here",
        )
    is_flat = all("/" not in one for one in names)
    if is_odd or (len(set(labels)) < 2 and not is_flat):
        return _of_odd(name, names, labels, given, written=written, is_deep=is_deep)
    if any("/" not in one for one in names):
        raise RequestError(
            "nothing says what the pictures show: they are not in a folder for each class",
            where="--data",
            found=str(folder),
            hint="sort them into one folder for each class; if all are good, --task anomaly learns from these; or write a table with a column of paths and a column of labels",
        )
    column = LABEL if is_deep else FOLDER
    values = pl.Series(column, labels)
    label = describe_label(values, as_declared(column, "category", values), given.positive)
    group = _patient_in(files) or (_folder_of_thing(names) if is_deep else None) or _group_in(names)
    imported = None
    if model is not None:
        # What reads files of networks takes long to import, and few bring one.
        bring = import_module("linewright.capabilities.drafts.imported_network").bring_network
        imported = bring(*model, files, labels, is_class=rules_of(task_of(label.form)).is_class)
    train = tuple(imported.lines()) if imported else tuple(_train(side))
    text = (
        "\n".join(
            _lines(
                name, written=written, column=column, label=label, group=group, rows=len(names), train=train
            )
        )
        + "\n"
    )
    ask = Finding(check="group", severity="ask", columns=("name",), evidence={"form": "pictures", "same": ()})
    return PictureDraft(
        text=text,
        label=label,
        group=group[0] if group else None,
        split="group" if group else "random",
        rows=len(names),
        findings=() if group else (ask,),
        model=imported.file if imported else None,
    )


def _of_odd(
    name: str, names: Sequence[str], labels: Sequence[str], given: GivenRoles, *, written: str, is_deep: bool
) -> PictureDraft:
    """Return the line file of pictures of which most are good: all of them, or those of one folder."""
    folders = sorted(set(labels)) if all("/" in one for one in names) else []
    good, faulty = _good_folder(folders, given.positive)
    group = (_folder_of_thing(names) if is_deep else None) or _group_in(names)
    lines = _lines_of_odd(
        name,
        written=written,
        folders=folders,
        good=good,
        faulty=faulty,
        group=group,
        is_deep=is_deep,
        rows=len(names),
    )
    ask = Finding(check="group", severity="ask", columns=("name",), evidence={"form": "pictures", "same": ()})
    return PictureDraft(
        text="\n".join(lines) + "\n",
        label=None,
        group=group[0] if group else None,
        split="group" if group else "random",
        rows=len(names),
        findings=() if group else (ask,),
    )


def _good_folder(folders: Sequence[str], positive: str | None) -> tuple[str, str]:
    """Return the folder of good pictures, and what the others are called."""
    known = [one for one in folders if one.lower() in _GOOD]
    if len(folders) > 2 and len(known) == 1 and positive is None:
        return known[0], FAULTY if known[0] != FAULTY else "other"
    try:
        return good_and_faulty(folders, positive)
    except SpecError as error:
        raise RequestError(
            "the names of the folders do not say which has the good pictures",
            where="--data",
            found=", ".join(folders)[:200],
            allowed="one folder, two of which --positive names the faulty one, or several of which one is called good",
            hint="call the folder of good pictures `good`, or put all good ones into one folder",
        ) from error


def _lines_of_odd(
    name: str,
    *,
    written: str,
    folders: Sequence[str],
    good: str,
    faulty: str,
    group: tuple[str, str, str] | None,
    is_deep: bool,
    rows: int,
) -> Iterator[str]:
    source = source_name(name)
    yield f"# Written by `linewright new` from a look at {count(rows, 'picture')}. Each choice has its reason; change what you know better."
    yield f"# Next: linewright run {name}"
    yield f"line: {quoted(name)}"
    yield f"about: {quoted_sentence('Find pictures that are unlike the good ones, and where')}"
    yield "sources:"
    yield f"  {source}: {{files: {quoted_sentence(written)}}}  # a row a picture: its name below the folder, its bytes, and its folder"
    yield "table:"
    made = ["name", "file", FOLDER]
    if len(folders) > 1:
        of = "split_part(name, '/', 1)" if is_deep else "folder"
        spelled = good.replace("'", "''")
        made.append(
            f"case when {of} = '{spelled}' then '{spelled}' else '{faulty.replace(chr(39), chr(39) * 2)}' end as {STATE}"
        )
    if group:
        made.append(f"{group[1]} as {group[0]}")
    sql = " ".join(["select", ", ".join(made), "from", source])
    yield f"  sql: {quoted_sentence(sql)}"
    yield "  key: name"
    if group:
        yield f"  group: {group[0]}  # {group[2]}; no group is in both parts"
    else:
        yield "  # No name says which pictures belong together. If several show one part or batch, write a column of SQL and group: COLUMN."
    yield f"  exclude: [{FOLDER}]  # which pictures lie in the same one says nothing of what they show"
    if len(folders) > 1:
        yield f"label: {{column: {STATE}, positive: {quoted_sentence(faulty)}}}  # faulty pictures teach nothing; they are measured by"
    else:
        yield f"# No label: all pictures are taken for good. Pictures in a second folder, {FAULTY} say, would be measured by; make another line then."
    yield "contract:"
    yield "  columns:"
    yield "    name: {type: text, nullable: warn, unique: true}"
    yield "    file: {type: file, nullable: false}"
    if len(folders) > 1:
        yield f"    {STATE}: {{type: category, allowed: [{quoted_sentence(good)}, {quoted_sentence(faulty)}]}}"
    yield "checks: {disable: [sorted]}  # pictures come in the order of their folders, and the split does not go by it"
    yield "train:"
    because = (
        "there is one folder, of good pictures"
        if len(folders) < 2
        else "good pictures alone are learned from"
    )
    yield f"  task: {TASK}  # {because}"
    yield f"  split: {{by: {'group' if group else 'random'}, test: 0.2}}"
    yield "gates:"
    yield "  - {beats: champion, confidence: 0.95}  # while no picture is known to be faulty nothing can be compared: a person approves"
    yield "  # - {metric: false_positive_rate, at_most: 0.05}  # share of good pictures that alarm; it needs no faulty one"
    yield "# anomaly: {alarms: 0.01}  # share of good pictures that may alarm: sets the threshold"
    yield "# watch: {every: 1h}  # under `up`, each hour's pictures (size, brightness, contrast, sharpness) and answers are compared with the test part's"


def _refuse_others(given: GivenRoles) -> None:
    said = {
        "--label": given.label if given.label not in ("", FOLDER) else None,
        "--time": given.time,
        "--group": given.group,
        "--key": given.key,
        "--weight": given.weight,
        "--exclude": ", ".join(given.exclude) or None,
    }
    for option, value in said.items():
        if value is not None:
            raise RequestError(
                "a folder of pictures has name, file and folder as its columns",
                where=option,
                found=value,
                hint="leave it out, and write it into the line file; or name a table that has a column of paths",
            )


def _typical_side(files: Sequence[Path]) -> float:
    """Look at some files, and return the median of their shorter sides, in pixels."""
    step = max(1, len(files) // _LOOKED_AT)
    sides: list[int] = []
    for file in [one for one in files if one.suffix.lower() not in ENDINGS] + list(files[::step]):
        try:
            sides.append(min(decoded(file.read_bytes(), str(file)).pixels.shape[:2]))
        except RequestError as error:
            error.hint = "take it out of the folder, or repair it"
            raise
    return median(sides)


def _train(side: float) -> Iterator[str]:
    """Give the lines that say how a model is trained."""
    yield "  budget: quick  # normal tries more and sums up to three models: often better, and a minute of computing for 1,000 pictures"
    if side >= _LARGE:
        yield f"  pictures: {{sizes: [128, 224]}}  # half of the pictures have {side:,.0f} pixels a side or more: folds decide which size serves better"


def _is_class_above(names: Sequence[str]) -> bool:
    """Return whether pictures lie in a folder for each thing, and these in a folder for each class."""
    if any(one.count("/") < 2 for one in names):
        return False
    return len({one.split("/")[0] for one in names}) < len({Path(one).parent for one in names})


def _folder_of_thing(names: Sequence[str]) -> tuple[str, str, str] | None:
    """Return the column of the folder below that of the class, as `_group_in` does; `None` if there are too few to be things."""
    if len({one.split("/")[1] for one in names}) < _FEWEST_THINGS:
        return None
    return THING, "split_part(name, '/', 2)", "the name of its folder"


def _patient_in(files: Sequence[Path]) -> tuple[str, str, str] | None:
    """Return the column of the patient, as `_group_in` does; `None` if these are not files of DICOM of which several are of one."""
    if not any(file.suffix.lower() in _DICOM for file in files):
        return None
    found = [patient_of(file) for file in files]
    if None in found or len(set(found)) == len(found):
        return None
    because = (
        f"a hash of PatientID: {len(set(found)):,} of them; who can try all ids can find which has a hash"
    )
    return PATIENT, PATIENT, because


def _group_in(names: Sequence[str]) -> tuple[str, str, str] | None:
    """Return the column that says which pictures belong together, how SQL makes it, and why; `None` if no name says so."""
    stems = [Path(one).name for one in names]
    for which, expression in _BEFORE.items():
        found = [match[1] if (match := re.search(expression, stem)) else "" for stem in stems]
        groups = Counter(found)
        if "" not in groups and ENOUGH_GROUPS <= len(groups) <= _APART * len(names):
            because = f"what names begin with before {which} of - and _, such as {stems[0]!r}"
            return THING, f"regexp_extract(name, '{expression}', 1)", f"{because}: {len(groups):,} of them"
    return None


def _lines(
    name: str,
    *,
    written: str,
    column: str,
    label: LabelProfile,
    group: tuple[str, str, str] | None,
    rows: int,
    train: Sequence[str],
) -> Iterator[str]:
    source, rules = source_name(name), rules_of(task_of(label.form))
    classes = [one for one, _ in sorted(label.classes)]
    yield f"# Written by `linewright new` from a look at {count(rows, 'picture')}. Each choice has its reason; change what you know better."
    yield f"# Next: linewright run {name}"
    yield f"line: {quoted(name)}"
    yield f"about: {quoted_sentence(f'Tell from a picture which of {len(classes)} classes it shows')}"
    yield "sources:"
    is_of_patients = group is not None and group[0] == PATIENT
    asked = ", patient: true" if is_of_patients else ""
    yield f"  {source}: {{files: {quoted_sentence(written)}{asked}}}  # a row a picture: its name below the folder, its bytes, and its folder"
    yield "table:"
    if group or column == LABEL:
        made = [f"split_part(name, '/', 1) as {LABEL}"] if column == LABEL else [FOLDER]
        made += [group[0] if group[0] == group[1] else f"{group[1]} as {group[0]}"] if group else []
        sql = " ".join(["select name, file,", ", ".join(made), "from", source])
        yield f"  sql: {quoted_sentence(sql)}"
    yield "  key: name"
    if group:
        yield f"  group: {group[0]}  # {group[2]}; no group is in both parts, so that knowing one does not help"
        if is_of_patients:
            yield f"  # subject: {PATIENT}  # then `linewright forget` removes what is stored about one"
    else:
        yield "  # No name says which pictures belong together. If several show one patient, part or batch, say which by a column of SQL,"
        kept = f"name, file, split_part(name, '/', 1) as {LABEL}" if column == LABEL else "*"
        sql = f"select {kept}, split_part(name, '-', 1) as {THING} from {source}"  # noqa: S608 -- an example, for a person
        yield f"  # sql: {quoted_sentence(sql)} say, and write group: {THING}; else the score is too good."
    positive = f", positive: {quoted_sentence(label.positive)}" if label.positive is not None else ""
    because = f"  # positive: {label.positive_because}" if positive else ""
    yield f"label: {{column: {column}{positive}}}{because}"
    yield "contract:"
    yield "  columns:"
    yield "    name: {type: text, nullable: warn, unique: true}"
    yield "    file: {type: file, nullable: false}"
    yield f"    {column}: {{type: category, allowed: [{', '.join(map(quoted_sentence, classes))}]}}"
    yield "checks: {disable: [sorted]}  # pictures come in the order of their folders, and the split does not go by it"
    yield "train:"
    yield f"  task: {rules.name}  # {quoted(column)} has {label.because}"
    yield f"  metric: {rules.metrics[0]}  # {rules.headline_because}"
    yield from train
    yield f"  split: {{by: {'group' if group else 'random'}, test: 0.2}}"
    yield "gates:"
    yield "  - {beats: champion, confidence: 0.95}  # better than what serves, on pictures that neither has seen; at first, than the baseline"
    yield "# release: {approve: [owner]}  # then `run` holds, and `linewright promote` serves"
    yield "# watch: {every: 1h}  # under `up`, each hour's pictures (size, brightness, contrast, sharpness) and answers are compared with the test part's"
