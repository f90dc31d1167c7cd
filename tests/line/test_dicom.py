"""A folder of DICOM becomes a line whose patients stay together, and nothing that is kept says who they are but the files themselves."""

import base64

import numpy as np
import pytest
from scans import NAME, scan

from linewright.capabilities.care.forget import forget
from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.predictions.operations import picture_show
from linewright.data.profile.roles import GivenRoles
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute
from linewright.model.package.model import load
from linewright.serve.log.segments import read_log
from linewright.serve.rows.body.reader import in_rows
from linewright.serve.rows.body.sent_files import keep_sent
from linewright.serve.rows.scorer import Scorer

LINE = "chests"


def _draw(folder, patients=150):
    for number in range(2 * patients):
        chance, is_ill = np.random.default_rng(number), number // 2 % 2 == 0
        pixels = chance.normal(2_000, 150, (40, 40))
        if is_ill:
            pixels[8:24, 8:24] += 900
        file = folder / ("ill" if is_ill else "well") / f"{number * 7919 % 1000:03}.dcm"
        file.parent.mkdir(parents=True, exist_ok=True)
        tags = {"WindowCenter": 2_200, "WindowWidth": 2_000, "PatientID": f"MRN-{number // 2:06}"}
        file.write_bytes(scan(pixels.clip(0, 4_095).astype(np.uint16), **tags))


@pytest.fixture(scope="module")
def chests(tmp_path_factory):
    """Give a factory with a line on pictures of DICOM, which has answered some."""
    root = tmp_path_factory.mktemp("chests")
    _draw(root / "scans")
    with Factory.create(root) as factory:
        new_line(root, LINE, root / "scans", GivenRoles(label=""))
        path = factory.path_of(LINE)
        text = path.read_text().replace("  # subject: patient", "  subject: patient")
        path.write_text(text.replace("beats: champion, confidence: 0.95", "metric: roc_auc, at_least: 0.6"))
        execute(factory, LINE)
        _draw(root / "new", 3)
        predict_file(factory, LINE, root / "new", root / "answers.csv")
        yield factory


@pytest.mark.slow
def test_new_keeps_the_pictures_of_a_patient_together(chests):
    """By a hash of their id, which is no column of the model."""
    text = chests.path_of(LINE).read_text()

    assert 'files: "scans", patient: true}' in text
    assert "  group: patient  # a hash of PatientID: 150 of them" in text
    assert "split: {by: group" in text
    assert chests.metadata.pointer(LINE).champion == 1


def test_nothing_that_is_stored_says_who_they_are_but_the_files(chests):
    """Neither the record, nor the log, nor what is shown."""
    scans = {path.read_bytes() for path in chests.root.rglob("*.dcm")}
    record = next(iter(read_log(chests.log_of(LINE)))).record
    shown = picture_show(chests, LINE, record.row["file"], of=record.id)
    state = [path.read_bytes() for path in chests.state.rglob("*") if path.is_file()]

    assert record.row["patient"]
    for secret in (NAME.encode(), b"MRN-0"):
        assert secret not in base64.b64decode(shown.png)
        assert not [one for one in state if secret in one and one not in scans]


def test_a_request_may_have_a_picture_of_dicom(chests):
    """As any other; what is new is kept by its digest."""
    data = next((chests.root / "new" / "ill").iterdir()).read_bytes()
    scorer = Scorer(load(find_model(chests, LINE).digest, chests.artifacts.get))
    rows = [{"file": base64.b64encode(data).decode()}]
    kept = keep_sent(rows, scorer.model.pictures, chests.artifacts, in_rows)

    assert "ill" == scorer.answers(scorer.matrix(kept))[0]["prediction"]


def test_a_patient_is_forgotten_by_the_hash(chests):
    """With all of their pictures."""
    record = next(iter(read_log(chests.log_of(LINE)))).record
    digest, who = record.row["file"], record.row["patient"]
    assert chests.artifacts.has(digest)

    forget(chests, LINE, who, dry_run=False)
    assert not chests.artifacts.has(digest)
