"""What earlier versions wrote is read by this one: their factories live on, and each form of a fact is known."""

import csv
import json
import re
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path

import commands
import httpx
import msgspec
import numpy as np
import pytest

from linewright.data.facts import Ingested
from linewright.errors import Corrupt
from linewright.interfaces.cli import _open_factory
from linewright.interfaces.cli.build import run
from linewright.line.check.dataset_checks import before_of
from linewright.line.factory import FORMAT, Factory
from linewright.line.record.registry import find_model
from linewright.model.facts import Registered
from linewright.model.package.model import load
from linewright.operations.table import OPERATIONS

HERE = Path(__file__).parent
STATES = sorted(path.name for path in (HERE / "states").iterdir())
EXAMPLES = sorted((HERE / "facts").glob("*.json"))
MAKE = runpy.run_path(str(HERE / "make.py"))
KINDS = runpy.run_path(str(HERE / "examples.py"))["kinds"]()
MOST_BYTES = 160_000


class Past:
    """A factory as an earlier version left it, and the commands of this one."""

    def __init__(self, root: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.root, self._capsys = root, capsys

    def says(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> str:
        """Carry out a command and return all that it prints."""
        code = run([*arguments, "--factory", str(self.root)], OPERATIONS, _open_factory)
        printed = "".join(self._capsys.readouterr())

        assert code in codes, f"{arguments}: {printed}"
        return printed

    def gives(self, *arguments: str, codes: tuple[int, ...] = (0,)) -> dict:
        """Carry out a command and return its JSON."""
        printed = self.says(*arguments, "--json", "--quiet", codes=codes)
        return json.loads(printed)

    def runs(self) -> dict:
        """Carry out a run in a process of its own, since the engine belongs to its process, and return its JSON."""
        command = [*commands.python(), "-m", "linewright", "run", "visits", "--json", "--quiet"]
        done = subprocess.run(
            command, cwd=self.root, capture_output=True, text=True, timeout=240, check=False
        )

        assert done.returncode in {0, 4}, done.stderr
        return json.loads(done.stdout)

    @property
    def asked(self) -> dict:
        """What was asked of the endpoint, and its answer."""
        return json.loads((self.root / "asked.json").read_text())


@pytest.fixture(params=STATES)
def past(request, tmp_path, capsys):
    MAKE["rebuild_state"](HERE / "states" / request.param, tmp_path / "factory")
    return Past(tmp_path / "factory", capsys)


def champion_then(past: Past) -> str:
    """Return the model that served when the state was kept, from the file by which endpoints know it."""
    return f"visits@{json.loads((past.root / '.linewright/serving/visits.json').read_text())['champion']['model']}"


def test_status_and_models_are_told(past):
    """An upgrade changes nothing about what serves."""
    line = past.gives("status", "visits")["lines"][0]
    models = past.gives("models", "visits")["models"]

    assert champion_then(past) == line["champion"]
    assert [line["digest"]] == [one["digest"] for one in models if one["role"] == "champion"]
    assert line["champion"] in past.says("status")


def test_evidence_is_followed_to_its_end(past):
    """Cards and certificates are what a regulator asks for years later."""
    for model in past.gives("models", "visits")["models"]:
        name = f"visits@{model['version']}"

        assert "## Certificate" in past.says("card", name)
        why = past.says("why", name)
        assert "trained" in why
        ids = set(re.findall(r"\b[0-9a-f]{12}\b", why))
        assert len(ids) >= 5
        for each in ids:
            past.says("show", each)


def test_the_record_is_listed(past):
    """Runs, datasets, quarantine and alerts are lists of facts of every kind."""
    runs = past.gives("runs")["runs"]
    assert {"done"} == {one["state"] for one in runs}
    assert runs[-1]["promoted"]
    assert past.gives("datasets", "visits")["datasets"]
    assert "v-broken" in past.says("datasets", "visits", "--quarantine", "--json")
    assert past.gives("alerts", "--over")["alerts"]


def test_a_plan_says_why(past):
    """A newer step may compute something again; then the plan says so and does not crash."""
    plan = past.gives("plan", "visits")

    assert all(change["because"] for change in plan["changes"])
    assert not [change for change in plan["changes"] if "never done" in change["because"]]
    assert plan == past.gives("plan", "visits")


def test_what_the_newest_run_read_is_known(past):
    """A column that is missing tomorrow is told with the version that had it, and promises are held against it."""
    with Factory.open(past.root) as factory:
        before = before_of(factory, "visits")
        newest = factory.metadata.events(Registered, line="visits")[-1].ingested
        read = factory.metadata.get(newest, Ingested).dataset

    assert before is not None
    assert read == before.dataset


def test_the_champion_gives_the_recorded_answers(past):
    """The very bytes, but for ids and for columns that came at the end since: who compares files must see no upgrade."""
    if champion_then(past) != "visits@1":
        past.says("rollback", "visits", "--because", "the recorded answers are of the first model")
    answers = past.root / "answers.csv"
    past.says("predict", "visits", str(past.root / "rows.csv"), "-o", str(answers))

    recorded = cut_ids(past.root / "recorded.csv")
    assert recorded == first_columns(cut_ids(answers), recorded)


def test_a_model_that_could_be_explained_is_explained(past):
    """The counts of its trees are in its graph, whatever version reads it."""
    with Factory.open(past.root) as factory:
        model = load(find_model(factory, "visits").digest, factory.artifacts.get)
        (told,) = model.explain(np.zeros((1, len(model.package.encoder.encodings)), dtype=np.float32))

    assert {"score", "base", "contributions"} <= told.keys()


def test_what_was_sealed_is_read(past):
    """Answers of a Parquet file that an earlier version wrote: all of them, and whole."""
    first = past.asked["answer"]["predictions"][0]
    (part,) = past.gives("datasets", "visits", "--log")["segments"]

    assert len(past.asked["rows"]) == part["predictions"]
    assert first["prediction"] == past.gives("show", first["id"])["body"]["answer"]["prediction"]
    assert [] == past.gives("verify")["problems"]


def test_what_was_behind_a_checkpoint_is_proved_still(past):
    """The same digests of the same bytes, or an upgrade would look like a forgery; then that is what people would believe of one."""
    found = past.gives("verify")

    assert [] == found["problems"]
    assert (0, 0) == (found["unproved_predictions"], found["unproved_labels"])
    assert 0 < found["labels"]


def test_an_old_answer_is_shown_and_gets_its_label_late(past):
    """Truth comes months later, and to the log of another version."""
    first, truth, late = past.asked["answer"]["predictions"][0], MAKE["rows"](10), past.root / "late.csv"

    assert first["prediction"] in past.says("show", first["id"])
    replayed = past.gives("replay", "--prediction", first["id"])
    assert first["prediction"] == replayed["computed"]["prediction"]
    assert replayed["difference"] <= 1e-6
    for label, counts in (
        ({"key": truth[21]["visit"], "label": truth[21]["y"]}, (1, 0)),
        ({"key": truth[21]["visit"], "label": truth[21]["y"]}, (0, 1)),
        ({"id": first["id"], "label": truth[0]["y"]}, (0, 1)),
    ):
        write(late, [label])
        given = past.gives("feedback", "visits", str(late))
        assert counts == (given["accepted"], given["repeated"])


@pytest.mark.slow
def test_a_run_goes_to_its_end(past):
    """Whatever has to be computed again is, and a second run finds it."""
    before = len(past.gives("models", "visits")["models"])
    gave = past.runs()

    assert gave["verdict"] in {"promote", "reject", "hold", "need-more-data"}
    assert past.gives("plan", "visits")["changes"] == [] or not gave["promoted"]
    assert len(past.gives("models", "visits")["models"]) >= before
    assert [] == past.runs()["did"]


@pytest.mark.slow
def test_an_endpoint_answers_as_it_did(past):
    """The same rows, the same model, the same answers; the log goes on."""
    if champion_then(past) != "visits@1":
        past.says("rollback", "visits", "--because", "the recorded answers are of the first model")
    command = [sys.executable, "-m", "linewright", "serve", "--port", "0"]
    process = subprocess.Popen(command, cwd=past.root, stderr=subprocess.PIPE, text=True)
    try:
        url = f"http://{announced(past.root, process)}/v1/lines/visits"
        answer = httpx.post(f"{url}/predict", json={"rows": past.asked["rows"]}, timeout=20).json()
        label = {"id": answer["predictions"][1]["id"], "label": MAKE["rows"](10)[1]["y"]}
        told = httpx.post(f"{url}/feedback", json={"labels": [label]}, timeout=20).json()
    finally:
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=40)

    assert 0 == process.returncode, said
    assert without_ids(past.asked["answer"]) == without_ids(answer)
    assert {"accepted": 0, "repeated": 1, "unknown": 0} == told


def test_a_state_of_a_newer_form_is_refused_and_untouched(past):
    """An older Linewright must not write into what it does not understand."""
    form = past.root / ".linewright" / "FORMAT"
    form.write_text(f"{int(FORMAT) + 1}\n")
    before = contents(past.root)

    for arguments in (
        ("status",),
        ("run", "visits"),
        ("serve", "--port", "0"),
        ("predict", "visits", "rows.csv"),
    ):
        printed = past.says(*arguments, codes=(2,))

        assert re.search(
            rf"(?s)another form.*found +'?{int(FORMAT) + 1}\b.*allowed +'?{FORMAT}\b", printed
        ), printed
        assert "newer" in printed
    assert before == contents(past.root)


def test_a_damaged_form_of_a_state_is_refused(past):
    """What stands there is said in short, whatever it is: bytes of no text, another file's content, or no file at all."""
    form = past.root / ".linewright" / "FORMAT"
    form.write_bytes(b"\xff\x00")
    assert "another form" in past.says("status", codes=(2,))

    form.write_text("9" * 5000)
    assert "9" * 100 not in past.says("status", codes=(2,))

    form.unlink()
    form.mkdir()
    assert "cannot be read: something else is in its place" in past.says("status", codes=(Corrupt.exit_code,))


def test_a_factory_file_of_a_newer_form_is_refused(past):
    """The folder's own form is told apart from its state's."""
    (past.root / "factory.yaml").write_text("format: 2\n")

    assert "format" in past.says("status", codes=(2,))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_each_older_form_of_a_fact_is_read(path):
    """A field that is added needs a default; one that is gone, or has another type, loses what was kept."""
    kind = KINDS[path.name.partition(".")[0]]
    example = json.loads(path.read_text())
    read = msgspec.to_builtins(msgspec.json.decode(path.read_bytes(), type=kind))

    assert [] == lost(example, read)


@pytest.mark.parametrize("kind", KINDS)
def test_each_field_of_a_fact_has_an_example(kind):
    """What has no example is not held to: `python tests/upgrades/make.py NAME --facts` writes one."""
    now = runpy.run_path(str(HERE / "examples.py"))["example"](msgspec.inspect.type_info(KINDS[kind]))
    kept = [json.loads(path.read_text()) for path in EXAMPLES if path.name.partition(".")[0] == kind]

    assert [] == [field for field in fields(now) if not any(field in fields(each) for each in kept)]


def test_a_field_without_default_is_seen():
    """The check itself can fail: a class that asks for one field more does not read what was kept."""
    older = json.loads(next(path for path in EXAMPLES if path.name.startswith("halted.")).read_text())
    newer = msgspec.defstruct(
        "Halted", [("reason", str)], bases=(KINDS["halted"],), frozen=True, kw_only=True, tag="halted"
    )

    with pytest.raises(msgspec.ValidationError, match="reason"):
        msgspec.json.decode(json.dumps(older), type=newer)


def test_the_states_are_small_and_name_no_machine():
    """They are copied with every clone."""
    files = [path for path in (HERE / "states").rglob("*") if path.is_file()]
    plain = [path for path in files if path.name != "bytes.json"]

    assert sum(path.stat().st_size for path in files) < MOST_BYTES * len(STATES)
    assert [] == [path for path in plain if re.search(r"/(tmp|home|root|Users|work)/", path.read_text())]


def write(path: Path, made: list[dict[str, str]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(made[0]))
        writer.writeheader()
        writer.writerows(made)


def announced(root: Path, process: subprocess.Popen[str]) -> str:
    """Return the address of an endpoint that starts."""
    file = root / ".linewright" / "serving" / "endpoint"
    deadline = time.monotonic() + 60
    while not file.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    return file.read_text().strip()


def cut_ids(answers: Path) -> str:
    """Return a file of answers as it is, with each id of a prediction, which no two answers share, taken out."""
    text, ids = re.subn(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "", answers.read_text())

    assert ids == len(text.splitlines()) - 1
    return text


def first_columns(answers: str, recorded: str) -> str:
    """Return answers with only so many columns as were recorded."""
    most = recorded.partition("\n")[0].count(",") + 1
    return "".join(f"{','.join(line.split(',')[:most])}\n" for line in answers.splitlines())


def without_ids(answer: dict) -> dict:
    return {**answer, "predictions": [{**one, "id": ""} for one in answer["predictions"]]}


def contents(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def lost(kept: object, read: object, place: str = "") -> list[str]:
    """Return the places of `kept` whose value is another one, or none, in `read`."""
    match kept, read:
        case dict(), dict():
            return [
                each
                for name, value in kept.items()
                for each in (
                    lost(value, read[name], f"{place}.{name}") if name in read else [f"{place}.{name}"]
                )
            ]
        case list(), list() | tuple() if len(kept) == len(read):
            return [
                each
                for number, (one, other) in enumerate(zip(kept, read, strict=True))
                for each in lost(one, other, f"{place}[{number}]")
            ]
        case _:
            return [] if kept == read else [place]


def fields(value: object, place: str = "") -> set[str]:
    """Return the places of all fields of a JSON value."""
    match value:
        case dict():
            return {
                each
                for name, below in value.items()
                for each in ({f"{place}.{name}"} | fields(below, f"{place}.{name}"))
            }
        case list():
            return {each for below in value for each in fields(below, f"{place}[]")}
        case _:
            return set()
