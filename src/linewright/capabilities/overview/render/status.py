"""How lines stand."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from linewright.capabilities.audit.publish import Withheld
from linewright.capabilities.notifications.render import delivery_text
from linewright.capabilities.overview.operations.status import (
    CanaryStatus,
    LineStatus,
    Realised,
    Status,
    ValueStatus,
)
from linewright.interfaces.cli.dispatch import renderer
from linewright.interfaces.cli.text import table
from linewright.interfaces.cli.words import RULES, money, short
from linewright.line.loop.waiting import wait_in_words
from linewright.line.proposals.record import PromotionStanding
from linewright.line.record.monitoring.disk_space import MAKE_ROOM, disk_in_words
from linewright.people.facts import BackupRestored
from linewright.store.clock import said
from linewright.text.numbers import count

_TOLD_HERE = frozenset({"cooldown", "labels"})
"""What a training may wait for; of the rest the status has lines of its own."""


@renderer.register
def status_text(status: Status) -> str:
    """Say, line by line, what serves."""
    up = f"endpoint {status.endpoint}" if status.endpoint else "nothing serves: `linewright up`"
    told = [f"factory {status.factory}, {up}"]
    if status.disk is not None and status.disk.is_near:
        told.append(f"  {disk_in_words(status.disk, Path(status.factory))}: {MAKE_ROOM}")
    told += [f"  not told: {delivery_text(one)}" for one in status.undelivered]
    if status.restored is not None:
        told.append(f"  {restored_text(status.restored)}")
    told += [f"  {withheld_text(one)}" for one in status.withheld]
    if status.by_site:
        return "\n".join([*told, _sites_text(status.lines)])
    return "\n".join([*told, *(_status_text(line) for line in status.lines)])


def _sites_text(lines: Iterable[LineStatus]) -> str:
    """Say how the lines of sites stand, a row for each."""
    header = ("site", "ring", "serves", "threshold", "answers", "labels", "realised", "alerts", "sensors", "")
    rows = [
        (
            line.line,
            f"{site.ring}" if site.ring is not None else "-",
            line.champion or "no model yet",
            f"{site.threshold:.3g}" if site.threshold is not None else "-",
            f"{line.predictions:,}",
            f"{line.labels:,}",
            _realised_briefly(line.realised),
            f"{line.alerts}",
            f"{line.sensor_faults} fail" if line.sensor_faults else "-",
            _needs(line),
        )
        for line in lines
        if (site := line.site) is not None
    ]
    return table(header, rows) if rows else "no line is of a site"


def _realised_briefly(found: Realised | None) -> str:
    if found is None or found.value is None:
        return "-"
    interval = "" if found.low is None or found.high is None else f" ({found.low:.3g} to {found.high:.3g})"
    return f"{found.metric} {found.value:.3g}{interval}"


def _needs(line: LineStatus) -> str:
    """Say in a few words what of a line needs somebody, or goes on."""
    is_judged = None not in {line.challenger, line.challenger_verdict}
    found = {
        "its file is wrong": line.trouble is not None,
        "halted": line.halted,
        "its run failed": line.failed is not None,
        f"{line.canary.model if line.canary else ''} is tried": line.canary is not None,
        f"{line.challenger}: {line.waits}": line.waits is not None and line.canary is None,
        f"{line.challenger}: {line.challenger_verdict}": is_judged
        and line.waits is None
        and line.canary is None
        and line.turned_down is None,
    }
    return ", ".join(word for word, is_so in found.items() if is_so)


def restored_text(one: BackupRestored) -> str:
    """Say who restored without approval, and why."""
    return f"restored without approval on {said(one.at)} by {one.by}: {one.because}"


def withheld_text(one: Withheld) -> str:
    """Say why signed checkpoints are not where they should be."""
    if not one.to:
        return f"no checkpoint of the record is signed now: {one.trouble}"
    words = f"{count(one.waiting, 'signed checkpoint waits', 'signed checkpoints wait')} for {one.to}"
    words += f", which fails since {said(one.failing_since or '')}: {one.trouble}"
    return f"{words}; next try {said(one.next_at)}" if one.next_at else words


def _status_text(line: LineStatus) -> str:
    told = [*_champion_text(line), *_waiting_text(line), *_runs_text(line), *_sensors_text(line)]
    if line.champion is not None:
        told += _counts_text(line)
    if line.clock_ahead_until:
        told.append(
            f"  the clock was once ahead: the record reaches up to {said(line.clock_ahead_until)}, beyond now; "
            "what waits for a time may wait until then"
        )
    if line.trouble:
        tried = ", and its candidate is not judged" if line.canary else ""
        told.append(f"  its file is wrong, so it is neither watched nor trained{tried}: {line.trouble}")
    if line.example:
        told.append(f"  try: {line.example}")
    return "\n".join(told)


def _champion_text(line: LineStatus) -> Iterator[str]:
    halted = " HALTED" if line.halted else ""
    if line.champion is None:
        yield f"{line.line}:{halted} no champion yet. Next: {' or '.join(line.next)}"
        return
    yield f"{line.line}: {line.champion} ({short(line.digest or '')}){halted}, since {said(line.since or '')}"
    yield f"  because {line.because}"
    for gate in line.undecided:
        yield f"  undecided: {gate}"
    if line.forced:
        yield "  it was promoted by force, without a passing certificate"
    if line.verdict not in {None, "promote"}:
        why, ways = (line.verdict_because or "").rstrip("."), " or ".join(f"`{way}`" for way in line.next)
        told = f"  the gates {'say' if line.forced else 'now say'} {line.verdict}: {why}"
        yield f"{told}; {ways}" if ways else told
    if line.going_back:
        yield f"  `linewright rollback {line.line}` is no way out: {line.going_back}"


def _waiting_text(line: LineStatus) -> Iterator[str]:
    if line.halted:
        yield (
            f"  halted by {line.halted_by}: {line.halted_because}; linewright halt {line.line} --off frees it"
        )
    if not line.halt_recorded:
        yield "  the halt is not in the record yet: `linewright halt` again, or `linewright up`, enters it"
    yield from _challenger_text(line)
    for wait in line.waiting:
        if wait.reason in _TOLD_HERE:
            yield f"  {wait_in_words(wait)}"
    if line.taken_back:
        yield f"  {line.taken_back}"
    if line.stopped:
        yield f"  training has stopped: {line.stopped}"


def _challenger_text(line: LineStatus) -> Iterator[str]:
    if line.canary:
        yield f"  {_canary_text(line.canary)}"
    elif line.waits:
        yield f"  challenger {line.challenger} waits: {line.waits}"
    elif line.turned_down:
        yield f"  challenger {line.challenger} was {_turned_down_text(line.turned_down)}"
    elif line.challenger:
        yield f"  challenger {line.challenger}: {line.challenger_verdict or 'not judged'}; linewright card {line.challenger} says why"


def _turned_down_text(one: PromotionStanding) -> str:
    comment = f": {one.comment}" if one.comment else ""
    return f"{one.state} by {one.member}, {said(one.at or '')}{comment}"


def _canary_text(one: CanaryStatus) -> str:
    part = {
        "canary": f"canary {one.model} answers {one.share:.0%} of the rows",
        "shadow": f"shadow {one.model} gets copies of the rows",
        "blue-green": f"{one.model} answers all rows for a trial, and the champion gets copies",
    }[one.rollout]
    if not one.judged:
        line = one.model.partition("@")[0]
        return (
            f"{part}, and is not judged while the line's file is wrong: it takes no step, and worse answers do not take it back; "
            f"`linewright rollback {line} --canary` does"
        )
    step = "" if one.rollout != "canary" else " in this step"
    answered = f"{count(one.rows, 'row')}{step}, {one.labelled:,} with a label that counts"
    loss = "" if one.loss is None else f", mean loss {one.loss:.4g}"
    against = "" if one.champion_loss is None else f", the champion's {one.champion_loss:.4g}"
    first = "" if one.rows else " and its first row"
    ends = "its next step" if one.rollout == "canary" else "to serve alone"
    until = f", {ends} not before {said(one.until)}{first}" if one.until else ""
    return f"{part}: {answered}{loss}{against}{until}"


def _runs_text(line: LineStatus) -> Iterator[str]:
    if line.unfinished:
        run = line.unfinished
        yield (
            f"  run {run.run}, begun {said(run.at)}, has not ended; "
            f"if it was interrupted, `linewright run {line.line}` or `linewright up` finishes it"
        )
    if line.failed:
        run = line.failed
        yield f"  run {run.run}, begun {said(run.at)}, failed: {run.because}"


def _sensors_text(line: LineStatus) -> Iterator[str]:
    yield from (f"  {says}" for says in line.sensors)
    if more := line.sensor_faults - len(line.sensors):
        yield f"  {count(more, 'more sensor fails', 'more sensors fail')}: linewright alerts {line.line}"


def _counts_text(line: LineStatus) -> Iterator[str]:
    yield (
        f"  {count(line.predictions, 'prediction')}, {count(line.labels, 'labelled prediction')}, "
        f"{count(line.alerts, 'open alert')}"
        + (", a training is proposed" if line.proposals and not line.waiting else "")
    )
    if line.uncounted:
        yield f"  what was answered of late is not counted: {line.uncounted}"
    if line.realised:
        yield f"  {_realised_text(line.realised)}"
        if line.realised.worse_than_guessing and not line.halted:
            yield f"  its answers are worse than guessing: `linewright halt {line.line}` stops them until a better model is there"
    if line.value:
        yield f"  {value_status_text(line.value)}"
    if line.log_fails:
        yield f"  {line.log_fails}"
    if line.log_damage:
        places = count(len(line.log_damage), "place")
        yield f"  the prediction log holds no record in {places}, first {line.log_damage[0]}"


def _realised_text(one: Realised) -> str:
    value = "not known yet" if one.value is None else f"{one.value:.4g}"
    value += _interval(one.low, one.high)
    promised = _interval(one.promised_low, one.promised_high)
    certified = "" if one.certified is None else f", certified {one.certified:.4g}{promised}"
    doubt = f"; {one.not_sure}" if one.not_sure else ""
    if one.is_alerted:
        doubt = "; surely worse: an alert is open"
    guessing = (
        f"; guessing gives {one.guess:.4g}" if one.guess is not None and one.worse_than_guessing else ""
    )
    return f"realised {one.metric} {value}{certified}{guessing}; {_judged_on(one)}{doubt}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f" ({low:.4g} to {high:.4g})"


def _judged_on(one: Realised) -> str:
    period = f"from {said(one.since)} to {said(one.until)}"
    if one.matured is None:
        came = count(one.labelled, "label")
        return f"on {came} that came {period} (name label.delay to have their share)"
    return f"{one.matured:.0%} of {count(one.predictions, 'prediction')} {period} have their label"


@renderer.register
def value_status_text(status: ValueStatus) -> str:
    """Say it in a line."""
    one = status.account
    interval = "" if one.low is None or one.high is None else f" ({one.low:,.0f} to {one.high:,.0f})"
    spent = ""
    if status.costs is not None:
        spent = f"; cost {money(status.costs.amount, status.costs.currency)}"
        if status.ratio is not None:
            spent += f", {money(status.ratio, one.currency)} gained for each {one.currency}"
    return (
        f"value {money(one.value, one.currency)} of {count(one.matured, 'matured answer')}, gain {money(one.gain, one.currency)}"
        f"{interval} against {RULES[one.rule]}{spent}; as of {said(status.as_of)}"
    )
