"""Ours beside what users would otherwise train with: in turn, under equal budgets of CPU seconds, on seventeen real tables.

    python benchmarks/automl.py --data FOLDER [--peers PYTHON] [--seconds 30] [--seeds 1,2,3] [--tables A,B] [--contestants A,B]
    python benchmarks/automl.py --report

FOLDER has the files of `automl_tables.TABLES`, which says how each is split. Each fit is a process of one thread, and so is each
asking of what was fitted. A budget is CPU seconds: for the contestants that stop by a clock, the clock is that of their process; ours
gets the word of the line file for so many seconds (`BUDGETS`), since it plans work and not time; CatBoost and LightGBM take what their
defaults take. Fitting counts the CPU of the whole process tree from the moment when libraries are imported and rows are read, to its
end, saving included, for all alike. A contestant that crashes, or takes four times its budget and a minute, is last on that table.

The loss is log-loss for classes (probabilities below 1e-6 count as 1e-6) and RMSE for numbers. One row is asked for many times, as a
deployed program would: a JSON row through the endpoint's code for ours, a row of texts for LightGBM, a DataFrame of one row for the others.

Each finished cell is a line of the results file, with the loss of each test row beside it; ran again, the benchmark goes on where it
stopped. A cell of ours is keyed by the code that trains: another engine is run anew. `benchmarks/peers-automl.txt` lists what to
install for --peers. With `--contestants ours,ours-small` it needs no peers, and the tables of what packages of ours cost are of these
alone; `ours-small` is ours with `prefer: small`, and `ours-catboost` ours with `also: [catboost]`, whose extra this Python then needs.
"""

import argparse
import hashlib
import json
import math
import os
import platform
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path

import numpy as np
from automl_cell import CONTESTANTS
from automl_tables import FURTHER, OWN, SMALL, TABLES, Parted, Table, parted
from numpy.typing import NDArray
from scipy.stats import binom, rankdata
from sklearn.metrics import accuracy_score, average_precision_score, r2_score, roc_auc_score

import linewright

FORM = 1
"""Raised when rows are split or measured in another way: older cells are not compared with newer ones."""
OURS, OURS_SMALL, OURS_CATBOOST = "ours", "ours-small", "ours-catboost"
LIGHTGBM, CATBOOST = "lightgbm", "catboost"
OF_OURS = (OURS, OURS_SMALL, OURS_CATBOOST)
HERE = (*OF_OURS, LIGHTGBM)
"""Contestants that run in this Python."""
USUAL = tuple(name for name in CONTESTANTS if name not in OF_OURS[1:])
"""Who competes unless it is said otherwise: ours once, else its variants would push the others down the ranks."""
PACKAGES = {
    "lightgbm": "lightgbm",
    "catboost": "catboost",
    "flaml": "flaml",
    "autogluon-medium": "autogluon.tabular",
    "autogluon-best": "autogluon.tabular",
}
BUDGETS = ((10.0, "quick"), (60.0, "normal"), (math.inf, "thorough"))
"""Up to so many CPU seconds, which word of the line file."""
TRAINS = ("model", "features", "line/steps/train.py", "data/dataset/split.py", "plugins/catboost.py")
"""What of our code decides which model comes out, and what it costs."""
OVER, GRACE_S, WALL = 4, 60, 60
"""A process is ended after OVER times the budget and GRACE_S CPU seconds; or, hung, after WALL times as long."""
SMALLEST = 1e-6
TIE = 0.01
LARGEST = 10.0
"""Relative difference that stands for a crash."""
DRAWS = 2_000


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One contestant on one table with one seed: a line of the results."""

    form: int
    contestant: str
    version: str
    table: str
    seed: int
    seconds: float
    task: str = ""
    loss: float = math.nan
    """Log-loss, or RMSE."""
    beside: Mapping[str, float] = field(default_factory=dict[str, float])
    """Other metrics by their scikit-learn names."""
    fit_cpu_s: float = math.nan
    fit_wall_s: float = math.nan
    peak_mb: float = math.nan
    asked: Mapping[str, float] = field(default_factory=dict[str, float])
    """What `automl_cell.ask` measured: bytes, and CPU ms."""
    crashed: str = ""
    commit: str = ""

    @property
    def key(self) -> str:
        """What it is found by."""
        return key_of(self.contestant, self.version, self.table, self.seed, self.seconds)


def key_of(contestant: str, of: str, table: str, seed: int, seconds: float) -> str:
    """Return the key of a cell."""
    return f"{FORM}-{contestant}-{of}-{table}-{seed}-{seconds:g}"


class Results:
    """Finished cells in a file of JSON lines, and the losses of test rows in a folder beside it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.rows = file.with_name(f"{file.stem}-rows")
        self.rows.mkdir(parents=True, exist_ok=True)

    def read(self) -> dict[str, Cell]:
        """Return the cells of this form by key; of two with one key the later."""
        if not self.file.exists():
            return {}
        told = [json.loads(line) for line in self.file.read_text().splitlines() if line.endswith("}")]
        cells = [Cell(**one) for one in told if one["form"] == FORM]
        return {cell.key: cell for cell in cells}

    def keep(self, cell: Cell, losses: NDArray[np.float64] | None, clusters: NDArray[np.int64]) -> None:
        """Add a cell. Several processes may add to one file."""
        if losses is not None:
            np.savez_compressed(self._of(cell.key), losses=losses.astype(np.float32), clusters=clusters)
        # A kill may have left half a line, which this one must not become part of.
        is_torn = self.file.exists() and not self.file.read_bytes().endswith(b"\n")
        with self.file.open("ab") as file:
            file.write(b"\n" * is_torn + json.dumps(asdict(cell)).encode() + b"\n")

    def losses(self, key: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the loss of each test row of a cell (a regression: the squared error), and its cluster."""
        with np.load(self._of(key)) as told:
            return told["losses"].astype(np.float64), told["clusters"]

    def _of(self, key: str) -> Path:
        return self.rows / f"{key}.npz"


# Running


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A process that has ended."""

    trouble: str
    """Empty where it did what it should."""
    cpu_s: float
    wall_s: float
    peak_mb: float


def carry_out(words: Sequence[str], log: Path, *, limit_s: float, is_timed: bool) -> Ended:
    """Run a process of one thread and measure it with its children.

    Parameters
    ----------
    limit_s
        CPU seconds after which it is ended.
    is_timed
        Whether it times itself finely: then only the wall ends it, as the kernel counts a limited process by ticks.
    """
    began = time.monotonic()
    quiet = dict.fromkeys(
        (
            "OMP_NUM_THREADS",
            "OPENBLAS_NUM_THREADS",
            "MKL_NUM_THREADS",
            "NUMEXPR_NUM_THREADS",
            "LOKY_MAX_CPU_COUNT",
        ),
        "1",
    )
    environment = {**os.environ, **quiet, "OMP_WAIT_POLICY": "passive", "PYTHONHASHSEED": "0"}
    limit = resource.RLIM_INFINITY if is_timed else math.ceil(limit_s)
    with log.open("wb") as told:
        process = subprocess.Popen(
            words,
            stdout=told,
            stderr=told,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)),  # noqa: PLW1509 -- no threads yet
        )
        hung = threading.Timer(WALL * limit_s, os.killpg, (process.pid, signal.SIGKILL))
        hung.start()
        try:
            _, status, used = os.wait4(process.pid, 0)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
        finally:
            hung.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    return Ended(
        trouble=_trouble(process.returncode, log),
        cpu_s=used.ru_utime + used.ru_stime,
        wall_s=time.monotonic() - began,
        peak_mb=used.ru_maxrss / 1024,
    )


def _trouble(code: int, log: Path) -> str:
    if not code:
        return ""
    if code in (-signal.SIGXCPU, -signal.SIGKILL):
        return f"ended at the limit by {signal.Signals(-code).name}"
    lines = log.read_text(errors="replace").strip().splitlines()
    return (lines or [f"ended with {code}"])[-1][:300]


@dataclass(frozen=True, kw_only=True)
class Field:
    """Where and how all cells run."""

    results: Results
    pythons: Mapping[str, str]
    """By contestant."""
    versions: Mapping[str, str]
    """By contestant."""
    seconds: float
    budget: object
    """What the line file of ours says."""

    def run(self, table: Table, rows: Parted, seed: int, contestants: Iterable[str]) -> Iterator[Cell]:
        """Run contestants on one table in turn."""
        with tempfile.TemporaryDirectory() as folder:
            self._write_job(Path(folder), table, rows, seed)
            for contestant in contestants:
                cell, losses = self._cell(Path(folder), table, rows, seed, contestant)
                self.results.keep(cell, losses, rows.clusters)
                yield cell

    def _write_job(self, folder: Path, table: Table, rows: Parted, seed: int) -> None:
        rows.frame.write_csv(folder / "table.csv", datetime_format="%Y-%m-%dT%H:%M:%S")
        np.savez(folder / "rows.npz", train=rows.train, test=rows.test)
        job = {
            "label": rows.label,
            "task": table.task,
            "positive": table.positive,
            "classes": rows.classes,
            "text": rows.text,
            "by": table.by,
            "unread": {"time": ["moment"], "group": [rows.group], "rows": []}[table.by],
            "seconds": self.seconds,
            "seed": seed,
            "budget": self.budget,
        }
        (folder / "job.json").write_text(json.dumps(job))

    def _cell(
        self, folder: Path, table: Table, rows: Parted, seed: int, contestant: str
    ) -> tuple[Cell, NDArray[np.float64] | None]:
        own = folder / contestant
        own.mkdir()
        limit = OVER * self.seconds + GRACE_S
        script = [self.pythons[contestant], str(Path(__file__).with_name("automl_cell.py"))]
        cell = {
            "form": FORM,
            "contestant": contestant,
            "version": self.versions[contestant],
            "table": table.name,
            "seed": seed,
            "seconds": self.seconds,
            "task": table.task,
            "commit": commit(),
        }
        fitted = carry_out(
            [*script, "fit", contestant, str(folder)], own / "fit.log", limit_s=limit, is_timed=False
        )
        asked = fitted
        if not fitted.trouble:
            asked = carry_out(
                [*script, "ask", contestant, str(folder)], own / "ask.log", limit_s=limit, is_timed=True
            )
        before = own / "before.json"
        cell |= {
            "fit_cpu_s": fitted.cpu_s - (json.loads(before.read_text()) if before.exists() else 0.0),
            "fit_wall_s": fitted.wall_s,
            "peak_mb": fitted.peak_mb,
        }
        if asked.trouble:
            return Cell(**cell, crashed=asked.trouble), None
        scores = np.load(own / "scores.npz")["scores"]
        if not np.isfinite(scores).all():
            return Cell(**cell, crashed="answers that are not finite"), None
        truth = rows.frame[rows.test][rows.label].to_list()
        losses = row_losses(truth, scores, rows.classes)
        told = json.loads((own / "asked.json").read_text())
        measured = Cell(
            **cell,
            loss=loss_of(losses, table.task),
            beside=beside(truth, scores, rows.classes),
            asked=told,
        )
        return measured, losses


def row_losses(
    truth: Sequence[str], scores: NDArray[np.float64], classes: Sequence[str]
) -> NDArray[np.float64]:
    """Return the loss of each row: minus the logarithm of the probability of its class, or the squared error.

    Examples
    --------
    >>> row_losses(["no", "yes"], np.array([[0.5, 0.5], [1.0, 0.0]]), ["no", "yes"]).round(2).tolist()
    [0.69, 13.82]
    >>> row_losses(["3.5"], np.array([1.5]), []).tolist()
    [4.0]
    """
    if not classes:
        return (np.array(truth, dtype=np.float64) - scores) ** 2
    code = {name: i for i, name in enumerate(classes)}
    likely = np.clip(scores, SMALLEST, None)
    likely /= likely.sum(axis=1, keepdims=True)
    return -np.log(likely[np.arange(len(truth)), [code[name] for name in truth]])


def loss_of(losses: NDArray[np.float64], task: str) -> float:
    """Return log-loss or RMSE."""
    return float(np.sqrt(losses.mean()) if task == "regression" else losses.mean())


def beside(truth: Sequence[str], scores: NDArray[np.float64], classes: Sequence[str]) -> dict[str, float]:
    """Return what people also ask for."""
    if not classes:
        return {"r2": float(r2_score(np.array(truth, dtype=np.float64), scores))}
    known = np.array(truth)
    found = {"accuracy": float(accuracy_score(known, np.array(classes)[scores.argmax(axis=1)]))}
    if len(classes) == 2:
        is_positive = known == classes[1]
        found["roc_auc"] = float(roc_auc_score(is_positive, scores[:, 1]))
        found["average_precision"] = float(average_precision_score(is_positive, scores[:, 1]))
    return found


# Who competes


def code_version() -> str:
    """Return a digest of the code of ours that decides which model comes out."""
    root, digest = Path(linewright.__file__).parent, hashlib.sha256()
    for part in TRAINS:
        place = root / part
        for file in sorted(place.rglob("*.py")) if place.is_dir() else [place]:
            digest.update(f"{file.relative_to(root)}\n".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def commit() -> str:
    """Return the commit of ours, for people; empty where there is none."""
    words = ["git", "-C", str(Path(linewright.__file__).parent), "describe", "--always", "--dirty"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def versions_of(contestants: Iterable[str], peers: str, budget: object) -> dict[str, str]:
    """Return the version of each contestant that is installed; ours says its budget too."""
    ask = "import sys\nfrom importlib.metadata import version\nprint(version(sys.argv[1]))"
    found: dict[str, str] = {}
    for contestant in contestants:
        if contestant in OF_OURS:
            words_of_budget = re.sub(r"\W+", "", json.dumps(budget))
            found[contestant] = f"{code_version()}-{words_of_budget}"
            continue
        words = [python_of(contestant, peers), "-c", ask, PACKAGES[contestant]]
        ended = subprocess.run(words, capture_output=True, text=True, check=False)
        if not ended.returncode:
            found[contestant] = ended.stdout.strip()
    return found


def python_of(contestant: str, peers: str) -> str:
    """Return the Python in which a contestant runs."""
    return sys.executable if contestant in HERE else peers


# Comparing


@dataclass(frozen=True, kw_only=True)
class Board:
    """Cells of one version of each contestant, all of one budget."""

    results: Results
    cells: Mapping[tuple[str, str, int], Cell]
    """By contestant, table and seed."""

    @property
    def contestants(self) -> list[str]:
        """Those that have run, in the order of `CONTESTANTS`."""
        return [name for name in CONTESTANTS if any(cell.contestant == name for cell in self.cells.values())]

    @property
    def tables(self) -> list[str]:
        """Tables that have been run."""
        known = [table.name for table in (*TABLES, *FURTHER, *OWN)]
        return [name for name in known if any(cell.table == name for cell in self.cells.values())]

    def of(self, contestant: str) -> list[Cell]:
        """Return the cells of a contestant."""
        return [cell for cell in self.cells.values() if cell.contestant == contestant]

    def seeds(self, table: str, contestants: Iterable[str]) -> list[int]:
        """Return the seeds that all of some contestants have run on a table."""
        ran = [{seed for who, on, seed in self.cells if (who, on) == (name, table)} for name in contestants]
        return sorted(set.intersection(*ran)) if ran else []

    def loss(self, contestant: str, table: str, seeds: Iterable[int]) -> float:
        """Return the mean loss over seeds; infinite where one crashed."""
        cells = [self.cells[contestant, table, seed] for seed in seeds]
        return (
            math.inf if any(cell.crashed for cell in cells) else float(np.mean([cell.loss for cell in cells]))
        )


def relative(a: float, b: float) -> float:
    """Return by how much loss `a` is above loss `b`, relative to the smaller: the same in both directions.

    Examples
    --------
    >>> relative(0.3, 0.2), relative(0.2, 0.3), relative(math.inf, 0.2)
    (0.5, -0.5, 10.0)
    """
    if a == b:
        return 0.0
    least = min(a, b)
    return float(
        np.clip((a - b) / least if least > 0 else math.copysign(math.inf, a - b), -LARGEST, LARGEST).round(9)
    )


def p_of_better(differences: Sequence[float]) -> float:
    """Return the exact one-sided p of Wilcoxon's signed ranks: of losses as small as these where neither is better.

    Parameters
    ----------
    differences
        Relative differences of loss, by table. Those below 1 % are ties, which are ranked and then left out [1]_.

    Notes
    -----
    `scipy.stats.wilcoxon` approximates by a normal distribution where there are ties: 0.0023 for the first example.

    References
    ----------
    .. [1] J. W. Pratt, Remarks on zeros and ties in the Wilcoxon signed rank procedures, JASA 54 (1959), 655-667.

    Examples
    --------
    >>> p_of_better([-0.05] * 8 + [0.004]), p_of_better([0.001, -0.002])
    (0.00390625, 1.0)
    """
    tied = np.array([0.0 if abs(one) < TIE else one for one in differences])
    # Ranks of ties are halves, so twice a rank is whole.
    twice = np.rint(2 * rankdata(np.abs(tied))).astype(int)
    chance = np.zeros(twice.sum() + 1)
    chance[0] = 1.0
    for rank in twice[tied != 0]:
        chance = (chance + np.concatenate([np.zeros(rank), chance[:-rank]])) / 2
    return float(chance[: twice[tied > 0].sum() + 1].sum())


def median_interval(differences: Sequence[float]) -> tuple[float, float]:
    """Return the 95 % interval of a median by the sign test: two of the values themselves; without ends for fewer than 6.

    Examples
    --------
    >>> median_interval([-0.35, 0.0, 0.005, 0.019, 0.019, 0.069]), median_interval([0.1] * 5)
    ((-0.35, 0.069), (-inf, inf))
    >>> median_interval([*range(1, 18)])
    (5, 13)
    """
    n, ordered = len(differences), sorted(differences)
    left_out = int(binom.ppf(0.025, n, 0.5))
    if not left_out:
        return -math.inf, math.inf
    return ordered[left_out - 1], ordered[n - left_out]


def paired(board: Board, rival: str, table: str, task: str) -> tuple[float, float, float]:
    """Return by how much our loss is above a rival's on a table, with the 95 % interval over test rows.

    Rows of a cluster (a group, a block of time) are drawn together, `DRAWS` times for each seed; seeds are averaged.
    """
    values, drawn = [], []
    for seed in board.seeds(table, (OURS, rival)):
        pair = [board.results.losses(board.cells[who, table, seed].key) for who in (OURS, rival)]
        clusters = np.unique(pair[0][1], return_inverse=True)[1]
        sums = np.array([np.bincount(clusters, weights=losses) for losses, _ in pair])
        sizes = np.bincount(clusters)
        chance = np.random.default_rng(seed)
        times = chance.multinomial(len(sizes), np.full(len(sizes), 1 / len(sizes)), size=DRAWS)
        means = np.vstack([sums.sum(axis=1)[None] / sizes.sum(), (times @ sums.T) / (times @ sizes)[:, None]])
        metric = np.sqrt(means) if task == "regression" else means
        values.append(metric[0, 0] - metric[0, 1])
        drawn.append(metric[1:, 0] - metric[1:, 1])
    low, high = np.quantile(np.mean(drawn, axis=0), [0.025, 0.975])
    return float(np.mean(values)), float(low), float(high)


# The tables of the report


def report(board: Board) -> Iterator[str]:
    """Return the lines of the report."""
    names, tables = board.contestants, [one for one in board.tables if board.seeds(one, board.contestants)]
    if not tables:
        yield "No table has been run by all: " + ", ".join(
            f"{name} {len(board.of(name))} cells" for name in names
        )
        return
    losses = np.array([[board.loss(name, one, board.seeds(one, names)) for name in names] for one in tables])
    ranks = np.array([rankdata(row) for row in losses])
    above = np.array([[relative(loss, row.min()) for loss in row] for row in losses])
    used = [
        [board.cells[name, one, seed] for one in tables for seed in board.seeds(one, names)] for name in names
    ]
    yield f"{len(tables)} tables, {sum(len(board.seeds(one, names)) for one in tables)} pairs of table and seed"
    yield ""
    yield (
        "| contestant | version | mean rank | median loss over the best | fit CPU s, median | most | "
        "CPU ms, 1 row | CPU ms, 10,000 rows | size MiB | crashed |"
    )
    yield "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|"
    for i in np.argsort(ranks.mean(axis=0)):
        cells = used[i]
        fit = [cell.fit_cpu_s for cell in cells]
        yield (
            f"| {names[i]} | {cells[0].version} | {ranks[:, i].mean():.2f} | {np.median(above[:, i]):.1%} "
            f"| {np.median(fit):.1f} | {max(fit):.1f} | {_median(cells, 'one_ms'):.3f} | {_median(cells, 'many_ms'):.0f} "
            f"| {_median(cells, 'bytes') / 2**20:.2f} | {sum(bool(cell.crashed) for cell in cells)} |"
        )
    for name in OF_OURS:
        if name in names:
            yield from _costs(name, used[names.index(name)])
    yield ""
    yield f"| table | task | {' | '.join(names)} |"
    yield f"|---|---|{'---:|' * len(names)}"
    for one, row in zip(tables, losses, strict=True):
        first = next(cell for cell in board.cells.values() if cell.table == one)
        yield f"| {one} | {first.task} | {' | '.join(_shown(board, name, one, loss) for name, loss in zip(names, row, strict=True))} |"
    if OURS in names:
        yield from _against(board)


def _median(cells: Iterable[Cell], what: str) -> float:
    found = [cell.asked[what] for cell in cells if what in cell.asked]
    return float(np.median(found)) if found else math.nan


def _costs(name: str, cells: Iterable[Cell]) -> Iterator[str]:
    """Say what packages of ours cost on one thread: JSON rows as an endpoint answers them, and rows that are columns already."""
    yield ""
    yield f"| {name} | CPU µs, 1 row | CPU ms, 10,000 rows | CPU ms, 10,000 rows of columns | size KiB | fit CPU s |"
    yield "|---|---:|---:|---:|---:|---:|"
    of_tables: dict[str, list[tuple[float, ...]]] = {}
    for cell in cells:
        if not cell.crashed:
            asked = cell.asked
            figures = (asked["many_ms"], asked["many_columns_ms"], asked["bytes"] / 1024, cell.fit_cpu_s)
            of_tables.setdefault(cell.table, []).append((1e3 * asked["one_ms"], *figures))
    medians = {table: np.median(seeds, axis=0) for table, seeds in of_tables.items()}
    if medians:
        medians["median"] = np.median([*medians.values()], axis=0)
    for table, figures in medians.items():
        yield f"| {table} | {' | '.join(f'{one:,.0f}' for one in figures)} |"


def _shown(board: Board, name: str, table: str, loss: float) -> str:
    if math.isinf(loss):
        return "crashed"
    cells = [cell for cell in board.of(name) if cell.table == table]
    other = {"binary": "roc_auc", "multiclass": "accuracy", "regression": "r2"}[cells[0].task]
    mean = np.mean([cell.beside[other] for cell in cells if not cell.crashed])
    return f"{loss:.4g} ({mean:.3f})"


def _against(board: Board) -> Iterator[str]:
    """Compare ours with each, on all tables that the two have run."""
    yield ""
    yield "| ours against | tables | better | ties | worse | median relative difference of loss | 95 % interval | one-sided p |"
    yield "|---|---:|---:|---:|---:|---:|---:|---:|"
    for rival in board.contestants:
        both = (OURS, rival)
        tables = [one for one in board.tables if board.seeds(one, both)]
        if rival == OURS or not tables:
            continue
        apart = [
            relative(*(board.loss(name, one, board.seeds(one, both)) for name in both)) for one in tables
        ]
        better, worse = sum(one <= -TIE for one in apart), sum(one >= TIE for one in apart)
        low, high = median_interval(apart)
        yield (
            f"| {rival} | {len(tables)} | {better} | {len(tables) - better - worse} | {worse} "
            f"| {np.median(apart):+.1%} | {low:+.1%} to {high:+.1%} | {p_of_better(apart):.4f} |"
        )
    if CATBOOST in board.contestants:
        yield ""
        yield from _surely_worse(board, CATBOOST)


def _surely_worse(board: Board, rival: str) -> Iterator[str]:
    both, found = (OURS, rival), 0
    for table in board.tables:
        seeds = board.seeds(table, both)
        if not seeds or any(board.cells[rival, table, seed].crashed for seed in seeds):
            continue
        if any(board.cells[OURS, table, seed].crashed for seed in seeds):
            found += 1
            yield f"- worse than {rival} on {table}: crashed"
            continue
        value, low, high = paired(board, rival, table, board.cells[OURS, table, seeds[0]].task)
        if low > 0:
            found += 1
            yield f"- worse than {rival} on {table}: {value:+.4g}, 95 % interval {low:.4g} to {high:.4g}"
    yield f"{found} tables on which ours is worse than {rival} by more than the paired interval"


def crashes(board: Board) -> Iterator[str]:
    """Say what crashed and why."""
    for cell in board.cells.values():
        if cell.crashed:
            yield f"- {cell.contestant} on {cell.table}, seed {cell.seed}: {cell.crashed}"


def chosen(names: str, allowed: Sequence[str], what: str) -> list[str]:
    """Return the names that were asked for, in the order of those there are."""
    asked = [name.strip() for name in names.split(",")]
    unknown = [name for name in asked if name not in allowed]
    if unknown:
        raise SystemExit(f"unknown {what}: {', '.join(unknown)}; there are {', '.join(allowed)}")
    return [name for name in allowed if name in asked]


def main() -> int:
    signal.signal(signal.SIGTERM, _end)
    given = _arguments()
    seconds = given.seconds or (5.0 if given.small else 30.0)
    tables = _tables(given)
    contestants = [OURS, LIGHTGBM] if given.small else list(USUAL)
    if given.contestants:
        contestants = chosen(given.contestants, list(CONTESTANTS), "contestants")
    budget = _budget(given.budget, seconds)
    versions = versions_of(contestants, given.peers, budget)
    for name in contestants:
        if name not in versions:
            print(f"{name} is not installed in {python_of(name, given.peers)}: left out", file=sys.stderr)
    if given.ours:
        versions |= {name: given.ours for name in OF_OURS if name in versions}
    seeds = [int(seed) for seed in (given.seeds or ("1" if given.small else "1,2,3")).split(",")]
    results = Results(given.results)
    pythons = {name: python_of(name, given.peers) for name in contestants}
    field_ = Field(results=results, pythons=pythons, versions=versions, seconds=seconds, budget=budget)
    for seed in seeds if not given.report else ():
        for table in tables:
            done = results.read()
            due = [
                name
                for name in contestants
                if name in versions and key_of(name, versions[name], table.name, seed, seconds) not in done
            ]
            if not due:
                continue
            for cell in field_.run(table, parted(table, given.data, seed), seed, due):
                print(_line(cell), file=sys.stderr, flush=True)
    cells = {
        (cell.contestant, cell.table, cell.seed): cell
        for cell in results.read().values()
        if cell.seconds == seconds
        and cell.version == versions.get(cell.contestant)
        and cell.table in {table.name for table in tables}
        and cell.seed in seeds
    }
    print(
        f"Linewright {version('linewright')} ({commit()}), {seconds:g} CPU seconds, Python {platform.python_version()}, "
        f"{platform.machine()}, {len(os.sched_getaffinity(0))} cores, {time.strftime('%Y-%m-%d')}\n"
    )
    board = Board(results=results, cells=cells)
    print("\n".join([*report(board), "", *crashes(board)]))
    return 0


def _budget(told: str | None, seconds: float) -> object:
    if told is None:
        return next(word for most, word in BUDGETS if seconds <= most)
    return json.loads(told) if told.startswith("{") else told


def _end(*_: object) -> None:
    """Unwind, so that the process that is measured ends too."""
    raise SystemExit(1)


def _line(cell: Cell) -> str:
    what = cell.crashed or (
        f"loss {cell.loss:.5g}, one row {cell.asked['one_ms']:.2f} ms, 10,000 rows {cell.asked['many_ms']:.0f} ms, "
        f"{cell.asked['bytes'] / 2**20:.2f} MiB"
    )
    return f"{time.strftime('%H:%M:%S')} seed {cell.seed} {cell.table} {cell.contestant}: fit {cell.fit_cpu_s:.1f} CPU s, {what}"


def _tables(given: argparse.Namespace) -> list[Table]:
    of_folder = (*TABLES, *FURTHER) if given.data or given.report else ()
    every = {table.name: table for table in (*of_folder, *OWN)}
    if given.small:
        usual = SMALL if given.data else [table.name for table in OWN]
    elif of_folder:
        usual = [table.name for table in TABLES]
    else:
        raise SystemExit(
            "say where the tables are: --data FOLDER, or --small for those that ship with scikit-learn"
        )
    names = chosen(given.tables, list(every), "tables") if given.tables else usual
    lacking = [
        name
        for name in names
        if every[name].file and given.data and not (given.data / every[name].file).is_file()
    ]
    if lacking:
        raise SystemExit(f"{given.data} lacks the files of {', '.join(lacking)}")
    return [every[name] for name in names]


def _arguments() -> argparse.Namespace:
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, help="folder of the tables")
    parser.add_argument("--peers", default=sys.executable, help="Python that has the other contestants")
    parser.add_argument("--seconds", type=float, help="CPU seconds of a fit (default: 30)")
    parser.add_argument(
        "--budget", help="budget in the line file of ours, a word or JSON (default: by --seconds)"
    )
    parser.add_argument("--seeds", help="comma-separated (default: 1,2,3)")
    parser.add_argument("--tables", help="comma-separated (default: the seventeen)")
    parser.add_argument(
        "--contestants",
        help=f"comma-separated, of {', '.join(CONTESTANTS)} (default: all but {' and '.join(OF_OURS[1:])})",
    )
    parser.add_argument("--results", type=Path, default=cache / "linewright" / "automl.jsonl")
    parser.add_argument("--report", action="store_true", help="run nothing, print what there is")
    parser.add_argument("--ours", help="compare the cells of this version of ours (default: of this code)")
    parser.add_argument(
        "--small", action="store_true", help="one table of each kind, 5 seconds, ours and LightGBM"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
