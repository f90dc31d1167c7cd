"""Predictions of a line file that die by SIGKILL at a chosen point: ``python -m killed_predictions FOLDER LINE JOB POINT``."""

import os
import signal
import sys
from pathlib import Path
from typing import Any

from linewright.capabilities.schedules import predictions
from linewright.capabilities.schedules.undelivered import Undelivered
from linewright.line.factory import Factory
from linewright.serve.log.writer import PredictionLog

_append = PredictionLog.append_request
_frames: list[object] = []


def _kill(*_: Any, **__: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)


def _append_one(self: PredictionLog, records: Any) -> object:
    _frames.append(records)
    return _kill() if len(_frames) > 1 else _append(self, records)


def main(root: str, line: str, job: str, point: str) -> None:
    """Make predictions, and die."""
    match point:
        case "draft":
            Undelivered.finish = _kill
        case "logging":
            PredictionLog.append_request = _append_one
        case "logged":
            predictions.write_answers = _kill
        case "written":
            Undelivered.keep_seen = _kill
        case "recorded":
            Undelivered.clear = _kill
        case _:
            raise ValueError(point)
    with Factory.open(Path(root)) as factory:
        predictions.predict_job(factory, line, job)


if __name__ == "__main__":
    main(*sys.argv[1:])
