"""Pictures over the wire: in JSON, as a form, as tensors; and what is none, or too much of one, is refused in words."""

import base64
import json
import struct
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from time import monotonic

import drawn
import numpy as np
import pytest
from hostile_pictures import hostile_pictures
from PIL import Image

from linewright.errors import RequestError
from linewright.features.facts import Picture
from linewright.line.factory import Factory
from linewright.line.record.registry import find_model
from linewright.line.steps.ingest import served_rows
from linewright.model.package.model import load
from linewright.model.pictures import PictureReader
from linewright.serve.rows.body.reader import in_rows
from linewright.serve.rows.body.sent_files import keep_sent
from linewright.serve.rows.occlusion import occlusions
from linewright.serve.rows.scorer import Scorer
from linewright.store.artifacts.local import LocalArtifacts
from linewright.store.values import digest_of_bytes

PATH = f"/v1/lines/{drawn.LINE}/predict"
PICTURE = drawn.encoded(drawn.drawn("square", 5_000))


@pytest.fixture(scope="module")
def served(tmp_path_factory, endpoint_at):
    """One endpoint for all tests."""
    root = drawn.make_factory(tmp_path_factory, tmp_path_factory.mktemp("pictures") / "factory")
    endpoint = endpoint_at(root / ".linewright")
    yield endpoint
    endpoint.close()


def _text(data):
    return base64.b64encode(data).decode()


def _sent(served, data, **row):
    return served.ask("POST", PATH, {"rows": [{"name": "n", "file": _text(data), **row}]})


def _form(parts, boundary="b0undary"):
    body = b""
    for name, data, file in parts:
        named = f'; filename="{file}"\r\nContent-Type: image/png' if file else ""
        body += (
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"{named}\r\n\r\n'.encode()
            + data
            + b"\r\n"
        )
    return body + f"--{boundary}--\r\n".encode(), f"multipart/form-data; boundary={boundary}"


def test_a_picture_is_answered_in_whichever_way_it_comes(served):
    """In base64, with a data address before it, as the digest of before, as a form, and as a tensor of JSON or bytes."""
    status, _, told = _sent(served, PICTURE)
    answer = told["predictions"][0]["probabilities"]
    digest = f"sha256:{__import__('hashlib').sha256(PICTURE).hexdigest()}"
    body, kind = _form([("name", b"n", ""), ("file", PICTURE, "a.png")])
    tensor = {"name": "file", "datatype": "BYTES", "shape": [1]}
    name = {"name": "name", "datatype": "BYTES", "shape": [1], "data": ["n"]}
    infer = f"/v2/models/{drawn.LINE}/infer"
    as_json = served.ask("POST", infer, {"inputs": [name, {**tensor, "data": [_text(PICTURE)]}]})
    blob = struct.pack("<I", len(PICTURE)) + PICTURE
    head = json.dumps({"inputs": [name, {**tensor, "parameters": {"binary_data_size": len(blob)}}]}).encode()
    as_bytes = served.ask("POST", infer, head + blob, Inference_Header_Content_Length=str(len(head)))
    others = [
        served.ask("POST", PATH, {"rows": [{"file": f"data:image/png;base64,{_text(PICTURE)}"}]}),
        served.ask("POST", PATH, {"rows": [{"file": digest}]}),
        served.ask("POST", PATH, body, Content_Type=kind),
    ]

    assert 200 == status
    assert [answer] * 3 == [one[2]["predictions"][0]["probabilities"] for one in others]
    assert [200, 200] == [as_json[0], as_bytes[0]]
    assert [list(answer.values())] * 2 == [
        next(out["data"] for out in one[2]["outputs"] if out["name"] == "probabilities")
        for one in (as_json, as_bytes)
    ]


def test_what_a_picture_contributed_is_told(served):
    """All its numbers together: none of them means anything to a person."""
    body = {"rows": [{"file": _text(PICTURE)}], "explain": True}
    status, _, told = served.ask("POST", PATH, body)

    assert 200 == status
    assert ["file"] == list(told["predictions"][0]["contributions"])


def _part_of_the_shape(patches, picture):
    """Return the share of what speaks for the answer that lies where the shape is, and the share of the picture that this is."""
    bright = np.asarray(picture).reshape(8, 6, 8, 6).mean((1, 3)) > 100
    speaks = np.maximum(patches, 0)
    return speaks[bright].sum() / speaks.sum(), bright.mean()


def test_an_explanation_says_which_parts_of_a_picture_speak_for_the_answer(served):
    """They lie where the circle is, which has a sixth of the parts."""
    picture = drawn.drawn("circle", 7_002)
    body = {"rows": [{"file": _text(drawn.encoded(picture))}], "explain": True}
    told = served.ask("POST", PATH, body)[2]["predictions"][0]
    seen = told["occlusion"]["file"]

    assert "circle" == seen["of"] == told["prediction"]
    assert (8, 8) == np.shape(seen["patches"]) == np.shape(seen["log_odds"])
    said, covered = _part_of_the_shape(seen["log_odds"], picture)
    assert said > 3 * covered


def test_few_pictures_are_explained_at_a_time(served):
    """Each is answered eighty times."""
    body = {"rows": [{"file": _text(PICTURE)}] * 9, "explain": True}
    status, _, told = served.ask("POST", PATH, body)

    assert 422 == status
    assert "at most 8 rows" in told["message"]


def test_a_row_without_a_picture_is_explained_without_its_parts(served):
    """Beside one that has a picture."""
    body = {"rows": [{"file": _text(PICTURE)}, {"file": None}], "explain": True}
    status, _, told = served.ask("POST", PATH, body)

    assert 422 == status or "occlusion" not in told["predictions"][1]


def test_explanations_end_in_time(tmp_path_factory, tmp_path):
    """Beyond the first picture, and its coarse grid, only what there is time for; nothing hangs on the clock but how fine it is."""
    root = drawn.make_factory(tmp_path_factory, tmp_path / "factory")
    ticks = iter(range(0, 10_000, 3))
    with Factory.open(root) as factory:
        model = load(find_model(factory, drawn.LINE).digest, factory.artifacts.get)
        scorer = Scorer(model)
        rows = [
            {"name": "n", "file": factory.artifacts.put(one)}
            for one in (PICTURE, drawn.encoded(drawn.drawn("circle", 8)))
        ]
        x = scorer.matrix(rows)
        slow = occlusions(model, x, rows, clock=lambda: next(ticks))
        fast = occlusions(model, x, rows, clock=lambda: 0.0)

    assert (4, 4) == np.shape(slow[0]["file"]["patches"])
    assert {} == slow[1]
    assert [(8, 8)] * 2 == [np.shape(one["file"]["patches"]) for one in fast]


def test_the_log_has_the_digest_and_feedback_finds_the_answer(served):
    """The log stays small, and a digest recomputes the answer as the picture would."""
    told = _sent(served, PICTURE)[2]
    body = {"labels": [{"id": told["predictions"][0]["id"], "label": "square"}]}

    status, _, labelled = served.ask("POST", f"/v1/lines/{drawn.LINE}/feedback", body)

    assert 200 == status, labelled


HOSTILE = hostile_pictures()


def test_a_hundred_hostile_files_are_refused_and_the_endpoint_answers_on(served):
    """Each by 4xx in the form of errors, in JSON and as a form, and at once; a picture after them is answered as one before."""
    before = _sent(served, PICTURE)[2]["predictions"][0]["probabilities"]
    told = [(kind, *_sent(served, data)[::2]) for kind, data in HOSTILE]
    for _, data in HOSTILE[::9]:
        body, kind = _form([("file", data, "a.png")])
        told.append(("form", *served.ask("POST", PATH, body, Content_Type=kind)[::2]))

    assert len(HOSTILE) >= 100
    assert [] == [(kind, status) for kind, status, _ in told if not 400 <= status < 500]
    assert [] == [(kind, said) for kind, _, said in told if not (said["error"] and said["what"])]
    assert before == _sent(served, PICTURE)[2]["predictions"][0]["probabilities"]
    assert served.process.poll() is None


_B = "multipart/form-data; boundary=b"


@pytest.mark.parametrize(
    ("body", "kind", "what"),
    [
        (b"", "multipart/form-data", "does not say what stands between"),
        (b"--b\r\n", _B, "broken off"),
        (b"--b\r\n\r\nx\r\n--b--", _B, "has no name"),
        (
            _form([("file", PICTURE, "a"), ("file", PICTURE, "b")])[0],
            "multipart/form-data; boundary=b0undary",
            "one name",
        ),
        (_form([("flie", PICTURE, "a")])[0], "multipart/form-data; boundary=b0undary", "flie"),
        (_form([("file", b"", "")])[0], "multipart/form-data; boundary=b0undary", "file"),
        (b"--b\r\nContent-Disposition: form-data; name*=utf-8''a\r\n\r\nx\r\n--b--", _B, "has no name"),
        (b"--b", "multipart/form-data; a=" + ";" * 60_000, "the header is too long"),
        (b"--b\r\nA: " + b";" * 4_000 + b"\r\n\r\nx\r\n--b--", _B, "the head of a part is too long"),
        (b"--b" + b"\r\n--b" * 100_000, _B, "too many parts"),
    ],
)
def test_a_form_that_is_none_is_refused(served, body, kind, what):
    """With the words that say what to send."""
    status, _, told = served.ask("POST", PATH, body, Content_Type=kind)

    assert 400 <= status < 500
    assert what in told["message"]


def test_a_digest_that_nobody_sent_is_refused_at_its_place(served):
    """And one of a stored file that is no picture says nothing about it."""
    status, _, told = served.ask("POST", PATH, {"rows": [{"file": f"sha256:{'0' * 64}"}]})

    assert 422 == status
    assert "rows[0].file" == told["where"]


def _stored(served, data):
    return LocalArtifacts(served.state / "artifacts").put(data)


def _one_of_many(number):
    return drawn.encoded(
        Image.fromarray(np.full((8, 8), 0, np.uint8) + np.uint8([number % 256] * 4 + [number // 256] * 4))
    )


def test_a_digest_of_what_is_no_picture_is_refused_as_one_that_nobody_sent(served):
    """It says nothing of a stored file, not even how that begins."""
    status, _, told = served.ask("POST", PATH, {"rows": [{"file": _stored(served, b"secret")}]})

    assert 422 == status
    assert ("rows[0].file", "no picture of that digest was sent before") == (told["where"], told["what"])


def test_nothing_of_too_many_rows_is_kept(served):
    """The rows are counted first: one request could fill the disk."""
    data = _one_of_many(5_000)
    status, _, told = served.ask("POST", PATH, {"rows": [{"file": _text(data)}] * 10_001})

    assert (422, "too many rows") == (status, told["what"])
    assert not LocalArtifacts(served.state / "artifacts").has(digest_of_bytes(data))


def test_a_request_has_at_most_a_thousand_pictures_that_are_new(served):
    """Each takes the backbone milliseconds, also one that is named by its digest and was sent long ago."""
    pictures = [_text(_one_of_many(number)) for number in range(1_000)]
    named = _stored(served, _one_of_many(1_000))
    status, _, told = served.ask("POST", PATH, {"rows": [{"file": one} for one in (*pictures, named)]})

    assert 422 == status
    assert ("rows", "1,001", "1,000") == (told["where"], told["found"], told["allowed"])


def test_of_pictures_that_a_network_reads_large_a_request_has_fewer():
    """A square of 1,024 pixels takes a network 64 times as long as one of 128, however small the file is."""
    reader = PictureReader(Picture(column="file", backbone="", side=1_024, width=1), lambda _: b"")
    rows = [{"file": _text(_one_of_many(number))} for number in range(16)]
    with pytest.raises(RequestError, match="15 that a network reads at 1024 pixels"):
        keep_sent(rows, {"file": reader}, LocalArtifacts(Path()), in_rows)


def test_tensors_of_pictures_do_not_keep_others_waiting(served):
    """Few rows are computed at once otherwise; pictures of them take seconds."""
    large = [Image.new("L", (5_000, 4_900), shade) for shade in (1, 2, 3, 4)]
    data = [_text(drawn.encoded(one)) for one in large]
    body = {"inputs": [{"name": "file", "datatype": "BYTES", "shape": [4], "data": data}]}
    with ThreadPoolExecutor(1) as pool, closing(HTTPConnection(*served.address, timeout=30)) as other:
        begun = monotonic()
        asked = pool.submit(served.ask, "POST", f"/v2/models/{drawn.LINE}/infer", body)
        waits = []
        while not asked.done():
            before = monotonic()
            other.request("GET", "/v2/health/live")
            other.getresponse().read()
            waits.append(monotonic() - before)
        took = monotonic() - begun

    assert 200 == asked.result()[0]
    assert max(waits) < took / 2


def test_a_picture_that_came_without_a_key_is_learned_from(served):
    """Feedback by id names the answer: the contract, which wants a key in each row, does not throw it away."""
    told = served.ask("POST", PATH, {"rows": [{"file": _text(PICTURE)}]})[2]["predictions"][0]
    labels = {"labels": [{"id": told["id"], "label": "circle"}]}
    status, _, answer = served.ask("POST", f"/v1/lines/{drawn.LINE}/feedback", labels)
    with Factory.open(served.state.parent) as factory:
        spec = factory.line(drawn.LINE)
        rows = served_rows(factory, spec, factory.now())

    assert (200, 1) == (status, answer["accepted"])
    assert [told["id"]] == [row["name"] for row in rows if row["name"] == told["id"]]
    assert "name" == spec.table.key
