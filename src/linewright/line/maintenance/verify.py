"""Whether a factory still is what it says: every digest, the record's invariants, the logs and the labels."""

import shlex
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import chain, islice
from pathlib import Path

import msgspec

from linewright.data.dataset.blobs import INSTEAD, blobs_of, instead_of
from linewright.engine.context import Progress
from linewright.errors import Corrupt, LinewrightError, NotFound
from linewright.line.audit.key import ed25519
from linewright.line.audit.proof import Finding, prove
from linewright.line.audit.signed_note import PublicKey
from linewright.line.factory import Factory
from linewright.line.maintenance.feature_records import check_feature_records
from linewright.line.maintenance.forget_free_text import check_comments
from linewright.line.maintenance.logs import Logs
from linewright.line.maintenance.problem import AGAIN, OLDER, Problem, guarded, problem_of, worst
from linewright.line.maintenance.record_checks import Record
from linewright.line.maintenance.references import Needs, digests_in, is_whole, needs_of, results_of_event
from linewright.line.maintenance.schemas import databases_of, strange_in
from linewright.line.maintenance.serving_files import check_serving_files
from linewright.line.maintenance.state_checks import check_state
from linewright.line.record.checkpoint import kept_head
from linewright.line.record.evidence import evidence_of
from linewright.line.retention.dropped import gone
from linewright.line.retention.forgotten import forgotten_of, lines_with_removals
from linewright.store.files.disk import explain_sqlite, is_busy
from linewright.store.metadata.audit_chain import ROOT, Chain, Head, Link, follow
from linewright.store.metadata.chain_file import open_chain
from linewright.store.protocols import Version
from linewright.text.numbers import count

_PAGE = 500
_TOLD = 10_000
"""How often progress is told, in things checked."""
_LOST = f"{AGAIN}, or run the line again: linewright run"


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
    unproved_predictions: int = 0
    """Those logged since the newest checkpoint of their segment: nobody can tell yet whether they were edited since."""
    unproved_labels: int = 0
    """Changes of labels since the newest checkpoint."""

    @property
    def exit_code(self) -> int:
        """The worst of the problems'."""
        return worst(self.problems)


class Followed(msgspec.Struct, frozen=True, kw_only=True):
    """How far the chain of events was followed."""

    entries: int
    """Entries that are right, from the first one on."""
    head: str
    """Digest of the last of them. Whoever keeps it elsewhere can show later that nothing before it was changed."""
    first_bad: int | None
    """Number of the first entry that is wrong."""
    problems: tuple[Problem, ...]
    contains: int | None = None
    """Number of events after which the head that was asked for was the last; `None` where it never was, or none was asked for."""
    checkpoints: int | None = None
    """Signed checkpoints whose signature is right; `None` where none were given."""
    proved: int | None = None
    """Entries that the newest of them proves which the record bears out."""

    @property
    def exit_code(self) -> int:
        """0, or that of stored bytes that have changed."""
        return worst(self.problems)


def verify_factory(factory: Factory) -> Verified:
    """Check everything that is stored. Memory stays bounded by the number of runs and of damaged things.

    It may be called while runs and endpoints are at work.
    """
    problems: list[Problem] = []
    record = Record(factory)
    problems += _check_schemas(factory)
    found = guarded(problems, lambda: _check_events(factory, record, problems)) or 0
    guarded(problems, lambda: problems.extend(chain.from_iterable(check_serving_files(factory))))
    damaged, blobs, size = _check_blobs(factory, problems)
    results = guarded(problems, lambda: _check_results(factory, damaged, problems, record.gone.at)) or 0
    guarded(problems, lambda: problems.extend(_check_forgotten(factory, record.instead)))
    guarded(problems, lambda: problems.extend(check_comments(factory, damaged, record.forgotten)))
    guarded(problems, lambda: problems.extend(check_feature_records(factory)))
    logs = Logs(factory, damaged, problems)
    logs.check(record.checkpoints(), record.gone.segments)
    problems += check_state(factory, record)
    return Verified(
        blobs=blobs,
        bytes=size,
        results=results,
        events=record.events,
        predictions=logs.predictions,
        labels=logs.labels,
        unfinished=found,
        problems=(*problems, *record.problems),
        unproved_predictions=logs.unproved_predictions,
        unproved_labels=logs.unproved_labels,
    )


def verify_model(factory: Factory, version: Version) -> Verified:
    """Check what one model rests on: every result and every byte that a rebuild or an endpoint would read."""
    problems: list[Problem] = []
    evidence = guarded(problems, lambda: evidence_of(factory, version).digests) or {"": version.digest}
    dropped = guarded(problems, lambda: gone(factory).at) or {}
    results, blobs, size = 0, set[str](), 0
    waiting, seen = list(evidence.values()), set[str]()
    while waiting:
        digest = waiting.pop()
        if digest in seen:
            continue
        seen.add(digest)
        needs = guarded(problems, lambda digest=digest: _needs_of_result(factory, digest)) or Needs()
        results += 1
        waiting += needs.results
        if digest in dropped:
            continue
        blobs |= {
            *(_now_of(factory, one) for one in needs.blobs),
            *chain.from_iterable(_blobs_of(factory, needs, problems)),
        }
    for digest in sorted(blobs):
        size += guarded(problems, lambda digest=digest: factory.artifacts.verify(digest)) or 0
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


def verify_chain(
    factory: Factory,
    against: str | None = None,
    *,
    signed: Mapping[str, bytes] | None = None,
    keys: Sequence[PublicKey] = (),
    database: Path | None = None,
) -> Followed:
    """Follow the chain of events.

    Parameters
    ----------
    against
        A head that was kept elsewhere, with or without ``sha256:``: the chain must contain it.
    signed
        Signed checkpoints by name, as `read_checkpoints` returns them: the chain must bear them out.
    keys
        Who may have signed them.
    database
        A copy of the record that is followed in place of the factory's, which need not be there.
    """
    sought = _Sought(ROOT if against is None else f"sha256:{against.removeprefix('sha256:')}")
    # Without checkpoints the extra is not needed.
    is_signed = ed25519().is_signed if signed else _nobody_signed
    with (
        nullcontext((factory.metadata.head(), factory.metadata.links()))
        if database is None
        else open_chain(database) as (head, links)
    ):
        proof = prove(sought.among(links), head, signed or {}, keys, is_signed)
    found = proof.chain
    problems = [broken] if (broken := _broken(found)) else []
    problems += map(_unproved, proof.findings)
    contains = sought.found(found)
    if contains is None:
        problems.append(
            Problem(
                what="the record does not contain the head that was kept: its end was cut off, or it was made anew",
                where=sought.digest,
                next="compare with a backup of that time (linewright restore FILE --factory NEW-FOLDER), and find out who wrote the file",
            )
        )
    return Followed(
        entries=found.entries,
        head=found.head,
        first_bad=proof.first_bad,
        problems=tuple(problems),
        contains=None if against is None else contains,
        checkpoints=None if signed is None else proof.checkpoints,
        proved=None if signed is None else proof.proved,
    )


def _nobody_signed(_public: bytes, _signature: bytes, _message: bytes) -> bool:
    return False


def _unproved(found: Finding) -> Problem:
    """Say what is wrong with a checkpoint, or with the record that does not bear it out."""
    match found.fault:
        case "unreadable":
            what, after = "not a signed checkpoint", "find out who wrote it"
        case "foreign":
            what = "none of the public keys that are given signed this checkpoint"
            after = "give the key of that time too (--public-key), or find out whose checkpoint it is"
        case "forged":
            what, after = "the signature is wrong: the checkpoint was changed", "find out who wrote it"
        case "missing":
            what = f"it names a checkpoint of {count(found.entries, 'entry', 'entries')} that is missing"
            after = "find out who removed it; the others prove what they name all the same"
        case "truncated":
            what = (
                f"the record was cut off or is an older copy: it had {count(found.entries, 'entry', 'entries')} when this was "
                f"signed, and has fewer; the checkpoints prove {found.after:,}"
            )
            after = OLDER
        case "rewritten":
            what = (
                f"the record was rebuilt: its entry {found.entries:,} is not the one that was signed, "
                f"so that one from {found.after + 1:,} to it was changed"
            )
            after = AGAIN
    return Problem(what=what, where=found.where, next=after)


class _Sought:
    """Passes entries of a chain on, and notes after how many of them a digest was the last."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self._place = 0 if digest == ROOT else None

    def among(self, links: Iterable[Link]) -> Iterator[Link]:
        for number, one in enumerate(links, 1):
            if one.chain == self.digest:
                self._place = number
            yield one

    def found(self, followed: Chain) -> int | None:
        """Return the place; `None` where it is not among those that were found right."""
        return self._place if self._place is not None and self._place <= followed.entries else None


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
    kept: Head = guarded(problems, lambda: kept_head(factory)) or Head(0, ROOT)
    head, sought = factory.metadata.head(), _Sought(kept.digest)
    reading = record.read(sought.among(_with_results(factory, factory.metadata.links(page=_PAGE), problems)))
    found = follow(reading, head)
    broken = _broken(found)
    problems += [broken] if broken else []
    if broken is None and sought.found(found) is None:
        what = (
            f"the record is an older copy, or was made anew: it does not contain the head that was kept beside it after "
            f"{count(kept.entries, 'event')}, {kept.digest}"
        )
        problems.append(Problem(what=what, where="the record", next=OLDER))
    for _ in reading:  # what follows the first bad entry
        pass
    return record.close()


def _check_schemas(factory: Factory) -> Iterator[Problem]:
    for path in databases_of(factory.state):
        try:
            strange = strange_in(path)
        except sqlite3.DatabaseError as error:
            found = explain_sqlite(error, str(path)) or Corrupt(
                f"the database cannot be read: {error}", where=str(path)
            )
            yield problem_of(found, next="" if is_busy(error) else AGAIN)
            continue
        except LinewrightError as error:
            yield problem_of(error, where=str(path))
            continue
        for what in strange:
            yield Problem(what=f"the schema was changed: {what}", where=str(path), next=AGAIN)


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


def _check_blobs(factory: Factory, problems: list[Problem]) -> tuple[dict[str, LinewrightError], int, int]:
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
        if factory.artifacts.has_other_name(digest):
            path = factory.artifacts.path(digest)
            find = f"find it (find / -xdev -samefile {shlex.quote(str(path))}), and put a copy in the place of the file"
            what = "stored bytes have another name, by which they can be changed"
            problems.append(Problem(what=what, where=str(path), next=find))
        _tell(factory, "artifacts", blobs)
    return damaged, blobs, size


def _check_results(
    factory: Factory,
    damaged: Mapping[str, LinewrightError],
    problems: list[Problem],
    dropped: Collection[str],
) -> int:
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
            if digest not in dropped:
                needs[digest] = needs_of(kind, digest, body)
            for blob in (damaged.keys() & {digest, *digests_in(body)}) - told:
                told.add(blob)
                problems.append(_damaged(damaged[blob], digest, kind))
        problems += _missing(factory, needs)
        problems += _lost_rows(factory, needs, damaged)
        _tell(factory, "results", results)
    return results


def _damaged(error: LinewrightError, digest: str, kind: str) -> Problem:
    return problem_of(error, where=f"{error.where} (of {kind} {digest[7:19]})", next=AGAIN)


def _changed(digest: str, kind: str) -> Problem:
    return Problem(what="a stored result has changed", where=f"{kind} {digest}", next=AGAIN)


def _missing(factory: Factory, needs: Mapping[str, Needs]) -> Iterator[Problem]:
    known = _known(factory, (need.results for need in needs.values()))
    for digest, need in needs.items():
        absent = [one for one in need.results if one not in known]
        absent += [one for one in need.blobs if not factory.artifacts.has(_now_of(factory, one))]
        for one in absent:
            yield Problem(what=f"{one} is missing", where=f"result {digest}", next=_LOST)


def _lost_rows(
    factory: Factory, needs: Mapping[str, Needs], damaged: Mapping[str, LinewrightError]
) -> Iterator[Problem]:
    for digest, need in needs.items():
        for content in need.contents:
            links = _links_of(factory, content)
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
        links = _links_of(factory, content)
        whole = [blob for blob in links if _is_sound(factory, blob)]
        if not links:
            problems.append(Problem(what="rows are missing", where=f"chunk {content}", next=_LOST))
        yield whole[:1] or links


def _links_of(factory: Factory, content: str) -> list[str]:
    """Return the blobs that may hold a chunk, the one without those who were forgotten last."""
    instead = instead_of(content, factory.metadata)
    return [*blobs_of(content, factory.metadata), *([instead] if instead else [])]


def _now_of(factory: Factory, blob: str) -> str:
    """Return the blob that is in the place of another one now; itself where none is."""
    if factory.artifacts.has(blob):
        return blob
    return instead_of(blob, factory.metadata) or blob


def _check_forgotten(factory: Factory, instead: Collection[str]) -> Iterator[Problem]:
    """Tell of removals that were interrupted, and of what is in the place of something though no event says so."""
    for line in lines_with_removals(factory):
        if undone := forgotten_of(factory, line).undone:
            what = f"what is stored about {count(len(undone), 'subject')} is being removed, or that was interrupted"
            yield Problem(what=what, where=f"line {line}", next="linewright gc")
    for key, digest in factory.metadata.settlements():
        if key.startswith(INSTEAD) and digest not in instead:
            what = "other bytes were put in the place of stored ones, and no event says so"
            yield Problem(what=what, where=key.removeprefix(INSTEAD), next=AGAIN)


def _is_sound(factory: Factory, blob: str) -> bool:
    try:
        factory.artifacts.verify(blob)
    except (NotFound, Corrupt):
        return False
    return True


def _tell(factory: Factory, what: str, number: int) -> None:
    if number % _TOLD == 0:
        factory.report(Progress(step="verify", says=f"{what}: {number:,}", done=number))
