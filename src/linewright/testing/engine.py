"""What every engine must do: subclass the suite and supply its fixture. Needs pytest."""
# ruff: noqa: SIM300 -- in tests the expected value comes first

from collections.abc import Callable
from typing import Protocol

import pytest

from linewright.engine.protocol import Engine, Json, Observe, Step, Workflow, ignore
from linewright.errors import GateRefused, LinewrightError, NotFound, Terminal


class MakeEngine(Protocol):
    """Opens an engine. The suite opens one a test; the fixture closes it."""

    def __call__(self, workflows: dict[str, Workflow], observe: Observe = ignore) -> Engine:
        """Return an engine that can run these workflows and has no runs."""
        ...


def _add_up(step: Step, request: Json) -> Json:
    first = step("first", lambda: {"sum": 1, "parts": [1]})
    second = step("second", lambda: [first, "naïve ☃", 0.1, None, True])
    return {"request": request, "answers": [first, second]}


def _refuse(_step: Step, request: Json) -> Json:
    raise _refusal(request)


def _refuse_in_a_step(step: Step, request: Json) -> Json:
    def do() -> Json:
        raise _refusal(request)

    return step("refuse", do)


def _refusal(request: Json) -> GateRefused:
    return GateRefused(
        "not good enough",
        where="claims@3",
        found=[0.1, 0.2],
        allowed="0.3",
        hint="look",
        details={"request": request},
    )


def _break(step: Step, _request: Json) -> Json:
    def do() -> Json:
        raise IndexError("no such row")

    return step("break", do)


class EngineContract:
    """What every engine must do. Supply the fixture `make_engine`."""

    def test_a_run_ends_with_what_its_workflow_returned(self, make_engine: MakeEngine) -> None:
        """The request goes in, the answers of steps go along, the result comes out."""
        engine = make_engine({"add up": _add_up})
        engine.start("add up", "run-1", {"line": "claims"})
        first: Json = {"sum": 1, "parts": [1]}

        assert {
            "request": {"line": "claims"},
            "answers": [first, [first, "naïve ☃", 0.1, None, True]],
        } == engine.follow("run-1", timeout=30)
        assert [] == engine.unfinished()

    def test_starting_a_run_twice_runs_it_once(self, make_engine: MakeEngine) -> None:
        """A caller that does not know whether it was heard asks again."""
        seen: list[str] = []

        def note(step: Step, request: Json) -> Json:
            step("note", lambda: seen.append(str(request)))
            return request

        engine = make_engine({"note": note})
        engine.start("note", "run-1", "first")
        engine.start("note", "run-1", "second")

        assert "first" == engine.follow("run-1", timeout=30)
        engine.start("note", "run-1", "third")
        assert "first" == engine.follow("run-1", timeout=30)
        assert ["first"] == seen

    @pytest.mark.parametrize("workflow", ["refuse", "refuse in a step"])
    def test_an_error_reaches_whoever_follows_with_all_its_parts(
        self, make_engine: MakeEngine, workflow: str
    ) -> None:
        """The exit code and the message are decided by who asked, not where it failed."""
        engine = make_engine({"refuse": _refuse, "refuse in a step": _refuse_in_a_step})
        engine.start(workflow, "run-1", {"why": ["a"]})

        for _ in range(2):
            with pytest.raises(GateRefused, match="not good enough") as caught:
                engine.follow("run-1", timeout=30)
            assert _refusal({"why": ["a"]}).to_parts() == caught.value.to_parts()
        assert [] == engine.unfinished()

    def test_a_step_may_be_refused_and_the_run_go_on(self, make_engine: MakeEngine) -> None:
        """A workflow decides itself what a refused step means."""

        def go_on(step: Step, request: Json) -> Json:
            try:
                return _refuse_in_a_step(step, request)
            except GateRefused as error:
                says = error.what
                return step("tell", lambda: says)

        engine = make_engine({"go on": go_on})
        engine.start("go on", "run-1", None)

        assert "not good enough" == engine.follow("run-1", timeout=30)

    def test_a_bug_ends_the_run_and_shows_its_traceback(
        self, make_engine: MakeEngine, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """It is ours to repair: nobody may have to guess where."""
        engine = make_engine({"break": _break})
        engine.start("break", "run-1", None)

        with pytest.raises(Terminal, match=r"failed by a bug: IndexError: no such row.*report it"):
            engine.follow("run-1", timeout=30)
        assert 'raise IndexError("no such row")' in capfd.readouterr().err
        assert [] == engine.unfinished()

    def test_a_workflow_that_this_version_does_not_have_is_refused(self, make_engine: MakeEngine) -> None:
        """A run that another version left behind must not stay unfinished for ever."""
        engine = make_engine({"add up": _add_up})
        engine.start("subtract", "run-1", None)

        with pytest.raises(Terminal, match="no such workflow: found 'subtract', allowed: add up"):
            engine.follow("run-1", timeout=30)

    def test_an_unknown_run_is_not_found(self, make_engine: MakeEngine) -> None:
        """Following a mistyped id must not wait for ever."""
        with pytest.raises(NotFound, match="no such run"):
            make_engine({}).follow("run-1", timeout=30)

    @pytest.mark.parametrize("value", [(1, 2), {1: 2}, float("nan")], ids=repr)
    def test_only_json_goes_in_and_comes_out(
        self, make_engine: MakeEngine, value: Json, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """An answer that reads back differently would make a resumed run differ."""
        engine = make_engine({"answer": lambda step, _: step("answer", lambda: value)})
        with pytest.raises((TypeError, ValueError), match="the request is not JSON"):
            engine.start("answer", "run-0", value)
        engine.start("answer", "run-1", None)

        with pytest.raises(Terminal, match="the answer of step 'answer' is not JSON"):
            engine.follow("run-1", timeout=30)
        assert "not JSON" in capfd.readouterr().err

    def test_an_observer_sees_each_step_begin_and_end(self, make_engine: MakeEngine) -> None:
        """A person who waits sees where the run is."""
        seen: list[tuple[str, str, str]] = []
        engine = make_engine({"add up": _add_up}, lambda run, step, what: seen.append((run, step, what)))
        engine.start("add up", "run-1", None)
        engine.follow("run-1", timeout=30)

        assert [
            ("run-1", "first", "start"),
            ("run-1", "first", "end"),
            ("run-1", "second", "start"),
            ("run-1", "second", "end"),
        ] == seen

    def test_an_error_with_odd_parts_is_told_nevertheless(self, make_engine: MakeEngine) -> None:
        """What could not be told must not hide what went wrong."""

        def odd(_step: Step, _request: Json) -> Json:
            raise NotFound("odd", found={"a": (1, 2)}, details={"kind": int, "pair": (1, "b")})

        engine = make_engine({"odd": odd})
        engine.start("odd", "run-1", None)

        with pytest.raises(NotFound, match="odd") as caught:
            engine.follow("run-1", timeout=30)
        assert ({"a": [1, 2]}, {"kind": "<class 'int'>", "pair": [1, "b"]}) == (
            caught.value.found,
            caught.value.details,
        )

    def test_each_run_has_its_own_end(self, make_engine: MakeEngine) -> None:
        """Many lines run in one factory."""

        def echo(step: Step, request: Json) -> Json:
            return step("echo", lambda: request)

        engine = make_engine({"echo": echo, "refuse": _refuse})
        for number in range(5):
            engine.start("echo" if number % 2 else "refuse", f"run-{number}", number)
        ends = [_end(lambda number=number: engine.follow(f"run-{number}", timeout=30)) for number in range(5)]

        assert ["GateRefused", 1, "GateRefused", 3, "GateRefused"] == ends


def _end(follow: Callable[[], Json]) -> Json:
    try:
        return follow()
    except LinewrightError as error:
        return type(error).__name__
