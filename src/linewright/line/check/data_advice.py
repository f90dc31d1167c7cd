"""What misleads in the data of a line as its file stands, each with the line to write: said by `new` and by `check`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial

import polars as pl

from linewright.data.contract.check import Checked
from linewright.data.dataset.split import foreseen, foreseen_useless
from linewright.data.facts import LEAK, QUESTION, Column, Dataset, Finding
from linewright.data.profile.column import UNUSABLE, Seen, as_declared, percent
from linewright.data.profile.label import describe_label
from linewright.data.profile.roles import Roles
from linewright.data.quality.composite_group import NamedByTwo, find_named_by_two
from linewright.data.quality.report import Verdict, judge, sampled
from linewright.data.quality.row_order import (
    YearAndMonth,
    asked,
    asked_of_months,
    find_order,
    find_year_and_month,
)
from linewright.data.quality.rows import (
    MOST_ROWS,
    Repeats,
    Trap,
    content_sample,
    find_group,
    find_repeats,
    rare_classes,
    sorted_evidence,
    stray_classes,
)
from linewright.data.quality.unlabelled import Unlabelled, find_unlabelled
from linewright.data.read.locate import Where, nowhere
from linewright.data.types import TIMES
from linewright.errors import RequestError, SpecError
from linewright.line.column_roles import roles
from linewright.line.file.quoting import in_sql, quoted, quoted_sentence
from linewright.line.run_context import LEARNABLE, feature_columns
from linewright.line.spec import LineSpec
from linewright.model.spec import AUTO
from linewright.model.tasks import task as rules_of
from linewright.model.tasks import task_of
from linewright.text.numbers import listed

TOLD = frozenset({"near constant", "later"})
"""Verdicts on columns that `new` keeps, and that are worth a doubt."""
ASKED = frozenset({"strong", "name"})
"""Verdicts on columns that ask what only a person knows."""
_MOST_IN_SQL = 12
_MOST_NAMES = 12
_MOST_OTHERS = 5
_MOSTLY_EMPTY = 0.5
_SURELY_IN_BOTH = 20
"""Rows that the smaller part has of the second largest class on average, from which on chance leaves no part with one class only."""
_MOST_CELLS_PARTED = 2_000_000
"""Cells of a table of which copies are looked for as a run does, about two seconds of a processor."""
_MOST_CELLS = 5_000_000
"""Cells that a run looks at for leaks, about ten seconds of a processor; of a wide table it takes fewer rows."""


def seen_as_declared(frame: pl.DataFrame, columns: Iterable[Column]) -> dict[str, Seen]:
    """Return what a look at the columns of a table finds, in the types of the contract; those of other types are no features."""
    return {
        column.name: as_declared(column.name, column.type, frame[column.name])
        for column in columns
        if column.type in {*LEARNABLE, "text"}
    }


def doubts(spec: LineSpec, checked: Checked) -> tuple[Finding, ...]:
    """Return what a run says of features that are leaks, and asks of others and of groups, from some of the rows that `check` rests it on.

    `check` says it too, and who runs without a check would have a model of leaks promoted without a word.
    """
    label = checked.frame[spec.label.column]
    rows = sampled(label)
    every = max(-(-len(rows) * checked.frame.width // _MOST_CELLS), 1)
    frame = checked.frame[rows[::every]]
    seen = seen_as_declared(frame, checked.columns)
    if spec.label.column not in seen:
        return ()
    traps = column_traps(spec, seen, of=label.count())
    asked = [trap for trap in traps if trap.trap == "strong"]
    if checked.frame.height * checked.frame.width <= _MOST_CELLS:  # some of the rows do not show what repeats
        is_whole = len(frame) == checked.frame.height
        asked += _group(spec, seen if is_whole else seen_as_declared(checked.frame, checked.columns))
    doubted = partial(_doubt, rows=checked.frame.height)
    return (
        *_leak(spec, [trap for trap in traps if trap.trap == "leak"], doubted),
        *(
            doubted(", ".join(trap.columns), QUESTION, trap.to_text(), hint=trap.on_one_line)
            for trap in asked[:_MOST_OTHERS]
        ),
    )


def _leak(spec: LineSpec, leaks: Sequence[Trap], doubted: Callable[..., Finding]) -> Iterator[Finding]:
    if leaks:
        names = [name for trap in leaks for name in trap.columns]
        others = f"; {listed([repr(name) for name in names[1:]], _MOST_OTHERS)} too" if names[1:] else ""
        todo = f"write {_exclusion_of(spec, names)}"
        says = f"{names[0]}: leak: {leaks[0].evidence}{others}; unless it was known before the label, {todo}"
        yield doubted(names[0], LEAK, says, hint=todo)


def _doubt(column: str, rule: str, says: str, *, hint: str, rows: int) -> Finding:
    return Finding(
        column=column, rule=rule, failed=rows, rows=rows, first="", action="warn", says=says, hint=hint
    )


def _exclusion_of(spec: LineSpec, names: Sequence[str]) -> str:
    whole = [*spec.table.exclude, *names]
    return f"{exclusion(whole)} (under table)" if len(whole) <= _MOST_NAMES else "them under table.exclude"


def column_traps(spec: LineSpec, seen: Mapping[str, Seen], *, of: int | None = None) -> tuple[Trap, ...]:
    """Return the features of a line that a model should not see, as far as each column shows it.

    Parameters
    ----------
    spec
        The line.
    seen
        All columns of its table.
    of
        How many rows the table has, where `seen` is a sample of them.
    """
    label = seen[spec.label.column].values
    try:
        about = describe_label(label, seen[spec.label.column], None)  # any class may be the positive one here
    except RequestError:  # a label of another kind than `new` would choose, with which a run may go on
        return ()
    features = _features(spec, seen)
    _, verdicts = judge(seen, label, about, _roles_of(spec), unseen=seen.keys() - set(features), of=of)
    every = [(name, one) for name in features for one in verdicts[name]]
    sure = [(name, one) for name, one in every if one.exclude]
    told = [(name, one) for name, one in every if not one.exclude and one.verdict in TOLD]
    names = [name for name in features if name in {name for name, _ in (*sure, *told)}]
    # A column that tells the label too well is of more weight than one that tells nothing.
    return (
        *(_column_trap(spec.table.exclude, names, name, verdict) for name, verdict in sure),
        *(
            _question(spec.table.exclude, name, verdict)
            for name, verdict in every
            if verdict.verdict in ASKED
        ),
        *(_column_trap(spec.table.exclude, names, name, verdict) for name, verdict in told),
    )


def _column_trap(excluded: Sequence[str], found: Sequence[str], name: str, verdict: Verdict) -> Trap:
    whole = [*excluded, *found]
    under, line = (
        ("table", exclusion(whole)) if len(whole) <= _MOST_NAMES else ("table.exclude", f"- {quoted(name)}")
    )
    return Trap(trap=verdict.verdict, columns=(name,), evidence=verdict.evidence, under=under, line=line)


def _question(excluded: Sequence[str], name: str, verdict: Verdict) -> Trap:
    # One may be answered with yes and another with no, so each has a line of its own.
    under, line = ("table.exclude", f"- {quoted(name)}") if excluded else ("table", exclusion([name]))
    return Trap(trap=verdict.verdict, columns=(name,), evidence=verdict.evidence, under=under, line=line)


def exclusion(names: Sequence[str]) -> str:
    """Return the line of section ``table`` that keeps columns from the model."""
    return f"exclude: [{', '.join(map(quoted, names))}]"


def _roles_of(spec: LineSpec) -> Roles:
    table, said = spec.table, "the line file says so"
    return Roles(
        key=table.key,
        key_because=said,
        time=table.time,
        time_because=said,
        group=table.group,
        group_because=said,
        weight=table.weight,
        weight_because=said,
    )


def _features(spec: LineSpec, seen: Mapping[str, Seen]) -> list[str]:
    columns = tuple(Column(name=one.name, type=one.type) for one in seen.values() if one.type != UNUSABLE)
    dataset = Dataset(columns=columns, rows=0, order=(), chunks=())
    return [column.name for column in feature_columns(spec, dataset)]


def row_traps(spec: LineSpec, seen: Mapping[str, Seen], where: Where = nowhere) -> tuple[Trap, ...]:
    """Return what misleads between the rows: parts without a label, repeats in both parts, sorted rows, an order that may be one of time, rare classes, a hidden group.

    Parameters
    ----------
    where
        Says where in the source a value stands.
    """
    label = seen[spec.label.column]
    is_class = _is_class(spec, label)
    return tuple(
        trap
        for traps in (
            _group(spec, seen),
            _unlabelled(spec, seen),
            _repeats(spec, seen, is_class=is_class),
            _sorted(spec, seen, is_class=is_class),
            _order(spec, seen),
            _few_rows(spec, label, where) if is_class else (),
            _one_sided(spec, seen, is_class=is_class),
        )
        for trap in traps
    )


def _is_class(spec: LineSpec, label: Seen) -> bool:
    if spec.train.task != AUTO:
        return rules_of(spec.train.task).is_class
    try:
        return describe_label(label.values, label, None).form != "number"
    except RequestError:
        return True


def _by(spec: LineSpec) -> str:
    if spec.train.split.by != "auto":
        return spec.train.split.by
    return "time" if spec.table.time else "group" if spec.table.group else "random"


def _group(spec: LineSpec, seen: Mapping[str, Seen]) -> Iterator[Trap]:
    taken = [name for name in roles(spec).values() if name]
    if spec.table.group is None and (found := find_group(seen, taken)):
        name, says = found
        yield Trap(
            trap="group",
            columns=(name,),
            evidence=f"{says}; then none may be in both parts, or a model is asked about what it knows by heart",
            under="table",
            line=f"group: {quoted(name)}",
        )
    elif spec.table.group is None:
        outside = [*taken, *spec.table.exclude]
        if (pair := find_named_by_two(seen, spec.label.column, outside)) is not None:
            yield _named_by_two(spec, seen, pair)


def _named_by_two(spec: LineSpec, seen: Mapping[str, Seen], pair: NamedByTwo) -> Trap:
    """Ask whether two columns together name what rows belong to, and make one column of them."""
    name, beside = in_sql(pair.name), in_sql(pair.beside)
    made = f"{pair.name}_{pair.beside}"
    while made in seen:
        made += "_"
    query = _query(spec, "select *,", f"{name} || ' ' || {beside} as {in_sql(made)}")
    leave = (
        f"{exclusion([pair.name])} (under table)"
        if not spec.table.exclude
        else f"- {quoted(pair.name)} (under table.exclude)"
    )
    return Trap(
        trap="group",
        columns=(pair.name, pair.beside),
        evidence=f"{pair.evidence}. Do they? Then a split at random has rows of one in both parts, and tests what a model knows by heart: make a "
        f"column of the two, and name it as the group; where {pair.name} only says which one it is, leave it out too: {leave}",
        under="table",
        line=f"{query}\ngroup: {quoted(made)}",
    )


def _unlabelled(spec: LineSpec, seen: Mapping[str, Seen]) -> Iterator[Trap]:
    label, table = seen[spec.label.column].values, spec.table
    names = dict.fromkeys([*_features(spec, seen), *filter(None, (table.time, table.group))])
    parts = find_unlabelled(label, {name: seen[name] for name in names if name in seen}, table.time)
    if not parts:
        yield from _empty(spec, seen[spec.label.column])
        return
    lasting = [part for part in parts if part.is_last]
    others = [part for part in parts if not part.is_last]
    says = "; ".join(part.to_text(len(label)) for part in (*others, *lasting))
    todo = "leave them out, and ask for no predictions about such rows: no model has seen their truth"
    if not others:
        todo = "if their truth is still to come, label.delay says how long that takes; if not, no model has seen it"
    rows = sum(part.added for part in parts)
    yield Trap(
        trap="unlabelled",
        columns=tuple(dict.fromkeys(part.column for part in (*others, *lasting))),
        evidence=f"{says}; {todo}",
        under="table" if others else "",
        line=_query(
            spec, "select *", after=f"where {' and '.join(_outside(spec, seen, part) for part in others)}"
        )
        if others
        else "",
        rows=rows,
        share=rows / len(label),
    )


def _empty(spec: LineSpec, label: Seen) -> Iterator[Trap]:
    """Ask what an empty cell of classes means where most are empty: `effect` without a value may say that there was none."""
    share = label.missing / len(label.values)
    if label.type not in {"category", "text"} or share < _MOSTLY_EMPTY:
        return
    classes = label.values.drop_nulls().cast(pl.String).unique().sort().to_list()
    word = next(word for word in ("none", "empty", "no value") if word not in classes)
    name = in_sql(label.name)
    allowed = f"{quoted_sentence(word)} among what is allowed of {label.name!r} (under contract.columns)"
    rest = ", task: multiclass (under train), and no label.positive" if len(classes) == 2 else ""
    yield Trap(
        trap="unlabelled",
        columns=(label.name,),
        evidence=f"{percent(share)} of the rows have no label, of every kind and time: no model learns from them. If an empty cell is an answer "
        f"of its own, give it a name, with {allowed}{rest}; if their truth is not known, write nothing",
        under="table",
        line=_query(spec, f"select * replace (coalesce({name}, {_text(word)}) as {name})"),
    )


def _outside(spec: LineSpec, seen: Mapping[str, Seen], part: Unlabelled) -> str:
    """Return the condition in SQL of rows that are not of a part."""
    name = in_sql(part.column)
    if part.levels:
        return f"coalesce({name}::text, '') not in ({', '.join(_text(one) for one in part.levels)})"
    column, rule = seen[part.column], spec.contract.columns.get(part.column)
    if column.type not in TIMES:
        return f"({name} between {part.low} and {part.high}) is not true"
    how = rule.format if rule else column.format
    day = f"strptime({name}, {_text(how)})" if how else name
    return f"({day}::date between '{part.low:%Y-%m-%d}' and '{part.high:%Y-%m-%d}') is not true"


def _text(value: object) -> str:
    """Write a value as SQL compares it with a text; no value is the empty one."""
    text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
    return "'" + text.replace("'", "''") + "'"


def _repeats(spec: LineSpec, seen: Mapping[str, Seen], *, is_class: bool) -> Iterator[Trap]:
    features = _features(spec, seen)
    if not features or spec.label.columns:
        return
    rows = content_sample([seen[name].values for name in features])
    frame = pl.DataFrame([one.values.gather(rows) for one in seen.values() if one.type != UNUSABLE])
    rest = set(frame.columns) - {*features, spec.label.column, spec.table.key}
    try:
        parts = foreseen(frame, spec.train.split, spec)
    except SpecError:  # a run says why there are no parts
        return
    found = find_repeats(
        [frame[name] for name in features],
        frame[spec.label.column],
        [frame[name] for name in sorted(rest)],
        parts,
        is_class=is_class,
    )
    if found is not None:
        all_rows = len(seen[spec.label.column].values)
        sampled = f" (of a sample of {len(rows):,} of {all_rows:,} rows)" if all_rows > MOST_ROWS else ""
        under, line, why = _mended(spec, found, features)
        yield Trap(
            trap="repeats",
            columns=(),
            evidence=f"{found.rows:,} test rows ({found.share:.1%} of them{sampled}) have the very features of a training row, and "
            f"{found.same_label:.0%} of these its label too: a model that remembers looks better than it is; {why}",
            under=under,
            line=line,
            rows=found.rows,
            share=found.share,
        )


def _mended(spec: LineSpec, found: Repeats, features: Sequence[str]) -> tuple[str, str, str]:
    """Return section, line and reason of what keeps equal rows out of the other part."""
    key = in_sql(spec.table.key or "")
    if found.is_copy and spec.table.key:
        query = _query(spec, "select", f"min({key}) as {key},", f"* exclude ({key})", after="group by all")
        return "table", query, "they are equal in all but the key, so keep one of each"
    if found.is_copy:
        return "table", _query(spec, "select distinct *"), "keep one of each"
    group = spec.table.group
    if group is not None and _by(spec) == "time":
        return (
            "",
            "",
            f"drop the repeats; a split by time has rows of one {group} in both parts, as in real use",
        )
    if group is not None:
        return "", "", f"drop the repeats: rows of different {group} are alike"
    if _by(spec) != "random" or len(features) > _MOST_IN_SQL:
        return "", "", "drop the repeats, or name in table.group what such rows belong to"
    names = ", ".join(f"coalesce({in_sql(name)}::text, '')" for name in features)
    query = _query(spec, "select *,", f"md5(concat_ws('|', {names})) as alike")
    return "table", f"{query}\ngroup: alike", "rows that are alike can be made a group, which goes one way"


def _query(spec: LineSpec, *words: str, after: str = "") -> str:
    """Return the line of section ``table`` with a query over what the line's table is made of now."""
    source = f"({spec.table.sql})" if spec.table.sql else next(iter(spec.sources))
    return f"sql: {quoted_sentence(' '.join([*words, 'from', source, after]).strip())}"


def _sorted(spec: LineSpec, seen: Mapping[str, Seen], *, is_class: bool) -> Iterator[Trap]:
    label = seen[spec.label.column].values
    if not (says := sorted_evidence(label, is_class=is_class)):
        return
    if spec.table.time is not None and seen[spec.table.time].values.is_sorted():
        says += f", and by {spec.table.time!r} too, so that a split by time tests on other answers than it trains on"
    else:
        says += (
            ": the first rows are no sample, and a split by order would see other answers than it trains on"
        )
    yield Trap(
        trap="sorted", columns=(spec.label.column,), evidence=says, under="train", line="split: {by: random}"
    )


def _order(spec: LineSpec, seen: Mapping[str, Seen]) -> Iterator[Trap]:
    """Ask whether the number in whose order the rows lie, or a year and a month, are a time, unless a person has said how the rows are parted."""
    table = spec.table
    if table.time is not None or spec.train.split.by != "auto":
        return
    taken = (table.key, table.group, table.weight)
    found = find_order(seen, spec.label.column, taken)
    if found is not None and found.is_time:
        yield Trap(
            trap="order",
            columns=(found.column,),
            evidence=asked(found, _by(spec)),
            under="table",
            line=f"time: {quoted(found.column)}",
        )
    elif (pair := find_year_and_month(seen, spec.label.column, taken)) is not None:
        yield _month(spec, pair)


def _month(spec: LineSpec, pair: YearAndMonth) -> Trap:
    """Ask whether a year and a month are the time of the rows: who predicts months to come is judged on months between."""
    year, month = in_sql(pair.year), in_sql(pair.month)
    date = f"make_date({year}, {month}, 1)"
    if pair.named:
        date = f"strptime({year} || ' ' || {month}, '%Y {pair.named}')::date"
    return Trap(
        trap="time",
        columns=(pair.year, pair.month),
        evidence=asked_of_months(pair, _by(spec)),
        under="table",
        line=f"{_query(spec, 'select *,', date, 'as month_began')}\ntime: month_began",
    )


def _few_rows(spec: LineSpec, label: Seen, where: Where) -> Iterator[Trap]:
    rare = rare_classes(label.values, spec.train.fold_count)
    if not rare:
        return
    rows = sum(rows for _, rows in rare)
    if spec.label.columns is None and (found := stray_classes(label.values)):
        yield _strays(spec, label, *found, where=where)
        return
    shown = ", ".join(f"{name!r} has {_count(rows)}" for name, rows in rare[:5]) + (
        ", …" if len(rare) > 5 else ""
    )
    names = ", ".join(_text(name) for name, _ in rare)
    query = _query(spec, "select *", after=f"where {in_sql(label.name)}::text not in ({names})")
    is_left = label.distinct - len(rare) >= 2
    yield Trap(
        trap="few rows",
        columns=(label.name,),
        evidence=f"{shown}: {spec.train.fold_count} folds and a test part of {spec.train.split.test:.0%} want at least {2 * spec.train.fold_count} "
        f"of each class; bring more{', merge classes, or leave them out' if is_left else ''}",
        under="table" if is_left else "",
        line=query if is_left else "",
        rows=rows,
        share=rows / len(label.values),
    )


def _one_sided(spec: LineSpec, seen: Mapping[str, Seen], *, is_class: bool) -> Iterator[Trap]:
    """Tell of parts between which a run would stop: one that is empty, or holds one class only.

    The rows are parted as a run parts them, whatever their number, unless chance surely gives enough to each part.
    """
    label, by = seen[spec.label.column], _by(spec)
    if spec.label.columns or (by == "random" and _is_in_both(spec, label, is_class=is_class)):
        return
    frame = pl.DataFrame([one.values for one in seen.values() if one.type != UNUSABLE])
    if by == "time":  # a run sets rows without a time aside, and `new` has them still
        frame = frame.drop_nulls(spec.table.time)
    is_large = frame.height * frame.width > _MOST_CELLS_PARTED
    try:
        useless = foreseen_useless(frame, spec.train.split, spec, with_copies=is_large)
    except SpecError as error:  # times that cannot part the rows
        yield _stop(label, f"a run would stop: {error.what}{f'; {error.hint}' if error.hint else ''}")
        return
    if useless is None:
        return
    held = useless.labels
    holds = f"holds {str(held[0])!r} only ({_count(len(held))})" if len(held) else "is empty"
    other = {
        "random": "",
        "group": ", or choose split.by: random if rows of one group are independent",
        "time": ", or choose split.by: random if the order of time says nothing",
    }[by]
    surely = "would probably" if is_large and by == "time" else "would"
    salt = "split.test" if by == "time" else "split.test or split.salt"
    yield _stop(
        label,
        f"as the rows are parted now, the {useless.part} part {holds}, and a run {surely} stop there: bring more rows, or change "
        f"{salt} (under train){other}",
        rows=len(held),
    )


def _is_in_both(spec: LineSpec, label: Seen, *, is_class: bool) -> bool:
    """Return whether chance surely gives each part rows with a label, and of two classes where it has classes."""
    rows = label.present
    if is_class:
        most = label.counts["rows"].sort(descending=True).to_list()
        rows = most[1] if len(most) > 1 else 0
    share = spec.train.split.test
    return rows * min(share, 1 - share) > _SURELY_IN_BOTH


def _stop(label: Seen, evidence: str, *, rows: int | None = None) -> Trap:
    return Trap(
        trap="few rows",
        columns=(label.name,),
        evidence=evidence,
        under="",
        line="",
        rows=rows,
        share=None if rows is None else rows / len(label.values),
    )


def _strays(spec: LineSpec, label: Seen, two: list[str], strays: list[str], *, where: Where) -> Trap:
    """Tell of values that a label of two classes would not have but for typing errors."""
    place, many = where(label.name, strays), len(strays) > 1
    rows = int(label.values.cast(pl.String).is_in(strays).sum())
    declared = spec.train.task
    is_of_many = declared != AUTO and rules_of(declared).label == "classes"
    task = f"; then task: {task_of('two')} (under train)" if is_of_many else ""
    allowed = ", ".join(map(quoted_sentence, two))
    return Trap(
        trap="few rows",
        columns=(label.name,),
        evidence=f"{', '.join(map(repr, strays))} {'have' if many else 'has'} {_count(rows)}{f' ({place})' if place else ''}: "
        f"probably {'typing errors' if many or rows > 1 else 'a typing error'}; without {'them' if many else 'it'} the label is "
        f"binary, {' or '.join(map(repr, two))}{task}",
        under="contract.columns",
        line=f"{quoted(label.name)}: {{type: category, allowed: [{allowed}]}}",
        rows=rows,
        share=rows / len(label.values),
    )


def _count(rows: int) -> str:
    return f"{rows:,} row{'' if rows == 1 else 's'}"
