"""Runs in this process and in memory: for worlds, tests and examples."""

import traceback
from collections.abc import Callable, Mapping

from linewright.engine.protocol import (
    TOGETHER,
    Json,
    NotEnded,
    Observe,
    Workflow,
    bug,
    capture,
    check_json,
    find_workflow,
    ignore,
    release,
)
from linewright.errors import LinewrightError, NotFound


class InlineEngine:
    """Runs a workflow to its end within `start`. Nothing outlives the process.

    Examples
    --------
    >>> def double(step, request):
    ...     return step("double", lambda: 2 * request["number"])
    >>> engine = InlineEngine({"double": double})
    >>> engine.start("double", "run-1", {"number": 21})
    >>> engine.follow("run-1")
    42
    """

    def __init__(self, workflows: Mapping[str, Workflow], observe: Observe = ignore) -> None:
        self._workflows = workflows
        self._observe = observe
        self._ends: dict[str, Callable[[], Json]] = {}

    def start(self, workflow: str, run: str, request: Json, *, group: str = TOGETHER) -> None:  # noqa: ARG002 -- one after another
        """Run it to its end, unless a run with that id is known."""
        check_json(request, "the request")
        if run not in self._ends:
            self._ends[run] = self._carry_out(workflow, run, request)

    def follow(self, run: str, *, timeout: float | None = None) -> Json:  # noqa: ARG002 -- it has ended already
        """Return what the workflow returned, or raise what it raised."""
        if run not in self._ends:
            raise NotFound("no such run", where=run)
        return self._ends[run]()

    def unfinished(self) -> list[str]:
        """Return nothing: a run has ended when `start` returns."""
        return []

    def close(self) -> None:
        """Forget all runs."""
        self._ends.clear()

    def _carry_out(self, workflow: str, run: str, request: Json) -> Callable[[], Json]:
        def step(name: str, do: Callable[[], Json]) -> Json:
            self._observe(run, name, "start")
            outcome = capture(do, f"the answer of step {name!r}")
            self._observe(run, name, "end")
            return release(outcome)

        try:
            outcome = capture(
                lambda: find_workflow(self._workflows, workflow)(step, request), "the answer of the workflow"
            )
        except NotEnded as error:
            return _raising(error.because)
        except Exception as error:  # noqa: BLE001 -- the boundary where a bug becomes the end of its run
            traceback.print_exc()
            return _raising(bug(run, f"{type(error).__name__}: {error}"))
        return lambda: release(outcome)


def _raising(error: LinewrightError) -> Callable[[], Json]:
    def raise_it() -> Json:
        raise error

    return raise_it
