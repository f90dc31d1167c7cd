"""Texts of few labels: an encoder of sentences knows words that no training text had, and is used if folds say that it is better."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import current_thread
from typing import Any

import numpy as np
import polars as pl
import pytest
from msgspec.structs import replace

from linewright.capabilities.care.gc import collect
from linewright.capabilities.evidence.operations import card, rebuild
from linewright.capabilities.sites.folder import read_folder, ready_to_serve
from linewright.capabilities.sites.operations import detach
from linewright.errors import RequestError, SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.facts import RunResult
from linewright.line.file.read import parse_line
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.line.steps import compare_trainings
from linewright.model.facts import Package, Trained
from linewright.model.package.model import load
from linewright.release.facts import Arm
from linewright.serve.http.app import App
from linewright.serve.http.predict import Ask, Loaded, answer
from linewright.serve.log.writer import PredictionLog
from linewright.serve.models.state import Canary
from linewright.serve.rows.body import sent_texts
from linewright.serve.rows.body.reader import in_rows
from linewright.serve.rows.scorer import Scorer
from linewright.store.clock import now_utc

ANIMALS = [
    "dog",
    "cat",
    "horse",
    "cow",
    "sheep",
    "goat",
    "pig",
    "hen",
    "duck",
    "goose",
    "rabbit",
    "mouse",
    "rat",
    "fox",
    "wolf",
    "bear",
    "lion",
    "tiger",
    "leopard",
    "elephant",
    "giraffe",
    "zebra",
    "monkey",
    "gorilla",
    "camel",
    "donkey",
    "deer",
    "moose",
    "squirrel",
    "hedgehog",
    "badger",
    "otter",
    "seal",
    "whale",
    "dolphin",
    "shark",
    "salmon",
    "trout",
    "frog",
    "toad",
    "lizard",
    "snake",
    "turtle",
    "crocodile",
    "eagle",
    "hawk",
    "owl",
    "crow",
    "sparrow",
    "parrot",
    "penguin",
    "ostrich",
    "swan",
    "bat",
    "bee",
    "wasp",
    "ant",
    "spider",
    "beetle",
    "butterfly",
]
THINGS = [
    "hammer",
    "chair",
    "table",
    "lamp",
    "phone",
    "kettle",
    "spoon",
    "fork",
    "knife",
    "plate",
    "bottle",
    "bucket",
    "cdf",
    "drill",
    "saw",
    "brush",
    "paint",
    "door",
    "window",
    "carpet",
    "curtain",
    "pillow",
    "blanket",
    "mirror",
    "clock",
    "radio",
    "camera",
    "printer",
    "keyboard",
    "pencil",
    "paper",
    "envelope",
    "stamp",
    "wallet",
    "umbrella",
    "jacket",
    "shoe",
    "glove",
    "scarf",
    "helmet",
    "bicycle",
    "truck",
    "train",
    "boat",
    "engine",
    "wheel",
    "tyre",
    "battery",
    "cable",
    "pump",
    "pipe",
    "valve",
    "screw",
    "nail",
    "brick",
    "tile",
    "roof",
    "fence",
    "bench",
]
SAID = ("I saw a {} today", "They have an old {}", "Where is the {} now", "She wants another {} soon")
LINE = "letters"
FILE = """\
line: letters
sources: {letters: {file: letters.csv}}
label: {column: is_animal, positive: "yes"}
contract: {columns: {text: {type: text}}}
train: {budget: quick, task: binary, SENTENCES split: {test: 0.3}}
gates: [{metric: roc_auc, at_least: 0.8, confidence: 0.6}]
"""


def letters() -> pl.DataFrame:
    """Return texts of which each has a word that no other has."""
    words = [(word, "yes") for word in ANIMALS] + [(word, "no") for word in THINGS]
    order = np.random.default_rng(3).permutation(len(words))
    chosen = [words[number] for number in order]
    texts = [SAID[place % len(SAID)].format(word) for place, (word, _) in enumerate(chosen)]
    return pl.DataFrame({"text": texts, "is_animal": [label for _, label in chosen]})


def written(root: Path, sentences: str) -> Path:
    (root / "lines").mkdir(parents=True)
    letters().write_csv(root / "letters.csv")
    said = f"sentences: {sentences}," if sentences else ""
    (root / "lines" / f"{LINE}.yaml").write_text(FILE.replace("SENTENCES", said))
    return root


def trained(factory: Factory, ran: RunResult) -> Trained:
    return factory.metadata.get(factory.metadata.get(ran.digest, Package).trained, Trained)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Factory, RunResult]]:
    """Give a factory with the line that chose by itself, and its run."""
    root = written(tmp_path_factory.mktemp("sentences") / "factory", "auto")
    with Factory.create(root) as factory:
        yield factory, execute_inline(factory, LINE)


def test_the_folds_decide_and_the_card_says_why(learned):
    """Words that a model has not seen mean something to who has read other texts."""
    factory, ran = learned
    found = trained(factory, ran).sentence_encoder

    assert found is not None
    assert "sentences" == found.choice
    assert found.gain > found.standard_error
    assert ran.promoted
    assert "an encoder of sentences reads its texts too: out-of-fold loss on" in result_text(ran)
    assert "n encoder of sentences reads its texts too" in card(factory, LINE).markdown


def test_new_words_are_told_apart(learned):
    """As a request has them, one by one or together."""
    factory, ran = learned
    scorer = Scorer(load(ran.digest, factory.artifacts.get))
    asked = [
        "We met a kangaroo there",
        "We met a hamster there",
        "We bought a screwdriver there",
        "We bought a sofa there",
    ]
    answers = scorer.score([{"text": text} for text in asked])

    assert ["yes", "yes", "no", "no"] == [one["prediction"] for one in answers]
    assert answers[:1] == scorer.score([{"text": asked[0]}])
    assert scorer.is_slow
    assert 4 == len(scorer.score([{"text": text} for text in ("", None, "\udcff\x00", "word " * 5_000)]))
    scorer.check_golden(factory.artifacts.get)


def test_its_bytes_are_kept_carried_and_found_again(learned, tmp_path):
    """An endpoint without them could not answer."""
    factory, ran = learned
    (encoder,) = factory.metadata.get(ran.digest, Package).encoder.sentences
    collect(factory, grace_s=-60, dry_run=False)
    folder = tmp_path / "site"
    detach(factory, f"{LINE}@1", folder)

    assert factory.artifacts.has(encoder.model)
    assert {encoder.model, encoder.tokenizer} <= set(read_folder(folder)[0].artifacts)
    assert ready_to_serve(folder)
    assert "R0" == rebuild(factory, f"{LINE}@1").level


def test_a_line_without_the_word_stays_as_it_was(learned, tmp_path):
    """And one that says `never` is the same line."""
    with Factory.create(written(tmp_path / "factory", "")) as factory:
        ran = execute_inline(factory, LINE)
        text = factory.path_of(LINE).read_text().replace("train: {", "train: {sentences: never, ")
        changed = parse_line(text, name=str(factory.path_of(LINE)))

        assert trained(factory, ran).sentence_encoder is None
        assert () == factory.metadata.get(ran.digest, Package).encoder.sentences
        assert () == make_plan(factory, changed).changes
    roc = {one.name: one.value for one in ran.metrics}["roc_auc"]
    better = {one.name: one.value for one in learned[1].metrics}["roc_auc"]
    assert roc + 0.15 < better


def test_many_labels_need_no_encoder(tmp_path, monkeypatch):
    """With them grams are as good, and take a hundredth of the time."""
    monkeypatch.setattr("linewright.line.steps.train.FEW_LABELS", 50)
    with Factory.create(written(tmp_path / "factory", "auto")) as factory:
        found = trained(factory, execute_inline(factory, LINE)).sentence_encoder

    assert found is not None
    assert ("grams", 0) == (found.choice, found.compared)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("type: text", "type: category", "no column that the model may read is a text"),
        ("task: binary,", "task: binary, engine: flaml,", "cannot be used yet with engine: flaml"),
    ],
)
def test_what_it_cannot_be_used_with_is_refused(tmp_path, old, new, says):
    root = written(tmp_path / "factory", "always")
    path = root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text().replace(old, new))
    with Factory.create(root) as factory, pytest.raises(SpecError, match=says):
        execute_inline(factory, LINE)


@pytest.mark.parametrize("word", ["sentences: auto", "sentences: always", "share: auto"])
def test_labels_that_are_times_are_refused(word):
    """Two ways are compared by losses that times do not have; the columns say that they are times, also without a task."""
    text = FILE.replace('positive: "yes"', "event: died").replace("task: binary, SENTENCES", f"{word},")
    with pytest.raises(SpecError, match=r"cannot be .* yet with .*label\.event"):
        parse_line(text, name=f"{LINE}.yaml")


def test_a_request_has_so_many_texts_that_others_need_not_wait_for_minutes(learned, tmp_path, monkeypatch):
    """An endpoint computes one large request at a time; ten thousand long texts would take it a quarter of an hour."""
    factory, ran = learned
    scorer = Scorer(load(ran.digest, factory.artifacts.get))
    loaded = Loaded(LINE, 1, Arm(model=1, package=ran.digest), scorer)
    log = PredictionLog(tmp_path / "log")
    monkeypatch.setattr(sent_texts, "MOST_TEXTS", 3)
    monkeypatch.setattr(sent_texts, "MOST_TOKENS", 40)

    def ask(*texts: str | int) -> int:
        return len(answer(loaded, log, [{"text": text} for text in texts], in_rows).answers)

    with closing(log):
        assert 4 == ask("one here", "two here", "three here", "three here")
        assert 6 == ask("one here", "two here", "three here", "four here", "five here", 6)
        with pytest.raises(RequestError, match="more than 3 texts"):
            ask("seven", "eight", "nine", 10)
        with pytest.raises(RequestError, match="more than 40 tokens"):
            ask("a! b? " * 20)


def test_the_loop_of_an_endpoint_does_not_wait_for_a_candidate_that_reads_sentences(learned, tmp_path):
    """Its champion answers at once; the canary beside it takes milliseconds for a row."""
    factory, ran = learned
    slow = Scorer(load(ran.digest, factory.artifacts.get))
    with Factory.create(written(tmp_path / "factory", "")) as other:
        plain = execute_inline(other, LINE)
        quick = Scorer(load(plain.digest, other.artifacts.get))
    canary = Canary(arm=Arm(model=2, package=ran.digest, share=0.5), scorer=slow, salt="s", unit=None)
    tried = Loaded(LINE, 1, Arm(model=1, package=plain.digest), quick, canary=canary)
    threads: list[str] = []
    log = PredictionLog(tmp_path / "log")
    app = App(tmp_path / "state", factory.artifacts.get, tell=lambda _: None)
    app._logs[LINE] = log

    async def ask() -> None:
        rows = [{"text": f"They have an old {number}"} for number in range(8)]
        await app._predict(
            Ask(rows), replace(tried, now=lambda: threads.append(current_thread().name) or now_utc())
        )

    asyncio.run(ask())
    log.close()

    assert threads
    assert threads[0].startswith("compute")


def test_weights_count_in_what_decides(tmp_path, monkeypatch):
    """Models are trained and judged by them, so the encoder is chosen by them."""
    weights: list[object] = []
    found = compare_trainings.compare

    def compare(*given: Any, weight: np.ndarray) -> compare_trainings.Comparison:
        weights.extend(np.unique(weight).tolist())
        return found(*given, weight=weight)

    monkeypatch.setattr("linewright.line.steps.train.compare", compare)
    root = written(tmp_path / "factory", "auto")
    letters().with_row_index().with_columns(counts=pl.col("index") % 2 + 1).drop("index").write_csv(
        root / "letters.csv"
    )
    path = root / "lines" / f"{LINE}.yaml"
    path.write_text(path.read_text().replace("contract:", "table: {weight: counts}\ncontract:"))
    with Factory.create(root) as factory:
        execute_inline(factory, LINE)

    assert [1, 2] == weights
