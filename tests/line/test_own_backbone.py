"""A network of one's own reads the pictures of a line: from the file to the rebuilt model."""

import tarfile

import drawn
import pytest
from networks import network
from templates import copied, made_once

from linewright.capabilities.care.backup import make_backup
from linewright.capabilities.care.gc import collect
from linewright.capabilities.evidence.rebuild.compare import rebuild
from linewright.capabilities.proposals.line_file import _reads_the_same
from linewright.errors import LinewrightError
from linewright.line.check.report import check_line
from linewright.line.factory import Factory, quiet
from linewright.line.file.read import parse_line
from linewright.line.predict.batch import predict_file
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute
from linewright.line.runs.plan import make_plan
from linewright.model.facts import Package, Trained
from linewright.model.reason_text import pictures_in_words

pytestmark = pytest.mark.usefixtures("processes")

ASKED = "pictures: {backbone: net.onnx, sizes: [32, 64], scale: unit}"


def _write(root, asked=ASKED):
    (root / "lines").mkdir(parents=True, exist_ok=True)
    (root / "net.onnx").write_bytes(network())
    text = drawn.FILE.replace("train: {", f"train: {{{asked}, ")
    (root / "lines" / f"{drawn.LINE}.yaml").write_text(text)


def _make(root):
    _write(root)
    drawn.draw_folder(root / "pictures")
    with Factory.create(root) as factory:
        execute(factory, drawn.LINE)


@pytest.fixture
def shapes(tmp_path_factory, tmp_path):
    """Give a factory whose champion reads pictures by a network of its own."""
    with Factory.open(
        copied(made_once(tmp_path_factory, "own-backbone", _make), tmp_path / "factory")
    ) as made:
        yield made


def test_folds_decide_the_size_and_the_model_is_rebuilt_without_the_file(shapes, tmp_path):
    """What decided is on the record, and the file is not needed again."""
    package = shapes.metadata.get(find_model(shapes, drawn.LINE).digest, Package)
    read = shapes.metadata.get(package.trained, Trained).pictures
    (picture,) = package.encoder.pictures
    (shapes.root / "net.onnx").unlink()
    collect(shapes, grace_s=-60, dry_run=False)

    assert [32, 64] == [one.side for one in read.tried]
    assert read.side == picture.side
    assert picture.width == 36
    assert "at 32, " in pictures_in_words(read)
    found = rebuild(shapes, find_model(shapes, drawn.LINE), workers=1, scratch=tmp_path / "s", report=quiet)
    assert "R0" == found.level


def test_a_folder_is_answered_by_it(shapes, tmp_path):
    """As by the network of the extra."""
    drawn.draw_folder(tmp_path / "new", 8)

    assert 8 == predict_file(shapes, drawn.LINE, tmp_path / "new", tmp_path / "a.csv")["rows"]


def test_another_network_is_another_model(shapes):
    """Under the same name, too; the same one plans nothing."""
    spec = shapes.line(drawn.LINE)
    assert () == make_plan(shapes, spec).changes
    (shapes.root / "net.onnx").write_bytes(network(opset=14))

    assert "train" == make_plan(shapes, spec).changes[0].step


def test_a_backup_has_the_network(shapes, tmp_path):
    """A restored factory trains again."""
    make_backup(shapes, tmp_path / "backup.tar")

    with tarfile.open(tmp_path / "backup.tar") as archive:
        assert [name for name in archive.getnames() if name.endswith("net.onnx")]


def test_a_change_of_the_network_names_another_file(shapes):
    """Who may change a line may not make the factory read any file."""
    before = shapes.line(drawn.LINE)
    path = shapes.path_of(drawn.LINE)
    path.write_text(path.read_text().replace("net.onnx", "/etc/shadow"))

    assert not _reads_the_same(before, shapes.line(drawn.LINE))


@pytest.mark.parametrize(
    ("asked", "what"),
    [
        ("pictures: {backbone: none.onnx, scale: unit}", "there is no such file"),
        ("pictures: {backbone: net.onnx}", "nothing says how pixels become"),
        ("pictures: {sizes: [100]}", "multiples of 32"),
        ("pictures: {scale: unit}", "describe your own network"),
        ("pictures: {}, model: {file: net.onnx}", "has no meaning with train.model"),
    ],
)
def test_what_does_not_fit_is_refused_before_a_run(tmp_path, asked, what):
    """With its place in the line file."""
    _write(tmp_path, asked)
    drawn.draw_folder(tmp_path / "pictures", 8)

    with Factory.create(tmp_path) as factory, pytest.raises(LinewrightError, match=what) as refused:
        check_line(factory, drawn.LINE)
    assert "shapes.yaml:11:" in str(refused.value)


def test_sizes_are_not_compared_for_times():
    """Their labels are not classes or numbers of which a loss is taken row by row."""
    text = drawn.FILE.replace(
        "train: {task: binary, metric: roc_auc, ", "train: {pictures: {sizes: [64, 96]}, "
    )
    text = text.replace("label: {column: shape, positive: square}", "label: {column: days, event: failed}")

    with pytest.raises(LinewrightError, match="sizes are not compared for labels that are times"):
        parse_line(text.partition("gates:")[0], name="lines/shapes.yaml")
