"""Keep the state that the present version writes, as text, so that every later version can be shown to read it.

python tests/upgrades/make.py VERSION_NAME                  from the code of this checkout
python tests/upgrades/make.py VERSION_NAME --code FOLDER    from another checkout of this repository
python tests/upgrades/make.py VERSION_NAME --facts          only the examples of facts

It writes `states/VERSION_NAME/` (a factory that lived for some days, file by file) and, for each kind of fact whose form is
new, `facts/KIND.VERSION_NAME.json`. What is there is never changed: a name that exists is refused. Time, ids and rows are
made up, so that the same code and libraries give the same files. Make one when a form of the state has changed, add the
files to the repository, and run `pytest tests/upgrades`.
"""

import argparse
import base64
import csv
import json
import os
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.request import Request, urlopen

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
STATES, FACTS = HERE / "states", HERE / "facts"
LINE = "visits"
START = datetime(2026, 3, 1, tzinfo=UTC)
HISTORY, A_DAY = 10, 24
COLUMNS = ("visit", "at", "a", "b", "y")
FILE = """\
line: visits
about: What becomes of a visit
sources: {visits: {file: history.csv}}
table: {key: visit, time: at}
label: {column: y, positive: "yes", delay: 2d}
contract:
  columns:
    visit: {type: category, unique: true}
    at: {type: datetime}
    a: {type: number, min: -50, on_breach: quarantine}
    b: {type: number}
    y: {type: category, allowed: ["no", "yes"]}
train: {task: binary, budget: quick, folds: 2}
gates:
  - {beats: champion, metric: roc_auc, confidence: 0.95}
watch: {every: 1d, drift: {windows: 2}}
retrain: {when: [drift, performance], cooldown: 3d}
"""
LIVE = """\
import os, sys
from pathlib import Path
from linewright.line.factory import Factory
from linewright.line.predict.label_file import hand_in
from linewright.line.predict.batch import predict_file
from linewright.capabilities.serving.worker import tend_inline
with Factory.open(".") as factory:
    for number in range(1, len(sys.argv), 2):
        what, os.environ["FIXTURE_AT"] = sys.argv[number], sys.argv[number + 1]
        if what == "tend":
            tend_inline(factory, "visits")
        elif what.startswith("truth"):
            hand_in(factory, "visits", Path(what))
        else:
            predict_file(factory, "visits", Path(what), Path("answers.csv"))
"""
SEAL = """\
import os
from linewright.line.factory import Factory
from linewright.line.record.archive_log import seal_next
with Factory.open(".") as factory:
    os.utime(min(factory.log_of("visits").glob("*.log")), (1, 1))
    assert seal_next(factory, "visits")
"""
CHECKPOINT = """\
from linewright.line.record.checkpoint import checkpoint_all
from linewright.line.factory import Factory
with Factory.open(".") as factory:
    assert not checkpoint_all(factory)[1]
"""
TIME = '''\
"""Time and ids of a process, from its environment: imported by Python at its start."""
import itertools
import os
import uuid
from datetime import datetime, timedelta
from linewright.store import clock
_COUNT = itertools.count()
def _start():
    return datetime.fromisoformat(os.environ["FIXTURE_AT"])
def now_utc():
    return (_start() + timedelta(milliseconds=next(_COUNT))).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
def uuid7():
    number = next(_COUNT)
    millis = int(_start().timestamp() * 1000) + number
    return str(uuid.UUID(int=millis << 80 | 7 << 76 | 2 << 62 | number))
clock.now_utc, clock.uuid7 = now_utc, uuid7
'''
_STATE = (".linewright/", "state/")
"""Folder of the state, and its name here: a repository passes over the first."""
_PASSED_OVER = re.compile(
    r"engine\.sqlite|.*\.lock|\.linewright/serving/endpoint(\.reached)?|answers\.csv|(truth|day).*\.csv"
)
"""The engine's own tables hold no results: what is done is known from the metadata store."""


def main() -> int:
    """Make what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--code", type=Path, default=ROOT)
    parser.add_argument("--facts", action="store_true")
    asked = parser.parse_args()
    target = STATES / asked.name
    if not re.fullmatch(r"[a-z0-9.-]+", asked.name) or (target.exists() and not asked.facts):
        sys.stderr.write(f"{asked.name}: choose a new name of a-z, 0-9, dots and hyphens\n")
        return 2
    made = keep_facts(asked.name, asked.code)
    print(f"facts: {', '.join(made) or 'no form is new'}")
    if not asked.facts:
        with tempfile.TemporaryDirectory() as folder:
            live(Path(folder), asked.code)
            keep_state(Path(folder) / "factory", target)
        print(f"{target.relative_to(ROOT)}: {sum(path.stat().st_size for path in target.rglob('*')):,} bytes")
    print("Next: add the files, and run `pytest tests/upgrades`")
    return 0


# A factory's life


def live(folder: Path, code: Path) -> None:
    """Let a factory live in `folder` by the code of a checkout: a run, answers, labels, monitors, a sealed segment, a checkpoint."""
    factory, patch = folder / "factory", folder / "patch"
    (factory / "lines").mkdir(parents=True)
    patch.mkdir()
    (patch / "sitecustomize.py").write_text(TIME)
    (factory / "lines" / f"{LINE}.yaml").write_text(FILE)
    days = [row for day in range(HISTORY) for row in rows(day)]
    # A row that the contract keeps out.
    _write(factory / "history.csv", [*days, {**days[0], "visit": "v-broken", "a": -99}], COLUMNS)
    _write(factory / "rows.csv", rows(HISTORY), COLUMNS[:-1])
    made = Made(factory, code, patch)
    made.command(HISTORY, 1, "init")
    made.command(HISTORY, 2, "run", LINE)
    with made.endpoint(HISTORY, 3) as address:
        asked = [{name: row[name] for name in COLUMNS[:-1]} for row in rows(HISTORY)[:3]]
        answer = _post(address, "predict", {"rows": asked})
        _post(
            address,
            "feedback",
            {"labels": [{"id": answer["predictions"][0]["id"], "label": rows(HISTORY)[0]["y"]}]},
        )
        (factory / "asked.json").write_text(json.dumps({"rows": asked, "answer": answer}, indent=1) + "\n")
    made.command(HISTORY, 4, "predict", LINE, "rows.csv", "-o", "answers.csv")
    shutil.copy(factory / "answers.csv", factory / "recorded.csv")
    truth = [{"key": row["visit"], "label": row["y"]} for row in rows(HISTORY)[1:20]]
    _write(factory / "truth.csv", truth, ("key", "label"))
    made.command(HISTORY, 5, "feedback", LINE, "truth.csv")
    _be_watched(made)
    made.python(HISTORY + 7, 0, "-c", SEAL)
    made.python(HISTORY + 7, 1, "-c", CHECKPOINT)


def _be_watched(made: "Made") -> None:
    """Live on: what comes in shifts until monitors find it, and a training follows."""
    steps: list[str] = []
    for day in range(HISTORY + 1, HISTORY + 6):
        asked, truth = f"day-{day}.csv", f"truth-{day}.csv"
        known = [{"key": row["visit"], "label": row["y"]} for row in rows(day, shift=2.5)]
        _write(made.factory / asked, rows(day, shift=2.5), COLUMNS[:-1])
        _write(made.factory / truth, known, ("key", "label"))
        for what, hour in (("tend", 0), (asked, 20), (truth, 22)):
            steps += [what, made.at(day, hour)]
    made.python(HISTORY + 1, 0, "-c", LIVE, *steps)


def rows(day: int, *, shift: float = 0.0) -> list[dict[str, object]]:
    """Make the visits of a day; after a shift `a` lies elsewhere and its meaning is turned round."""
    chance = random.Random(day)
    made = []
    for number in range(A_DAY):
        a, b = round(chance.gauss(0, 1), 3), round(chance.gauss(0, 1), 3)
        pull = -3 * a if shift else 3 * a
        at = START + timedelta(days=day, minutes=45 * number)
        truth = "yes" if pull + b + chance.gauss(0, 1) > 0 else "no"
        made.append(
            {
                "visit": f"v{day:02}-{number:02}",
                "at": f"{at:%Y-%m-%dT%H:%M:%SZ}",
                "a": round(a + shift, 3),
                "b": b,
                "y": truth,
            }
        )
    return made


class Made:
    """Runs the commands of a checkout in a factory, at made-up times."""

    def __init__(self, factory: Path, code: Path, patch: Path) -> None:
        self.factory = factory
        self._path = f"{patch}{os.pathsep}{code.resolve() / 'src'}"

    def command(self, day: int, hour: int, *arguments: str) -> None:
        self.python(day, hour, "-m", "linewright", *arguments)

    def python(self, day: int, hour: int, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.factory,
            env=self._environment(day, hour),
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode not in {0, 4}:
            raise SystemExit(f"{arguments}: {done.stdout}{done.stderr}")

    def at(self, day: int, hour: int) -> str:
        return (START + timedelta(days=day, hours=hour)).isoformat()

    @contextmanager
    def endpoint(self, day: int, hour: int) -> Iterator[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "linewright", "serve", "--port", "0"],
            cwd=self.factory,
            env=self._environment(day, hour),
            stderr=subprocess.DEVNULL,
        )
        announced = self.factory / ".linewright" / "serving" / "endpoint"
        try:
            for _ in range(600):
                if announced.exists() or process.poll() is not None:
                    break
                time.sleep(0.1)
            yield announced.read_text().strip()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(timeout=40)

    def _environment(self, day: int, hour: int) -> dict[str, str]:
        return {
            **os.environ,
            "PYTHONPATH": self._path,
            "FIXTURE_AT": self.at(day, hour),
            "PYTHONDONTWRITEBYTECODE": "1",
        }


def _post(address: str, what: str, body: object) -> dict:
    request = Request(
        f"http://{address}/v1/lines/{LINE}/{what}",
        json.dumps(body).encode(),
        {"Content-Type": "application/json"},
    )
    with urlopen(request, timeout=20) as answer:  # noqa: S310
        return json.load(answer)


def _write(path: Path, made: list[dict[str, object]], columns: tuple[str, ...]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(made)


# Files as text


def keep_state(factory: Path, target: Path) -> None:
    """Write the files of a factory as text: databases as SQL, bytes compressed and as base64, the rest as it is."""
    blobs: dict[str, list[str]] = {}
    for path in sorted(path for path in factory.rglob("*") if path.is_file()):
        name = str(path.relative_to(factory))
        if _PASSED_OVER.fullmatch(name) or _PASSED_OVER.fullmatch(path.name):
            continue
        if path.suffix == ".sqlite":
            _put(target / f"{name.replace(*_STATE)}.sql", _dump(path))
        elif "/artifacts/" in name or path.suffix == ".log":
            blobs[name] = _lines(path.read_bytes())
        else:
            _put(target / name.replace(*_STATE), path.read_text())
    _put(target / "bytes.json", json.dumps(blobs, indent=0, sort_keys=True) + "\n")


def rebuild_state(source: Path, factory: Path) -> None:
    """Make a factory of the files that `keep_state` wrote."""
    for path in sorted(path for path in source.rglob("*") if path.is_file()):
        name = str(path.relative_to(source)).replace(*reversed(_STATE))
        if name == "bytes.json":
            for blob, lines in json.loads(path.read_text()).items():
                (factory / blob).parent.mkdir(parents=True, exist_ok=True)
                (factory / blob).write_bytes(zlib.decompress(base64.b64decode("".join(lines))))
        elif name.endswith(".sqlite.sql"):
            (factory / name).parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(factory / name.removesuffix(".sql"))) as database:
                database.executescript(path.read_text())
        else:
            _put(factory / name, path.read_text())


def _dump(path: Path) -> str:
    with closing(sqlite3.connect(path)) as database:
        (form,) = database.execute("PRAGMA user_version").fetchone()
        return "\n".join([*database.iterdump(), f"PRAGMA user_version = {form};", ""])


def _lines(data: bytes) -> list[str]:
    text = base64.b64encode(zlib.compress(data, 9)).decode()
    return [text[start : start + 120] for start in range(0, len(text), 120)]


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


# Facts


def keep_facts(name: str, code: Path) -> list[str]:
    """Write an example of each kind of fact whose form is not there yet, and return their kinds."""
    environment = {**os.environ, "PYTHONPATH": str(code.resolve() / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, str(HERE / "examples.py")],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    FACTS.mkdir(exist_ok=True)
    known = {path.read_text() for path in FACTS.glob("*.json")}
    made = []
    for kind, example in json.loads(done.stdout).items():
        text = json.dumps(example, indent=1, sort_keys=True) + "\n"
        if text not in known:
            _put(FACTS / f"{kind}.{name}.json", text)
            made.append(kind)
    return made


if __name__ == "__main__":
    sys.exit(main())
