"""Results of the record with the bytes that they name: rows of dataset versions, quarantines, packages. All must be there and unchanged."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain, islice

import msgspec
import polars as pl

from linewright.data.dataset.blobs import INSTEAD, blobs_of, instead_of
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset
from linewright.engine.context import Progress
from linewright.errors import Corrupt, LinewrightError, NotFound
from linewright.line.factory import Factory
from linewright.line.holding import Check, Holding, References, Verified
from linewright.line.holdings.references import Needs, digests_in, is_whole, needs_of
from linewright.line.problem import AGAIN, Problem, problem_of
from linewright.line.record.evidence import evidence_of
from linewright.line.retention.dropped import gone
from linewright.model.facts import Package
from linewright.people.facts import Commented
from linewright.store.protocols import Version
from linewright.store.values import decode, decoder

_PAGE = 500
_REPORTED = 10_000
LOST = f"{AGAIN}, or run the line again: linewright run"


class Results(Holding):
    """Results, and the bytes that they need; they are kept in the record and among the artifacts."""

    name = "results and their rows"
    files = ()

    def verify(self, check: Check) -> None:
        """Compare each result with its digest, and require what it needs."""
        check.guarded(lambda: _check_results(check))
        check.guarded(lambda: _check_replaced(check))
        check.guarded(lambda: _check_comments(check))

    def references(self, asked: References) -> Iterator[str]:
        """Give the files that cells of dataset versions name, and those that packages try when they are loaded."""
        if not asked.wanted:
            return
        factory = asked.factory
        artifacts, metadata = factory.artifacts, factory.metadata
        dropped = {*gone(factory).at, *asked.planned}
        for digest, kind, body in metadata.results():
            if kind == "dataset" and '"file"' in body and digest not in dropped:
                yield from _files_in(factory, decode(Dataset, body.encode(), digest=digest))
            elif asked.in_packages and kind == "package" and '"picture_part"' in body:
                with suppress(NotFound):
                    yield artifacts.get(decode(Package, body.encode(), digest=digest).golden).decode()


def _files_in(factory: Factory, dataset: Dataset) -> Iterator[str]:
    names = [column.name for column in dataset.columns if column.type == "file"]
    # Each chunk by itself: of a damaged dataset the others count all the same.
    for chunk in dataset.chunks if names else ():
        part = msgspec.structs.replace(dataset, chunks=(chunk,))
        with suppress(NotFound, Corrupt):  # what cannot be read for a moment stops all: it may name something
            frame = read_dataset(part, factory.artifacts, factory.metadata, names)
            yield from pl.concat([frame[name] for name in names]).drop_nulls().to_list()


def _check_results(check: Check) -> None:
    factory, seen = check.factory, set[str]()
    stored = factory.metadata.results(page=_PAGE)
    while page := list(islice(stored, _PAGE)):
        needs: dict[str, Needs] = {}
        for digest, kind, body in page:
            if not is_whole(digest, body):
                check.say("a stored result has changed", f"{kind} {digest}")
                continue
            if digest not in check.recorded.gone.at:
                needs[digest] = needs_of(kind, digest, body)
            for blob in (check.damaged.keys() & {digest, *digests_in(body)}) - seen:
                seen.add(blob)
                error = check.damaged[blob]
                check.problems.append(
                    problem_of(error, where=f"{error.where} (of {kind} {digest[7:19]})", next=AGAIN)
                )
        check.problems += _missing(factory, needs)
        check.problems += _lost_rows(factory, needs, check.damaged)
        check.counts["results"] += len(page)
        if (number := check.counts["results"]) % _REPORTED == 0:
            factory.report(Progress(step="verify", says=f"results: {number:,}", done=number))


def known_results(factory: Factory, wanted: Iterable[str]) -> set[str]:
    """Return those of some digests that are of results."""
    digests, known = sorted(set(wanted)), set[str]()
    for start in range(0, len(digests), _PAGE):
        known |= factory.metadata.kinds_of(digests[start : start + _PAGE]).keys()
    return known


def _missing(factory: Factory, needs: Mapping[str, Needs]) -> Iterator[Problem]:
    known = known_results(factory, chain.from_iterable(need.results for need in needs.values()))
    for digest, need in needs.items():
        absent = [one for one in need.results if one not in known]
        absent += [one for one in need.blobs if not factory.artifacts.has(_now_of(factory, one))]
        for one in absent:
            yield Problem(what=f"{one} is missing", where=f"result {digest}", next=LOST)


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
                yield Problem(what=f"rows of dataset {digest[7:19]} {how}", where=where, next=LOST)


def _check_replaced(check: Check) -> None:
    """Note bytes that are in the place of others though no event says so."""
    for key, digest in check.factory.metadata.settlements():
        if key.startswith(INSTEAD) and digest not in check.recorded.instead:
            check.say(
                "other bytes were put in the place of stored ones, and no event says so",
                key.removeprefix(INSTEAD),
            )


def _check_comments(check: Check) -> None:
    """Note comments whose words have changed or are missing, though no removal says so."""
    factory, removals = check.factory, check.recorded.forgotten
    removed = {
        (one, blob) for event in chain.from_iterable(removals.values()) for one, blob in event.instead.items()
    }
    for link in factory.metadata.links(kinds=("commented",)):
        where = f"event {link.seq} (commented)"
        try:
            words = decoder(Commented).decode(link.body).text
        except msgspec.MsgspecError as error:
            check.say(f"it cannot be read: {error}", where)
            continue
        if not words or (words not in check.damaged and factory.artifacts.has(words)):
            continue
        if words in check.damaged or (words, instead_of(words, factory.metadata)) not in removed:
            how = (
                "have changed"
                if words in check.damaged
                else "are missing, and no event says that they were removed"
            )
            check.say(f"the words of a comment {how}", where)


def verify_model(factory: Factory, version: Version) -> Verified:
    """Check what one model rests on: every result and every byte that a rebuild or an endpoint would read."""
    check = Check(factory)
    evidence = check.guarded(lambda: evidence_of(factory, version).digests) or {"": version.digest}
    dropped = check.guarded(lambda: gone(factory).at) or {}
    results, blobs, size = 0, set[str](), 0
    waiting, seen = list(evidence.values()), set[str]()
    while waiting:
        digest = waiting.pop()
        if digest in seen:
            continue
        seen.add(digest)
        needs = check.guarded(lambda digest=digest: _needs_of_result(factory, digest)) or Needs()
        results += 1
        waiting += needs.results
        if digest in dropped:
            continue
        blobs |= {
            *(_now_of(factory, one) for one in needs.blobs),
            *chain.from_iterable(_blobs_of(check, needs)),
        }
    for digest in sorted(blobs):
        size += check.guarded(lambda digest=digest: factory.artifacts.verify(digest)) or 0
    return Verified(
        blobs=len(blobs),
        bytes=size,
        results=results,
        events=0,
        predictions=0,
        labels=0,
        unfinished=0,
        problems=tuple(dict.fromkeys(check.problems)),
    )


def _needs_of_result(factory: Factory, digest: str) -> Needs:
    body = factory.metadata.body(digest).decode()
    return needs_of(str(msgspec.json.decode(body)["kind"]), digest, body)


def _blobs_of(check: Check, needs: Needs) -> Iterator[list[str]]:
    """Give the blobs of each chunk: one that is whole, else all."""
    for content in needs.contents:
        links = _links_of(check.factory, content)
        whole = [blob for blob in links if _is_sound(check.factory, blob)]
        if not links:
            check.say("rows are missing", f"chunk {content}", LOST)
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


def _is_sound(factory: Factory, blob: str) -> bool:
    try:
        factory.artifacts.verify(blob)
    except (NotFound, Corrupt):
        return False
    return True
