"""The operation that says how lines stand."""

import shlex
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module

import msgspec

from linewright.capabilities.audit.publish import Withheld, withheld
from linewright.capabilities.notifications.deliveries import Delivery, undelivered
from linewright.capabilities.overview.operations.history import RunLine, last_runs
from linewright.capabilities.value.account import ratio_of
from linewright.errors import BackendError, LinewrightError, NotFound
from linewright.line.factory import Factory
from linewright.line.file.mistakes import did_you_mean
from linewright.line.loop.waiting import Wait
from linewright.line.proposals.record import Look, PromotionStanding, live_of, promotions_of
from linewright.line.record.checked_files import CheckedFiles
from linewright.line.record.costs import Costs, costs_of
from linewright.line.record.monitoring.alerts import may_wait, newest_of, open_alerts, open_proposal
from linewright.line.record.monitoring.clock_skew import ahead_until
from linewright.line.record.monitoring.disk_space import DiskForecast, forecast
from linewright.line.record.registry import Judged, certified_metric, challenger_of, judged
from linewright.line.release.endpoint import log_fails
from linewright.line.release.excluded_columns import going_back
from linewright.line.release.excluded_text import barred_in_words
from linewright.line.release.next_steps import is_forced, realised, waits_because, ways_out
from linewright.line.release.rings import rings_of
from linewright.model.facts import Package
from linewright.model.gates.text import certificate_in_words, undecided_in_words
from linewright.operations.declare import operation
from linewright.people.facts import Account, Accounted, BackupRestored
from linewright.release.facts import Deployed, Halted, Promoted, RolledBack, Rollout, Withdrawn
from linewright.release.halt_file import Note, note_of, stopped
from linewright.release.promotion import canary_of
from linewright.serve.access.line_tags import read_tags
from linewright.serve.feedback.store import Counts, Feedback
from linewright.serve.listener import Announced, announced
from linewright.serve.log.outages import lines_with_outages
from linewright.serve.log.segments import Damage
from linewright.store.clock import said
from linewright.watch.facts import FEWEST_LABELS, Alerted, Performance

_SENSORS_SHOWN = 5


class Realised(msgspec.Struct, frozen=True, kw_only=True):
    """How good the champion's predictions turned out to be, by the newest closed window that could tell."""

    metric: str
    value: float | None
    """`None` where the labels that have come leave it undefined."""
    low: float | None
    high: float | None
    """95 % interval."""
    labelled: int
    predictions: int
    matured: float | None
    """Share of the predictions whose label has come; `None` where the line names no `label.delay`."""
    certified: float | None
    """The metric when the gates judged the model."""
    since: str
    until: str
    """The predictions that are judged were made from `since` until before `until`; without a `label.delay`, their labels came
    then."""
    promised_low: float | None = None
    promised_high: float | None = None
    """95 % interval of the metric when the gates judged the model."""
    is_alerted: bool = False
    """Whether an alert about it is open."""
    not_sure: str | None = None
    """Why no alert is open, though the value is worse than that interval; `None` where it is not, or one is open."""
    guess: float | None = None
    """The metric of the prediction that uses no features, on the same labels."""
    worse_than_guessing: bool = False
    """Whether even the better end of the interval is worse than that, on labels enough to judge."""


class ValueStatus(msgspec.Struct, frozen=True, kw_only=True):
    """What the line's answers were worth by its newest kept account, and what the line cost."""

    account: Account
    as_of: str
    """When the account was made."""
    costs: Costs | None
    """`None` where ``factory.yaml`` names no costs."""
    ratio: float | None
    """Gain for each unit of the currency that was spent; `None` where nothing was, or in another currency."""


class CanaryStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How a candidate does that is tried beside the champion."""

    model: str
    share: float
    """Share of the rows that it answers."""
    since: str
    """When it took this share."""
    until: str | None
    """When the step, or the trial, may end at the earliest; `None` where the line's file is wrong."""
    rows: int
    """Rows that it answered since, or copies of them."""
    labelled: int
    """Of those, the labelled ones that count: one a unit, and where both answer only what both have answered."""
    loss: float | None
    champion_loss: float | None
    """Mean loss of each, see `Trial`; `None` where no label tells."""
    rollout: Rollout = "canary"
    champion_rows: int = 0
    """Rows that the champion answered since, or copies of them."""
    judged: bool = True
    """Whether it is judged: not while the line's file is wrong, and what is counted above is then not known."""


class SiteOfLine(msgspec.Struct, frozen=True, kw_only=True):
    """Which site a line is of."""

    template: str
    """Name of the file that declares it, without its ending."""
    site: str
    ring: int | None
    """In which ring it gets what changes for all sites, from 1; `None` if the template has no rings."""
    threshold: float | None
    """At which the champion decides there; `None` if it decides nothing."""


class LineStatus(msgspec.Struct, frozen=True, kw_only=True):
    """How one line stands."""

    line: str
    champion: str | None
    digest: str | None
    endpoint: str | None
    """URL at which its predictions are asked for; `None` while nothing serves."""
    since: str | None
    because: str | None
    challenger: str | None
    """The newest candidate that was neither promoted nor rejected, until a later run ends with the champion itself."""
    trouble: str | None
    """What is wrong with its file: while it is, the line is neither watched nor trained; `None` where nothing is."""
    halted: bool
    halted_by: str | None
    halted_because: str | None
    predictions: int
    labels: int
    """Labelled predictions: a label by key counts once for each prediction about that key."""
    alerts: int
    """Those that are not over."""
    proposals: int
    sensor_faults: int = 0
    """Those of the open alerts that are about a sensor that fails, and not what it measures."""
    sensors: tuple[str, ...] = ()
    """What the first five of them say."""
    halt_recorded: bool = True
    """Whether the record knows of the halt; `False` for one that it could not take up yet."""
    uncounted: str | None = None
    """Why predictions that came of late are not counted; `None` where all are."""
    clock_ahead_until: str | None = None
    """Up to when the record of the line reaches beyond now, since the clock was once ahead; `None` where it does not."""
    log_fails: str | None = None
    """What fails about the prediction log at this moment, as endpoints see it; `None` where nothing does."""
    log_damage: tuple[str, ...] = ()
    """Places of the prediction log that hold no record."""
    example: str | None = None
    """Command that asks the endpoint for a prediction, or says what a row of a line with personal columns has; where one line was asked for and something serves."""
    forced: bool = False
    """Whether the champion was promoted by force."""
    verdict: str | None = None
    """What the gates say of the champion by its newest certificate; `None` where the gates as they are have not judged it."""
    verdict_because: str | None = None
    undecided: tuple[str, ...] = ()
    """What the gates said of the champion about which the rows could not decide."""
    challenger_verdict: str | None = None
    """What the gates said of the challenger."""
    stopped: str | None = None
    """Why the line trains no more by itself; `None` where it does."""
    waits: str | None = None
    """Why the challenger, which passed its gates, does not serve; `None` where none did, or a person turned it down."""
    turned_down: PromotionStanding | None = None
    """Who declined or withdrew the promotion of the challenger; `None` where nobody did."""
    unfinished: RunLine | None = None
    """The newest run that has not ended: it is being carried out, or was interrupted."""
    failed: RunLine | None = None
    """The run that ended last, where it failed."""
    realised: Realised | None = None
    """`None` where no window was closed whose labels could tell."""
    canary: CanaryStatus | None = None
    """The candidate that is tried beside the champion; `None` where none is."""
    taken_back: str | None = None
    """Which candidate was taken back last and why, until another model is tried or promoted."""
    next: tuple[str, ...] = ()
    """Commands of which one is fitting now; empty where nothing is left to do."""
    going_back: str | None = None
    """Which columns that the line bars by now the model reads that a rollback would bring back; `None` where it reads none, or
    the gates let the champion pass."""
    waiting: tuple[Wait, ...] = ()
    """What the line's next training waits for, and the candidate of the last one, and until when."""
    approvals: tuple[str, ...] = ()
    """Ids of the proposals that wait for somebody's approval, oldest first."""
    value: ValueStatus | None = None
    """`None` where no value account was kept yet: `linewright value LINE` makes one up for the moment."""
    tags: tuple[str, ...] = ()
    """What its file says, as far as `up` or a command has read it."""
    site: SiteOfLine | None = None
    """`None` if the line is of no site."""
    alerts_over: int = 0


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """How the factory stands."""

    factory: str
    endpoint: str | None
    lines: tuple[LineStatus, ...]
    disk: DiskForecast | None = None
    """What is free on the disk of the state, and for how long; `None` where it does not tell."""
    undelivered: tuple[Delivery, ...] = ()
    """Destinations of `notify` that do not take what they are told."""
    restored: BackupRestored | None = None
    """The last restore without the approval that it needed; `None` if there was none."""
    withheld: tuple[Withheld, ...] = ()
    """Why signed checkpoints of the record are not where they should be."""
    by_site: bool = False
    """Whether only the lines of sites are shown."""


# The text


# The record


@operation(permission="view", effect="read")
def status(factory: Factory, line: str | None = None, /, *, sites: bool = False) -> Status:
    """Show what serves, since when, and what waits.

    Parameters
    ----------
    line
        Name of one line, or of a template for those of its sites (default: all).
    sites
        Only lines of sites, a row for each.
    """
    try:
        return _status(factory, line, sites=sites)
    except BackendError as error:
        # Whoever halted a line because of the trouble wants to know that it is.
        with suppress(OSError):
            if lines := stopped(factory.serving):
                halted = f"{', '.join(lines)}: halted all the same, the endpoint answers 503"
                error.hint = f"{error.hint}; {halted}" if error.hint else halted
        raise


def _status(factory: Factory, line: str | None, *, sites: bool) -> Status:
    names = sorted({*factory.names(), *factory.metadata.lines()})
    if line is not None:
        wanted = [line] if line in names else factory.with_sites([line], "view")
        if not set(wanted) <= set(names):
            raise NotFound(
                "there is no such line",
                found=line,
                allowed=", ".join(names) or "(none yet)",
                hint=did_you_mean(line, names),
            )
        names = sorted(wanted)
    if sites:
        names = [name for name in names if "." in name]
    serves = announced(factory.state)
    reading = _Reading(
        factory=factory.at_once(names),
        serves=serves,
        with_example=len(names) == 1 and line is not None,
        files=CheckedFiles(factory),
        troubled=lines_with_outages(factory.serving),
        tags={name: file.tags for name, file in read_tags(factory.state).lines.items() if file.tags},
    )
    lines = tuple(
        _line_status(reading, name, _counted(reading, factory.labels_of(name), name)) for name in names
    )
    reading.files.keep()
    return Status(
        factory=str(factory.root),
        endpoint=serves and serves.url,
        lines=lines,
        disk=_disk(factory),
        undelivered=tuple(undelivered(factory)),
        restored=_restored(factory),
        withheld=_withheld(reading.factory),
        by_site=sites,
    )


def _restored(factory: Factory) -> BackupRestored | None:
    restores = factory.metadata.events(BackupRestored, line="", newest_first=True)
    return next((one for one in restores if not one.proposal), None)


def _withheld(factory: Factory) -> tuple[Withheld, ...]:
    with suppress(LinewrightError):  # of a file that is wrong, `doctor` tells
        spec = factory.file().audit
        return () if spec is None else tuple(withheld(factory, spec))
    return ()


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What is read for all lines at once."""

    factory: Factory
    serves: Announced | None
    """The endpoint."""
    with_example: bool
    files: CheckedFiles
    troubled: Collection[str]
    """Lines of whose log there is word that it failed."""
    tags: Mapping[str, tuple[str, ...]]
    """By line, if it has any."""


def _disk(factory: Factory) -> DiskForecast | None:
    with suppress(OSError):
        return forecast(factory)
    return None


def _counted(reading: _Reading, feedback: Feedback, name: str) -> tuple[list[Damage], Counts, str | None]:
    """Return the damage of the log, what is counted, and why that is not all: counting writes, and the disk may be full."""
    try:
        with reading.files.recalling(name, feedback):
            return *feedback.standing(), None
    except BackendError as error:
        return [], feedback.counts(caught_up=False), str(error)


def _line_status(
    reading: _Reading, name: str, counted: tuple[list[Damage], Counts, str | None]
) -> LineStatus:
    factory, serves = reading.factory, reading.serves
    metadata = factory.metadata
    pointer = metadata.pointer(name)
    digests: dict[int | None, str] = {one.version: one.digest for one in metadata.versions(name)}
    moves = [newest_of(factory, name, Promoted), newest_of(factory, name, RolledBack)]
    last = max(filter(None, moves), key=lambda event: event.generation, default=None)
    halted = _halted(factory, name)
    damage, (predictions, labels), uncounted = counted
    digest, found = digests.get(pointer.champion), judged(factory, name)
    newest = found.get(digest) if digest else None
    champion = None if newest is None or newest.is_outdated else newest
    challenging = challenger_of(factory, name)
    challenger, alerts = digests.get(challenging), open_alerts(factory, name)
    sensors = [one.because for one in alerts if one.monitor == "sensor"]
    is_tried = canary_of(metadata, name) is not None
    waits = waits_because(factory, name, found.get(challenger)) if challenger and not is_tried else None
    proposed = promotions_of(factory, name).get(challenger) if challenger else None
    live = live_of(factory, name)
    unfinished, failed = _open_runs(factory, name)
    performance = realised(factory, name, digest) if digest and labels else None  # no window can tell without
    proposal = open_proposal(factory, name)
    return LineStatus(
        line=name,
        champion=_named(name, pointer.champion),
        digest=digest,
        endpoint=f"{serves.url}/v1/lines/{name}/predict" if serves and pointer.champion is not None else None,
        since=last.at if last else None,
        because=last.because if last else None,
        challenger=_named(name, challenging),
        trouble=reading.files.trouble_with(name),
        halted=halted is not None,
        halted_by=halted.by if halted else None,
        halted_because=halted.because if halted else None,
        halt_recorded=isinstance(halted, Halted) if halted else True,
        predictions=predictions,
        labels=labels,
        uncounted=uncounted,
        alerts=len(alerts),
        sensor_faults=len(sensors),
        sensors=tuple(sensors[:_SENSORS_SHOWN]),
        proposals=int(proposal is not None),
        clock_ahead_until=ahead_until(factory, name),
        log_fails=log_fails(factory, name) if name in reading.troubled else None,
        log_damage=tuple(f"{each.segment} at byte {each.offset}: {each.why}" for each in damage),
        example=_example(factory, name, serves) if serves and reading.with_example else None,
        forced=digest is not None and is_forced(factory, name, digest),
        verdict=champion.verdict if champion else None,
        verdict_because=certificate_in_words(champion.certificate) if champion else None,
        undecided=undecided_in_words(champion.certificate)
        if champion and champion.verdict == "promote"
        else (),
        challenger_verdict=found[challenger].verdict if challenger and challenger in found else None,
        stopped=next((one.because for one in alerts if one.monitor == "retraining"), None),
        waits=waits,
        turned_down=proposed if proposed and proposed.is_turned_down else None,
        unfinished=unfinished,
        failed=failed,
        realised=_realised(factory, performance, newest, alerts) if performance else None,
        canary=_canary(factory, name),
        taken_back=_taken_back(factory, name),
        next=_next(
            factory, name, champion, approve=_approve(live, _named(name, challenging) if waits else None)
        ),
        going_back=_going_back(factory, name)
        if champion is not None and champion.verdict != "promote"
        else None,
        waiting=_waits(factory, name) if may_wait(factory, name) else (),
        approvals=tuple(one.proposed.id for one in live),
        value=_value(factory, name),
        tags=reading.tags.get(name, ()),
        site=_site(factory, name, digest),
        alerts_over=len(metadata.events(Alerted, line=name)) - len(alerts),
    )


def _going_back(factory: Factory, line: str) -> str | None:
    reads = going_back(factory, line)
    return barred_in_words(reads) if reads else None


def _value(factory: Factory, line: str) -> ValueStatus | None:
    accounted = newest_of(factory, line, Accounted)
    if accounted is None or not accounted.totals:
        return None
    account, costs = accounted.totals[0], costs_of(factory, line)
    return ValueStatus(account=account, as_of=accounted.at, costs=costs, ratio=ratio_of(account, costs))


def _example(factory: Factory, line: str, serves: Announced) -> str | None:
    # What reads a row takes long to import, and is asked for one line only.
    curl = import_module("linewright.line.predict.example_request").curl
    return curl(factory, line, serves.url, needs_token=serves.needs_token)


def _waits(factory: Factory, line: str) -> tuple[Wait, ...]:
    # What counts labels takes long to import, and most lines wait for nothing.
    return import_module("linewright.line.loop.retraining").waits_in(factory, line)


def _site(factory: Factory, line: str, champion: str | None) -> SiteOfLine | None:
    template, _, site = line.partition(".")
    if not site:
        return None
    ring = None
    with suppress(LinewrightError):  # of a file that is wrong, or that has the site no longer
        rings = rings_of(factory, factory.line(line))
        ring = next((number for number, lines in enumerate(rings, 1) if line in lines), None)
    threshold = factory.metadata.get(champion, Package).threshold if champion else None
    return SiteOfLine(template=template, site=site, ring=ring, threshold=threshold)


def _halted(factory: Factory, line: str) -> Halted | Note | None:
    """Return who halted a line: what the record says, else what was left of a halt that is not recorded yet."""
    if factory.metadata.pointer(line).halt:
        return newest_of(factory, line, Halted)
    if not factory.is_halted(line):
        return None
    return note_of(factory.serving, line) or Note(by="unknown", because="nothing of it could be kept", at="")


def _canary(factory: Factory, line: str) -> CanaryStatus | None:
    canary = canary_of(factory.metadata, line)
    if canary is None:
        return None
    spec = factory.line(line) if factory.trouble_with(line) is None else None
    # What compares models takes long to import, and few lines try one.
    rollout = import_module("linewright.line.release.rollout") if spec else None
    trial = rollout.trial_of(factory, spec.release, canary) if spec and rollout else None
    return CanaryStatus(
        model=f"{line}@{canary.model}",
        share=canary.share,
        since=canary.at,
        until=rollout.step_end(spec.release, canary) if spec and rollout else None,
        rows=trial.canary.rows if trial else 0,
        labelled=trial.canary.labelled if trial else 0,
        loss=trial.canary.loss if trial else None,
        champion_loss=trial.champion.loss if trial else None,
        rollout=canary.rollout,
        champion_rows=trial.champion.rows if trial else 0,
        judged=spec is not None,
    )


def _taken_back(factory: Factory, line: str) -> str | None:
    withdrawn = newest_of(factory, line, Withdrawn)
    tried = [newest_of(factory, line, Deployed), newest_of(factory, line, Promoted)]
    if withdrawn is None or any(one is not None and one.generation > withdrawn.generation for one in tried):
        return None
    what = "" if withdrawn.rollout == "blue-green" else f"{withdrawn.rollout} "
    return f"{what}{line}@{withdrawn.model} was taken back on {said(withdrawn.at)}: {withdrawn.because}"


def _named(line: str, version: int | None) -> str | None:
    return None if version is None else f"{line}@{version}"


def _open_runs(factory: Factory, line: str) -> tuple[RunLine | None, RunLine | None]:
    """Return the newest run that has not ended, and the one that ended last if it failed."""
    runs = last_runs(factory, line)
    unfinished = next((one for one in runs if one.state == "unfinished"), None)
    last = next((one for one in runs if one.state != "unfinished"), None)
    return unfinished, last if last and last.state == "failed" else None


def _realised(
    factory: Factory, found: Performance, newest: Judged | None, alerts: Sequence[Alerted]
) -> Realised:
    is_alerted = any(one.monitor == "performance" and one.package == found.package for one in alerts)
    certified = certified_metric(factory, newest, found.metric)
    return Realised(
        metric=found.metric,
        value=found.value,
        low=found.low,
        high=found.high,
        labelled=found.labelled,
        predictions=found.predictions,
        matured=found.matured,
        certified=found.certified,
        since=found.start,
        until=found.end,
        promised_low=certified.low if certified else None,
        promised_high=certified.high if certified else None,
        is_alerted=is_alerted,
        not_sure=None if is_alerted else _not_sure(found),
        guess=found.guess,
        worse_than_guessing=found.is_worse_than_guessing and found.labelled >= FEWEST_LABELS,
    )


def _not_sure(found: Performance) -> str | None:
    """Say why a value that is worse than the certificate's interval is no alert."""
    if found.value is None or found.promised is None:
        return None
    if (found.value >= found.promised) if found.greater_is_better else (found.value <= found.promised):
        return None
    if found.labelled < FEWEST_LABELS:
        return f"worse than its interval, not yet sure: {FEWEST_LABELS} labels are the fewest that are judged"
    return (
        "worse than its interval, not yet sure: the alert budget asks for more labels or a larger difference"
    )


def _approve(live: Sequence[Look], waits: str | None) -> tuple[str, ...]:
    """Return the commands that approve what waits: proposals, and a candidate (LINE@VERSION) that has none."""
    proposed = any(one.proposed.change_kind == "promotion" for one in live)
    promote = (f"linewright promote {waits}",) if waits and not proposed else ()
    return (*promote, *(f"linewright approve {one.proposed.id}" for one in live))


def _next(
    factory: Factory, line: str, champion: Judged | None, *, approve: tuple[str, ...]
) -> tuple[str, ...]:
    if champion is not None and champion.verdict != "promote":
        return (*approve, *ways_out(factory, line))
    if approve or factory.metadata.pointer(line).champion is not None:
        return approve
    versions = factory.metadata.versions(line)
    return (
        f"linewright card {line}@{versions[-1].version}"
        if versions
        else f"linewright run {shlex.quote(line)}",
    )
