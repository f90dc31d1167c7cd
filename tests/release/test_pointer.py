"""The pointer: one champion, one chain, and a file that never says what the metadata does not."""

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from itertools import count
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linewright.engine.context import Context
from linewright.errors import Conflict, Corrupt, GateRefused, NotFound, RequestError, Transient
from linewright.features.facts import Encoder
from linewright.model.facts import Calibration, Certificate, Conclusion, Package
from linewright.release import halt_file
from linewright.release.facts import Arm, Halted, Promoted, Refused, RolledBack, Serving
from linewright.release.promotion import (
    Candidate,
    champions,
    halt,
    is_projected,
    project,
    promote,
    record_pending,
    refuse,
    rollback,
)
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.artifacts.memory import MemoryArtifacts
from linewright.store.metadata.sql import SqlMetadata
from linewright.store.values import canonical_json, digest_of

LINE = "claims"


def context_of(metadata, artifacts):
    ticks = count()
    return Context(
        now=lambda: f"2026-11-25T01:02:03.{next(ticks):06d}Z",
        seed=lambda _: 1,
        new_id=lambda: str(next(ticks)),
        actor="ada",
        metadata=metadata,
        artifacts=artifacts,
        report=lambda _: None,
    )


def register(context, name):
    """Keep a package and return its version and digest."""
    package = Package(
        task="regression",
        label="y",
        classes=(),
        key=None,
        columns=(),
        encoder=Encoder(encodings=()),
        graph=context.artifacts.put(f"graph {name}".encode()),
        graph_bytes=7,
        calibration=Calibration(),
        threshold=None,
        half_width=None,
        golden=context.artifacts.put(f"golden {name}".encode()),
        trained=digest_of(name),
    )
    digest = context.artifacts.put(canonical_json(package))
    context.metadata.keep(package)
    return context.metadata.register(LINE, digest, at=context.now()), digest


def certificate(context, package, *, verdict="promote", rival="baseline"):
    return context.metadata.keep(
        Certificate(
            package=package,
            rival=rival,
            gates=digest_of("gates"),
            split=digest_of("split"),
            rows=digest_of("rows"),
            n=1,
            excluded=0,
            outcomes=(),
            verdict=verdict,
            reason=Conclusion(kind="no-gates"),
        )
    )


def candidate(model, package, certificate=None):
    return Candidate(line=LINE, model=model, package=package, certificate=certificate)


def serve(context, folder, name, **changes):
    """Register a model and promote it with a certificate."""
    model, package = register(context, name)
    digest = changes.pop("certificate", None) or certificate(context, package)
    return promote(context, folder, candidate(model, package, digest), **({"because": "gates"} | changes))


def on_disk(folder):
    return msgspec.json.decode((folder / f"{LINE}.json").read_bytes(), type=Serving)


@pytest.fixture
def context():
    with SqlMetadata("sqlite://") as metadata:
        yield context_of(metadata, MemoryArtifacts())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "serving"


def test_a_certified_model_becomes_champion_in_the_record_and_on_the_endpoint(context, folder):
    """The three places that must agree: pointer, event, file."""
    event = serve(context, folder, "a")
    expected = Serving(line=LINE, generation=1, champion=Arm(model=1, package=event.package), go=True)

    assert (event.model, event.before, event.generation, event.by) == (1, None, 1, "ada")
    assert [event] == context.metadata.events(Promoted, line=LINE)
    assert context.metadata.pointer(LINE).champion == 1
    assert expected == on_disk(folder)


def test_the_next_promotion_names_the_champion_before_it(context, folder):
    """Promotions of a line form one chain."""
    serve(context, folder, "a")
    event = serve(context, folder, "b")

    assert (event.model, event.before, event.generation) == (2, 1, 2)
    assert (on_disk(folder).champion.model, on_disk(folder).generation) == (2, 2)


@pytest.mark.parametrize("verdict", ["hold", "reject", "need-more-data"])
def test_a_certificate_that_does_not_say_promote_refuses(context, folder, verdict):
    """A gate that failed is no formality."""
    model, package = register(context, "a")

    with pytest.raises(GateRefused, match=f"the certificate says {verdict}"):
        promote(
            context,
            folder,
            candidate(model, package, certificate(context, package, verdict=verdict)),
            because="gates",
        )

    assert context.metadata.pointer(LINE).champion is None
    assert not (folder / f"{LINE}.json").exists()


def test_the_certificate_of_another_model_refuses(context, folder):
    """A certificate is for exactly the bytes that it judged."""
    _, other = register(context, "b")

    with pytest.raises(GateRefused, match="the certificate is for another model"):
        serve(context, folder, "a", certificate=certificate(context, other))


def test_no_certificate_refuses_unless_it_is_forced_with_a_reason(context, folder):
    """A person may overrule the gates; the record says that one did, and why."""
    model, package = register(context, "a")
    bare = candidate(model, package)

    with pytest.raises(GateRefused, match="no certificate says that this model may be promoted"):
        promote(context, folder, bare, because="I like it")
    with pytest.raises(RequestError, match="a forced promotion needs a reason"):
        promote(context, folder, bare, because=" ", forced=True)
    event = promote(context, folder, bare, because="outage", forced=True)

    assert (event.forced, event.certificate, event.because) == (True, None, "outage")
    assert on_disk(folder).champion.package == package


def test_a_model_that_is_not_registered_as_said_is_refused(context, folder):
    """Version and digest must mean the same model."""
    model, _ = register(context, "a")
    _, other = register(context, "b")

    with pytest.raises(NotFound, match="the model with that version is another one"):
        promote(context, folder, candidate(model, other), because="x", forced=True)
    with pytest.raises(NotFound, match="the line has no such model"):
        promote(context, folder, candidate(9, other), because="x", forced=True)


def test_the_champion_is_not_promoted_again(context, folder):
    """It would lengthen the chain by a step that changes nothing, and rollback would go there."""
    event = serve(context, folder, "a")

    with pytest.raises(Conflict, match="is the champion already"):
        serve(context, folder, "a")

    assert event.generation == on_disk(folder).generation


def test_a_run_that_resumes_after_its_promotion_finds_it_done(context, folder):
    """Killed between the move and the note that it was made: the step runs again."""
    first = serve(context, folder, "a", run="run-1")
    again = serve(context, folder, "a", run="run-1")

    assert first == again
    assert context.metadata.pointer(LINE).generation == 1


def test_a_run_promotes_at_most_one_model(context, folder):
    """Two champions of one run would mean that it was not one decision."""
    serve(context, folder, "a", run="run-1")

    with pytest.raises(Conflict, match="this run has already promoted a model"):
        serve(context, folder, "b", run="run-1")


def refused(context, folder, name, verdict):
    model, package = register(context, name)
    event = Refused(
        at=context.now(),
        by="ada",
        because="It is so.",
        line=LINE,
        model=model,
        package=package,
        verdict=verdict,
        certificate=digest_of("certificate"),
        run="run",
    )
    return refuse(context, folder, event)


def test_a_held_candidate_is_the_challenger_until_it_is_rejected(context, folder):
    """Champion and challenger are the two names that a registry must know."""
    serve(context, folder, "a")
    refused(context, folder, "b", "need-more-data")
    held = context.metadata.pointer(LINE)
    refused(context, folder, "c", "reject")
    beside = context.metadata.pointer(LINE)
    refused(context, folder, "b", "reject")
    after = context.metadata.pointer(LINE)

    assert [(1, 2), (1, 2), (1, None)] == [(one.champion, one.challenger) for one in (held, beside, after)]
    assert after.generation == on_disk(folder).generation


def test_a_newer_champion_ends_the_challenge_of_older_models(context, folder):
    """They were held against a model that serves no longer."""
    serve(context, folder, "a")
    refused(context, folder, "b", "hold")
    serve(context, folder, "c")

    assert context.metadata.pointer(LINE).challenger is None


def test_a_run_whose_rival_no_longer_serves_does_not_promote(context, folder):
    """It was shown to be better than something else."""
    first = serve(context, folder, "a")
    model, package = register(context, "b")
    asked = {"because": "gates", "run": "run-2"}

    with pytest.raises(Conflict, match="compares with a model that no longer serves"):
        promote(context, folder, candidate(model, package, certificate(context, package)), **asked)
    judged = certificate(context, package, rival=first.package)
    event = promote(context, folder, candidate(model, package, judged), **asked)

    assert event.before == 1


@pytest.mark.parametrize("part", ["package", "graph", "golden"])
def test_bytes_that_changed_on_the_disk_are_not_promoted_and_the_champion_stays(tmp_path, folder, part):
    """An endpoint would refuse them; better that the promotion does."""
    with SqlMetadata("sqlite://") as metadata:
        context = context_of(metadata, LocalArtifacts(tmp_path / "blobs"))
        serve(context, folder, "a")
        model, package = register(context, "b")
        digest = package if part == "package" else getattr(metadata.get(package, Package), part)
        path = tmp_path / "blobs" / digest[7:9] / digest[9:]
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-1] + b"?")

        with pytest.raises(Corrupt, match="stored bytes have changed"):
            promote(context, folder, candidate(model, package), because="x", forced=True)

        assert on_disk(folder).champion.model == 1


# Rollback


def test_rolling_back_again_goes_further_back_and_then_there_is_none(context, folder):
    """Not to and fro between the two newest, of which one is bad."""
    for name in ("a", "b", "c"):
        serve(context, folder, name)

    assert rollback(context, folder, LINE, "bad").model == 2
    assert rollback(context, folder, LINE, "bad too").model == 1
    assert on_disk(folder) == Serving(
        line=LINE,
        generation=5,
        champion=Arm(model=1, package=context.metadata.versions(LINE)[0].digest),
        go=True,
    )
    with pytest.raises(RequestError, match="no champion to go back to"):
        rollback(context, folder, LINE, "all bad")


def test_a_rollback_is_recorded_with_who_when_and_why(context, folder):
    """And refers to what served."""
    first = serve(context, folder, "a")
    serve(context, folder, "b")
    event = rollback(context, folder, LINE, "complaints")

    assert [event] == context.metadata.events(RolledBack, line=LINE)
    assert (event.model, event.before, event.package) == (1, 2, first.package)
    assert (event.by, event.because, event.generation) == ("ada", "complaints", 3)


def test_a_promotion_after_a_rollback_leaves_out_what_was_rolled_back(context, folder):
    """Rolling that back returns to the model that served, not to the one that was bad."""
    for name in ("a", "b"):
        serve(context, folder, name)
    rollback(context, folder, LINE, "bad")
    serve(context, folder, "c")

    assert champions(context.metadata, LINE) == [1, 3]
    assert rollback(context, folder, LINE, "bad").model == 1


@pytest.mark.parametrize("served", [0, 1])
def test_without_a_champion_before_there_is_nothing_to_go_back_to(context, folder, served):
    """Exit 2, and nothing moves."""
    for name in "ab"[:served]:
        serve(context, folder, name)

    with pytest.raises(RequestError, match="no champion to go back to") as caught:
        rollback(context, folder, LINE, "why not")

    assert caught.value.exit_code == 2
    assert context.metadata.pointer(LINE).generation == served


@settings(max_examples=25, deadline=None)
@given(steps=st.lists(st.sampled_from(["promote", "rollback", "halt"]), max_size=12))
def test_record_pointer_and_file_agree_after_any_history(tmp_path_factory, steps):
    """The champion is the end of the chain, each generation has one event, and rollbacks are a stack."""
    folder = tmp_path_factory.mktemp("serving")
    with SqlMetadata("sqlite://") as metadata:
        context, stack, made = context_of(metadata, MemoryArtifacts()), [], 0
        for number, step in enumerate(steps):
            if step == "promote":
                stack.append(serve(context, folder, f"model {number}").model)
            elif step == "halt":
                halt(context, folder, LINE, number % 2 == 0, "try")
            elif len(stack) > 1:
                stack.pop()
                assert stack[-1] == rollback(context, folder, LINE, "try").model
            else:
                with pytest.raises(RequestError, match="no champion to go back to"):
                    rollback(context, folder, LINE, "try")
                continue
            made += 1
        events = [*metadata.events(Promoted), *metadata.events(RolledBack), *metadata.events(Halted)]

        assert stack == champions(metadata, LINE)
        assert (stack or [None])[-1] == metadata.pointer(LINE).champion
        assert list(range(1, made + 1)) == sorted(event.generation for event in events)
        assert project(metadata, folder, LINE) == on_disk(folder)
        assert made == on_disk(folder).generation
        assert halt_file.may_answer(folder, LINE) != metadata.pointer(LINE).halt
        assert not halt_file.is_pending(folder, LINE)


# Halt


def test_a_halt_reaches_the_endpoint_and_leaves_the_champion(context, folder):
    """Freed again, the same model answers."""
    serve(context, folder, "a")
    stopped = halt(context, folder, LINE, halt=True, because="fire")
    during = on_disk(folder)
    halt(context, folder, LINE, halt=False, because="out")

    assert (during.halt, during.champion.model, during.generation) == (True, 1, stopped.generation)
    assert (on_disk(folder).halt, on_disk(folder).champion.model) == (False, 1)


def test_a_promotion_does_not_lift_a_halt(context, folder):
    """A person stopped the line; a run must not free it."""
    serve(context, folder, "a")
    halt(context, folder, LINE, halt=True, because="fire")
    serve(context, folder, "b")

    assert (on_disk(folder).halt, on_disk(folder).champion.model) == (True, 2)


class Unreachable:
    """A record that cannot be reached."""

    def __getattr__(self, name):
        raise Transient("another process holds the database")


def unrecorded(context, folder, because="fire", by="ada"):
    """Halt the line while the record cannot be reached."""
    cut_off = dataclasses.replace(context, metadata=Unreachable(), actor=by)
    with pytest.raises(Transient, match="holds the database"):
        halt(cut_off, folder, LINE, halt=True, because=because)


def halted(context):
    return [(one.halt, one.by, one.because) for one in context.metadata.events(Halted, line=LINE)]


def test_nothing_but_its_record_lifts_a_halt_that_is_not_recorded_yet(context, folder):
    """A promotion, a candidate that was refused, a start: each writes the file anew, from a record that knows of no halt."""
    serve(context, folder, "a")
    unrecorded(context, folder)
    serve(context, folder, "b")
    project(context.metadata, folder, LINE)

    assert (False, True) == (halt_file.may_answer(folder, LINE), halt_file.is_pending(folder, LINE))
    assert not is_projected(context.metadata, folder, LINE)
    event = record_pending(context, folder, LINE)
    assert (True, "ada", "fire") == (event.halt, event.by, event.because)
    assert event.stopped < event.at
    assert (True, False) == (on_disk(folder).halt, halt_file.is_pending(folder, LINE))
    assert is_projected(context.metadata, folder, LINE)
    assert None is record_pending(context, folder, LINE)
    assert [(True, "ada", "fire")] == halted(context)


def test_whoever_frees_a_line_frees_it_of_the_halt_that_was_not_recorded(context, folder):
    """The record has both, in their order; a halt after that is another one."""
    serve(context, folder, "a")
    unrecorded(context, folder)
    halt(context, folder, LINE, halt=False, because="out")

    assert [(True, "ada", "fire"), (False, "ada", "out")] == halted(context)
    assert (True, True) == (halt_file.may_answer(folder, LINE), is_projected(context.metadata, folder, LINE))
    unrecorded(context, folder, "again")
    assert (False, True) == (halt_file.may_answer(folder, LINE), halt_file.is_pending(folder, LINE))


def test_two_halts_that_could_not_be_recorded_leave_the_first_ones_reason(context, folder):
    """And whoever halts a line that another one has halted records both."""
    serve(context, folder, "a")
    unrecorded(context, folder, "fire", by="ada")
    unrecorded(context, folder, "flood", by="bob")
    halt(context, folder, LINE, halt=True, because="storm")

    assert [(True, "ada", "fire"), (True, "ada", "storm")] == halted(context)
    assert not halt_file.is_pending(folder, LINE)


def test_a_halt_that_comes_while_a_line_is_freed_wins(context, folder, monkeypatch):
    """At each step of the one that frees it: of two that meet, the stop is the safer."""
    serve(context, folder, "a")
    for step in ("before the file is there", "after the file is there"):
        halt(context, folder, LINE, halt=True, because="fire")
        renamed = Path.rename

        def meet(path, target, step=step, renamed=renamed):
            if str(path).endswith(".go.new"):
                monkeypatch.setattr(Path, "rename", renamed)
                if step == "after the file is there":
                    renamed(path, target)
                unrecorded(context, folder, step, by="bob")
                return None if step == "after the file is there" else renamed(path, target)
            return renamed(path, target)

        monkeypatch.setattr(Path, "rename", meet)
        halt(context, folder, LINE, halt=False, because="out")

        assert (False, True) == (halt_file.may_answer(folder, LINE), halt_file.is_pending(folder, LINE))
        assert ("bob", step) == ((event := record_pending(context, folder, LINE)).by, event.because)
        halt(context, folder, LINE, halt=False, because="out")
        assert halt_file.may_answer(folder, LINE)


def test_a_reason_that_is_longer_than_its_room_loses_its_end(context, folder):
    """The room is there before, so that a full disk does not take it away."""
    serve(context, folder, "a")
    unrecorded(context, folder, "é" * 10_000, by="x" * 10_000)
    event = record_pending(context, folder, LINE)

    assert halt_file.ROOM > len(event.because.encode()) > halt_file.ROOM // 2
    assert event.because.endswith("é…")


def test_two_processes_record_a_pending_halt_once(tmp_path, folder):
    """The worker and a person who tries again come to it at the same moment."""
    with SqlMetadata(f"sqlite:///{tmp_path / 'state.db'}") as metadata:
        context = context_of(metadata, MemoryArtifacts())
        serve(context, folder, "a")
        for _ in range(5):
            unrecorded(context, folder)
            both = [threading.Thread(target=record_pending, args=(context, folder, LINE)) for _ in range(4)]
            for thread in both:
                thread.start()
            for thread in both:
                thread.join()
            halt(context, folder, LINE, halt=False, because="out")

        assert [(True, "ada", "fire"), (False, "ada", "out")] * 5 == halted(context)


def test_a_record_that_does_not_know_the_line_is_told_nothing(context, folder):
    """One that was made anew in the place of one that is gone: the halt belongs to the other."""
    serve(context, folder, "a")
    unrecorded(context, folder)
    with SqlMetadata("sqlite://") as other:
        assert None is record_pending(context_of(other, MemoryArtifacts()), folder, LINE)
        assert [] == other.events(Halted)

    assert halt_file.is_pending(folder, LINE)


# The file


def test_a_kill_between_the_move_and_the_file_is_repaired_at_the_next_start(context, folder):
    """The metadata had decided; the endpoint must hear of it."""
    serve(context, folder, "a")
    before = (folder / f"{LINE}.json").read_bytes()
    serve(context, folder, "b")
    after = (folder / f"{LINE}.json").read_bytes()
    (folder / f"{LINE}.json").write_bytes(before)
    project(context.metadata, folder, LINE)

    assert after == (folder / f"{LINE}.json").read_bytes()
    (folder / f"{LINE}.json").unlink()
    project(context.metadata, folder, LINE)
    assert after == (folder / f"{LINE}.json").read_bytes()


def test_projecting_what_is_there_already_leaves_the_file_alone(context, folder):
    """Endpoints would look again for nothing."""
    serve(context, folder, "a")
    before = (folder / f"{LINE}.json").stat()
    serving = project(context.metadata, folder, LINE)
    after = (folder / f"{LINE}.json").stat()

    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert serving == on_disk(folder)


@pytest.mark.parametrize("torn", [b"", b'{"line":"claims","gen', b"\x00" * 40])
def test_a_torn_file_is_replaced(context, folder, torn):
    """Whatever tore it."""
    serve(context, folder, "a")
    (folder / f"{LINE}.json").write_bytes(torn)
    project(context.metadata, folder, LINE)

    assert on_disk(folder).generation == 1


def test_a_line_without_a_model_serves_none(context, folder):
    """Its endpoint knows the line and says that nothing serves yet."""
    assert Serving(line=LINE, generation=0, champion=None, go=True) == project(context.metadata, folder, LINE)
    assert on_disk(folder).champion is None


def test_no_reader_ever_sees_half_a_file_or_an_older_generation(tmp_path, folder):
    """Endpoints read it five times a second while it is replaced."""
    with SqlMetadata(f"sqlite:///{tmp_path / 'state.db'}") as metadata:
        context = context_of(metadata, MemoryArtifacts())
        serve(context, folder, "a")
        seen, done = [], threading.Event()

        def read():
            while not done.is_set():
                seen.append(on_disk(folder).generation)

        def write():
            for _ in range(6):
                halt(context, folder, LINE, halt=True, because="try")

        reader = threading.Thread(target=read)
        writers = [threading.Thread(target=write) for _ in range(2)]
        reader.start()
        for thread in writers:
            thread.start()
        for thread in writers:
            thread.join()
        done.set()
        reader.join()

        assert sorted(seen) == seen
        assert 13 == metadata.pointer(LINE).generation == on_disk(folder).generation


def test_a_slow_writer_never_puts_an_older_generation_over_a_newer_one(tmp_path, folder):
    """Two processes write the same file; what one read long ago must not be what stays."""
    with SqlMetadata(f"sqlite:///{tmp_path / 'state.db'}") as metadata:
        context = context_of(metadata, MemoryArtifacts())
        serve(context, folder, "a")
        has_read, may_write = threading.Event(), threading.Event()

        class Slow:
            """The same store, seen by a process that stops for a while after it read the pointer."""

            versions, events, get = metadata.versions, metadata.events, metadata.get

            def pointer(self, line):
                found = metadata.pointer(line)
                has_read.set()
                may_write.wait(timeout=20)
                return found

        slow = threading.Thread(target=project, args=(Slow(), folder, LINE))
        quick = threading.Thread(target=halt, args=(context, folder, LINE, True, "fire"))
        slow.start()
        has_read.wait(timeout=20)
        quick.start()
        quick.join(timeout=0.5)  # it waits for the slow one, or else is done
        may_write.set()
        slow.join()
        quick.join()

        assert (2, True) == (on_disk(folder).generation, on_disk(folder).halt)


# Races


def test_of_two_that_promote_at_once_one_wins_and_the_other_is_told(tmp_path, folder):
    """Two champions at once would be two chains."""
    with SqlMetadata(f"sqlite:///{tmp_path / 'state.db'}") as metadata:
        context = context_of(metadata, MemoryArtifacts())
        models = [register(context, name) for name in "ab"]
        both_have_read = threading.Barrier(2)

        class ReadsTogether:
            """The same store; each caller has read the pointer before any moves it."""

            def __getattr__(self, name):
                return getattr(metadata, name)

            def move(self, line, pointer, event):
                both_have_read.wait(timeout=20)
                metadata.move(line, pointer, event)

        results = []

        def attempt(model, package):
            mine = context_of(ReadsTogether(), context.artifacts)
            try:
                results.append(promote(mine, folder, candidate(model, package), because="x", forced=True))
            except Conflict as error:
                results.append(error)

        threads = [threading.Thread(target=attempt, args=model) for model in models]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        won = [result for result in results if isinstance(result, Promoted)]

        assert sorted(type(result).__name__ for result in results) == ["Conflict", "Promoted"]
        assert won == metadata.events(Promoted, line=LINE)
        assert won[0].model == metadata.pointer(LINE).champion == on_disk(folder).champion.model


KILLED = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import test_pointer as t
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.metadata.sql import SqlMetadata
root = Path({root!r})
context = t.context_of(SqlMetadata(f"sqlite:///{{root}}/state.db"), LocalArtifacts(root / "blobs"))
for number in range(10_000):
    t.halt(context, root / "serving", t.LINE, number % 2 == 0, "again")
"""


def test_whenever_a_process_is_killed_the_next_start_makes_the_file_say_what_was_decided(tmp_path):
    """Kill -9 in the middle of moves: no lock stays behind, no half file, no wrong generation."""
    folder = tmp_path / "serving"
    with SqlMetadata(f"sqlite:///{tmp_path / 'state.db'}") as metadata:
        context = context_of(metadata, LocalArtifacts(tmp_path / "blobs"))
        serve(context, folder, "a")
        code = KILLED.format(tests=str(Path(__file__).parent), root=str(tmp_path))
        for wait_s in (0.02, 0.07):
            process = subprocess.Popen([sys.executable, "-c", code])
            start = metadata.pointer(LINE).generation
            while metadata.pointer(LINE).generation < start + 3:
                time.sleep(0.005)
            time.sleep(wait_s)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
            found = project(metadata, folder, LINE)

            assert found == on_disk(folder)
            assert (found.generation, found.halt) == (
                metadata.pointer(LINE).generation,
                metadata.pointer(LINE).halt,
            )

        assert (
            halt(context, folder, LINE, halt=False, because="done").generation
            == on_disk(folder).generation
            > 4
        )
