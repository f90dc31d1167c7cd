"""What a line keeps no longer goes: answers with their labels, dataset versions, rows in quarantine, the engine's notes of runs.

First the event is recorded that says what goes, then labels and index are without it, then the bytes go. Killed in between, the
next time does the rest: all of it follows from the event.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Literal

import msgspec

from linewright.capabilities.value.update import keep_account, kept_ledger
from linewright.data.dataset.blobs import blobs_of, instead_of
from linewright.data.facts import Ingested
from linewright.engine.run_notes import noted, remove_notes
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, Dropped, Finished, Forgotten
from linewright.line.file.factory_file import read_factory_file
from linewright.line.file.retention import before, kept_of, log_before
from linewright.line.holdings.references import needs_of
from linewright.line.problem import Problem, problem_in_words, problem_of
from linewright.line.record.archive_log import seal_next
from linewright.line.record.chained_files import end_of_changes
from linewright.line.record.data.quarantine import reading_of
from linewright.line.record.monitoring.alerts import newest_of, open_proposal
from linewright.line.retention.dropped import Gone, gone
from linewright.line.spec import KeepSpec, LineSpec
from linewright.model.facts import Registered
from linewright.release.facts import Promoted, RolledBack, SeriesRead
from linewright.release.promotion import canary_of, newest_series, series_of_run
from linewright.serve.facts import ChangesEnd, Checkpointed, Segment
from linewright.serve.feedback.remove import Gone as Removed
from linewright.serve.log.segments import lengths
from linewright.store.changes import NONE
from linewright.text.durations import duration_micros
from linewright.text.numbers import count
from linewright.watch.facts import Watched

_FORMER_CHAMPIONS = 1
"""Champions before the present one whose datasets are kept: those that a rollback brings back."""


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is older than the line keeps it, and is still needed."""

    what: Literal["log", "datasets"]
    why: Literal["run", "proposal", "trial", "window", "account", "damage"]
    """A run has not ended; a training is proposed; a candidate is tried since then; no window has counted it yet; the value account has not
    priced what came of it; it cannot be sealed."""
    n: int
    """Segments of the log, or dataset versions."""


def _held_in_words(held: Held) -> str:
    """Say it."""
    what = count(held.n, "segment of the log" if held.what == "log" else "dataset version")
    return f"{what} older than that stays: {_WHY[held.why]}"


_WHY: Mapping[str, str] = {
    "run": "a run has not ended",
    "proposal": "a training is proposed",
    "trial": "a candidate is tried",
    "window": "no window has counted its answers yet",
    "account": "the value account has not priced its answers, or labels that came of them, yet",
    "damage": "it is damaged, see linewright verify",
}


class Retired(msgspec.Struct, frozen=True, kw_only=True):
    """What a line keeps no longer, as its retention says."""

    line: str
    segments: int = 0
    """Of the prediction log."""
    predictions: int = 0
    labels: int | None = 0
    """Changes of labels; `None` where that is not counted, as in a dry run."""
    datasets: tuple[str, ...] = ()
    """Digests of dataset versions."""
    models: tuple[str, ...] = ()
    """Models, as LINE@VERSION, that cannot be rebuilt any more."""
    quarantines: int = 0
    series: int = 0
    """Newest values of series, which newer ones have replaced."""
    runs: int = 0
    held: tuple[Held, ...] = ()
    results: tuple[str, ...] = ()
    """Digests of the results whose bytes go."""
    problem: Problem | None = None
    """Why nothing of the line goes."""

    @property
    def is_something(self) -> bool:
        """Whether anything goes."""
        return bool(self.segments or self.datasets or self.quarantines or self.series or self.runs)


def retired_in_words(retired: Retired) -> str:
    """Say it in a line, and what stays though it is older in a line each."""
    labels = "their labels" if retired.labels is None else f"{count(retired.labels, 'change')} of labels"
    parts = (
        (retired.segments, f"{count(retired.predictions, 'prediction')} with {labels}"),
        (len(retired.datasets), count(len(retired.datasets), "dataset version")),
        (retired.quarantines, f"the rows of {count(retired.quarantines, 'quarantine')}"),
        (retired.series, f"{count(retired.series, 'version')} of the newest values of series"),
        (retired.runs, f"the engine's notes of {count(retired.runs, 'run')}"),
    )
    said = ", ".join(text for number, text in parts if number) or "nothing"
    lost = f"; {', '.join(retired.models)} cannot be rebuilt any more" if retired.models else ""
    held = (f"  {_held_in_words(one)}" for one in retired.held)
    problem = [] if retired.problem is None else [problem_in_words(retired.problem)]
    return "\n".join([f"{retired.line}: {said}{lost}", *held, *problem])


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """What of a line is kept no longer."""

    line: str
    keep: KeepSpec
    segments: Mapping[str, Segment] = field(default_factory=dict[str, Segment])
    datasets: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    quarantines: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    """Newest values of series; the next run reads others."""
    runs: tuple[str, ...] = ()
    held: tuple[Held, ...] = ()

    @property
    def results(self) -> tuple[str, ...]:
        """Digests of the results whose bytes go."""
        return tuple(sorted((*self.datasets, *self.quarantines, *self.segments, *self.series)))

    def retired(self, labels: int | None) -> Retired:
        """Return it as a result for people, with how many labels went."""
        return Retired(
            line=self.line,
            segments=len(self.segments),
            predictions=sum(one.records for one in self.segments.values()),
            labels=labels,
            datasets=self.datasets,
            models=self.models,
            quarantines=len(self.quarantines),
            series=len(self.series),
            runs=len(self.runs),
            held=self.held,
            results=self.results,
        )


def retire(factory: Factory, *, dry_run: bool, prices: bool = False) -> tuple[Retired, ...]:
    """Record what lines keep no longer, and take it out of labels and index; the bytes are for `blobs_that_go`.

    Lines whose file is gone or wrong keep everything. An error of one line is reported and does not stop the others.
    """
    everywhere, found = read_factory_file(factory.root).keep, list[Retired]()
    for line in factory.names():
        try:
            retired = _retire(factory, line, everywhere, dry_run=dry_run, prices=prices)
        except LinewrightError as error:
            retired = Retired(line=line, problem=problem_of(error, where=error.where or f"line {line}"))
        if retired is not None:
            found.append(retired)
    return tuple(found)


def _retire(
    factory: Factory, line: str, everywhere: KeepSpec, *, dry_run: bool, prices: bool
) -> Retired | None:
    if not dry_run:
        finish(factory, line)
    if factory.trouble_with(line) is not None:
        return None
    spec = factory.line(line)
    keep = kept_of(spec, everywhere)
    if keep == KeepSpec():
        return None
    if not dry_run and keep.log is not None:
        while seal_next(factory, line) is not None:
            pass
        if prices:
            keep_account(factory, spec)
    plan = _plan(factory, spec, keep)
    retired = plan.retired(None if plan.segments else 0)
    if retired.is_something and not dry_run:
        retired = plan.retired(_carry_out(factory, plan))
    return retired if retired.is_something or retired.held else None


def finish(factory: Factory, line: str) -> bool:
    """Take out of a line's labels and index what was recorded as dropped and is there still; return whether there was something."""
    segments = gone(factory, line).segments.get(line, set[str]())
    labels = factory.labels_of(line)
    if not labels.has_segments(segments):
        return False
    with labels.without_segments(segments, marks_of(factory, line)) as removed:
        if removed.predictions:  # else another process has just done so
            _record(factory, line, removed, because="finished what was interrupted")
    return True


def blobs_that_go(factory: Factory, planned: Collection[str] = ()) -> set[str]:
    """Return the digests of the bytes of what is kept no longer, and that nothing else needs."""
    dropped = {*gone(factory).at, *planned}
    if not dropped:
        return set()
    dead, live = set[str](), set[str]()
    for digest, kind, body in factory.metadata.results():
        if kind in _WITH_ROWS:
            needs = needs_of(kind, digest, body)
            instead = (instead_of(one, factory.metadata) for one in (*needs.blobs, *needs.contents))
            blobs = (
                *needs.blobs,
                *chain.from_iterable(blobs_of(content, factory.metadata) for content in needs.contents),
                *(one for one in instead if one is not None),
            )
            (dead if digest in dropped else live).update(blobs)
    return dead - live


_WITH_ROWS = frozenset({"dataset", "quarantine", "segment", "series_values"})
"""Kinds of results whose bytes are rows."""


# What goes


def _plan(factory: Factory, spec: LineSpec, keep: KeepSpec) -> _Plan:
    line, known = spec.line, gone(factory, spec.line)
    running = unfinished(factory, line)
    segments, held = _old_segments(factory, spec, keep, is_running=bool(running))
    readings = _readings(factory, line)
    datasets = _old_datasets(factory, line, keep, readings, known)
    if datasets and running:
        held, datasets = (*held, Held(what="datasets", why="run", n=len(datasets))), ()
    ended = _ended(factory, line, keep)
    quarantines = {
        read.quarantine
        for run, read in readings[1:]
        if read.quarantine is not None
        and read.quarantine not in known.at
        and (read.dataset in datasets or run in ended)
    }
    newest = {read.quarantine for _, read in readings[:1]}
    stays = {read.series for _, read in readings if read.dataset not in {*datasets, *known.at}}
    series = {read.series for _, read in readings if read.series is not None and read.dataset in datasets}
    models = factory.metadata.events(Registered, line=line) if datasets else []
    return _Plan(
        line=line,
        keep=keep,
        segments=segments,
        datasets=datasets,
        models=tuple(f"{line}@{one.model}" for one in models if _dataset_of(factory, one) in set(datasets)),
        quarantines=tuple(sorted(quarantines - newest)),
        series=tuple(
            sorted((series - stays | _superseded(factory, spec, keep, known)) - _in_use(factory, line))
        ),
        runs=tuple(noted(factory.engine_url, ended)) if ended else (),
        held=held,
    )


def _in_use(factory: Factory, line: str) -> set[str | None]:
    """Return the newest values of series from which endpoints of a line answer."""
    return {newest_series(factory.metadata, line), series_of_run(factory.metadata, line)}


def _superseded(factory: Factory, spec: LineSpec, keep: KeepSpec, known: Gone) -> set[str]:
    """Return the values of requests that were published before rows of the log that go: no answer that stays is of them."""
    at = log_before(spec, keep, factory.now())
    read = factory.metadata.events(SeriesRead, line=spec.line) if at is not None else []
    return {
        before.values
        for before, after in pairwise(read)
        if before.base not in {None, before.values} and after.at < str(at) and before.values not in known.at
    }


def unfinished(factory: Factory, line: str) -> set[str]:
    """Return the runs of a line that were accepted and have not ended."""
    accepted = {one.run for one in factory.metadata.events(Accepted, line=line)}
    return accepted - {one.run for one in factory.metadata.events(Finished, line=line)}


def _old_segments(
    factory: Factory, spec: LineSpec, keep: KeepSpec, *, is_running: bool
) -> tuple[dict[str, Segment], tuple[Held, ...]]:
    """Return the segments that go, by their digests, and why others stay that are as old."""
    at = log_before(spec, keep, factory.now())
    if at is None:
        return {}, ()
    line = spec.line
    old = {
        digest: one
        for digest, one in factory.sealed_of(line).segments().items()
        if one.last and one.last < at
    }
    why: Literal["run", "proposal"] | None = (
        "run" if is_running else "proposal" if open_proposal(factory, line) else None
    )
    if why is not None:
        return {}, (Held(what="log", why=why, n=len(old)),) if old else ()
    stays: dict[str, Literal["trial", "window", "account"]] = {}
    unpriced = _unpriced(factory, spec) if old else None
    if unpriced is not None:
        stays |= {digest: "account" for digest, one in old.items() if unpriced(one)}
    canary = canary_of(factory.metadata, line)
    if canary is not None:
        stays |= {digest: "trial" for digest, one in old.items() if one.last >= canary.at}
    if spec.watch is not None and factory.metadata.pointer(line).champion is not None:
        newest = newest_of(factory, line, Watched)
        counted = newest.position if newest else {}
        stays |= {digest: "window" for digest, one in old.items() if counted.get(one.name, 0) < one.bytes}
    held = [
        Held(what="log", why=each, n=n)
        for each in ("trial", "window", "account")
        if (n := sum(one == each for one in stays.values()))
    ]
    if damaged := _unsealed(factory, line, at):
        held.append(Held(what="log", why="damage", n=damaged))
    return {digest: one for digest, one in old.items() if digest not in stays}, tuple(held)


def _unpriced(factory: Factory, spec: LineSpec) -> Callable[[Segment], bool] | None:
    """Return what says of a segment whether the newest value account lacks something of it; `None` where the line has no account."""
    if spec.value is None:
        return None
    kept = kept_ledger(factory, spec.line)
    if kept is None:
        return lambda _: True
    labels = factory.labels_of(spec.line)
    news = {one.segment for one in labels.turned_out(None, since=kept.as_of, known_by=factory.now())}
    # Without a delay only a label changes what was priced.
    ripe = kept.as_of if spec.label.delay is None else before(kept.as_of, duration_micros(spec.label.delay))
    return lambda one: kept.position.get(one.name, 0) < one.bytes or one.last > ripe or one.name in news


def _unsealed(factory: Factory, line: str, at: str) -> int:
    """Return how many segments are files with damage, and so old by the time in their name: those are never sealed."""
    damaged = {one.segment for one in factory.labels_of(line).standing()[0]}
    return sum(name in damaged and name[:10] < at[:10] for name in lengths(factory.log_of(line)))


def _readings(factory: Factory, line: str) -> list[tuple[str, Ingested]]:
    """Return what the runs of a line read, each with its run, the newest first."""
    runs = factory.metadata.events(Finished, line=line, newest_first=True)
    read = ((run.run, reading_of(factory, run)) for run in runs)
    return [(run, factory.metadata.get(digest, Ingested)) for run, digest in read if digest is not None]


def _old_datasets(
    factory: Factory, line: str, keep: KeepSpec, readings: Sequence[tuple[str, Ingested]], known: Gone
) -> tuple[str, ...]:
    if keep.datasets is None:
        return ()
    versions = list(dict.fromkeys(read.dataset for _, read in readings))
    old = [one for one in versions[keep.datasets :] if one not in known.at]
    if not old:
        return ()
    needed = {*_of_champions(factory, line), *_of_other_lines(factory, line)}
    return tuple(one for one in old if one not in needed)


def _of_champions(factory: Factory, line: str) -> Iterator[str]:
    """Give the datasets of the models that serve, served last, are tried or wait."""
    metadata = factory.metadata
    pointer, canary = metadata.pointer(line), canary_of(metadata, line)
    moves = [*metadata.events(Promoted, line=line), *metadata.events(RolledBack, line=line)]
    served = dict.fromkeys(one.model for one in sorted(moves, key=lambda one: one.at, reverse=True))
    former = [one for one in served if one != pointer.champion][:_FORMER_CHAMPIONS]
    models = {pointer.champion, pointer.challenger, canary.model if canary else None, *former}
    for one in metadata.events(Registered, line=line):
        if one.model in models:
            yield _dataset_of(factory, one)


def _dataset_of(factory: Factory, registered: Registered) -> str:
    return factory.metadata.get(registered.ingested, Ingested).dataset


def _of_other_lines(factory: Factory, line: str) -> Iterator[str]:
    """Give the datasets that other lines read too: equal rows are kept once."""
    for run in factory.metadata.events(Finished):
        if run.line != line and run.ingested is not None:
            yield factory.metadata.get(run.ingested, Ingested).dataset


def _ended(factory: Factory, line: str, keep: KeepSpec) -> tuple[str, ...]:
    """Return the runs that ended so long ago that they are kept no longer."""
    if keep.runs is None:
        return ()
    at = before(factory.now(), duration_micros(keep.runs))
    return tuple(one.run for one in factory.metadata.events(Finished, line=line) if one.at < at)


# Carrying it out


def _carry_out(factory: Factory, plan: _Plan) -> int:
    """Record what goes, and take it out of labels, index and engine; return how many changes of labels went."""
    names = {one.name for one in plan.segments.values()}
    labels = 0
    if names:
        with factory.labels_of(plan.line).without_segments(names, marks_of(factory, plan.line)) as removed:
            _record(factory, plan.line, removed, because="retention", plan=plan)
            labels = removed.labels
    else:
        _record(factory, plan.line, None, because="retention", plan=plan)
    if plan.runs:
        remove_notes(factory.engine_url, plan.runs)
    return labels


def _record(
    factory: Factory, line: str, removed: Removed | None, *, because: str, plan: _Plan | None = None
) -> None:
    lost = removed if removed is not None and removed.labels else None
    segments = plan.segments if plan else dict[str, Segment]()
    factory.metadata.record(
        Dropped(
            at=factory.now(),
            by=factory.actor,
            because=because,
            line=line,
            results=plan.results if plan else (),
            segments=tuple(sorted(one.name for one in segments.values())),
            predictions=removed.predictions if removed else 0,
            labels=lost.labels if lost else 0,
            labels_before=end_of_changes(lost.before) if lost else None,
            labels_after=end_of_changes(lost.after) if lost else None,
            runs=plan.runs if plan else (),
            keep={name: str(value) for name, value in plan.keep.model_dump(exclude_none=True).items()}
            if plan
            else {},
        )
    )


def marks_of(factory: Factory, line: str) -> tuple[dict[int, str], ...]:
    """Return what the newest digest of the labels may be that the record has, each by the number of their changes.

    After a removal there are two: a kill may have come between its event and the labels.
    """
    newest, marks = "", [ChangesEnd(changes=0, digest=NONE)]
    for one in factory.metadata.events(Checkpointed, line=line, newest_first=True, limit=1):
        newest, marks = one.at, [ChangesEnd(changes=one.changes, digest=one.labels)]
    for kind in (Dropped, Forgotten):
        for one in factory.metadata.events(kind, line=line):
            if one.labels_before is not None and one.labels_after is not None and one.at >= newest:
                newest, marks = one.at, [one.labels_after, one.labels_before]
    return tuple({one.changes: one.digest} if one.changes else {} for one in marks)
