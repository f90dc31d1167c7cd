"""Checks of a line file that no single field can make: what one section says about another."""

import math
from collections import Counter
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import PurePath
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from linewright.data.column_roles import roles
from linewright.data.finding_text import check_ids
from linewright.data.spec import NUMBERS, AtTrigger, ColumnRule, EveryTrigger, referred_source, table_sources
from linewright.line.file.checks.anomaly import finds_anomalies
from linewright.line.file.checks.forecast import forecasts
from linewright.line.file.checks.problem import Problem
from linewright.line.file.checks.recommend import recommends
from linewright.line.file.checks.schedules import at_problems, every_problems, schedules
from linewright.line.file.mistakes import Mistake, Mistakes, Path, did_you_mean, dotted, either, nearest
from linewright.line.file.retention import LONGEST, too_short, wrong_ages
from linewright.line.file.yaml_nodes import Entries, find
from linewright.line.spec import LineSpec
from linewright.model.facts import VALUE
from linewright.model.spec import AUTO, BeatsGate, FairnessGate, MetricGate
from linewright.model.task_facts import (
    METRIC_FACTS,
    TASK_FACTS,
    MetricFacts,
    known_metric,
    learns_good,
    metrics_known_to,
    task_facts,
)
from linewright.model.value_amounts import columns_of, no_stakes, value_of
from linewright.text.durations import duration_micros


def check_sections(spec: LineSpec, root: Entries, mistakes: Mistakes) -> None:
    """Note each contradiction between sections of a line file, with its place."""
    checks = (
        _name(spec, mistakes.name),
        _columns(spec),
        _features(spec),
        _sources(spec),
        _table(spec),
        _label(spec),
        _split(spec),
        _groups(spec),
        _checks(spec),
        recommends(spec),
        forecasts(spec),
        finds_anomalies(spec),
    )
    for problems in (
        *checks,
        _contract(spec),
        check_task(spec, spec.train.task),
        _steps(spec),
        _share(spec),
        _sentences(spec),
        _pictures(spec),
        _release(spec),
        _loop(spec),
        schedules(spec),
        _keep(spec),
    ):
        for problem in problems:
            node = find(root, problem.path) or root
            mistakes.add(
                Mistake(
                    path=dotted(problem.path),
                    line=node.line,
                    column=node.column,
                    what=problem.what,
                    found=problem.found,
                    allowed=problem.allowed,
                    hint=problem.hint,
                )
            )


def _name(spec: LineSpec, name: str) -> Iterator[Problem]:
    stem = PurePath(name).stem
    if "." in stem:
        hint = "rename the file; the lines of sites are declared in the file of their template"
        yield Problem(path=("line",), what="the file's name has a dot", found=f"{stem}.yaml", hint=hint)
    elif spec.line.partition(".")[0] != stem:
        yield Problem(
            path=("line",),
            what="the line is not named as its file",
            found=spec.line.partition(".")[0],
            allowed=stem,
            hint="rename one of them",
        )


def _columns(spec: LineSpec) -> Iterator[Problem]:
    """Key, time, label and weight are four columns; a group may repeat the key, since that harms nothing."""
    table = spec.table
    roles: dict[Path, str | None] = {
        ("label", "column"): spec.label.column,
        ("table", "key"): table.key,
        ("table", "time"): table.time,
        ("table", "weight"): table.weight,
    }
    taken: dict[str, Path] = {}
    for path, column in roles.items():
        if column is not None and column in taken:
            yield _twice(path, column, taken[column])
        elif column is not None:
            taken[column] = path
    kept_apart = {column: path for column, path in taken.items() if path != ("table", "key")}
    for name in table.groups:
        if name in kept_apart:
            yield _twice(("table", "group"), name, kept_apart[name])
    for index, column in enumerate(table.exclude):
        if column == spec.label.column:
            hint = "the label is never a feature; remove it from 'exclude'"
            yield Problem(
                path=("table", "exclude", index), what="the label is excluded", found=column, hint=hint
            )
    for column, times in Counter(table.exclude).items():
        if times > 1:
            last = max(i for i, word in enumerate(table.exclude) if word == column)
            yield Problem(path=("table", "exclude", last), what="the column is excluded twice", found=column)


def _features(spec: LineSpec) -> Iterator[Problem]:
    """Features are of the time of a row, which is of one thing."""
    if not spec.features:
        return
    if spec.table.time is None:
        yield Problem(
            path=("features",),
            what="features are what was known at the time of a row, and no column is named as its time",
            allowed="a line with table.time",
            hint="add table.time",
        )
    for index, name in enumerate(spec.features):
        if name in spec.features[:index]:
            yield Problem(path=("features", index), what="the feature view is named twice", found=name)
    for section in ("recommend", "forecast"):
        if getattr(spec, section) is not None:
            yield Problem(
                path=("features",),
                what=f"a line that {section}s makes its rows of others, which have no features",
                found=", ".join(spec.features),
                hint=f"remove 'features' or {section!r}",
            )


def _checks(spec: LineSpec) -> Iterator[Problem]:
    """Each check that is disabled exists; a column that was known is neither the label nor left out."""
    ids = check_ids()
    for index, one in enumerate(spec.checks.disable):
        if one not in ids:
            hint = did_you_mean(one, ids) or "`linewright check` prints the id of each finding"
            yield Problem(
                path=("checks", "disable", index),
                what="there is no such check",
                found=one,
                allowed=", ".join(ids),
                hint=hint,
            )
    for index, column in enumerate(spec.checks.known):
        if column == spec.label.column:
            what = "the label is no column that was known before the label"
            yield Problem(path=("checks", "known", index), what=what, found=column)


def _twice(path: Path, column: str, other: Path) -> Problem:
    return Problem(
        path=path,
        what=f"{dotted(path)} is the same column as {dotted(other)}",
        found=column,
        allowed="another column, or none",
    )


def _sources(spec: LineSpec) -> Iterator[Problem]:
    tables = table_sources(spec)
    if spec.table.sql is None and len(tables) != 1:
        what = "several sources need a query that makes one table of them"
        yield Problem(
            path=("sources",),
            what=what if tables else "columns refer to every source, so that none is left to be the table",
            found=", ".join(tables or spec.sources),
            hint="add table.sql, a SELECT over the sources by name, or leave one source that no column references",
        )
    for name, source in spec.sources.items():
        for error in source.mistakes():
            yield Problem(
                path=("sources", name, error.where),
                what=error.what,
                found=None if error.found is None else str(error.found),
                allowed=error.allowed,
                hint=error.hint,
            )


def _table(spec: LineSpec) -> Iterator[Problem]:
    zone = spec.table.zone
    if zone is None:
        return
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        yield Problem(
            path=("table", "zone"),
            what="no such time zone",
            found=zone,
            allowed="an IANA time zone such as Europe/Berlin",
            hint=did_you_mean(zone, available_timezones()),
        )
    if spec.table.time is None and spec.table.known is None:
        hint = "add table.time"
        yield Problem(
            path=("table", "zone"), what="there is no time that the zone is for", found=zone, hint=hint
        )


def _label(spec: LineSpec) -> Iterator[Problem]:
    label = spec.label
    if label.delay is not None and label.known is not None:
        yield Problem(
            path=("label", "delay"),
            what="the label has a delay and a column that says when it was known",
            found=label.delay,
            hint="keep one of 'delay' and 'known'",
        )
    elif label.delay is not None and spec.table.time is None:
        yield Problem(
            path=("label", "delay"),
            what="a delay counts from the time of the row, and the table names none",
            found=label.delay,
            hint="add table.time",
        )
    if label.known == label.column:
        yield Problem(path=("label", "known"), what="the label cannot be its own time", found=label.known)


def _split(spec: LineSpec) -> Iterator[Problem]:
    by = spec.train.split.by
    column = {"time": spec.table.time, "group": spec.table.group}.get(by, "")
    if column is None:
        yield Problem(
            path=("train", "split", "by"),
            what=f"a split by {by} needs the column, and the table names none",
            found=by,
            hint=f"add table.{by}, or let 'auto' choose",
        )


def _groups(spec: LineSpec) -> Iterator[Problem]:
    """Find fairness gates over columns whose values are no groups that could be treated alike."""
    table = spec.table
    roles = {table.weight: "the weight of a row", table.key: "the key, which no two rows share"}
    roles[spec.label.column] = "the label, by which the groups are compared"
    for index, gate in enumerate(spec.gates):
        if isinstance(gate, FairnessGate) and gate.fairness in roles:
            yield Problem(
                path=("gates", index, "fairness"),
                what=f"a fairness gate compares groups, and this column is {roles[gate.fairness]}",
                found=gate.fairness,
                allowed="a column that says which group a row belongs to",
                hint="name another column, or remove the gate",
            )


def _contract(spec: LineSpec) -> Iterator[Problem]:
    for name, rule in spec.contract.columns.items():
        path = ("contract", "columns", name)
        yield from _bounds(path, rule)
        if rule.format is not None and rule.type not in {"date", "datetime"}:
            yield Problem(
                path=(*path, "format"),
                what=f"a column of type {rule.type} has no time format",
                found=rule.format,
                allowed="a format for date and datetime only",
            )
        if rule.allowed is not None and rule.type not in {"category", "text", "integer", "boolean"}:
            yield Problem(
                path=(*path, "allowed"),
                what=f"a column of type {rule.type} has no list of values",
                allowed="a list of values for category and text",
                hint="use min and max" if rule.type in {"number", "date", "datetime"} else "",
            )
        yield from _spelling(path, rule)
        yield from _reference(path, rule, spec)
        if rule.personal and name in {spec.label.column, spec.label.event}:
            yield Problem(
                path=(*path, "personal"),
                what="the label cannot be personal: each answer and the card say what it may be",
                found=True,
                allowed="columns other than the label",
                hint="leave the word out; who may see rows is decided by roles",
            )
    yield from _whole_table(spec)
    rows = spec.contract.rows
    if rows.max is not None and rows.max < rows.min:
        path = ("contract", "rows", "max")
        yield Problem(path=path, what="max is less than min", found=rows.max, allowed=f"at least {rows.min}")


def _spelling(path: Path, rule: ColumnRule) -> Iterator[Problem]:
    if rule.pattern is None:
        return
    from linewright.data.contract.pattern import PATTERNED, flaw  # noqa: PLC0415 -- polars takes a while to import, and few lines have patterns

    if rule.type not in PATTERNED:
        yield Problem(
            path=(*path, "pattern"),
            what=f"a column of type {rule.type} has no pattern",
            found=rule.pattern,
            allowed="a pattern for text, category and integer only",
            hint="use format" if rule.type in {"date", "datetime"} else "",
        )
    elif (why := flaw(rule.pattern)) is not None:
        yield Problem(
            path=(*path, "pattern"),
            what=f"this is no regular expression: {why}",
            found=rule.pattern,
            allowed="the syntax of Rust's regex, which has no look-around and no backreferences; all of a value must match",
        )


def _reference(path: Path, rule: ColumnRule, spec: LineSpec) -> Iterator[Problem]:
    if rule.references is None or referred_source(rule.references, list(spec.sources)) is not None:
        return
    source, _, column = rule.references.rpartition(".")
    near = nearest(source or column, spec.sources)
    yield Problem(
        path=(*path, "references"),
        what="there is no such source",
        found=rule.references,
        allowed="SOURCE.COLUMN, where SOURCE is " + either(list(spec.sources)),
        hint=f"did you mean '{near}.{column if source else 'COLUMN'}'?"
        if near
        else "add the source to 'sources'",
    )


def _whole_table(spec: LineSpec) -> Iterator[Problem]:
    contract = spec.contract
    if contract.fresh is not None and spec.table.time is None:
        yield Problem(
            path=("contract", "fresh"),
            what="how fresh rows are is told by their time, and the table names none",
            hint="add table.time",
        )
    names = [one.name for one in contract.checks]
    for index, name in enumerate(names):
        what = "two checks have this name" if name in names[:index] else ""
        if what or not name.strip():
            path = ("contract", "checks", index, "name")
            yield Problem(path=path, what=what or "the check has no name", found=name)


def _bounds(path: Path, rule: ColumnRule) -> Iterator[Problem]:
    fitting: dict[str, tuple[type, ...]] = {
        "integer": (int, float),
        "number": (int, float),
        "date": (date,),
        "datetime": (date,),
    }
    kinds = fitting.get(rule.type)
    wrong = False
    for word, bound in (("min", rule.min), ("max", rule.max)):
        if bound is None or (kinds and isinstance(bound, kinds)):
            continue
        wrong = True
        number_or_time = "a number" if rule.type in {"integer", "number"} else "a date or time"
        yield Problem(
            path=(*path, word),
            what=f"a column of type {rule.type} does not have this {word}",
            found=_shown(bound),
            allowed=number_or_time if kinds else "min and max for numbers, dates and times only",
        )
    if rule.min is not None and rule.max is not None and not wrong and _order(rule.min) > _order(rule.max):
        yield Problem(
            path=(*path, "max"),
            what="max is less than min",
            found=_shown(rule.max),
            allowed=f"at least {rule.min}",
        )


def _shown(bound: float | date) -> str | int | float:
    return str(bound) if isinstance(bound, date) else bound


def _order(bound: float | date) -> float:
    """Return a number that orders bounds of one column, whether dates, times with a zone or without (UTC)."""
    if isinstance(bound, datetime):
        naive = bound.replace(tzinfo=None)
        offset = bound.utcoffset()
        return (naive - datetime.min).total_seconds() - (offset.total_seconds() if offset else 0.0)  # noqa: DTZ901
    if isinstance(bound, date):
        return (bound - date.min).days * 86_400.0
    return float(bound)


def check_task(spec: LineSpec, task: str) -> Iterator[Problem]:
    """Give each contradiction of a line file with its task, also where only the data tell the task."""
    yield from _gates(spec, task)
    yield from _task(spec, task)


def _gates(spec: LineSpec, task: str) -> Iterator[Problem]:
    named: list[tuple[Path, str | None]] = [
        (("train", "metric"), None if spec.train.metric == AUTO else spec.train.metric)
    ]
    for index, gate in enumerate(spec.gates):
        if isinstance(gate, MetricGate | BeatsGate):
            named.append((("gates", index, "metric"), gate.metric))
        if isinstance(gate, MetricGate):
            yield from _bar(index, gate, task)
        if isinstance(gate, BeatsGate):
            yield from _margin(index, gate, _rule(gate.metric or _headline(spec, task), task))
        if isinstance(gate, FairnessGate) and not _may_have_positive(task):
            path = ("gates", index, "fairness")
            what = f"a fairness gate compares yes-or-no decisions, and the task is {task}"
            yield Problem(
                path=path, what=what, found=gate.fairness, allowed="fairness gates for binary tasks only"
            )
    for path, name in named:
        if name is not None:
            yield from _known_metric(path, name, task)
        if name == VALUE and spec.value is None:
            yield Problem(
                path=path,
                what="the line does not say what decisions are worth",
                found=VALUE,
                allowed="with a section value",
                hint="add one such as value: {currency: EUR, true_positive: 900, false_positive: -40, false_negative: -900}",
            )


def _headline(spec: LineSpec, task: str) -> str:
    """Return the metric of gates that name none; empty where only the data tell."""
    if spec.value is not None:
        return VALUE
    if spec.train.metric != AUTO:
        return spec.train.metric
    return "" if task == AUTO else task_facts(task).metrics[0]


def _rule(name: str, task: str) -> MetricFacts | None:
    """Return the metric with that name, also of another task, which `_known_metric` reports."""
    return known_metric(name, TASK_FACTS if task == AUTO else (task, *TASK_FACTS))


def _may_have_positive(task: str) -> bool:
    return task == AUTO or task_facts(task).has_positive


def _margin(index: int, gate: BeatsGate, rule: MetricFacts | None) -> Iterator[Problem]:
    if rule is None or not rule.is_bounded or abs(gate.margin) < 1:
        return
    what = "no model can be better by so much" if gate.margin > 0 else "no model can be worse by more"
    yield Problem(
        path=("gates", index, "margin"),
        what=f"{rule.name} is between 0 and 1, so {what}",
        found=gate.margin,
        allowed="more than -1 and less than 1",
        hint="write it on the metric's own scale, e.g. 0.01",
    )


def _bar(index: int, gate: MetricGate, task: str) -> Iterator[Problem]:
    rule = _rule(gate.metric, task)
    if rule is None:
        return
    word, right = ("at_most", "at_least") if rule.greater_is_better else ("at_least", "at_most")
    bar = gate.at_most if word == "at_most" else gate.at_least
    if bar is not None:
        better = "more" if rule.greater_is_better else "less"
        yield Problem(
            path=("gates", index, word),
            what=f"of {gate.metric} {better} is better, so its bar is '{right}'",
            found=word,
            allowed=right,
            hint=f"write {right}: {bar:g}",
        )
    elif rule.is_bounded and not 0 <= (gate.at_least or gate.at_most or 0) <= 1:
        yield Problem(
            path=("gates", index, right),
            what=f"{gate.metric} lies between 0 and 1",
            found=gate.at_least if gate.at_most is None else gate.at_most,
            allowed="a number from 0 to 1",
        )


def _known_metric(path: Path, name: str, task: str) -> Iterator[Problem]:
    fitting = sorted(METRIC_FACTS if task == AUTO else metrics_known_to(task))
    if name in fitting:
        return
    rule = METRIC_FACTS.get(name)
    hint = f"{name!r} is for {either(rule.tasks)} tasks" if rule else did_you_mean(name, fitting)
    what = "no such metric" if task == AUTO else f"no such metric for a {task} task"
    yield Problem(path=path, what=what, found=name, allowed=", ".join(fitting), hint=hint)


def _task(spec: LineSpec, task: str) -> Iterator[Problem]:
    yield from _times(spec, task)
    if _may_have_positive(task):
        yield from _value(spec)
        return
    if spec.label.positive is not None:
        yield Problem(
            path=("label", "positive"),
            what=f"a positive value is for two classes, and the task is {task}",
            found=spec.label.positive,
            hint="remove it, or write task: binary",
        )
    if spec.value is not None:
        what = f"the value of true and false positives is for two classes, and the task is {task}"
        yield Problem(path=("value",), what=what, hint="remove the section, or write task: binary")


def _times(spec: LineSpec, task: str) -> Iterator[Problem]:
    """Give what does not fit labels that are times, and who has no such labels."""
    label, train = spec.label, spec.train
    is_time = label.event is not None if task == AUTO else task_facts(task).label == "time"
    if not is_time:
        if spec.maintenance is not None:
            yield Problem(
                path=("maintenance",),
                what=f"by when to act is said of labels that are times, and the task is {task}",
                hint="remove the section; what decisions between two classes are worth is said by value",
            )
        for word, found, what in (
            ("event", label.event, "a column that says what happened"),
            ("start", label.start, "a time from which on a row is seen"),
        ):
            if found is not None:
                yield Problem(
                    path=("label", word),
                    what=f"{what} is for labels that are times, and the task is {task}",
                    found=found,
                    hint="remove it, or write task: survival (of machines: rul)",
                )
        return
    yield from _start(spec)
    if label.event is None:
        yield Problem(
            path=("label", "column"),
            what="the label has a time, and no column that says whether it happened then",
            found=label.column,
            hint="add label.event, a column that is true if it happened, and false if it had not happened by that time",
        )
    ways = {
        ("train", "model"): train.model and train.model.file,
        ("train", "python"): train.python,
        ("train", "engine"): None if train.engine == "built-in" else train.engine,
        ("train", "also"): ", ".join(train.also) or None,
    }
    for path, found in ways.items():
        if found is not None:
            yield Problem(
                path=path,
                what="models of times are made by the built-in engine and its own families",
                found=found,
                allowed="none",
                hint="remove it",
            )
    for name, place in (
        (label.column, "label.column"),
        (label.event, "label.event"),
        (label.start, "label.start"),
    ):
        if name in spec.contract.columns:
            yield Problem(
                path=("contract", "columns", name),
                what=f"the contract names {place}; the columns of a time become one label, which needs no rules",
                found=name,
                hint="remove it from the contract",
            )


def _start(spec: LineSpec) -> Iterator[Problem]:
    table, label, start = spec.table, spec.label, spec.label.start
    others = (label.column, label.event, table.key, table.time, table.weight, *table.groups, table.subject)
    if start is not None and start in others:
        yield Problem(
            path=("label", "start"),
            what="the time from which on a row is seen is another column",
            found=start,
            hint="name another column",
        )


def _value(spec: LineSpec) -> Iterator[Problem]:
    value = value_of(spec.value)
    if value is None or columns_of(value):
        return  # columns are looked at with the data
    if not float(value.true_positive) - float(value.false_negative) > 0:
        error = no_stakes(value)
        found = str(error.found)
        yield Problem(path=("value",), what=error.what, found=found, allowed=error.allowed, hint=error.hint)


def _loop(spec: LineSpec) -> Iterator[Problem]:
    """Find what would be believed to watch or to train, and never does."""
    watch, retrain = spec.watch, spec.retrain
    durations: list[tuple[Path, str]] = [] if watch is None else [(("watch", "every"), watch.every)]
    if retrain is not None:
        if not retrain.when:
            hint = "name what starts one, e.g. when: [drift, performance]"
            yield Problem(path=("retrain",), what="nothing would ever start a training", hint=hint)
        for index, trigger in enumerate(retrain.when):
            path: Path = ("retrain", "when", index)
            if isinstance(trigger, EveryTrigger):
                durations.append(((*path, "every"), trigger.every))
            elif isinstance(trigger, AtTrigger):
                yield from at_problems(trigger.at, (*path, "at"))
            elif isinstance(trigger, str) and watch is None:
                yield Problem(
                    path=path,
                    what="nothing is found where nothing is watched",
                    found=trigger,
                    hint="add a section such as watch: {every: 1h}",
                )
    for path, text in durations:
        yield from every_problems(text, path)
    yield from _performance(spec)
    yield from _sensors(spec)


def _sensors(spec: LineSpec) -> Iterator[Problem]:
    """Find sensors that cannot be watched: a fault is seen in the readings of a group, one after the other."""
    if spec.watch is None or not spec.watch.sensors:
        return
    table = spec.table
    without = next((word for word in ("group", "time") if getattr(table, word) is None), None)
    if without is not None:
        yield Problem(
            path=("watch", "sensors"),
            what=f"faults of sensors are seen from reading to reading, and the table has no {without}",
            hint=f"name the column in table.{without}",
        )
    for section, forbids in {
        "table.subject": table.subject is not None,
        "recommend": spec.recommend is not None,
        "forecast": spec.forecast is not None,
    }.items():
        if forbids:
            yield Problem(
                path=("watch", "sensors"),
                what=f"sensors are not watched on a line with {section}",
                hint=f"leave out watch.sensors, or {section}",
            )
    taken = {name for name in roles(spec).values() if name} | set(table.exclude)
    for index, name in enumerate(spec.watch.sensors):
        rule = spec.contract.columns.get(name)
        if name in taken or (spec.contract.columns and (rule is None or rule.type not in NUMBERS)):
            yield Problem(
                path=("watch", "sensors", index),
                what="no column of numbers that the model may use",
                found=name,
                allowed=", ".join(
                    one
                    for one, each in spec.contract.columns.items()
                    if each.type in NUMBERS and one not in taken
                ),
            )


def _keep(spec: LineSpec) -> Iterator[Problem]:
    if spec.keep is None:
        return
    wrong = list(wrong_ages(spec.keep))
    for path, what, found in wrong:
        yield Problem(
            path=path, what=what, found=found, allowed=f"a longer one, e.g. 90d, and at most {LONGEST}"
        )
    short = None if wrong else too_short(spec, spec.keep)
    if short is not None:
        yield Problem(
            path=("keep", "log"),
            what="answers are kept for less time than their labels and the window of these take",
            found=short[0],
            allowed=f"at least {short[1]} together",
            hint="keep them longer",
        )


def _performance(spec: LineSpec) -> Iterator[Problem]:
    bars = spec.watch.performance if spec.watch else None
    if bars is None:
        return
    task, name = spec.train.task, spec.train.metric
    if name == AUTO and task != AUTO:
        name = task_facts(task).metrics[0]
    rule = _rule(name, task)
    is_bounded = rule.is_bounded if rule else spec.label.positive is not None
    for word, bar in (("at_least", bars.at_least), ("at_most", bars.at_most)):
        if bar is not None and is_bounded and not 0 <= bar <= 1:
            yield Problem(
                path=("watch", "performance", word),
                what="the line's metric lies between 0 and 1",
                found=bar,
                allowed="a number from 0 to 1",
            )


def _sentences(spec: LineSpec) -> Iterator[Problem]:
    if spec.train.sentences == "never":
        return
    forbids = {
        "train.model": spec.train.model is not None,
        "train.python": spec.train.python is not None,
        f"engine: {spec.train.engine}": spec.train.engine != "built-in",
        f"share: {spec.train.share}": spec.train.share != "alone",
        "recommend": spec.recommend is not None,
        "forecast": spec.forecast is not None,
        "label.event": spec.label.event is not None,
        f"task: {spec.train.task}": _learns_good(spec)
        or (
            spec.train.task != AUTO and task_facts(spec.train.task).label not in {"two", "classes", "number"}
        ),
    }
    if said := [name for name, is_said in forbids.items() if is_said]:
        yield Problem(
            path=("train", "sentences"),
            what=f"an encoder of sentences cannot be used yet with {either(said)}",
            found=spec.train.sentences,
            allowed="never",
            hint="remove one of the two",
        )


def _share(spec: LineSpec) -> Iterator[Problem]:
    if spec.train.share == "alone":
        return
    forbids = {
        "a line of no site": "." not in spec.line,
        "train.model": spec.train.model is not None,
        "train.python": spec.train.python is not None,
        f"engine: {spec.train.engine}": spec.train.engine != "built-in",
        f"split by {spec.train.split.by}": spec.train.split.by in {"time", "group"},
        "table.time": spec.table.time is not None and spec.train.split.by == AUTO,
        "table.group": spec.table.group is not None,
        "table.subject": spec.table.subject is not None,
        "retrain": spec.retrain is not None,
        "recommend": spec.recommend is not None,
        "label.event": spec.label.event is not None,
        f"task: {spec.train.task}": spec.train.task != AUTO
        and task_facts(spec.train.task).label not in {"two", "classes", "number"},
    }
    if said := [name for name, is_said in forbids.items() if is_said]:
        yield Problem(
            path=("train", "share"),
            what=f"rows of other sites cannot be learned from yet with {either(said)}",
            found=spec.train.share,
            allowed="alone",
            hint="remove one of the two",
        )


def _learns_good(spec: LineSpec) -> bool:
    return spec.train.task != AUTO and learns_good(spec.train.task)


def _pictures(spec: LineSpec) -> Iterator[Problem]:
    model = spec.train.model
    if model is not None and not spec.reads_pictures and (model.scale is not None or model.size is not None):
        yield Problem(
            path=("train", "model"),
            what="scale and size are of a network that reads pictures, and the contract declares no column of them",
            hint="declare it: contract: {columns: {file: {type: file, nullable: false}}}",
        )
    if model is not None and spec.reads_pictures and (model.columns or model.missing):
        yield Problem(
            path=("train", "model", "columns" if model.columns else "missing"),
            what="columns and missing are of a model that reads a table, and a network reads one picture",
            found=", ".join(model.columns) or model.missing,
            hint="remove it; or put the column of pictures into table.exclude",
        )
    if spec.train.pictures is None:
        return
    forbids = {
        "train.model, which has its own scale and size": spec.train.model is not None,
        "recommend": spec.recommend is not None,
        "forecast": spec.forecast is not None,
        f"task: {spec.train.task}": _learns_good(spec),
    }
    if said := [name for name, is_said in forbids.items() if is_said]:
        yield Problem(
            path=("train", "pictures"),
            what=f"how pictures become numbers has no meaning with {either(said)}",
            hint="remove one of the two",
        )
    task = spec.train.task
    is_time = spec.label.event is not None or (task != AUTO and task_facts(task).label == "time")
    if len(spec.train.pictures.sizes) > 1 and is_time:
        yield Problem(
            path=("train", "pictures", "sizes"),
            what="sizes are not compared for labels that are times",
            found=", ".join(map(str, spec.train.pictures.sizes)),
            allowed="one size",
        )
    if not spec.reads_pictures:
        yield Problem(
            path=("train", "pictures"),
            what="the contract declares no column of pictures",
            hint="declare it: contract: {columns: {file: {type: file, nullable: false}}}",
        )


def _release(spec: LineSpec) -> Iterator[Problem]:
    release, table = spec.release, spec.table
    named = [one for one in (table.key, *table.groups, table.subject) if one is not None]
    columns = [*spec.contract.columns, *(one for one in named if one not in spec.contract.columns)]
    if release.unit is not None and spec.contract.columns and release.unit not in columns:
        yield Problem(
            path=("release", "unit"),
            what="the contract has no such column",
            found=release.unit,
            allowed=", ".join(columns),
            hint=did_you_mean(release.unit, columns),
        )
    if release.rings is not None and "." not in spec.line:
        yield Problem(
            path=("release", "rings"),
            what="only a template has rings",
            allowed="a file with sites, whose lines the rings name",
            hint="remove 'rings', or add 'sites'",
        )
    if release.rings is not None and release.is_immediate:
        yield Problem(
            path=("release", "rings"),
            what="a ring serves its time in a trial, and this release has none",
            found=release.rollout if release.steps is None else f"steps: {list(release.steps)}",
            allowed="rollout: canary, shadow or blue-green",
            hint="add rollout: blue-green, and `bake` for how long a trial lasts",
        )
    if release.rollout == "canary":
        if release.steps is None:
            yield Problem(
                path=("release", "rollout"),
                what="a canary has no step",
                found="canary",
                allowed="immediate, or a canary with steps",
                hint="write its shares of the traffic below it, e.g. steps: [0.05, 0.25, 1.0]",
            )
    elif release.steps not in (None, (1.0,)):
        yield Problem(
            path=("release", "steps"),
            what="only a canary goes in steps",
            allowed="rollout: canary beside it, or nothing",
        )
    if release.bake is None:
        return
    if release.rollout == "immediate":
        yield Problem(
            path=("release", "bake"),
            what="what serves at once is not tried",
            allowed="rollout: canary, shadow or blue-green beside it, or nothing",
        )
    elif not duration_micros(release.bake):
        yield Problem(
            path=("release", "bake"),
            what="the trial lasts no time" if release.rollout != "canary" else "a step lasts no time",
            found=release.bake,
            allowed="a duration above 0, e.g. 10m",
        )


def _steps(spec: LineSpec) -> Iterator[Problem]:
    steps = spec.release.steps
    if steps is None:
        return
    if not steps:
        yield Problem(path=("release", "steps"), what="there is no step", allowed="shares that end with 1.0")
        return
    for index in range(1, len(steps)):
        if steps[index] <= steps[index - 1]:
            yield Problem(
                path=("release", "steps", index),
                what="the steps do not ascend",
                found=steps[index],
                allowed=f"a share above {steps[index - 1]:g}",
            )
            return
    if not math.isclose(steps[-1], 1.0, rel_tol=0, abs_tol=0):
        yield Problem(
            path=("release", "steps", len(steps) - 1),
            what="the last step does not reach all traffic",
            found=steps[-1],
            allowed="1.0 as the last step",
        )
