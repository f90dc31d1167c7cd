"""A network that somebody brings takes the place of training on pictures: from `new` to the rebuilt model, served and watched."""

from pathlib import Path

import numpy as np
import onnx
import polars as pl
import pytest
from networks import brightness, network
from onnx import TensorProto, helper
from PIL import Image
from templates import copied, made_once

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.card import card_facts
from linewright.capabilities.evidence.rebuild.compare import rebuild
from linewright.data.profile.roles import GivenRoles
from linewright.errors import LinewrightError
from linewright.features.facts import LOOKS
from linewright.line.check.report import check_line
from linewright.line.factory import Factory, quiet
from linewright.line.loop.reference import make_reference
from linewright.line.predict.batch import predict_file
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute
from linewright.line.runs.plan import make_plan
from linewright.model.card.render import card_markdown
from linewright.model.facts import Package, Trained
from linewright.model.package.model import load
from linewright.serve.rows.scorer import Scorer

pytestmark = pytest.mark.usefixtures("processes")

LINE = "lamps"
GIVEN = GivenRoles(label="")


def _draw(folder: Path, pictures: int = 240) -> None:
    for number in range(pictures):
        chance, is_bright = np.random.default_rng(number), number % 2 == 0
        level = (150 if is_bright else 110) + chance.normal(0, 4)
        file = folder / ("bright" if is_bright else "dark") / f"{number:03}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        pixels = chance.normal(level, 20, (40, 40, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(file)


def _make(root: Path) -> None:
    root.mkdir()
    _draw(root / "pictures")
    (root / "net.onnx").write_bytes(brightness())
    with Factory.create(root) as factory:
        new_line(root, LINE, root / "pictures", GIVEN, model=root / "net.onnx")
        execute(factory, LINE)


@pytest.fixture
def lamps(tmp_path_factory, tmp_path):
    """Give a factory whose champion is a network that was brought."""
    with Factory.open(
        copied(made_once(tmp_path_factory, "own-network", _make), tmp_path / "factory")
    ) as made:
        yield made


def test_new_finds_scale_and_classes(lamps):
    """Each with what speaks for it."""
    text = lamps.path_of(LINE).read_text()

    assert (
        'model: {file: "net.onnx", scale: unit, classes: ["bright", "dark"]}  # an ONNX file of hand' in text
    )
    assert "tells the class of 100 % of 80 pictures" in text
    assert () == make_plan(lamps, lamps.line(LINE)).changes


def test_it_passes_the_gates_and_is_rebuilt_without_its_file(lamps, tmp_path):
    """As any other model."""
    version = find_model(lamps, LINE)
    trained = lamps.metadata.get(lamps.metadata.get(version.digest, Package).trained, Trained)
    (lamps.root / "net.onnx").unlink()

    assert ("logits", ("bright", "dark")) == (trained.adopted.form, trained.adopted.classes)
    assert lamps.metadata.pointer(LINE).champion == 1
    assert "R0" == rebuild(lamps, version, workers=1, scratch=tmp_path / "s", report=quiet).level
    assert "Where it comes from" in card_markdown(card_facts(lamps, version))


def test_it_answers_and_says_which_parts_speak_for_it(lamps, tmp_path):
    """Of columns nothing is known of it, of the parts of a picture something is."""
    _draw(tmp_path / "new", 4)
    predict_file(lamps, LINE, tmp_path / "new", tmp_path / "a.csv")
    scorer = Scorer(load(find_model(lamps, LINE).digest, lamps.artifacts.get))
    row = {"name": "n", "file": lamps.artifacts.put((tmp_path / "new/bright/000.png").read_bytes())}
    x = scorer.matrix([row])

    answers = pl.read_csv(tmp_path / "a.csv")

    assert answers["name"].str.head(4).to_list() == answers["prediction"].str.head(4).to_list()
    assert "bright" == scorer.answers(x)[0]["prediction"]
    assert ["occlusion"] == list(scorer.explain(x, rows=[row])[0])
    with pytest.raises(LinewrightError, match="an imported model"):
        scorer.explain(x)


def test_its_pictures_are_watched(lamps):
    """By what they look like, as for a model that is trained here."""
    reference = make_reference(lamps, lamps.line(LINE), find_model(lamps, LINE))

    assert {f"file:{look}" for look in LOOKS} == {one.name for one in reference.columns}


def test_a_scale_that_gives_no_answers_is_not_the_one(tmp_path):
    """A network whose answers overflow for numbers that it does not read is read as it was meant."""
    _draw(tmp_path / "pictures", 40)
    made = onnx.load_from_string(brightness())
    made.graph.node.append(helper.make_node("Exp", ["logits"], ["powers"]))
    made.graph.output[0].name = "powers"
    (tmp_path / "net.onnx").write_bytes(made.SerializeToString())
    Factory.create(tmp_path).close()
    new_line(tmp_path, LINE, tmp_path / "pictures", GIVEN, model=tmp_path / "net.onnx")

    assert "scale: unit" in (tmp_path / "lines" / f"{LINE}.yaml").read_text()


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", [TensorProto.FLOAT, TensorProto.UINT8])
def test_layouts_types_and_probabilities_are_read_alike(tmp_path, layout, dtype):
    """Whatever program it was exported from; a size that is free is chosen."""
    _draw(tmp_path / "pictures", 40)
    ends, side = ("Softmax", "side") if layout == "NHWC" else ("", 32)
    (tmp_path / "net.onnx").write_bytes(brightness(layout=layout, dtype=dtype, ends=ends, side=side))
    with Factory.create(tmp_path) as factory:
        new_line(tmp_path, LINE, tmp_path / "pictures", GIVEN, model=tmp_path / "net.onnx")
        check_line(factory, LINE)
        done = execute(factory, LINE)

    assert 1.0 == next(one.value for one in done.metrics if one.name == "balanced_accuracy")


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (lambda: network(classes=3, side=32), "another number of answers than there are folders"),
        (lambda: network(side=32), "not a row of predictions"),
        (lambda: b"no network", "not an ONNX file"),
        (lambda: network(classes=2, side=32, ends="Sigmoid"), "neither probabilities nor logits"),
    ],
)
def test_a_network_that_does_not_fit_leaves_no_line_file(tmp_path, data, what):
    """With what would."""
    _draw(tmp_path / "pictures", 20)
    (tmp_path / "net.onnx").write_bytes(data())
    Factory.create(tmp_path).close()

    with pytest.raises(LinewrightError, match=what):
        new_line(tmp_path, LINE, tmp_path / "pictures", GIVEN, model=tmp_path / "net.onnx")
    assert not list((tmp_path / "lines").iterdir())


@pytest.mark.parametrize(
    ("said", "what"),
    [
        ('classes: ["dark", "bright", "dim"]', "a binary label has two values"),
        ('classes: ["bright"]', "no class of the model"),
        ("size: 64", "pictures of one size"),
        ('output: "maps"', "no such output"),
        ('columns: ["file"]', "a model that reads a table"),
        ('missing: "none"', "a model that reads a table"),
    ],
)
def test_what_a_line_file_says_wrong_of_it_is_refused(lamps, said, what):
    """By name, when it is run or before."""
    path = lamps.path_of(LINE)
    text = path.read_text()
    classes = 'classes: ["bright", "dark"]'
    path.write_text(text.replace(classes, said if "classes" in said else f"{classes}, {said}"))

    with pytest.raises(LinewrightError, match=what):
        execute(lamps, LINE)
