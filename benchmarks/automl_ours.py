"""The contestants of `automl.py` that run where Linewright is installed: ours, and LightGBM as it comes.

Ours goes the way of a user: a line file that says what is predicted, in which column time or group stands and how much may be tried,
and nothing about models. The stations of its run are carried out one by one, since it is the benchmark that parts the rows: reading
before the clock starts, then all from ``train`` to ``package`` on the clock. Evaluation, gates and certificate have no counterpart
among the others and are left out.
"""

# ruff: noqa: D102 -- `automl_cell.Contestant` says what each method is for

import csv
import json
from collections.abc import Callable, Mapping
from typing import Any

import lightgbm
import numpy as np
import polars as pl
from automl_cell import Job
from numpy.typing import NDArray

from linewright.data.facts import TEST, TRAIN, Split
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.line.plan import begin
from linewright.line.scoring import json_rows
from linewright.line.stations import STATIONS
from linewright.line.training import train_station
from linewright.line.work import Work, label_text
from linewright.model.package import load
from linewright.operations.face import Factory
from linewright.serve.scoring import Scorer

NUMERIC = 0.95
"""Share of a column's values that must be numbers for the plain model to take it as numbers."""
assert train_station  # imported here, so that importing what trains is not counted as fitting


class Ours:
    """Linewright: asked as an endpoint asks, with JSON rows; and with columns, as batch scoring does."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.factory = Factory.create(job.folder / "factory")
        self._made = job.folder / "made.json"
        self._line().write_text(json.dumps(self._spec()))
        self.work = self._read()
        if [*map(str, self.job.classes)]:
            self._check_rows()

    def _line(self) -> Any:
        return self.factory.root / "lines" / "table.yaml"

    def _spec(self) -> dict[str, Any]:
        job = self.job
        role = {"time": "time", "group": "group"}.get(job.by)
        return {
            "line": "table",
            "sources": {"table": {"file": str(job.table)}},
            "table": {role: job.unread[0]} if role else {},
            "label": {"column": job.label, **({"positive": job.positive} if job.positive else {})},
            "train": {"task": job.task, "budget": job.budget},
        }

    def _read(self) -> Work:
        """Read the table and part its rows as the benchmark says."""
        work = begin(self.factory, self.factory.line("table"))
        stations = {station.name: station for station in STATIONS}
        work = work.knowing("ingest", self.factory.metadata.keep(stations["ingest"].do(work)))
        parts = np.full(work.dataset.rows, TEST, dtype=np.uint8)
        parts[self.job.train] = TRAIN
        split = Split(
            dataset=work.ingested.dataset,
            by="random" if self.job.by == "rows" else self.job.by,
            why="the benchmark says so",
            cutoff=None,
            train=len(self.job.train),
            test=len(self.job.test),
            embargo=0,
            unlabelled=0,
            parts=self.factory.artifacts.put(parts.tobytes()),
            fold_salt=f"fold:{self.job.seed}",
        )
        return work.knowing("split", self.factory.metadata.keep(split))

    def _check_rows(self) -> None:
        """Rows are told apart by their number alone, so they must have stayed in order."""
        with self.job.table.open(newline="") as file:
            told = [row[self.job.label] for row in csv.DictReader(file)]
        assert label_text(self.work.rows.frame, self.job.label) == told

    def fit(self) -> None:
        work, names = self.work, [station.name for station in STATIONS]
        for station in STATIONS[names.index("split") + 1 : names.index("package") + 1]:
            work = work.knowing(station.name, self.factory.metadata.keep(station.do(work)))
        self._made.write_text(json.dumps(work.parity.package))

    def open(self) -> None:
        digest = json.loads(self._made.read_text())
        self.scorer = Scorer(load(digest, self.factory.artifacts.get))
        package = self.scorer.model.package
        self._bytes = package.graph_bytes + sum(
            len(self.factory.artifacts.get(one)) for one in (digest, package.golden)
        )

    def size(self) -> int:
        return self._bytes

    def take(self, rows: NDArray[np.int64]) -> tuple[list[dict[str, object]], pl.DataFrame]:
        frame = self.work.rows.frame[rows].drop(self.job.label)
        return json_rows(frame), frame

    def answer(self, request: tuple[list[dict[str, object]], pl.DataFrame]) -> list[dict[str, Any]]:
        return self.scorer.answers(self.scorer.matrix(request[0]))

    def scores(self, answer: list[dict[str, Any]]) -> NDArray[np.float64]:
        if not self.job.classes:
            return np.array([one["prediction"] for one in answer])
        return np.array(
            [[one["probabilities"].get(name, 0.0) for name in self.job.classes] for one in answer]
        )

    def ways(self) -> Mapping[str, Callable[[Any], Any]]:
        return {"columns": self._from_columns}

    def _from_columns(self, request: tuple[list[dict[str, object]], pl.DataFrame]) -> NDArray[np.float64]:
        encoder = self.scorer.model.package.encoder
        return self.scorer.model.scores(encode(encoder, to_columns(request[1], encoder.columns)))


class Plain:
    """LightGBM as it comes: numbers where 95 % of the training values are numbers, else categories."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.frame = pl.read_csv(job.table, infer_schema=False)
        unread = {job.label, *job.unread}
        self.columns = [name for name in self.frame.columns if name not in unread]
        self._file = job.folder / "model.txt"
        self._levels_file = job.folder / "levels.json"

    def fit(self) -> None:
        job, rows = self.job, self.frame[self.job.train]
        self.levels = {name: self._levels(rows[name]) for name in self.columns}
        x = self._encode(rows.select(self.columns).rows())
        categories = [i for i, name in enumerate(self.columns) if self.levels[name] is not None]
        shared = {"verbose": -1, "random_state": job.seed, "n_jobs": 1}
        if job.classes:
            codes = {name: code for code, name in enumerate(job.classes)}
            known = np.array([codes[value] for value in rows[job.label]])
            model = lightgbm.LGBMClassifier(**shared)
        else:
            known = rows[job.label].cast(pl.Float64).to_numpy()
            model = lightgbm.LGBMRegressor(**shared)
        model.fit(x, known, categorical_feature=categories or "auto")
        model.booster_.save_model(self._file)
        present = np.unique(known).tolist() if job.classes else []
        self._levels_file.write_text(json.dumps({"levels": self.levels, "present": present}))

    @staticmethod
    def _levels(column: pl.Series) -> dict[str, int] | None:
        numbers = column.cast(pl.Float64, strict=False)
        if len(column) - numbers.null_count() >= NUMERIC * (len(column) - column.null_count()):
            return None
        return {level: code for code, level in enumerate(column.drop_nulls().unique().sort())}

    def _encode(self, rows: list[tuple[str | None, ...]]) -> NDArray[np.float64]:
        kinds = [self.levels[name] for name in self.columns]
        return np.array(
            [
                [
                    np.nan
                    if value is None
                    else _number(value)
                    if levels is None
                    else levels.get(value, np.nan)
                    for value, levels in zip(row, kinds, strict=True)
                ]
                for row in rows
            ]
        )

    def open(self) -> None:
        told = json.loads(self._levels_file.read_text())
        self.levels, self.present = told["levels"], told["present"]
        self.booster = lightgbm.Booster(model_file=self._file)

    def size(self) -> int:
        return self._file.stat().st_size + self._levels_file.stat().st_size

    def take(self, rows: NDArray[np.int64]) -> list[tuple[str | None, ...]]:
        return self.frame[rows].select(self.columns).rows()

    def answer(self, request: list[tuple[str | None, ...]]) -> NDArray[np.float64]:
        return np.asarray(self.booster.predict(self._encode(request), num_threads=1))

    def scores(self, answer: NDArray[np.float64]) -> NDArray[np.float64]:
        if not self.job.classes:
            return answer
        if answer.ndim == 1:
            return np.column_stack([1 - answer, answer])
        whole = np.zeros((len(answer), len(self.job.classes)))
        whole[:, self.present] = answer
        return whole

    def ways(self) -> Mapping[str, Callable[[Any], Any]]:
        return {}


def _number(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        return np.nan
