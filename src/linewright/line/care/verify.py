"""Whether a factory still is what it says: every digest, the record's invariants, the logs and the labels."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec

from linewright.data.dataset import blobs_of
from linewright.engine.context import Progress
from linewright.errors import Corrupt, LinewrightError, NotFound
from linewright.line.care.problem import Problem, how_many, in_bytes, problem_of, worst
from linewright.line.care.record import Record
from linewright.line.care.refers import Needs, digests_in, is_whole, needs_of, results_of_event
from linewright.line.evidence import evidence_of
from linewright.line.factory import Factory
from linewright.model.figures import count
from linewright.serve.records import count_of
from linewright.serve.segments import Damage, lengths, read_frames, read_segment
from linewright.store.chain import Chain, Link, follow
from linewright.store.seams import Version

_PAGE = 500
_TOLD = 10_000
"""How often progress is told, in things checked."""
_AGAIN = "restore it from a backup (linewright restore FILE --factory NEW-FOLDER)"
_LOST = f"{_AGAIN}, or run the line again: linewright run"


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked, and what was found wrong."""

    blobs: int
    bytes: int
    results: int
    events: int
    predictions: int
    labels: int
    unfinished: int
    """Runs that were accepted and have not ended: the next `run` or `up` ends them."""
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """The worst of the problems'."""
        return worst(self.problems)

    def to_text(self) -> str:
        """Say the counts, then each problem and what to do."""
        counts = [
            f"{count(self.blobs, 'blob')} ({in_bytes(self.bytes)})",
            count(self.results, "result"),
            *([count(self.events, "event")] if self.events else []),
            *([count(self.predictions, "prediction")] if self.predictions else []),
            *([count(self.labels, "label")] if self.labels else []),
        ]
        return "\n".join(
            [
                f"Checked {', '.join(counts)}: {how_many(self.problems)}.",
                *([f"{count(self.unfinished, 'run')} not ended yet."] if self.unfinished else []),
                *(problem.to_text() for problem in self.problems),
            ]
        )


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """How far the chain of events was followed."""

    entries: int
    """Entries that are right, from the first one on."""
    head: str
    """Digest of the last of them. Whoever keeps it elsewhere can show later that nothing before it was changed."""
    first_bad: int | None
    """Number of the first entry that is wrong."""
    problems: tuple[Problem, ...]

    @property
    def exit_code(self) -> int:
        """0, or that of stored bytes that have changed."""
        return worst(self.problems)

    def to_text(self) -> str:
        """Say how many entries are right, and the first that is not."""
        said = f"{count(self.entries, 'event')} from the first one on as recorded; the last is {self.head}"
        return "\n".join([said, *(problem.to_text() for problem in self.problems)])


def verify_factory(factory: Factory) -> Verified:
    """Check everything that is stored. Memory stays bounded by the number of runs and of damaged things.

    It may be called while runs and endpoints are at work.
    """
    problems: list[Problem] = []
    record = Record(factory)
    found = _guarded(problems, lambda: _check_events(factory, record, problems)) or 0
    damaged, blobs, size = _check_blobs(factory)
    results = _guarded(problems, lambda: _check_results(factory, damaged, problems)) or 0
    predictions, labels = _check_logs(factory, damaged, problems)
    return Verified(
        blobs=blobs,
        bytes=size,
        results=results,
        events=record.events,
        predictions=predictions,
        labels=labels,
        unfinished=found,
        problems=(*problems, *record.problems),
    )


def verify_model(factory: Factory, version: Version) -> Verified:
    """Check what one model rests on: every result and every byte that a rebuild or an endpoint would read."""
    problems: list[Problem] = []
    evidence = _guarded(problems, lambda: evidence_of(factory, version).digests) or {"": version.digest}
    results, blobs, size = 0, set[str](), 0
    waiting, seen = list(evidence.values()), set[str]()
    while waiting:
        digest = waiting.pop()
        if digest in seen:
            continue
        seen.add(digest)
        needs = _guarded(problems, lambda digest=digest: _needs_of_result(factory, digest)) or Needs()
        results += 1
        waiting += needs.results
        blobs |= {*needs.blobs, *chain.from_iterable(_blobs_of(factory, needs, problems))}
    for digest in sorted(blobs):
        size += _guarded(problems, lambda digest=digest: factory.artifacts.verify(digest)) or 0
    return Verified(
        blobs=len(blobs),
        bytes=size,
        results=results,
        events=0,
        predictions=0,
        labels=0,
        unfinished=0,
        problems=tuple(dict.fromkeys(problems)),
    )


def verify_chain(factory: Factory) -> Followed:
    """Follow the chain of events."""
    head = factory.metadata.head()
    found = follow(factory.metadata.links(), head)
    problem = _broken(found)
    return Followed(
        entries=found.entries,
        head=found.head,
        first_bad=found.first_bad,
        problems=(problem,) if problem else (),
    )


def _broken(found: Chain) -> Problem | None:
    """Return what is wrong with a chain; `None` where nothing is."""
    if found.first_bad is None:
        return None
    return Problem(
        what=f"the record was changed: {found.why}",
        where=f"event {found.first_bad}",
        next="compare with a backup (linewright restore FILE --factory NEW-FOLDER), and find out who wrote the file",
    )


def _check_events(factory: Factory, record: Record, problems: list[Problem]) -> int:
    head = factory.metadata.head()
    reading = record.read(_with_results(factory, factory.metadata.links(page=_PAGE), problems))
    found = _broken(follow(reading, head))
    problems += [found] if found else []
    for _ in reading:  # what follows the first bad entry
        pass
    return record.close()


def _with_results(factory: Factory, links: Iterator[Link], problems: list[Problem]) -> Iterator[Link]:
    """Pass events on, and tell of results that they refer to and that are missing."""
    while page := list(islice(links, _PAGE)):
        wanted = {one: results_of_event(one.kind, one.body) for one in page if _is_json(one.body)}
        known = _known(factory, wanted.values())
        for one, digests in wanted.items():
            problems += [
                Problem(what=f"{digest} is missing", where=f"event {one.seq} ({one.kind})", next=_LOST)
                for digest in digests
                if digest not in known
            ]
        yield from page


def _is_json(body: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(body), dict)
    except msgspec.MsgspecError:
        return False


def _known(factory: Factory, wanted: Iterable[tuple[str, ...]]) -> set[str]:
    digests = sorted(set(chain.from_iterable(wanted)))
    known: set[str] = set()
    for start in range(0, len(digests), _PAGE):
        known |= factory.metadata.kinds_of(digests[start : start + _PAGE]).keys()
    return known


def _check_blobs(factory: Factory) -> tuple[dict[str, LinewrightError], int, int]:
    """Hash all bytes; return what is wrong with those that have changed, and how many there are."""
    damaged: dict[str, LinewrightError] = {}
    blobs = size = 0
    for digest in factory.artifacts.digests():
        blobs += 1
        try:
            size += factory.artifacts.verify(digest)
        except NotFound:  # freed meanwhile, so nothing referred to it
            continue
        except LinewrightError as error:
            damaged[digest] = error
        _tell(factory, "artifacts", blobs)
    return damaged, blobs, size


def _check_results(factory: Factory, damaged: Mapping[str, LinewrightError], problems: list[Problem]) -> int:
    told: set[str] = set()
    results = 0
    stored = factory.metadata.results(page=_PAGE)
    while page := list(islice(stored, _PAGE)):
        results += len(page)
        needs: dict[str, Needs] = {}
        for digest, kind, body in page:
            if not is_whole(digest, body):
                problems.append(_changed(digest, kind))
                continue
            needs[digest] = needs_of(kind, digest, body)
            for blob in (damaged.keys() & {digest, *digests_in(body)}) - told:
                told.add(blob)
                problems.append(_damaged(damaged[blob], digest, kind))
        problems += _missing(factory, needs)
        problems += _lost_rows(factory, needs, damaged)
        _tell(factory, "results", results)
    return results


def _damaged(error: LinewrightError, digest: str, kind: str) -> Problem:
    return problem_of(error, where=f"{error.where} (of {kind} {digest[7:19]})", next=_AGAIN)


def _changed(digest: str, kind: str) -> Problem:
    return Problem(what="a stored result has changed", where=f"{kind} {digest}", next=_AGAIN)


def _missing(factory: Factory, needs: Mapping[str, Needs]) -> Iterator[Problem]:
    known = _known(factory, (need.results for need in needs.values()))
    for digest, need in needs.items():
        absent = [one for one in need.results if one not in known]
        absent += [one for one in need.blobs if not factory.artifacts.has(one)]
        for one in absent:
            yield Problem(what=f"{one} is missing", where=f"result {digest}", next=_LOST)


def _lost_rows(
    factory: Factory, needs: Mapping[str, Needs], damaged: Mapping[str, LinewrightError]
) -> Iterator[Problem]:
    for digest, need in needs.items():
        for content in need.contents:
            links = blobs_of(content, factory.metadata)
            blobs = [blob for blob in links if blob in damaged or factory.artifacts.has(blob)]
            if not any(blob not in damaged for blob in blobs):
                how = "have changed" if blobs else "are missing"
                where = str(factory.artifacts.path(blobs[0])) if blobs else f"dataset {digest}"
                yield Problem(what=f"rows of dataset {digest[7:19]} {how}", where=where, next=_LOST)


def _needs_of_result(factory: Factory, digest: str) -> Needs:
    body = factory.metadata.body(digest).decode()
    return needs_of(str(msgspec.json.decode(body)["kind"]), digest, body)


def _blobs_of(factory: Factory, needs: Needs, problems: list[Problem]) -> Iterator[list[str]]:
    """Give the blobs of each chunk: one that is whole, else all."""
    for content in needs.contents:
        links = list(blobs_of(content, factory.metadata))
        whole = [blob for blob in links if _is_sound(factory, blob)]
        if not links:
            problems.append(Problem(what="rows are missing", where=f"chunk {content}", next=_LOST))
        yield whole[:1] or links


def _is_sound(factory: Factory, blob: str) -> bool:
    try:
        factory.artifacts.verify(blob)
    except (NotFound, Corrupt):
        return False
    return True


class _Answered(msgspec.Struct):
    digest: str


_ANSWERED = msgspec.json.Decoder(_Answered)


def _check_logs(
    factory: Factory, damaged: Mapping[str, LinewrightError], problems: list[Problem]
) -> tuple[int, int]:
    predictions = labels = 0
    folder = factory.state / "log"
    logged = {path.name for path in folder.iterdir() if path.is_dir()} if folder.is_dir() else set[str]()
    labelled = {path.stem for path in (factory.state / "feedback").glob("*.sqlite")}
    for line in sorted(logged | labelled):
        predictions += _guarded(problems, lambda line=line: _check_log(factory, line, damaged, problems)) or 0
        if line in labelled:
            labels += _guarded(problems, lambda line=line: _check_labels(factory, line, problems)) or 0
    for folder in sorted(factory.state.glob("shadow/*/*")):
        problems += _check_copies(factory, folder)
    return predictions, labels


def _check_log(
    factory: Factory, line: str, damaged: Mapping[str, LinewrightError], problems: list[Problem]
) -> int:
    damage: list[Damage] = []
    known = {version.digest for version in factory.metadata.versions(line)}
    log, sealed = factory.log_of(line), factory.sealed_of(line)
    frames, strange = 0, set[str]()

    def check_segment(name: str) -> None:
        nonlocal frames
        for frame in read_segment(log, name, damaged=damage.append, sealed=sealed):
            before, frames = frames, frames + count_of(frame.payload)
            try:
                strange.update({_ANSWERED.decode(frame.payload).digest} - known)
            except msgspec.MsgspecError as error:
                damage.append(Damage(frame.segment, frame.offset, str(error)))
            if before // _TOLD < frames // _TOLD:
                _tell(factory, "prediction log", frames // _TOLD * _TOLD)

    for name in sorted(lengths(log, sealed)):
        try:
            check_segment(name)
        except Corrupt as error:
            blob = error.details.get("blob")
            # Else it is told of the `Segment` already.
            if blob is None or (blob not in damaged and factory.artifacts.has(blob)):
                problems.append(problem_of(error, next=_AGAIN))
    counted = factory.labels_of(line).counted()
    for one in damage:
        if not one.is_end_of_killed(counted):
            where = f"{log / one.segment}, byte {one.offset}"
            problems.append(
                Problem(what=f"a logged prediction is damaged: {one.why}", where=where, next=_AGAIN)
            )
    problems += _strangers(strange, f"log of {line}")
    return frames


def _check_copies(factory: Factory, folder: Path) -> Iterator[Problem]:
    """Tell of copies of rows that no model of their line answered.

    One that is damaged is no problem: it is only not compared, and can be computed again.
    """
    line, strange = folder.parent.name, set[str]()
    known = {version.digest for version in factory.metadata.versions(line)}
    for frame in read_frames(folder):
        with suppress(msgspec.MsgspecError):
            strange |= {_ANSWERED.decode(frame.payload).digest} - known
    return _strangers(strange, f"copies answered for {line}")


def _strangers(strange: Iterable[str], where: str) -> Iterator[Problem]:
    for digest in sorted(strange):
        what = f"predictions were answered by a model that is not registered: {digest}"
        yield Problem(what=what, where=where, next=_AGAIN)


def _check_labels(factory: Factory, line: str, problems: list[Problem]) -> int:
    audit = factory.labels_of(line).audit()
    problems += [Problem(what=what, where=f"labels of {line}", next=_AGAIN) for what in audit.wrong]
    return audit.labels


def _guarded(problems: list[Problem], check: Callable[[], Any]) -> Any:
    """Return what a check found; one that cannot go on is a problem, and the others are made all the same."""
    try:
        return check()
    except LinewrightError as error:
        problems.append(problem_of(error))
        return None


def _tell(factory: Factory, what: str, number: int) -> None:
    if number % _TOLD == 0:
        factory.report(Progress(station="verify", says=f"{what}: {number:,}", done=number))
