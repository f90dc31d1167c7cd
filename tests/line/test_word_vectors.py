"""A line whose texts are read with word vectors: from the line file to an answer, and again from the record."""

import csv
import gzip
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from linewright.errors import SpecError
from linewright.line.care.backup import make_backup
from linewright.line.care.verify import verify_model
from linewright.line.check.report import check_line
from linewright.line.factory import Factory, quiet
from linewright.line.file.read import parse_line
from linewright.line.rebuild.compare import Rebuilding, rebuild
from linewright.line.record.registry import find_model
from linewright.line.release.card import card_facts
from linewright.line.run_context import VECTORS_FILE, Work
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import begin, make_plan, survey
from linewright.model.card.render import card_markdown
from linewright.model.package.model import load
from linewright.serve.rows.scorer import Scorer

LINE = """\
line: letters
sources: {letters: {file: letters.csv}}
table: {key: id, exclude: [other]}
label: {column: kind, positive: complaint}
contract:
  columns:
    id: {type: category}
    note: {type: text}
    other: {type: text}
    kind: {type: category}
train: {task: binary, metric: roc_auc, budget: quick, folds: 2, word_vectors: words.vec}
gates:
  - {metric: roc_auc, at_least: 0.6}
"""
RESTED = "rested"
"""A word that no letter has."""


def declare(root: Path, *, line: str = LINE, vectors: bytes | None = None) -> Factory:
    """Make a factory with a line of letters, each of words of one meaning of two, and a file of vectors beside it."""
    rng = np.random.default_rng(7)
    (root / "lines").mkdir(parents=True)
    words = sorted({"".join(rng.choice(list("bcdfghjklmnpqrstvwxz"), 6)) for _ in range(400)})
    meaning = dict(zip(words, rng.integers(0, 2, len(words)).tolist(), strict=True))
    by_meaning = [[word for word in words if meaning[word] == kind] for kind in (0, 1)]
    with (root / "letters.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "note", "other", "kind"])
        for number in range(240):
            kind = number % 2
            note = " ".join(rng.choice(by_meaning[kind], 4))
            writer.writerow([f"L{number}", note, f"see {number} of it", ("praise", "complaint")[kind]])
    centres = rng.normal(size=(2, 8)) * 2
    numbers = {word: centres[meaning[word]] + rng.normal(size=8) for word in words} | {RESTED: centres[1]}
    lines = [f"{word} {' '.join(f'{x:.3f}' for x in of)}" for word, of in numbers.items()]
    text = f"{len(lines)} 8\n" + "\n".join(lines) + "\n"
    (root / "words.vec").write_bytes(text.encode() if vectors is None else vectors)
    (root / "lines" / "letters.yaml").write_text(line)
    return Factory.create(root)


@pytest.fixture
def made(opened: Any) -> Any:
    """Give a function that makes a factory."""
    return partial(opened, declare)


def rebuilt(factory: Factory, scratch: Path) -> Rebuilding:
    scratch.mkdir(exist_ok=True)
    return rebuild(factory, find_model(factory, "letters@1"), workers=1, scratch=scratch, report=quiet)


def work_of(factory: Factory) -> Work:
    return survey(begin(factory, factory.line("letters")))[1]


def test_a_line_with_word_vectors_answers_from_its_package_and_can_be_rebuilt(made, tmp_path):
    """The whole way: plan, run, card, endpoint, record, without the file once it was read."""
    factory = made()
    check_line(factory, "letters")
    planned = make_plan(factory, factory.line("letters"))
    result = execute_inline(factory, "letters")
    work = work_of(factory)
    trained = work.trained
    (text,) = trained.encoder.texts
    card = card_markdown(card_facts(factory, find_model(factory, "letters@1")))
    (factory.root / "words.vec").unlink()
    scorer = Scorer(load(work.parity.package, factory.artifacts.get))
    unseen = scorer.score([{"note": RESTED}])[0]["probabilities"]["complaint"]
    again = rebuilt(factory, tmp_path / "scratch")

    assert planned.sources[VECTORS_FILE] == trained.word_vectors
    assert any("word vectors of words.vec" in one.because for one in planned.changes)
    assert 0.9 < {one.name: one.value for one in result.metrics}["roc_auc"]
    assert text.vectors.topics > 0
    assert "100 % of the words in 'note' have a vector" in result.to_text()
    assert "100 % of the words in 'note' have a vector" in card
    assert "words.vec" in card
    assert unseen > 0.8
    assert "R0" == again.level
    assert (
        "words.vec is not there any more; the recorded copy of its first lines was read",
    ) == again.differences


def test_without_a_change_nothing_is_done_and_the_copy_is_kept(made, tmp_path):
    """The fixed point, the verification and the backup know the file."""
    factory = made()
    execute_inline(factory, "letters")
    again = rebuilt(factory, tmp_path / "scratch")
    make_backup(factory, tmp_path / "all.tar")
    with tarfile.open(tmp_path / "all.tar") as archive:
        names = archive.getnames()

    assert () == make_plan(factory, factory.line("letters")).changes
    assert ("R0", ()) == (again.level, again.differences)
    assert any(name.endswith("words.vec") for name in names)
    assert 0 == verify_model(factory, find_model(factory, "letters@1")).exit_code

    copy = work_of(factory).trained.word_vectors
    (found,) = (factory.state / "artifacts").rglob(f"*{copy.partition(':')[2][4:]}*")
    found.unlink()

    assert 0 != verify_model(factory, find_model(factory, "letters@1")).exit_code


def test_another_file_is_another_model_and_where_it_lies_is_not(made, tmp_path):
    """What is read of it counts: not its name, nor whether it is packed."""
    factory = made()
    execute_inline(factory, "letters")
    data = (factory.root / "words.vec").read_bytes()
    elsewhere = tmp_path / "shared.vec.gz"
    elsewhere.write_bytes(gzip.compress(data))
    path = factory.path_of("letters")
    path.write_text(path.read_text().replace("words.vec", str(elsewhere)))
    moved = make_plan(factory, factory.line("letters"))
    elsewhere.write_bytes(data + b"more 1 2 3 4 5 6 7 8\n")
    changed = make_plan(factory, factory.line("letters"))

    assert () == moved.changes
    assert "train" == changed.changes[0].step
    assert "the word vectors changed" in changed.changes[0].because


def test_a_file_of_another_language_is_told(made):
    """Nothing is wrong, and nothing is gained: a person must learn why."""
    factory = made(vectors=b"maison 1 2 3\nrouge 2 1 3\n")
    result = execute_inline(factory, "letters")

    assert (
        "0 % of the words in 'note' have a vector: so few that the file may be of another language"
        in result.to_text()
    )


@pytest.mark.parametrize(
    ("vectors", "line", "says"),
    [
        (b"one 1 2\ntwo 1\n", LINE, "letters.yaml:11:.*line 2 of the file: 1 numbers"),
        (None, LINE.replace("words.vec", "word.vec"), "no such file.*words.vec"),
        (
            None,
            LINE.replace("note: {type: text}", "note: {type: category}"),
            "word vectors would do nothing.*type: text",
        ),
    ],
    ids=["wrong numbers", "no file", "no text"],
)
def test_what_cannot_be_used_is_refused_before_anything_runs(made, vectors, line, says):
    """By `check`, and by a run before it trains."""
    factory = made(vectors=vectors, line=line)

    for refuses in (check_line, execute_inline):
        with pytest.raises(SpecError, match=says):
            refuses(factory, "letters")


def test_a_model_that_was_made_elsewhere_reads_no_vectors():
    """It makes its own numbers of texts."""
    line = LINE.replace("word_vectors: words.vec", "word_vectors: words.vec, model: {file: model.onnx}")

    with pytest.raises(SpecError, match="word_vectors and model exclude each other"):
        parse_line(line, name="letters.yaml")
