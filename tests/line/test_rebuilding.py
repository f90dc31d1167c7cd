"""A registered model is computed again from what is recorded of it, and what comes out is told as it is."""

import csv
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import commands
import pytest

import linewright
from linewright.capabilities.evidence.card import card_facts
from linewright.capabilities.evidence.lookup import look_up
from linewright.capabilities.evidence.rebuild.compare import Rebuilding, rebuild
from linewright.capabilities.evidence.rebuild.difference_text import differences_in_words
from linewright.capabilities.evidence.rebuild.isolated_factory import Afresh
from linewright.capabilities.evidence.rebuild.worker import rebuild_apart
from linewright.capabilities.overview.operations.history import models
from linewright.data.dataset.blobs import blobs_of
from linewright.data.facts import Dataset
from linewright.errors import LinewrightError, NotFound, RequestError, Terminal
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory, quiet
from linewright.line.facts import Environment, Rebuilt
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.record.archive_log import seal_next
from linewright.line.record.evidence import evidence_of
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.steps import environment as steps_environment
from linewright.line.steps.environment import computed_in, differences, environment
from linewright.model.card.render import card_markdown

SOURCES = Path(linewright.__file__).parents[1]


@pytest.fixture(scope="module")
def ran(tumours_once) -> Factory:
    """Give a factory whose line has a model."""
    execute_inline(tumours_once, "tumours")
    return tumours_once


@pytest.fixture
def damaged(ran: Factory, tmp_path: Path) -> Iterator[Factory]:
    """Give a copy that a test may damage."""
    with Factory.open(shutil.copytree(ran.root, tmp_path / "factory")) as factory:
        yield factory


def here(factory: Factory, model: str, scratch: Path) -> Rebuilding:
    return rebuild(factory, find_model(factory, model), workers=1, scratch=scratch, report=quiet)


def files(factory: Factory) -> dict[str, bytes]:
    """Return everything in the factory but the record, to which the event is appended."""
    found = {path: path for path in factory.root.rglob("*") if path.is_file() and ".sqlite" not in path.name}
    return {str(path.relative_to(factory.root)): path.read_bytes() for path in found}


@pytest.mark.slow
def test_a_model_whose_run_was_killed_is_rebuilt_to_the_same_bytes_by_one_worker_and_by_two(tumours):
    """The promise of the whole factory, with the interruption that laptops make."""
    factory = tumours()
    command = [sys.executable, "-m", "linewright", "run", "tumours", "--factory", str(factory.root)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = next(line for line in process.stderr if line.startswith("train "))
        process.kill()
    code = subprocess.run([*commands.python(), *command[1:]], capture_output=True, check=False).returncode
    (factory.root / "cancer.csv").unlink()
    version = find_model(factory, "tumours@1")
    before = (files(factory), factory.metadata.pointer("tumours"), factory.metadata.versions("tumours"))
    rebuilt = [
        rebuild_apart(factory, version, workers=workers, max_seconds=None, max_memory=None)
        for workers in (1, 2)
    ]
    after = (files(factory), factory.metadata.pointer("tumours"), factory.metadata.versions("tumours"))
    events = factory.metadata.events(Rebuilt, line="tumours")
    card = card_markdown(card_facts(factory, version))

    assert (-9, 0) == (process.returncode, code), told
    assert ["R0", "R0"] == [one.level for one in rebuilt], result_text(rebuilt[0])
    assert [1, 2] == [one.workers for one in rebuilt] == [one.workers for one in events]
    assert {version.digest} == {one.rebuilt for one in rebuilt} | {one.package for one in events}
    assert all(part.is_same for one in rebuilt for part in one.parts)
    assert before == after
    assert "rebuilt it, R0: trained again, it is the same package, byte by byte." in card
    assert "Whether it can be rebuilt" not in card
    assert "R0" == models(factory, "tumours").models[0].rebuilt
    assert "R0" == look_up(factory, "tumours@1").body["rebuilt"]["level"]


def test_a_rebuild_cannot_find_what_it_is_to_compute(ran, tmp_path):
    """Reading its own results it would always say R0."""
    version = find_model(ran, "tumours@1")
    evidence = evidence_of(ran, version)
    hidden = frozenset({evidence.package.graph, evidence.package.trained, version.digest})
    afresh = Afresh(ran, hidden=hidden, workers=1, scratch=tmp_path, report=quiet)
    settled = dict(ran.metadata.settlements())
    chunks = {key for key in settled if key.startswith("chunk:")}

    assert chunks == {key for key in settled if afresh.metadata.settled(key)}
    assert len(chunks) < len(settled)
    assert not afresh.artifacts.has(evidence.package.graph)
    with pytest.raises(NotFound, match="not computed yet"):
        afresh.artifacts.get(evidence.package.graph)
    with pytest.raises(NotFound, match="not computed yet"):
        afresh.metadata.body(version.digest)
    with pytest.raises(RequestError, match="nothing may happen in a rebuild"):
        afresh.metadata.record(ran.metadata.history()[0].event)
    assert not ran.artifacts.has(afresh.artifacts.put(b"only in memory"))


GOLDEN = ("line/steps/train.py", "GOLDEN_ROWS = 16", "GOLDEN_ROWS = 12")
SEED = ("line/steps/train.py", 'seed = context.seed(work.known["split"])', "seed = 7")
TARGET = (
    "line/steps/train.py",
    "    target, weight, pairs = taught.target, ",
    "    target, weight, pairs = taught.target[::-1].copy(), ",
)

PACKAGED, LEARNED = (
    {"golden rows", "package", "parity", "decision", "evaluation"},
    {"training", "model", "graph"},
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "level", "code"),
    [(GOLDEN, "R1", 0), (SEED, "R2", 0), (TARGET, "differs", 4)],
    ids=["golden rows", "seed", "labels"],
)
def test_other_code_is_named_with_what_it_changed(ran, tmp_path, change, level, code):
    """R1, R2 and neither have to be told apart, and whoever reads it needs the reason."""
    name, old, new = change
    source = shutil.copytree(SOURCES / "linewright", tmp_path / "src" / "linewright")
    text = (source / name).read_text()
    (source / name).write_text(text.replace(old, new))
    command = [
        sys.executable,
        "-m",
        "linewright",
        "rebuild",
        "tumours@1",
        "--factory",
        str(ran.root),
        "--json",
    ]
    done = subprocess.run(
        command,
        env={**os.environ, "PYTHONPATH": str(tmp_path / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    said = json.loads(done.stdout)

    assert text.count(old) == 1
    assert (code, level) == (done.returncode, said["level"]), done.stderr
    assert PACKAGED | (LEARNED if level != "R1" else set()) == {
        one["name"] for one in said["parts"] if one["recorded"] != one["rebuilt"]
    }
    assert "our code is another: line/steps/train.py" in said["environment"]
    assert (said["answers"]["largest"] == 0) == (level == "R1")
    if level != "R1":
        training = next(one for one in said["parts"] if one["name"] == "training")

        assert any(text.startswith("trials[0].") for text in training["differs"])
    assert level == ran.metadata.events(Rebuilt, line="tumours", newest_first=True)[0].level


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="names processors of this kind")
def test_another_processor_gives_another_fingerprint():
    """Else nobody would know why the same training ends otherwise on another machine."""
    code = "from linewright.line.steps.numerics import numerics; import json; print(json.dumps(numerics()))"
    known = {
        name: json.loads(
            subprocess.run(
                [sys.executable, "-c", code],
                env={**os.environ, "OPENBLAS_CORETYPE": name},
                capture_output=True,
                check=True,
            ).stdout
        )
        for name in ("Prescott", "Haswell")
    }

    assert known["Prescott"]["dot"] != known["Haswell"]["dot"]
    assert known["Prescott"]["lightgbm"] == known["Haswell"]["lightgbm"]


def test_environments_differ_in_words():
    then = Environment(
        python="CPython 3.11.7",
        platform="Linux x86_64",
        processor=("AVX2",),
        libraries={"numpy": "2.0.0", "scipy": "1.14.0"},
        code={"model/train/fit.py": "00", "model/old.py": "11"},
        numerics={"dot": "00", "exp": "11"},
    )
    now = Environment(
        python="CPython 3.12.1",
        platform="Linux x86_64",
        processor=("AVX2", "AVX512F"),
        libraries={"numpy": "2.1.0", "scipy": "1.14.0"},
        code={"model/train/fit.py": "22"},
        numerics={"dot": "33", "exp": "11"},
    )

    assert (
        "python was CPython 3.11.7, is CPython 3.12.1",
        "the processor was AVX2, is AVX2, AVX512F",
        "numpy was 2.0.0, is 2.1.0",
        "our code is another: model/old.py, model/train/fit.py",
        "arithmetic gives other bits here: dot",
    ) == differences_in_words(differences(then, now))
    assert () == differences(now, now)


def test_where_a_model_was_trained_is_on_the_record(ran):
    """The registration is part of the chain of events, so that nobody changes it unseen."""
    evidence = evidence_of(ran, find_model(ran, "tumours@1"))
    noted = evidence.registered.computed_in

    assert {"train", "package", "explain", "decide", "evaluate"} == set(noted)
    assert noted["train"] == computed_in(ran.metadata, evidence.package.trained)
    assert environment() == ran.metadata.get(noted["train"], Environment)
    assert "lightgbm" not in ran.metadata.get(noted["decide"], Environment).numerics, (
        "a new matrix loads what trains"
    )
    assert {"line/steps/train.py", "model/train/fit.py", "features/learn.py"} <= set(environment().code)
    assert not {"capabilities/evidence/rebuild/compare.py", "model/card/render.py"} & set(environment().code)
    assert {"lightgbm", "linewright", "numpy", "onnxruntime"} <= set(environment().libraries)


def test_our_code_is_read_once_whatever_is_asked_of_it(monkeypatch):
    """Each process that carries out a run reads it: some hundred files, of a thousand that there are."""
    looked, modules = [], steps_environment._modules
    monkeypatch.setattr(steps_environment, "_modules", lambda: looked.append(1) or modules())
    for one in (environment, steps_environment._code):
        one.cache_clear()
    found = [environment(), environment(fits=False)]

    assert 1 == len(looked)
    assert found[0].code == found[1].code
    assert all((SOURCES / "linewright" / name).is_file() for name in found[0].code)
    assert {"linewright", "linewright.line", "linewright.line.steps.train"} <= modules().keys()


def test_rows_that_are_gone_are_named(damaged, tmp_path):
    """A rebuild without its rows is none, and the next step is a backup."""
    version = find_model(damaged, "tumours@1")
    dataset = damaged.metadata.get(evidence_of(damaged, version).trained.dataset, Dataset)
    for blob in blobs_of(dataset.chunks[0].content, damaged.metadata):
        damaged.artifacts.path(blob).unlink()

    with pytest.raises(
        LinewrightError, match="tumours@1 cannot be rebuilt: rows of its dataset are gone"
    ) as caught:
        here(damaged, "tumours@1", tmp_path)

    assert caught.value.exit_code >= 2
    assert caught.value.details["problems"]
    assert "linewright run tumours" in caught.value.hint


def test_bytes_that_have_changed_are_refused_before_anything_is_computed(damaged, damage_one, tmp_path):
    damage_one(damaged.artifacts.path(evidence_of(damaged, find_model(damaged, "tumours")).package.graph))

    with pytest.raises(Terminal, match="tumours@1 cannot be rebuilt: stored bytes"):
        here(damaged, "tumours", tmp_path)


@pytest.fixture
def damage_one():
    def flip(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.chmod(0o644)
        path.write_bytes(data)

    return flip


def test_a_rebuild_that_may_not_take_so_long_says_so_and_leaves_no_event(damaged):
    version = find_model(damaged, "tumours@1")
    before = damaged.metadata.events(Rebuilt, line="tumours")

    with pytest.raises(Terminal, match="rebuilding takes longer than allowed"):
        rebuild_apart(damaged, version, workers=1, max_seconds=0.05, max_memory=None)

    assert before == damaged.metadata.events(Rebuilt, line="tumours")


def test_a_model_that_learned_from_answers_and_labels_is_rebuilt_too(tumours, tmp_path):
    """Its rows came from the log; what was known at its instant is known for ever."""
    factory = tumours(rows=569)
    known = (factory.root / "cancer.csv").read_text().splitlines()
    (factory.root / "cancer.csv").write_text("\n".join(known[:400]) + "\n")
    execute_inline(factory, "tumours")
    answered = list(csv.DictReader([known[0], *known[400:]]))
    with (factory.root / "ask.csv").open("w", newline="") as file:
        writer = csv.DictWriter(
            file, [name for name in answered[0] if name != "diagnosis"], extrasaction="ignore"
        )
        writer.writeheader()
        writer.writerows(answered)
    predict_file(factory, "tumours", factory.root / "ask.csv", factory.root / "answers.csv")
    truth = "\n".join(["key,label", *(f"{row['sample']},{row['diagnosis']}" for row in answered)])
    (factory.root / "truth.csv").write_text(f"{truth}\n")
    hand_in(factory, "tumours", factory.root / "truth.csv")
    ran = execute_inline(factory, "tumours", as_of=factory.now())
    rebuilt = [here(factory, f"tumours@{version}", tmp_path) for version in (1, 2)]
    for segment in factory.log_of("tumours").glob("*.log"):
        os.utime(segment, (1, 1))
    sealed = seal_next(factory, "tumours")
    rebuilt.append(here(factory, "tumours@2", tmp_path))

    assert "tumours@2" == ran.candidate
    assert sealed is not None
    assert ["R0"] * 3 == [one.level for one in rebuilt], [result_text(one) for one in rebuilt]
    assert all(part.is_same for one in rebuilt for part in one.parts)


def test_a_model_that_was_judged_anew_by_another_metric_is_judged_by_it_in_its_rebuild(damaged, tmp_path):
    """The same numbers were called another evaluation, for their names came in the order of two line files."""
    path = damaged.path_of("tumours")
    text = path.read_text()
    path.write_text(text.replace("metric: average_precision ", "metric: f1 "))
    execute_inline(damaged, "tumours")
    first = [one.metric.name for one in models(damaged, "tumours").models if one.metric]
    path.write_text(text.replace("key: sample", "exclude: [mean_area]\n  key: sample"))
    execute_inline(damaged, "tumours")
    both = [one.metric.name for one in models(damaged, "tumours").models if one.metric]
    rebuilt = here(damaged, "tumours@1", tmp_path)

    assert ["f1"] == first
    assert ["average_precision"] * 2 == both  # models in one list are compared by one metric
    assert "R0" == rebuilt.level
    assert [] == [part.name for part in rebuilt.parts if not part.is_same], result_text(rebuilt)
    assert rebuilt.metric is not None
    assert ("f1", rebuilt.metric_rebuilt) == (rebuilt.metric.name, rebuilt.metric.value)
