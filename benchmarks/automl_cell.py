"""One contestant of `automl.py` in a process of its own: fits it, or asks what it fitted.

    PYTHON automl_cell.py fit|ask CONTESTANT FOLDER

PYTHON need not have Linewright. FOLDER has what `automl.py` wrote there: ``table.csv``, ``rows.npz`` and ``job.json``; models go into
FOLDER/CONTESTANT, and so do ``before.json``, the CPU seconds before the fit, and ``asked.json`` with ``scores.npz``.
"""

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

CONTESTANTS = {
    "ours": "contestants.ours:Ours",
    "ours-small": "contestants.ours:OursSmall",
    "ours-catboost": "contestants.ours:OursCatBoost",
    "lightgbm": "contestants.with_lightgbm:LightGBM",
    "catboost": "contestants.with_catboost:CatBoost",
    "flaml": "contestants.with_flaml:Flaml",
    "autogluon-medium": "contestants.with_autogluon:Medium",
    "autogluon-best": "contestants.with_autogluon:Best",
}
IN_CPU_TIME = ("flaml", "autogluon-medium", "autogluon-best")
"""Those that stop by a clock, which here is the CPU time of their process: else other work on the machine would take of it."""
MANY = 10_000
FEW_CALLS, MOST_CALLS, CALLS_S = 15, 300, 4.0
"""Single rows are asked until this many calls or CPU seconds."""
ROUNDS = 3


@dataclass(frozen=True, kw_only=True)
class Job:
    """What a contestant is told."""

    folder: Path
    """Its own, for its model."""
    table: Path
    """CSV file of training and test rows."""
    label: str
    task: str
    positive: str
    classes: Sequence[str]
    """The positive one last of two; none for a regression."""
    text: Sequence[str]
    by: str
    """How the rows are split: time, group or rows."""
    unread: Sequence[str]
    """Columns that are no feature: the moment or the group of a row."""
    seconds: float
    seed: int
    budget: object
    """What the line file of ours says about so many seconds."""
    train: NDArray[np.int64]
    test: NDArray[np.int64]

    @classmethod
    def read(cls, folder: Path, contestant: str) -> "Job":
        """Read what `automl.py` wrote."""
        own = folder / contestant
        own.mkdir(exist_ok=True)
        rows = np.load(folder / "rows.npz")
        told = json.loads((folder / "job.json").read_text())
        return cls(folder=own, table=folder / "table.csv", train=rows["train"], test=rows["test"], **told)


class Contestant(Protocol):
    """What competes. Its module's imports and its construction, which reads the rows, are not counted as fitting."""

    def __init__(self, job: Job) -> None: ...

    def fit(self) -> None:
        """Fit to the training rows and leave on the disk what answers later."""
        ...

    def open(self) -> None:
        """Load what `fit` left, in another process."""
        ...

    def size(self) -> int:
        """Bytes on the disk of what answers."""
        ...

    def take(self, rows: NDArray[np.int64]) -> Any:
        """Return a request about some rows, in the form in which a caller has them; not timed."""
        ...

    def answer(self, request: Any) -> Any:
        """Answer a request; timed."""
        ...

    def scores(self, answer: Any) -> NDArray[np.float64]:
        """Return an answer as probabilities in the order of `Job.classes`, shape (n, k), or as numbers, shape (n,)."""
        ...

    def ways(self) -> Mapping[str, Callable[[Any], Any]]:
        """Return further ways to answer the same request, by name; timed for many rows alone."""
        ...


def cpu_s() -> float:
    """Return the CPU seconds of this process and of the children that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def fit(contestant: str, folder: Path) -> None:
    job, own = _start(contestant, folder)
    (job.folder / "before.json").write_text(json.dumps(cpu_s()))
    own.fit()


def ask(contestant: str, folder: Path) -> None:
    job, own = _start(contestant, folder)
    own.open()
    whole = np.concatenate(
        [
            own.scores(own.answer(own.take(part)))
            for part in np.array_split(job.test, -(-len(job.test) // MANY))
        ]
    )
    one_ms = _each_ms(
        own.answer, [own.take(job.test[i : i + 1]) for i in range(min(MOST_CALLS, len(job.test)))]
    )
    many = own.take(np.resize(job.test, MANY))
    asked = {
        "bytes": own.size(),
        "one_ms": one_ms,
        "many_ms": _rounds_ms(own.answer, many),
        **{f"many_{name}_ms": _rounds_ms(way, many) for name, way in own.ways().items()},
    }
    np.savez(job.folder / "scores.npz", scores=whole)
    (job.folder / "asked.json").write_text(json.dumps(asked))


def _start(contestant: str, folder: Path) -> tuple[Job, Contestant]:
    if contestant in IN_CPU_TIME:
        _tell_cpu_time()
    module, _, name = CONTESTANTS[contestant].partition(":")
    kind: type[Contestant] = getattr(import_module(module), name)
    job = Job.read(folder, contestant)
    return job, kind(job)


def _tell_cpu_time() -> None:
    """Let the clocks of this process go on while it works, and stand while it waits for the machine."""
    for name in ("time", "monotonic", "perf_counter"):
        start = getattr(time, name)() - cpu_s()
        setattr(time, name, lambda start=start: start + cpu_s())


def _each_ms(answer: Callable[[Any], Any], requests: Sequence[Any]) -> float:
    answer(requests[0])
    taken: list[float] = []
    for request in requests:
        began = time.process_time_ns()
        answer(request)
        taken.append((time.process_time_ns() - began) / 1e6)
        if len(taken) >= FEW_CALLS and sum(taken) > CALLS_S * 1e3:
            break
    return statistics.median(taken)


def _rounds_ms(answer: Callable[[Any], Any], request: Any) -> float:
    return _each_ms(answer, [request] * ROUNDS)


def main() -> int:
    step, contestant, folder = sys.argv[1:]
    {"fit": fit, "ask": ask}[step](contestant, Path(folder))
    return 0


if __name__ == "__main__":
    sys.exit(main())
