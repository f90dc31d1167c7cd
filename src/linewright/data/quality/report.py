"""Look at a table before anything is declared: what each column is, and what a person should know about it."""

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from linewright.data.leakage.derived_columns import find_kin
from linewright.data.leakage.label_threshold import find_thresholds
from linewright.data.leakage.single_column import (
    ASKED,
    Suspect,
    find_as_bare,
    find_rare_values,
    find_stand_outs,
    find_suspects,
    strengths_by_class,
)
from linewright.data.leakage.text_terms import telling_words
from linewright.data.profile.association import Truth, cells, strength
from linewright.data.profile.column import UNUSABLE, Seen, misfit_evidence, see_all
from linewright.data.profile.label import FEWEST_ROWS, LabelProfile, describe_label, without_rare
from linewright.data.profile.outliers import REPEATED, Outliers, find_outliers
from linewright.data.profile.roles import (
    Roles,
    choose_roles,
    id_evidence,
    name_doubt,
    numbers_rows,
    time_doubt,
    too_few_groups,
    weight_evidence,
)
from linewright.data.quality.redundant import Twin, find_sentinels, find_twins, moves_with
from linewright.data.quality.row_order import YearAndMonth, find_order, find_year_and_month
from linewright.data.quality.rows import VerdictKind, near_constant_evidence, sorted_evidence
from linewright.data.read.locate import Where, nowhere
from linewright.data.types import NUMBERS, TIMES
from linewright.errors import RequestError
from linewright.text.suggest import listed, nearest

SAMPLE_ROWS = 50_000
MOST_LEVELS = 30


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person should know about a column, with its evidence."""

    verdict: VerdictKind
    evidence: str
    """One sentence with numbers."""
    exclude: bool
    """Whether a model should not see the column unless a person knows better."""


class ColumnProfile(msgspec.Struct, frozen=True, kw_only=True):
    """What one column holds. Everything but `strength` is counted on all rows."""

    name: str
    type: str
    """A type of the contract; `unusable` where the table cannot hold it."""
    format: str | None
    """strptime format of dates that are not ISO 8601."""
    missing: int
    distinct: int
    """Different values, missing ones not counted."""
    low: str | None
    high: str | None
    """Smallest and largest number, date or time, as text; a number that is told as an outlier does not count."""
    levels: tuple[tuple[str, int], ...]
    """Values with their counts, most frequent first; empty where there are more than 30."""
    examples: tuple[str, ...]
    strength: float | None
    """How well the column alone tells the label, see `association.strength`; `None` where that says nothing."""
    verdicts: tuple[Verdict, ...]

    @property
    def exclude(self) -> bool:
        """Whether a verdict says that a model should not see the column."""
        return any(verdict.exclude for verdict in self.verdicts)


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """What a table holds, and what part each column plays."""

    rows: int
    looked_at: int
    """Rows that `strength` and the verdicts on leaks rest on."""
    label: LabelProfile
    columns: tuple[ColumnProfile, ...]
    roles: Roles
    repeated: int
    """Rows that are equal to an earlier one in every column."""
    order: str
    """What the rows are sorted by, in a sentence; empty where that is nothing to speak of."""
    may_be_time: str | None = None
    """A number in whose order the rows lie, where no column has the part of the time."""
    year_and_month: YearAndMonth | None = None
    """Two columns that may be the time together, where no other may."""

    def column(self, name: str) -> ColumnProfile:
        """Return the profile of a column."""
        return next(column for column in self.columns if column.name == name)


def look(
    frame: pl.DataFrame,
    *,
    label: str,
    positive: str | None = None,
    time: str | None = None,
    group: str | None = None,
    key: str | None = None,
    weight: str | None = None,
    exclude: Sequence[str] = (),
    seen: Mapping[str, Seen] | None = None,
    where: Where = nowhere,
    source: str = "SOURCE",
) -> Profile:
    """Say what each column of a table is: its type, its range, its part, and what is suspicious about it.

    Parameters
    ----------
    frame
        Rows as read: text, or native types.
    label
        Column that is to be predicted.
    positive
        For two classes: the value whose probability is wanted, as spelled in the data.
    time, group, key, weight
        Columns with a part, where a person knows them; time, group and key are looked for otherwise.
    exclude
        Columns that a model shall not see, whatever they hold.
    seen
        The columns, where somebody has looked at them already.
    where
        Says where in the source a value stands.
    source
        What SQL calls the table, for messages.

    Returns
    -------
    Profile
        The same for the same frame. Leaks are judged on at most 50,000 rows.

    Raises
    ------
    RequestError
        If a column does not exist (the nearest is named), a label has fewer than two classes or is missing everywhere,
        `positive` is not one of its two values, or a column does not suit its part.

    Examples
    --------
    >>> frame = pl.DataFrame({"age": [str(20 + i % 40) for i in range(200)], "paid": ["no", "yes"] * 100})
    >>> profile = look(frame, label="paid")
    >>> profile.label.form, profile.label.positive, profile.column("age").type
    ('binary', 'yes', 'integer')
    """
    named = {"label": label, "time": time, "group": group, "key": key, "weight": weight}
    _refuse_unknown(frame, named, exclude)
    seen = see_all(frame, names=(key, group)) if seen is None else seen
    spelled = (
        frame[label].set(seen[label].values.is_null(), None) if len(seen[label].misfits) else frame[label]
    )
    about = describe_label(spelled, seen[label], positive, source=source)
    roles = choose_roles(seen, label=label, time=time, group=group, key=key, weight=weight, exclude=exclude)
    strengths, verdicts = judge(seen, spelled, about, roles, unseen=exclude)
    for name, column in seen.items():
        if name not in exclude and not any(verdict.exclude for verdict in verdicts[name]):
            verdicts[name] = (*verdicts[name], *_set_aside(column, where))
            if name not in {label, *roles.parts} and (out := _slips(column)):
                verdicts[name] = (*verdicts[name], _outlier(column, out, where))
    order = find_order(seen, label, (key, roles.group, roles.weight)) if roles.time is None else None
    if order is not None and not order.is_time:
        name, is_id = order.column, numbers_rows(seen[order.column])
        roles = msgspec.structs.replace(
            roles, time_because=f"{roles.time_because}; {_in_order(name, is_id=is_id)}"
        )
        if not is_id:
            says = f"{order.evidence}: if it grows with time, `new` with --time {shlex.quote(name)} tests on the latest"
            verdicts[name] = (*verdicts[name], Verdict(verdict="order", evidence=says, exclude=False))
    may_be_time = order.column if order is not None and order.is_time else None
    columns = [_profile(column, strengths.get(name), verdicts[name]) for name, column in seen.items()]
    return Profile(
        rows=frame.height,
        looked_at=len(sampled(spelled)),
        label=about,
        columns=tuple(columns),
        roles=roles,
        repeated=_repeated(frame, seen),
        order=_order(about, seen, roles),
        may_be_time=may_be_time,
        year_and_month=find_year_and_month(seen, label, roles.parts)
        if roles.time is None and may_be_time is None
        else None,
    )


def judge(
    seen: Mapping[str, Seen],
    label: pl.Series,
    about: LabelProfile,
    roles: Roles,
    *,
    unseen: Collection[str] = (),
    of: int | None = None,
) -> tuple[dict[str, float], dict[str, tuple[Verdict, ...]]]:
    """Return how well each column alone tells the label, and what a person should know about it.

    Parameters
    ----------
    seen
        All columns by name.
    label
        The label as spelled.
    about
        What it asks for.
    roles
        Columns with a part.
    unseen
        Columns that no model sees in any case: what is better than the others is not hidden by them.
    of
        How many rows the table has, where `seen` is a sample of them.
    """
    twins = find_twins(seen)
    equal = [name for name, twin in twins.items() if twin.is_equal and twin.of != about.column]
    strengths, suspects = _judge(
        seen, label, about, roles, sample=sampled(label), unseen={*unseen, *equal}, of=of or len(label)
    )
    sentinels = find_sentinels(seen, twins)
    known = label.is_not_null()
    return strengths, {
        name: (
            *_sameness(column, known if name not in {about.column, *roles.parts} else None),
            *_verdicts(
                column,
                suspects.get(name),
                twins.get(name),
                about,
                roles,
                time=seen.get(roles.time or ""),
                sentinel=sentinels.get(name),
            ),
        )
        for name, column in seen.items()
    }


def _in_order(name: str, *, is_id: bool) -> str:
    """Say of a number that nothing calls a time that the rows lie in its order."""
    if is_id:
        return (
            f"{name} numbers the rows in the order of the file: if they were numbered as they came in, "
            f"`new` with --time {shlex.quote(name)} tests on the latest"
        )
    return f"the rows lie in the order of {name}, see there"


def _refuse_unknown(frame: pl.DataFrame, named: Mapping[str, str | None], exclude: Sequence[str]) -> None:
    wanted = [
        *((f"--{part}", name) for part, name in named.items()),
        *(("--exclude", name) for name in exclude),
    ]
    for option, name in wanted:
        if name is not None and name not in frame.columns:
            near = nearest(name, frame.columns)
            raise RequestError(
                "the data has no such column",
                where=option,
                found=name,
                allowed=listed(frame.columns),
                hint=f"did you mean {near!r}?" if near else "",
            )
    parts: dict[str, str] = {}
    for option, name in wanted:
        if name in parts and {option, parts[name]} != {"--key", "--group"}:
            raise RequestError(
                f"one column has two parts: {parts[name]} and {option}", where=option, found=name
            )
        if name is not None:
            parts[name] = option


def sampled(label: pl.Series) -> npt.NDArray[np.int64]:
    """Return the rows that verdicts on leaks rest on: those with a label, at most 50,000 of them, in the order of the file."""
    rows = np.flatnonzero(label.is_not_null().to_numpy())
    if len(rows) > SAMPLE_ROWS:
        rows = np.sort(np.random.default_rng(0).choice(rows, SAMPLE_ROWS, replace=False))
    return rows


def _judge(
    seen: Mapping[str, Seen],
    label: pl.Series,
    about: LabelProfile,
    roles: Roles,
    *,
    sample: npt.NDArray[np.int64],
    unseen: Collection[str],
    of: int,
) -> tuple[dict[str, float], dict[str, Suspect]]:
    is_sample = len(sample) == SAMPLE_ROWS or len(label) < of
    looked_at = len(sample)
    about, sample = _without_rare(about, label, sample)
    truth = _truth(about, seen[about.column].values.gather(sample), label.gather(sample))
    judged = {
        name: column
        for name, column in seen.items()
        if name not in {about.column, *roles.parts} and column.distinct and not id_evidence(column)
    }
    texts = [name for name, column in judged.items() if column.type == "text" and name not in unseen]
    values = {name: column.values.gather(sample) for name, column in judged.items() if column.type != "text"}
    cut = {name: cells(column) for name, column in values.items()}
    strengths = {name: strength(cell, truth) for name, cell in cut.items()}
    time = seen[roles.time].values.gather(sample) if roles.time else None
    by_class = strengths_by_class(truth, cut)
    suspects = find_suspects(truth, values, cut, strengths, time=time)
    suspects |= find_stand_outs(
        truth, {n: value for n, value in strengths.items() if n not in suspects}, by_class
    )
    typed = seen[about.column].values.gather(sample)
    suspects |= find_kin(truth, values, suspects, typed, time=time)
    # What other columns have given away, or a person has left out, hides no leak among those that a model would see.
    told = {name: one for name, one in suspects.items() if one.kind != "strong" or name in unseen}
    left = {name: value for name, value in strengths.items() if name not in told and name not in unseen}
    asked = find_rare_values(truth, {name: values[name] for name in left})
    leaks = {name for name, one in told.items() if one.kind == "leak"}
    beside = [seen[name] for name in values if name not in leaks and name not in unseen]
    worded = _of_texts(seen, truth, roles, sample, names=texts, beside=beside)
    far = find_stand_outs(truth, left, by_class)
    if truth.form == "number":
        # Where it parts the label says more of a column than how far it tells it.
        among = {name: values[name] for name in left if name not in far or far[name].kind != "leak"}
        parted = find_thresholds(typed, among)
        far |= {name: Suspect(kind="strong", evidence=f"{says}: {ASKED}") for name, says in parted.items()}
    suspects = told | asked | far | worded
    if is_sample:
        suspects = {name: _of_a_sample(suspect, looked_at, of) for name, suspect in suspects.items()}
    late = find_as_bare(label, {name: seen[name].values for name in values})
    return strengths, {
        **late,
        **{name: one for name, one in suspects.items() if name not in late or one.kind == "leak"},
    }


def _of_texts(
    seen: Mapping[str, Seen],
    truth: Truth,
    roles: Roles,
    sample: npt.NDArray[np.int64],
    *,
    names: Sequence[str],
    beside: Iterable[Seen],
) -> dict[str, Suspect]:
    """Ask of texts whose words tell a class when they were written.

    Nothing is asked of a text with no other feature `beside` it: whether a message is spam it alone says, and there was nothing before.
    """
    varied = (
        one for one in beside if one.distinct + (one.missing > 0) > 1 and not near_constant_evidence(one)
    )
    if not names or (len(names) == 1 and next(varied, None) is None):
        return {}
    group = seen[roles.group].values.gather(sample) if roles.group else None
    says = {name: telling_words(truth, seen[name].values.gather(sample), group) for name in names}
    return {
        name: Suspect(kind="strong", evidence=f"{told}: was it written before that was known?")
        for name, told in says.items()
        if told
    }


def _without_rare(
    about: LabelProfile, label: pl.Series, sample: npt.NDArray[np.int64]
) -> tuple[LabelProfile, npt.NDArray[np.int64]]:
    """Set the classes aside that are too rare to be learned: three typing errors made another label of one of two classes, and hid its leaks."""
    kept = without_rare(about, FEWEST_ROWS)
    if kept is about:
        return about, sample
    names = [name for name, _ in kept.classes]
    return kept, sample[label.gather(sample).cast(pl.String).is_in(names).to_numpy()]


def _of_a_sample(suspect: Suspect, looked_at: int, rows: int) -> Suspect:
    says = f"{suspect.evidence} (seen in a sample of {looked_at:,} of {rows:,} rows)"
    return replace(suspect, evidence=says)


def _truth(about: LabelProfile, typed: pl.Series, spelled: pl.Series) -> Truth:
    if about.form == "number":
        ranks = typed.cast(pl.Float64).rank("average").to_numpy()
        zeros = np.zeros(len(ranks), dtype=np.int64)
        return Truth(form="number", codes=zeros, ranks=(ranks - 0.5) / len(ranks), classes=())
    names = [name for name, _ in about.classes]
    if about.positive is not None:
        names = sorted(names, key=lambda name: name == about.positive)
    codes = spelled.cast(pl.String).cast(pl.Enum(names)).to_physical().cast(pl.Int64).to_numpy()
    return Truth(form=about.form, codes=codes, ranks=np.zeros(len(codes)), classes=tuple(names))


def _sameness(column: Seen, known: pl.Series | None) -> Iterator[Verdict]:
    """Tell of a feature whose rows hardly differ, as far as a model sees them: those `known` to have a label."""
    if column.type == UNUSABLE:
        return
    of = ""
    if known is not None and not known.all():
        column, of = column.where(known), " with a label"
    if not column.present:
        yield Verdict(verdict="empty", evidence=f"it has no value in any row{of}", exclude=True)
    elif column.distinct == 1 and not column.missing:
        value = str(column.values[0])[:40]
        yield Verdict(
            verdict="constant", evidence=f"every row{of} has the same value, {value!r}", exclude=True
        )
    elif known is not None and (evidence := near_constant_evidence(column)):
        says = f"among the rows{of}, {evidence}" if of else evidence
        yield Verdict(verdict="near constant", evidence=says, exclude=False)


def _verdicts(
    column: Seen,
    suspect: Suspect | None,
    twin: Twin | None,
    label: LabelProfile,
    roles: Roles,
    *,
    time: Seen | None,
    sentinel: str | None,
) -> Iterator[Verdict]:
    if column.type == UNUSABLE:
        yield Verdict(verdict="unusable", evidence=column.because, exclude=False)
    elif column.name != label.column and column.distinct + (column.missing > 0) > 1:
        says = "" if time is None or column.name in roles.parts else moves_with(column, time)
        if says:
            yield Verdict(verdict="twin", evidence=says, exclude=True)
            twin, suspect = None, suspect if suspect and suspect.kind == "leak" else None
        yield from _part_verdicts(column, suspect, twin, label, roles)
    is_seen = column.name not in {label.column, *roles.parts} and column.distinct > 1
    is_suspect = suspect is not None and suspect.kind in {"leak", "later"}
    if is_seen and not is_suspect and (evidence := name_doubt(column)):
        yield Verdict(verdict="name", evidence=evidence, exclude=False)
    if column.type == "text":
        says = f"free text: {column.because}; a model reads what it looks like and up to 32 directions of its words"
        yield Verdict(verdict="text", evidence=says, exclude=False)
    if sentinel is not None:
        yield Verdict(verdict="sentinel", evidence=sentinel, exclude=False)
    if column.name == roles.group and roles.time is None and (evidence := too_few_groups(column.distinct)):
        yield Verdict(verdict="few groups", evidence=evidence, exclude=False)
    if column.name == roles.time and (evidence := time_doubt(column)):
        yield Verdict(verdict="doubtful time", evidence=evidence, exclude=False)


def _set_aside(column: Seen, where: Where) -> Iterator[Verdict]:
    """Tell of the rows that a contract with the column's type will keep out."""
    if column.type != UNUSABLE and (evidence := misfit_evidence(column, where)):
        rows = "its row is" if len(column.misfits) == 1 else "their rows are"
        yield Verdict(
            verdict="bad cells", evidence=f"{evidence}; {rows} set aside (quarantine)", exclude=False
        )


def _slips(column: Seen) -> Outliers | None:
    """Return the outliers of a column whose rows are too few to mean "no value"; what may mean it is within the range."""
    out = find_outliers(column)
    few = (
        [(value, rows) for value, rows in zip(out.values, out.rows, strict=True) if rows < REPEATED]
        if out
        else []
    )
    if out is None or not few:
        return None
    often = [value for value in out.values if value not in dict(few)]
    values, rows = zip(*few, strict=True)
    return Outliers(values, rows, min(out.low, *often, out.low), max(out.high, *often, out.high))


def _outlier(column: Seen, out: Outliers, where: Where) -> Verdict:
    texts = column.found.filter(column.values.is_in(out.values)).cast(pl.String).unique(maintain_order=True)
    many, place = sum(out.rows), where(column.name, texts.to_list())
    says = f"{' and '.join(map(str, out.values))} in {many:,} row{'' if many == 1 else 's'}{f' ({place})' if place else ''}"
    lies, rows = ("lies", "its row is") if many == 1 else ("lie", "their rows are")
    evidence = (
        f"{says} {lies} far outside of all others ({out.low} to {out.high}); {rows} set aside (quarantine)"
    )
    return Verdict(verdict="outlier", evidence=evidence, exclude=False)


def _part_verdicts(
    column: Seen, suspect: Suspect | None, twin: Twin | None, label: LabelProfile, roles: Roles
) -> Iterator[Verdict]:
    has_part = column.name in roles.parts
    if evidence := id_evidence(column):
        yield Verdict(verdict="id", evidence=evidence, exclude=not has_part)
    elif (evidence := weight_evidence(column)) and not has_part:
        yield Verdict(verdict="weight", evidence=evidence, exclude=True)
    elif twin is not None and twin.of == label.column:
        yield Verdict(verdict="leak", evidence="it is the label: " + twin.evidence, exclude=True)
        return
    elif suspect is not None:
        yield Verdict(verdict=suspect.kind, evidence=suspect.evidence, exclude=suspect.kind == "leak")
    if twin is not None and not has_part:
        way_out = f"; --exclude {column.name} (table.exclude) loses nothing"
        says = twin.evidence + ("" if twin.is_equal else way_out)
        yield Verdict(verdict="twin", evidence=says, exclude=twin.is_equal)


def _profile(column: Seen, value: float | None, verdicts: tuple[Verdict, ...]) -> ColumnProfile:
    levels: tuple[tuple[str, int], ...] = ()
    if column.type in {"category", "boolean"} and 0 < column.distinct <= MOST_LEVELS:
        counts = column.values.drop_nulls().cast(pl.String).to_frame("level").group_by("level").len("rows")
        levels = tuple(counts.sort(["rows", "level"], descending=[True, False]).iter_rows())
    has_range = column.type in NUMBERS | TIMES and column.present
    out = _slips(column) if any(verdict.verdict == "outlier" for verdict in verdicts) else None
    low, high = (out.low, out.high) if out else _ends(column) if has_range else (None, None)
    examples = column.values.drop_nulls().head(200).unique(maintain_order=True).head(3).to_list()
    return ColumnProfile(
        name=column.name,
        type=column.type,
        format=column.format,
        missing=column.missing,
        distinct=column.distinct,
        low=None if low is None else str(low),
        high=None if high is None else str(high),
        levels=levels,
        examples=tuple(str(example) for example in examples),
        strength=value,
        verdicts=verdicts,
    )


def _ends(column: Seen) -> tuple[object, object]:
    return column.values.min(), column.values.max()


def _repeated(frame: pl.DataFrame, seen: Mapping[str, Seen]) -> int:
    if any(column.is_unique for column in seen.values()):
        return 0
    return frame.height - frame.select(name for name in seen if seen[name].type != UNUSABLE).n_unique()


def _order(label: LabelProfile, seen: Mapping[str, Seen], roles: Roles) -> str:
    time = seen[roles.time].values if roles.time else None
    if time is not None and time.is_sorted():
        return f"the rows are in the order of {roles.time!r}"
    return sorted_evidence(seen[label.column].values, is_class=label.form != "number")
