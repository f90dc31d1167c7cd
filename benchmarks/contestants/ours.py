"""Linewright.

It goes the way of a user: a line file that says what is predicted, in which column time or group stands and how much may be tried,
and nothing about models. The steps of its run are carried out one by one, since it is the benchmark that parts the rows: reading
before the clock starts, then all from ``train`` to ``package`` on the clock. Evaluation, gates and certificate have no counterpart
among the others and are left out.
"""

# ruff: noqa: D102 -- `automl_cell.Contestant` says what each method is for

import csv
import gc
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
from automl_cell import Job
from numpy.typing import NDArray

from linewright.data.facts import TEST, TRAIN, ByHash, Split, SplitReason
from linewright.features.encode import encode
from linewright.features.learn import to_columns
from linewright.interfaces.python.factory import Factory
from linewright.line.predict.batch import json_rows
from linewright.line.run_context import Work
from linewright.line.runs.plan import begin
from linewright.line.split_rows import label_text
from linewright.line.steps.table import STEPS
from linewright.line.steps.train import train_step
from linewright.model.package.model import load
from linewright.serve.rows.scorer import Scorer

assert train_step  # imported here, so that importing what trains is not counted as fitting


class Ours:
    """Linewright: asked as an endpoint asks, with JSON rows; and with columns, as batch scoring does."""

    prefer = "accuracy"
    also: tuple[str, ...] = ()

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
            "train": {"task": job.task, "budget": job.budget, "prefer": self.prefer, "also": self.also},
        }

    def _read(self) -> Work:
        """Read the table and part its rows as the benchmark says."""
        work = begin(self.factory, self.factory.line("table"))
        steps = {step.name: step for step in STEPS}
        work = work.knowing("ingest", self.factory.metadata.keep(steps["ingest"].do(work)))
        parts = np.full(work.dataset.rows, TEST, dtype=np.uint8)
        parts[self.job.train] = TRAIN
        split = Split(
            dataset=work.ingested.dataset,
            by="random" if self.job.by == "rows" else self.job.by,
            reason=SplitReason(cut=ByHash(key=None, is_asked=True)),
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
        work, names = self.work, [step.name for step in STEPS]
        for step in STEPS[names.index("split") + 1 : names.index("package") + 1]:
            work = work.knowing(step.name, self.factory.metadata.keep(step.do(work)))
        self._made.write_text(json.dumps(work.parity.package))

    def open(self) -> None:
        digest = json.loads(self._made.read_text())
        self.scorer = Scorer(load(digest, self.factory.artifacts.get))
        # As the endpoint does once it is up: else answers wait while Python looks through all that was imported.
        gc.collect()
        gc.freeze()
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


class OursSmall(Ours):
    """Linewright by a line file that asks for one model, as small as may be."""

    prefer = "small"


class OursCatBoost(Ours):
    """Linewright with CatBoost among the families that it tries."""

    also = ("catboost",)
