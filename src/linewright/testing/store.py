"""What every store must do: subclass a suite and supply its fixture. Needs pytest."""
# ruff: noqa: SIM300 -- in tests the expected value comes first

from concurrent.futures import ThreadPoolExecutor

import pytest

from linewright.errors import Conflict, Corrupt, NotFound
from linewright.store.protocols import Artifacts, Metadata, Pointer, Version
from linewright.store.values import Event, Result, canonical_json, digest_of, digest_of_bytes

NOBODY = "sha256:" + "0" * 64
"""A digest that nothing has."""
_AT = "2026-11-25T01:02:03.000004Z"


class Sample(Result, frozen=True, kw_only=True, tag="testing-sample"):
    """A result for the suites."""

    value: float
    text: str = ""


class Other(Result, frozen=True, kw_only=True, tag="testing-other"):
    """Another kind of result for the suites."""

    count: int


class Happened(Event, frozen=True, kw_only=True, tag="testing-happened"):
    """An event for the suites."""

    number: int


class AlsoHappened(Event, frozen=True, kw_only=True, tag="testing-also-happened"):
    """Another kind of event for the suites."""


def happened(number: int, *, line: str = "claims") -> Happened:
    """Return an event that differs by its number."""
    return Happened(at=_AT, by="ada", because="a test", line=line, number=number)


class ArtifactsContract:
    """What every artifact store must do. Supply the fixture `artifacts`: an empty store."""

    def test_what_was_put_can_be_got(self, artifacts: Artifacts) -> None:
        """All else rests on it."""
        digest = artifacts.put(b"model")

        assert b"model" == artifacts.get(digest)

    def test_a_digest_is_the_hash_of_the_bytes(self, artifacts: Artifacts) -> None:
        """So that any program can check a blob without asking the store."""
        assert digest_of_bytes(b"model") == artifacts.put(b"model")

    def test_equal_bytes_are_kept_once(self, artifacts: Artifacts) -> None:
        """A dataset that shares chunks with the one before costs only what is new."""
        artifacts.put(b"chunk")
        artifacts.put(b"chunk")

        assert [digest_of_bytes(b"chunk")] == list(artifacts.digests())

    def test_no_bytes_are_bytes_too(self, artifacts: Artifacts) -> None:
        """An empty file is a value like any other."""
        assert b"" == artifacts.get(artifacts.put(b""))

    def test_what_was_never_put_is_not_found(self, artifacts: Artifacts) -> None:
        """A missing blob must not look like an empty one."""
        with pytest.raises(NotFound, match="no artifact has that digest"):
            artifacts.get(NOBODY)

        assert not artifacts.has(NOBODY)

    def test_digests_come_in_order(self, artifacts: Artifacts) -> None:
        """Backup and garbage collection compare two lists."""
        put = [artifacts.put(str(number).encode()) for number in range(50)]

        assert sorted(put) == list(artifacts.digests())
        assert all(artifacts.has(digest) for digest in put)

    def test_many_threads_may_put_the_same_bytes(self, artifacts: Artifacts) -> None:
        """Two steps may compute the same thing at once."""
        with ThreadPoolExecutor(8) as pool:
            put = set(pool.map(artifacts.put, [b"same" * 1000] * 32))

        assert {digest_of_bytes(b"same" * 1000)} == put
        assert b"same" * 1000 == artifacts.get(put.pop())


class MetadataContract:
    """What every metadata store must do. Supply the fixture `metadata`: an empty store."""

    def test_a_kept_result_can_be_got(self, metadata: Metadata) -> None:
        """All else rests on it."""
        kept = Sample(value=0.1, text="naïve ☃")

        assert kept == metadata.get(metadata.keep(kept), Sample)

    def test_many_kept_results_can_be_got_at_once(self, metadata: Metadata) -> None:
        """The certificates of a line take one query, and each is checked as if it were asked for alone."""
        kept = {metadata.keep(one): one for one in (Sample(value=1.0), Sample(value=2.0))}
        assert kept == metadata.get_all([*kept, *kept], Sample)
        assert {} == metadata.get_all([], Sample)
        with pytest.raises(NotFound):
            metadata.get_all([*kept, NOBODY], Sample)
        with pytest.raises(Corrupt):
            metadata.get_all(kept, Other)

    def test_a_result_is_addressed_by_its_canonical_json(self, metadata: Metadata) -> None:
        """The same result has the same id in every factory."""
        kept = Sample(value=1.0)
        digest = metadata.keep(kept)

        assert digest_of(kept) == digest
        assert canonical_json(kept) == metadata.body(digest)

    def test_keeping_twice_is_keeping_once(self, metadata: Metadata) -> None:
        """A step that is redone after a crash changes nothing."""
        first, second = metadata.keep(Sample(value=1.0)), metadata.keep(Sample(value=1.0))

        assert [(first, "testing-sample")] == metadata.find(second)

    def test_what_was_never_kept_is_not_found(self, metadata: Metadata) -> None:
        """An id mistyped by a person is answered as such."""
        with pytest.raises(NotFound, match="no result has that digest"):
            metadata.get(NOBODY, Sample)
        with pytest.raises(NotFound, match="no result has that digest"):
            metadata.body(NOBODY)

    def test_a_result_of_another_kind_is_refused(self, metadata: Metadata) -> None:
        """Nobody reads a split as a dataset."""
        with pytest.raises(Corrupt, match="not a Other"):
            metadata.get(metadata.keep(Sample(value=1.0)), Other)

    def test_results_are_found_by_the_start_of_their_digest(self, metadata: Metadata) -> None:
        """People paste the first digits of an id."""
        digest = metadata.keep(Sample(value=1.0))
        for number in range(30):
            metadata.keep(Other(count=number))
        start = digest.removeprefix("sha256:")[:12]

        assert [(digest, "testing-sample")] == metadata.find(start)
        assert [(digest, "testing-sample")] == metadata.find("sha256:" + start.upper())
        assert 20 == len(metadata.find(""))
        assert [] == metadata.find("%")

    def test_a_step_is_settled_once(self, metadata: Metadata) -> None:
        """A step finds what it computed before instead of computing it again."""
        metadata.settle("key", line="claims", step="split", inputs={"dataset": "a"}, digest="d")
        metadata.settle("key", line="claims", step="split", inputs={"dataset": "a"}, digest="d")

        assert "d" == metadata.settled("key")
        assert metadata.settled("other key") is None

    def test_a_step_that_answers_differently_is_refused(self, metadata: Metadata) -> None:
        """A step that is not a function of its inputs must not go unseen."""
        metadata.settle("key", line="claims", step="split", inputs={"dataset": "a"}, digest="d")

        with pytest.raises(Conflict, match="another result"):
            metadata.settle("key", line="claims", step="split", inputs={"dataset": "b"}, digest="e")
        assert "d" == metadata.settled("key")
        assert {"dataset": "a"} == metadata.last_inputs("claims", "split")

    def test_links_are_noted_together_or_not_at_all(self, metadata: Metadata) -> None:
        """A dataset's chunks are linked in one transaction, which a key that has another digest ends."""
        metadata.link({"a": "1", "b": "2"})
        metadata.link({"b": "2", "c": "3"})
        with pytest.raises(Conflict, match="another result"):
            metadata.link({"d": "4", "a": "2"})

        assert ["1", "2", "3", None] == [metadata.settled(key) for key in "abcd"]

    def test_the_latest_inputs_are_known_also_when_a_line_returns_to_an_older_spec(
        self, metadata: Metadata
    ) -> None:
        """`plan` says what changed since the last run, not since the newest key."""
        for dataset, key in (("a", "key a"), ("b", "key b"), ("a", "key a")):
            metadata.settle(key, line="claims", step="split", inputs={"dataset": dataset}, digest="d")

        assert {"dataset": "a"} == metadata.last_inputs("claims", "split")
        assert {} == metadata.last_inputs("claims", "train")
        assert {} == metadata.last_inputs("other", "split")

    def test_events_come_in_the_order_in_which_they_were_recorded(self, metadata: Metadata) -> None:
        """History is told in order, whatever clocks said."""
        for number in range(5):
            metadata.record(happened(number, line="claims" if number % 2 else "other"))
            metadata.record(AlsoHappened(at=_AT, by="ada", because="a test", line="claims"))

        assert [0, 1, 2, 3, 4] == [event.number for event in metadata.events(Happened)]
        assert [1, 3] == [event.number for event in metadata.events(Happened, line="claims")]
        assert [4, 3] == [event.number for event in metadata.events(Happened, newest_first=True, limit=2)]
        assert [0, 1] == [event.number for event in metadata.events(Happened, limit=2)]

    def test_history_is_newest_first_and_counts_up(self, metadata: Metadata) -> None:
        """The audit page shows what happened last, and in which order."""
        metadata.record(happened(1))
        metadata.record(AlsoHappened(at=_AT, by="ada", because="a test", line="other"))
        metadata.record(happened(2))

        told = metadata.history()
        assert ["testing-happened", "testing-also-happened", "testing-happened"] == [
            entry.kind for entry in told
        ]
        assert sorted((entry.seq for entry in told), reverse=True) == [entry.seq for entry in told]
        assert [happened(2), happened(1)] == [entry.event for entry in metadata.history(line="claims")]
        assert [happened(2)] == [entry.event for entry in metadata.history(limit=1)]

    def test_a_line_without_models_has_the_default_pointer(self, metadata: Metadata) -> None:
        """Nothing serves before the first promotion."""
        assert Pointer() == metadata.pointer("claims")
        assert [] == metadata.versions("claims")
        assert [] == metadata.lines()

    def test_versions_count_from_one_in_each_line(self, metadata: Metadata) -> None:
        """People say "claims 3"."""
        assert 1 == metadata.register("claims", "a", at=_AT)
        assert 2 == metadata.register("claims", "b", at=_AT)
        assert 1 == metadata.register("other", "a", at=_AT)

        assert [
            Version(line="claims", version=1, digest="a", at=_AT),
            Version(line="claims", version=2, digest="b", at=_AT),
        ] == metadata.versions("claims")
        assert ["claims", "other"] == metadata.lines()

    def test_a_registered_digest_keeps_its_version(self, metadata: Metadata) -> None:
        """A run that is resumed does not register its model twice."""
        metadata.register("claims", "a", at=_AT)
        metadata.register("claims", "b", at=_AT)

        assert 1 == metadata.register("claims", "a", at="2027-01-01T00:00:00.000000Z")
        assert _AT == metadata.versions("claims")[0].at

    def test_many_registrations_at_once_leave_no_gap(self, metadata: Metadata) -> None:
        """Two runs of a line may end in the same moment."""

        def register(digest: str) -> int:
            return metadata.register("claims", digest, at=_AT)

        with ThreadPoolExecutor(8) as pool:
            given = list(pool.map(register, "abcdefgh" * 2))

        assert given[:8] == given[8:]
        assert list(range(1, 9)) == sorted(given[:8])

    def test_a_move_changes_the_pointer_and_tells_of_it(self, metadata: Metadata) -> None:
        """Who serves, and why, is one fact."""
        metadata.move("claims", Pointer(generation=1, champion=1), happened(1))
        second = Pointer(generation=2, champion=2, challenger=3, halt=True)
        metadata.move("claims", second, happened(2))

        assert second == metadata.pointer("claims")
        assert [happened(1), happened(2)] == metadata.events(Happened)
        assert ["claims"] == metadata.lines()
        assert Pointer() == metadata.pointer("other")

    @pytest.mark.parametrize("generation", [0, 1, 3, 7])
    def test_a_move_from_another_generation_is_refused_whole(
        self, metadata: Metadata, generation: int
    ) -> None:
        """The loser of a race leaves neither a pointer nor an event behind."""
        metadata.move("claims", Pointer(generation=1, champion=1), happened(1))

        with pytest.raises(Conflict, match="found 'generation 1'"):
            metadata.move("claims", Pointer(generation=generation, champion=9), happened(9))
        assert Pointer(generation=1, champion=1) == metadata.pointer("claims")
        assert [happened(1)] == metadata.events(Happened)

    def test_of_many_moves_at_once_exactly_one_wins(self, metadata: Metadata) -> None:
        """A line has one champion, and one chain of promotions."""

        def move(number: int) -> int | None:
            try:
                metadata.move("claims", Pointer(generation=1, champion=number), happened(number))
            except Conflict:
                return None
            return number

        with ThreadPoolExecutor(8) as pool:
            winners = [number for number in pool.map(move, range(8)) if number is not None]

        assert 1 == len(winners)
        assert Pointer(generation=1, champion=winners[0]) == metadata.pointer("claims")
        assert [happened(winners[0])] == metadata.events(Happened)
