"""Checks of a line file that look at no row: settings that are valid, but mislead or have no effect."""

from collections.abc import Iterator, Sequence

from linewright.data.facts import Edit, Finding, Scalar
from linewright.line.factory import Factory
from linewright.line.proposals.rules import approvers_of
from linewright.line.record.monitoring.alerts import last_retraining
from linewright.line.spec import LineSpec
from linewright.model.spec import BeatsGate, MetricGate, TrainSpec
from linewright.people.spec import ChangesSpec
from linewright.text.numbers import as_declared


def check_settings(factory: Factory, spec: LineSpec) -> tuple[Finding, ...]:
    """Return what the settings alone tell of."""
    found = (
        *margins_without_end(spec),
        *settings_without_effect(factory, spec),
        *free_alarms(spec),
        *missing_approvers(factory, spec),
    )
    return not_silenced(spec, found)


def not_silenced(spec: LineSpec, found: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return the findings whose checks the line file does not disable."""
    return tuple(one for one in found if one.check not in spec.checks.disable)


def warning(
    check: str, *columns: str, remedy: tuple[Edit, ...] = (), **evidence: Scalar | tuple[Scalar, ...]
) -> Finding:
    """Return what a check found, as a warning."""
    return Finding(check=check, severity="warn", columns=columns, evidence=evidence, remedy=remedy)


def free_alarms(spec: LineSpec) -> Iterator[Finding]:
    """Say that an alarm costs nothing, so that one for each row is best: a minus may be lacking."""
    value = spec.value
    if value is None:
        return
    false_alarm, left_alone = value.false_positive, value.true_negative
    if isinstance(false_alarm, str):
        is_free = not false_alarm.startswith("-") and left_alone == 0
    else:
        is_free = not isinstance(left_alone, str) and false_alarm >= left_alone
    if is_free:
        yield warning("free-alarm", alarm=str(false_alarm), none=str(left_alone))


def margins_without_end(spec: LineSpec) -> Iterator[Finding]:
    """Say where each champion may be a little worse than the last, without end."""
    is_held = any(
        isinstance(gate, MetricGate) or (isinstance(gate, BeatsGate) and gate.beats == "baseline")
        for gate in spec.gates
    )
    for number, gate in enumerate(spec.gates):
        if isinstance(gate, BeatsGate) and gate.margin < 0 and not is_held:
            yield warning("margin", gate=number, margin=as_declared(gate.margin))


def settings_without_effect(factory: Factory, spec: LineSpec) -> Iterator[Finding]:
    """Say which settings have no effect beside what trains, and that a file of a model is looked at no longer."""
    plain, train = TrainSpec(), spec.train
    if train.python is not None or train.engine != "built-in":
        words = ("budget", "prefer") if train.python is not None else ("prefer",)
        for word in (one for one in words if getattr(train, one) != getattr(plain, one)):
            yield warning("unused-setting", word=word)
    if spec.train.model is not None and last_retraining(factory, spec.line) is not None:
        yield warning("old-model-file")


def missing_approvers(factory: Factory, spec: LineSpec) -> Iterator[Finding]:
    """Say which approvers no member is, and where fewer members may approve than have to: nothing could be approved then."""
    release, changes, whole = spec.release, spec.changes, factory.file().approve
    rules = [
        ("release.approve", release.approve, release.approvals),
        ("changes.approve", changes.approve if changes != ChangesSpec() else (), changes.approvals),
        ("changes.autonomy", changes.autonomy or (), changes.approvals),
        ("approve.forget of factory.yaml", whole.forget if spec.table.subject else (), whole.approvals),
    ]
    for setting, approvers, needed in rules:
        unknown = tuple(one for one in approvers if not approvers_of(factory, spec.line, (one,)))
        if unknown:
            yield warning("unknown-approver", setting=setting, names=unknown)
        found = len(approvers_of(factory, spec.line, approvers)) if approvers else 0
        if approvers and found < needed:
            yield warning("few-approvers", setting=setting, members=found, needed=needed)


def is_by_group(spec: LineSpec) -> bool:
    """Return whether rows are split by groups."""
    by, table = spec.train.split.by, spec.table
    return table.group is not None and (by == "group" or (by != "time" and table.time is None))
