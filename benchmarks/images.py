"""Lines on folders of pictures, beside what people do without a network that has seen pictures before; all on the same split.

    python benchmarks/images.py --data FOLDER [--only PART-OF-A-NAME]

FOLDER holds ``breastmnist.npz`` and ``magnetic_tile_64.npz``. Their pictures become files, and the files a line with the budget `quick`, which
`linewright run` trains. Names are chosen so that the split of the line is the one that the sets come with: of breastmnist the official one, of the
tiles one by tile. The rivals get the same training pictures and the same test pictures: LightGBM on the pixels, and a regularised linear model on
histograms of gradients. Of `odd-tiles` good pictures alone are learned from, and the rivals are isolation forests. CPU seconds are of the whole command, its processes included.
"""

import argparse
import base64
import io
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from PIL import Image
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from linewright.data.dataset.row_id import hash_rows
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset, Ingested
from linewright.features.encode_table import encode_table
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.loop.reference import rows_before
from linewright.line.record.registry import find_model
from linewright.line.split_rows import label_text
from linewright.model.package.model import load
from linewright.model.pictures import picture_of
from linewright.serve.listener import endpoint

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "support"))
from hostile_pictures import hostile_pictures

SIDE = 64
"""Pixels of a side of what the rivals read."""
ASKED = 200
FORM = """\
line: {name}
sources: {{pictures: {{files: data}}}}
table:
  sql: "select name, file, {shows} as shows{tile} from pictures"
  key: name
{group}label: {{column: shows{positive}}}
contract: {{columns: {{file: {{type: file, nullable: false}}}}}}
train: {{task: {task}, {budget}split: {{test: {test}}}}}
"""
Pictures = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Task:
    """A set of pictures, and what is asked of them."""

    name: str
    file: str
    shows: str
    """SQL for what a picture shows, from the name of its folder."""
    positive: str
    """The class that is looked for; empty where there are several."""
    by_tile: bool
    test: float
    """Share of the rows, or of the groups, that the split takes for its test part."""
    learns_good: bool = False
    """Whether good pictures alone are learned from."""


TASKS = (
    Task(
        name="breastmnist",
        file="breastmnist.npz",
        shows="folder",
        positive="malignant",
        by_tile=False,
        test=0.2,
    ),
    Task(
        name="tiles",
        file="magnetic_tile_64.npz",
        shows="folder",
        positive="",
        by_tile=True,
        test=0.2374,
    ),
    Task(
        name="faulty-tiles",
        file="magnetic_tile_64.npz",
        shows="case when folder = 'free' then 'good' else 'faulty' end",
        positive="faulty",
        by_tile=True,
        test=0.2374,
    ),
    Task(
        name="odd-tiles",
        file="magnetic_tile_64.npz",
        shows="case when folder = 'free' then 'good' else 'faulty' end",
        positive="faulty",
        by_tile=True,
        test=0.2374,
        learns_good=True,
    ),
)


def write_factory(task: Task, data: Path, root: Path) -> None:
    """Write the pictures as files, and the line file."""
    arrays = np.load(data / task.file)
    classes = arrays["class_names"] if "class_names" in arrays else np.array(["malignant", "benign"])
    number = 0
    for part in ("train", "val", "test"):
        labels = arrays[f"{part}_labels"].ravel()
        groups = arrays[f"{part}_groups"] if task.by_tile else np.arange(len(labels))
        for picture, label, group in zip(arrays[f"{part}_images"], labels, groups, strict=True):
            folder, number = str(classes[label]), number + 1
            form = (
                "tile{group:03}-{salt}_{number:04}.png" if task.by_tile else "{folder}/{number:04}-{salt}.png"
            )
            said = {"folder": folder, "group": group, "number": number}
            name = _fitting(task, form, said, is_test=part == "test")
            file = root / "data" / (f"{folder}/{name}" if task.by_tile else name)
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(file)
    tile = ", regexp_extract(name, 'tile([0-9-]+)_', 1) as tile" if task.by_tile else ""
    text = FORM.format(
        name=task.name,
        shows=task.shows,
        tile=tile,
        group="  group: tile\n" if task.by_tile else "",
        positive=f", positive: {task.positive}" if task.positive else "",
        task="anomaly" if task.learns_good else "binary" if task.positive else "multiclass",
        budget="" if task.learns_good else "budget: quick, ",
        test=task.test,
    )
    (root / "lines").mkdir()
    (root / "lines" / f"{task.name}.yaml").write_text(text)
    (root / "factory.yaml").write_text("format: 1\n")


def _fitting(task: Task, form: str, said: dict[str, Any], *, is_test: bool) -> str:
    """Return a name whose hash puts the picture, or its tile, into the part that it is of."""
    for salt in range(1_000):
        name = form.format(**said, salt=salt)
        identity = name.removeprefix("tile").partition("_")[0] if task.by_tile else name
        if (int(hash_rows(pl.Series([identity]), salt="")[0]) / 2**64 < task.test) == is_test:
            return name
    raise AssertionError(form)


def cpu_of(command: Sequence[str], root: Path) -> tuple[float, float]:
    """Run a command; return the CPU seconds of it and its processes, and its seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "linewright", *command, "--json"],
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 4):
        raise SystemExit(done.stderr)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return spent, time.monotonic() - began


def auc(truth: NDArray[Any], scores: NDArray[Any]) -> float:
    """Return the ROC AUC; of several classes, the mean of each against the rest."""
    if scores.shape[1] == 2:
        return float(roc_auc_score(truth, scores[:, 1]))
    return float(roc_auc_score(truth, scores, multi_class="ovr"))


def gradients(pictures: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return histograms of oriented gradients: 9 directions in each of 8 x 8 cells, each cell scaled to length 1."""
    down, right = np.gradient(pictures, axis=(1, 2))
    strength, angle = np.hypot(down, right), np.mod(np.arctan2(down, right), np.pi)
    places = np.minimum((angle / np.pi * 9).astype(int), 8)
    by_direction = np.stack([np.where(places == i, strength, 0) for i in range(9)], axis=-1)
    n, cell = len(pictures), SIDE // 8
    cells = by_direction.reshape(n, 8, cell, 8, cell, 9).sum(axis=(2, 4))
    return (cells / (np.linalg.norm(cells, axis=-1, keepdims=True) + 1e-6)).reshape(n, -1)


def rivals(
    learned: Pictures, tested: Pictures, truth: NDArray[Any]
) -> Iterator[tuple[str, NDArray[Any], float]]:
    """Give the scores of each rival, and its CPU seconds."""
    began = time.process_time()
    boosted = LGBMClassifier(
        n_estimators=200, learning_rate=0.05, num_leaves=15, n_jobs=1, verbose=-1, random_state=0
    )
    boosted.fit(learned.reshape(len(learned), -1), truth)
    yield (
        "pixels, LightGBM",
        np.asarray(boosted.predict_proba(tested.reshape(len(tested), -1))),
        time.process_time() - began,
    )
    began = time.process_time()
    linear = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=1_000))
    linear.fit(gradients(learned / 255), truth)
    yield (
        "histograms of gradients, logistic",
        linear.predict_proba(gradients(tested / 255)),
        time.process_time() - began,
    )


def rivals_of_good(
    learned: Pictures, tested: Pictures, pooled: tuple[NDArray[Any], NDArray[Any]]
) -> Iterator[tuple[str, NDArray[Any], float]]:
    """Give the scores of isolation forests that learn from good pictures: by their pixels, and by pooled features of the network."""
    pixels = (learned.reshape(len(learned), -1), tested.reshape(len(tested), -1))
    for name, (taught, asked) in {"pixels": pixels, "pooled features": pooled}.items():
        began = time.process_time()
        odd = -IsolationForest(n_estimators=200, random_state=0).fit(taught).score_samples(asked)
        yield f"{name}, isolation forest", np.column_stack([1 - odd, odd]), time.process_time() - began


def _pooled(factory: Factory, digests: pl.Series) -> NDArray[Any]:
    _, reader = picture_of("file", factory.artifacts, factory.features_of)
    return reader.read(digests.to_list())


def of_task(task: Task, data: Path) -> list[str]:
    """Return the rows of the table."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_factory(task, data, root)
        spent, _ = cpu_of(("run", task.name), root)
        with Factory.open(root) as factory:
            version = find_model(factory, task.name)
            model = load(version.digest, factory.artifacts.get, factory.features_of)
            rows = rows_before(factory, factory.line(task.name), version)
            package = model.package
            codes = {name: code for code, name in enumerate(package.classes)}
            tested = rows.tested
            truth = np.array([codes[one] for one in label_text(tested, package.label)])
            scores = model.scores(encode_table(package.encoder, tested, readers=model.readers))
            everything = _all_rows(factory, task.name)
            learned = everything.filter(~pl.col("name").is_in(tested["name"].implode()))
            taught = np.array([codes[one] for one in label_text(learned, package.label)])
            small = [_pixels(factory, one["file"]) for one in (learned, tested)]
            good = learned.filter(pl.Series(taught == 0))
            pooled = [_pooled(factory, one["file"]) for one in (good, tested)] if task.learns_good else []
        bar = package.threshold if task.learns_good else None
        way = "**linewright**" if task.learns_good else "**linewright, quick**"
        many = len(good) if task.learns_good else len(learned)
        table = [_row(task, way, truth, scores, cpu=spent, rows=many, bar=bar)]
        others = (
            rivals_of_good(small[0][taught == 0], small[1], (pooled[0], pooled[1]))
            if task.learns_good
            else rivals(small[0], small[1], taught)
        )
        for name, found, cpu in others:
            table.append(_row(task, name, truth, found, cpu=cpu, rows=many))
        if task.learns_good:
            return table
        path = root / "lines" / f"{task.name}.yaml"
        path.write_text(path.read_text().replace("budget: quick", "folds: 4, budget: quick"))
        again, again_s = cpu_of(("run", task.name), root)
        rebuilt, _ = cpu_of(("rebuild", f"{task.name}@1"), root)
        told = of_endpoint(root, task.name) if task is TASKS[0] else ""
    print(
        f"{task.name}: a retraining with other folds {again:.0f} CPU s ({again_s:.0f} s), rebuild {rebuilt:.0f} CPU s",
        file=sys.stderr,
    )
    if told:
        print(told, file=sys.stderr)
    return table


def _all_rows(factory: Factory, line: str) -> pl.DataFrame:
    run = factory.metadata.events(Finished, line=line)[-1]
    ingested = factory.metadata.get(str(run.ingested), Ingested)
    return read_dataset(factory.metadata.get(ingested.dataset, Dataset), factory.artifacts, factory.metadata)


def _pixels(factory: Factory, digests: pl.Series) -> Pictures:
    opened = (Image.open(io.BytesIO(factory.artifacts.get(one))).convert("L") for one in digests)
    return np.stack([np.asarray(one.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for one in opened])


def _row(
    task: Task,
    name: str,
    truth: NDArray[Any],
    scores: NDArray[Any],
    *,
    cpu: float,
    rows: int,
    bar: float | None = None,
) -> str:
    right = accuracy_score(truth, scores.argmax(axis=1) if bar is None else scores[:, 1] >= bar)
    return f"| {task.name} | {rows} + {len(truth)} | {name} | {right:.3f} | {auc(truth, scores):.3f} | {cpu:.0f} |"


def of_endpoint(root: Path, line: str) -> str:
    """Return what an endpoint takes for one picture, of many that it has not seen, and what it says to hostile files."""
    state = root / ".linewright"
    code = "import sys; from pathlib import Path; from linewright.serve.http import server; server.serve(Path(sys.argv[1]), port=0)"
    process = subprocess.Popen([sys.executable, "-c", code, str(state)], stderr=subprocess.DEVNULL)
    try:
        while (address := endpoint(state)) is None:
            time.sleep(0.1)
        chance = np.random.default_rng(1)
        bodies = [_body(_png(chance)) for _ in range(ASKED)]
        for body in bodies[:20]:
            _ask(address, line, body)
        before = _cpu(process.pid)
        for body in bodies[20:]:
            _ask(address, line, body)
        spent = 1000 * (_cpu(process.pid) - before) / (ASKED - 20)
        statuses = [_ask(address, line, _body(data)) for _, data in hostile_pictures()]
        refused = sum(400 <= status < 500 for status in statuses)
        answers_on = _ask(address, line, bodies[0]) == 200
    finally:
        process.terminate()
        process.wait()
    return (
        f"endpoint: {spent:.1f} ms of CPU for one picture of 128 x 128 pixels that it has not seen; {refused} of {len(statuses)} hostile "
        f"files refused by 4xx, and it answers {'on' if answers_on else 'no more'}"
    )


def _png(chance: np.random.Generator) -> bytes:
    file = io.BytesIO()
    Image.fromarray(chance.integers(0, 255, (128, 128), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def _body(data: bytes) -> bytes:
    return json.dumps({"rows": [{"file": base64.b64encode(data).decode()}]}).encode()


def _ask(address: str, line: str, body: bytes) -> int:
    request = urllib.request.Request(
        f"http://{address}/v1/lines/{line}/predict", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 -- our own endpoint
            answer.read()
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", default="")
    asked = parser.parse_args()
    print("| pictures | learned + tested | way | accuracy | ROC AUC | CPU s |", flush=True)
    print("|---|---:|---|---:|---:|---:|", flush=True)
    for task in TASKS:
        if asked.only in task.name:
            print("\n".join(of_task(task, asked.data)), flush=True)
    print(f"torch is imported: {'yes' if 'torch' in sys.modules else 'no'}", file=sys.stderr)


if __name__ == "__main__":
    main()
