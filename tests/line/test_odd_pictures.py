"""A line that looks for faults in pictures, and has seen good ones: scores, heat maps, what is kept, and what is refused."""

import base64
import io
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from control import factory_up
from msgspec.structs import replace
from PIL import Image, ImageDraw
from templates import copied, made_once

from linewright.capabilities.care.gc import collect
from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.rebuild.compare import rebuild
from linewright.capabilities.predictions.try_row import try_row
from linewright.data.profile.roles import GivenRoles
from linewright.errors import LinewrightError, RequestError
from linewright.line.factory import Factory
from linewright.line.file.read import parse_line
from linewright.line.predict.batch import predict_file
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute
from linewright.model.anomaly.patches import coreset, detector, nearest
from linewright.model.facts import Evaluation, Package, Trained
from linewright.model.package.model import load
from linewright.model.pictures import PictureReader, patches_of
from linewright.serve.http.oip import explanation_of
from linewright.serve.http.predict import Loaded, answer
from linewright.serve.log.segments import read_log
from linewright.serve.log.writer import PredictionLog
from linewright.serve.models.follow import Lines
from linewright.serve.rows.body.reader import in_rows
from linewright.serve.rows.scorer import Scorer

LINE = "plates"
FILE = """\
line: plates
sources: {plates: {files: pictures}}
table:
  sql: "select name, file, folder as state, split_part(split_part(name, '/', 2), '-', 1) as plate from plates"
  key: name
  group: plate
label: {column: state, positive: faulty}
contract:
  columns:
    file: {type: file, nullable: false}
train: {task: anomaly, split: {test: 0.3}}
"""


def plate(seed: int, hole: tuple[int, int] | None = None, side: int = 64) -> Image.Image:
    """Draw a plate with stripes and noise, and with a hole if it is faulty."""
    chance = np.random.default_rng(seed)
    stripes = 120 + 25 * np.sin(np.arange(side) / 4 + chance.normal())[:, np.newaxis]
    picture = Image.fromarray((stripes + chance.normal(0, 8, (side, side))).clip(0, 255).astype(np.uint8))
    if hole is not None:
        x, y = hole
        ImageDraw.Draw(picture).ellipse((x, y, x + 12, y + 12), fill=15)
    return picture


def encoded(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


def draw_folder(folder: Path, good: int = 90, faulty: int = 60) -> None:
    for number in range(good + faulty):
        chance = np.random.default_rng([5, number])
        is_good = number < good
        hole = None if is_good else tuple(int(one) for one in chance.integers(4, 44, 2))
        file = folder / ("good" if is_good else "faulty") / f"P{number:03}-{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encoded(plate(number, hole)))  # pyright: ignore[reportArgumentType]


def _make(root: Path) -> None:
    (root / "lines").mkdir(parents=True)
    (root / "lines" / f"{LINE}.yaml").write_text(FILE)
    draw_folder(root / "pictures")
    with Factory.create(root) as factory:
        execute(factory, LINE)


@pytest.fixture
def plates(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Iterator[Factory]:
    """Give a factory whose line has a champion."""
    root = copied(made_once(tmp_path_factory, LINE, _make), tmp_path / "factory")
    with Factory.open(root) as factory:
        yield factory


def champion(factory: Factory) -> Package:
    return factory.metadata.get(find_model(factory, LINE).digest, Package)


def test_holes_are_found_where_they_are(plates: Factory):
    """By a model that has seen good plates alone; the map of a good one is cold."""
    names = [digest for digest, kind, _ in plates.metadata.results() if kind == "evaluation"]
    metrics = {one.name: one.value for one in plates.metadata.get(names[-1], Evaluation).metrics}
    package = champion(plates)
    (picture,) = package.encoder.pictures
    model = load(find_model(plates, LINE).digest, plates.artifacts.get)
    faulty, good = (
        plates.artifacts.put(encoded(plate(9_000 + number, hole)))
        for number, hole in enumerate([(44, 4), None])
    )
    x = model.pictures["file"].read([faulty, good])[:, 5:]
    told, fine = model.explain(x)
    heat = np.array(told["heat_map"]["file"])
    down, right = np.unravel_index(heat.argmax(), heat.shape)

    assert metrics["roc_auc"] > 0.9
    assert (8, 8) == heat.shape == (picture.grid, picture.grid)
    assert (5 <= right) & (down <= 2)
    assert heat.max() > max(0.99, np.array(fine["heat_map"]["file"]).mean() + 0.3)
    assert told["score"] > fine["score"]
    assert told["contributions"]["file"] == pytest.approx(told["score"] - told["base"])
    assert "heat_map" in explanation_of(package)


def test_no_plate_judges_itself(plates: Factory):
    """Its own patches are in the bank: at a distance of 0 every good picture would be less odd than any new one."""
    trained = plates.metadata.get(champion(plates).trained, Trained)
    answers = plates.root / "answers.csv"
    (plates.root / "later").mkdir()
    for number in range(5_000, 5_040):
        (plates.root / "later" / f"{number}.png").write_bytes(encoded(plate(number)))
    predict_file(plates, LINE, plates.root / "later", answers)
    scores = pl.read_csv(answers)["score"]

    assert 0.25 < float(scores.median() or 0) < 0.75  # pyright: ignore[reportArgumentType]
    assert "patches" == trained.chosen


def test_it_is_rebuilt_and_its_bytes_stay(plates: Factory, tmp_path: Path):
    """What was learned is in the backbone, which no result names but the encoder of the model."""
    collect(plates, grace_s=-60, dry_run=False)
    found = rebuild(plates, find_model(plates, LINE), workers=1, scratch=tmp_path, report=lambda _: None)

    assert "R0" == found.level
    assert plates.artifacts.has(champion(plates).encoder.pictures[0].backbone)
    ways = {path.name for path in (plates.state / "features").iterdir()}
    assert 1 == len(ways)  # patches alone, which the next training reads again


def test_it_answers_pictures_and_refuses_what_is_none(plates: Factory):
    """A missing picture is neither good nor faulty."""
    with (
        closing(PredictionLog(plates.state / "log" / LINE)) as log,
        closing(Lines(plates.serving, plates.artifacts.get, tell=lambda _: None)) as lines,
    ):
        lines.look()
        for future in [*lines._loading.values()]:
            future.result()
        lines.look()
        live = lines.live[LINE]
        loaded = Loaded(LINE, live.generation, live.arm, live.scorer, keep=plates.artifacts)
        sent = base64.b64encode(encoded(plate(7_000, (20, 20)))).decode()
        told = answer(loaded, log, [{"name": "n", "file": sent}], in_rows, explain=True)
        with pytest.raises(RequestError):
            answer(loaded, log, [{"name": "m", "file": None}], in_rows)

    assert "faulty" == told.answers[0]["prediction"]
    assert {"file"} == set(told.explained[0]["heat_map"])
    logged = [one.record.answer for one in read_log(plates.state / "log" / LINE)]
    assert {"prediction", "score", "threshold"} == set(logged[-1])


def test_many_rows_of_a_wide_table_are_not_explained_at_once(plates: Factory):
    """Each column of each row asks the graph twice: a body of some kilobytes would hold the endpoint up for minutes."""
    model = load(find_model(plates, LINE).digest, plates.artifacts.get)
    model.package = replace(model.package, graph_bytes=1 << 30)
    x = np.zeros((2, len(model.package.encoder.encodings)), dtype=np.float32)

    assert 1 == model.most_explained
    with pytest.raises(RequestError, match="too many rows to explain"):
        Scorer(model).explain(x)


def test_pages_draw_the_map_over_the_picture(plates: Factory):
    """Who looks at an answer sees which part is odd."""
    file = plates.root / "later" / "hole.png"
    file.parent.mkdir()
    file.write_bytes(encoded(plate(8_100, (44, 4))))
    predict_file(plates, LINE, file.parent, plates.root / "answers.csv")
    (record,) = [one.record for one in read_log(plates.state / "log" / LINE)]
    with factory_up(plates.root, forked=True) as up:
        replayed = up.get(f"/predictions/{record.id}/replay").text
        tried = up.get(f"/lines/{LINE}/try?c.file={record.row['file']}&prediction={record.id}").text

    for page in (replayed, tried):
        assert 'class="heat"' in page
        assert 'class="odd"' in page


def test_try_it_says_where(plates: Factory):
    """Who looks at a picture sees the part."""
    digest = plates.artifacts.put(encoded(plate(8_000, (4, 40))))
    tried = try_row(plates, LINE, {"file": digest})

    assert tried.explained is not None
    assert tried.explained["heat_map"]["file"]


@pytest.mark.parametrize(
    ("folders", "positive", "says"),
    [
        (("good",), None, "task: anomaly  # there is one folder"),
        ((), None, "No label: all pictures are taken for good"),
        (("good", "crack", "hole"), None, "case when folder = 'good'"),
    ],
)
def test_new_proposes_it_where_pictures_are_good(
    tmp_path: Path, folders: tuple[str, ...], positive: str | None, says: str
):
    """Most who inspect have hardly a picture of a fault."""
    draw_folder(tmp_path / "all", good=40, faulty=0)
    data = tmp_path / "data"
    for number, file in enumerate(sorted((tmp_path / "all").rglob("*.png"))):
        into = data / folders[number % len(folders)] if folders else data
        into.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, into)
    task = "auto" if len(folders) == 1 else "anomaly"
    made = new_line(tmp_path, "p", data, GivenRoles(label="", positive=positive), task=task)

    assert "anomaly" == made.task
    assert says in Path(made.path).read_text()
    parse_line(Path(made.path).read_text(), name="p.yaml")


def test_folders_that_do_not_say_what_is_good_are_refused(tmp_path: Path):
    """Faults would be learned from as good pictures."""
    for folder in ("crack", "hole", "dent"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        (tmp_path / "data" / folder / "a-1.png").write_bytes(encoded(plate(1)))
    with pytest.raises(LinewrightError, match="do not say which has the good pictures"):
        new_line(tmp_path, "p", tmp_path / "data", GivenRoles(label=""), task="anomaly")


def test_the_graph_measures_as_its_numbers_do(plates: Factory):
    """A heat map and an answer come of one graph; training measures in numpy."""
    patches, reader, grid = patches_of("file", plates.artifacts)
    digest = plates.artifacts.put(encoded(plate(3)))
    own = reader.read([digest])[0, 5:].reshape(grid * grid, -1)
    bank = np.random.default_rng(1).normal(own.mean(), own.std(), (300, own.shape[1])).astype(np.float32)
    graph = plates.artifacts.put(detector(plates.artifacts.get(patches.backbone), bank, grid=grid))
    learned = type(patches)(column="file", backbone=graph, side=128, width=grid * grid, grid=grid)
    found = PictureReader(learned, plates.artifacts.get).read([digest])[0, 5:]

    assert np.allclose(nearest(own, bank, (bank**2).sum(axis=1)), found, rtol=1e-4)


def test_few_patches_stand_for_all():
    """Also for those in a corner, of which a sample has hardly one."""
    chance = np.random.default_rng(2)
    rows = np.concatenate([chance.normal(size=(2_000, 4)), chance.normal(12, 1, (20, 4))]).astype(np.float32)
    kept = coreset(rows, 200, np.random.default_rng(3))

    assert 200 == len(set(kept.tolist()))
    assert 10 <= (kept >= 2_000).sum()
    assert np.arange(3).tolist() == coreset(rows[:3], 200, chance).tolist()
