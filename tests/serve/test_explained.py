"""Explanations from outside: in the same call, for at most a hundred rows, and beside the answer, not in its place."""

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection

import numpy as np
import pytest
import tritonclient.http as triton

import linewright
from linewright.errors import RequestError
from linewright.model.export.to_onnx import to_onnx
from linewright.model.facts import Calibration
from linewright.model.families.trainer import TRAINERS
from linewright.model.package.model import Golden
from linewright.serve.http import oip
from linewright.serve.log.segments import read_log
from linewright.store.values import canonical_json

PREDICT = "/v1/lines/{}/predict"
ROW = {"Age": 41, "Amount": 12.5, "Insured": True, "Make": "Fiat", "opened": "2026-03-01", "PolicyNumber": 7}
MISSING = {"Age": 17}
COLUMNS = ["Age", "Amount", "Insured", "Make", "opened"]
CODES = 3
SETTINGS = {
    "lightgbm": {"learning_rate": 0.2, "num_leaves": 15, "min_data_in_leaf": 5},
    "linear": {"c": 1.0, "hinges": True},
}
LINES = {
    "trees": ("lightgbm", "binary"),
    "kinds": ("lightgbm", "multiclass"),
    "prices": ("lightgbm", "regression"),
    "straight": ("linear", "binary"),
}


def graph_of(family: str, task: str) -> bytes:
    """Train on made-up rows of the five matrix columns of the line, and export."""
    chance = np.random.default_rng(4)
    x = np.stack(
        [
            chance.integers(16, 90, 600),
            chance.normal(20, 9, 600),
            chance.integers(0, 2, 600),
            chance.integers(0, 4, 600),
            chance.integers(1, 13, 600),
        ],
        axis=1,
    ).astype(np.float32)
    x[chance.random(600) < 0.2, 1] = np.nan
    pull = 0.05 * (x[:, 0] - 50) + (x[:, CODES] == 3) + np.nan_to_num(x[:, 1]) / 20 + chance.normal(size=600)
    target = {"binary": pull > 1, "multiclass": np.digitize(pull, [0, 1.5]), "regression": pull}[task]
    fitted = TRAINERS[family].fit(
        x,
        target.astype(np.float64 if task == "regression" else np.int64),
        np.ones(600),
        categorical=(CODES,),
        task=task,
        classes={"binary": 2, "multiclass": 3, "regression": 0}[task],
        rounds=30,
        valid=None,
        seed=1,
        settings=SETTINGS[family],
    )
    return to_onnx(fitted.to_native(), x.shape[1])


@pytest.fixture(scope="module")
def served(tmp_path_factory, claims_at, endpoint_at):
    """Start an endpoint of lines that were trained, and of `claims`, whose model was made by hand."""
    state = tmp_path_factory.mktemp("factory") / ".linewright"
    claims_at(state)
    for line, (family, task) in LINES.items():
        graph = graph_of(family, task)
        made = claims_at(state, line=line, task=task)
        bent = (
            {"calibration": Calibration(method="sigmoid", parameters=(0.5, 1.0))} if line == "trees" else {}
        )
        golden = made.artifacts.put(canonical_json(Golden(rows=(), predictions=())))
        parts = {"graph": made.artifacts.put(graph), "graph_bytes": len(graph), "golden": golden}
        made.make(2, task=task, **parts, **bent)
        made.point(2)
    endpoint = endpoint_at(state)
    yield endpoint
    endpoint.close()


def explain(served, line, *rows):
    return served.ask("POST", PREDICT.format(line), {"rows": list(rows), "explain": True})


@pytest.mark.parametrize("line", LINES)
def test_an_answer_is_explained_in_the_same_call(served, line):
    """What each column contributed, the base, and the score that they add up to, beside the answer that is always given."""
    status, _, answer = explain(served, line, ROW, MISSING)
    plain = served.predict(ROW, MISSING, line=line)

    assert 200 == status
    for one, other in zip(answer["predictions"], plain["predictions"], strict=True):
        for name in ("score", "score_unit", "base", "contributions"):
            assert name not in other
        assert {**other, "id": one["id"]} == {name: one[name] for name in other}
        scores, base, contributions = one["score"], one["base"], one["contributions"]
        if line != "kinds":
            scores, base, contributions = {"": scores}, {"": base}, {"": contributions}
        for name, score in scores.items():
            assert COLUMNS == list(contributions[name])
            assert pytest.approx(score, rel=1e-6) == base[name] + sum(contributions[name].values())


def test_a_line_that_rested_explains_as_before(served, tmp_path, start):
    """With room for one model each request finds its line without one; its trees are read anew, from bytes verified anew."""
    for part in ("serving", "artifacts"):
        shutil.copytree(
            served.state / part, tmp_path / "state" / part, ignore=shutil.ignore_patterns("endpoint")
        )
    narrow = start(tmp_path / "state", model_memory=1)
    for line in (*LINES, *LINES):
        (one,), (other,) = (explain(each, line, ROW)[2]["predictions"] for each in (narrow, served))

        assert {**other, "id": one["id"]} == one


def test_the_score_is_in_the_unit_that_is_named(served):
    """Log-odds before calibration, log-weights of classes, or the prediction itself."""
    said = {line: explain(served, line, ROW)[2]["predictions"][0] for line in LINES}
    weights = {name: np.exp(score) for name, score in said["kinds"]["score"].items()}
    odds = np.exp(said["straight"]["score"])
    bent = np.exp(-(0.5 * said["trees"]["score"] + 1.0))

    assert ("log-odds", "log-weight", "value", "log-odds") == tuple(
        one["score_unit"] for one in said.values()
    )
    assert pytest.approx(odds / (1 + odds), abs=1e-6) == said["straight"]["probabilities"]["Yes"]
    assert pytest.approx(1 / (1 + bent), abs=1e-6) == said["trees"]["probabilities"]["Yes"]
    assert pytest.approx(said["prices"]["prediction"], rel=1e-6) == said["prices"]["score"]
    for name, weight in weights.items():
        assert pytest.approx(weight / sum(weights.values()), abs=1e-6) == said["kinds"]["probabilities"][name]


def test_the_log_holds_the_answer_alone(served):
    """An explanation can be computed again from the row, as the answer can."""
    answer = explain(served, "trees", {**ROW, "PolicyNumber": "e-1"})[2]["predictions"][0]
    record = next(
        each.record for each in read_log(served.state / "log" / "trees") if each.record.id == answer["id"]
    )

    assert {"prediction", "probabilities", "threshold"} == set(record.answer)


def tensors(*rows):
    """Return rows as a request of the protocol holds them."""
    kinds = {"Age": "INT64", "Amount": "FP64", "Insured": "BOOL", "Make": "BYTES", "opened": "BYTES"}
    return [
        {"name": name, "datatype": kind, "shape": [len(rows)], "data": [row.get(name) for row in rows]}
        for name, kind in kinds.items()
    ]


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize("line", LINES)
def test_the_client_of_another_project_gets_explanations(served, line, binary):
    """As further outputs, where a parameter asks for them: the numbers that rows get."""
    rows = [ROW, {**MISSING, "Amount": 1.5, "Insured": False, "Make": "Ford", "opened": "2020-12-31"}]
    told = explain(served, line, *rows)[2]["predictions"]
    columns = []
    for one in tensors(*rows):
        dtype = {"INT64": np.int64, "FP64": np.float64, "BOOL": np.bool_, "BYTES": np.object_}[
            one["datatype"]
        ]
        columns.append(triton.InferInput(one["name"], [2], one["datatype"]))
        columns[-1].set_data_from_numpy(np.array(one["data"], dtype=dtype), binary_data=binary)
    with triton.InferenceServerClient("{}:{}".format(*served.address)) as client:
        plain = client.infer(line, columns)
        answer = client.infer(line, columns, parameters={"explain": True})
    contributions = answer.get_output("contributions")["parameters"]
    by_class = {name: answer.as_numpy(name) for name in ("contributions", "base", "score")}
    if line == "kinds":
        classes = answer.get_output("probabilities")["parameters"]["classes"]
        told = [one | {name: list(one[name].values()) for name in ("base", "score")} for one in told]
        expected = [[list(one["contributions"][name].values()) for name in classes] for one in told]
        assert classes == contributions["classes"] == answer.get_output("score")["parameters"]["classes"]
    else:
        expected = [list(one["contributions"].values()) for one in told]

    assert (COLUMNS, told[0]["score_unit"]) == (contributions["columns"], contributions["score_unit"])
    assert expected == by_class["contributions"].tolist()
    assert [one["base"] for one in told] == by_class["base"].tolist()
    assert [one["score"] for one in told] == by_class["score"].tolist()
    assert np.allclose(by_class["base"] + by_class["contributions"].sum(axis=-1), by_class["score"])
    assert None is plain.get_output("contributions")


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"parameters": {"explain": 1}}, "parameters.explain"),
        ({"outputs": [{"name": "score"}]}, "outputs"),
        ({"parameters": {"explain": True}, "outputs": [{"name": "prediction"}]}, "outputs"),
        ({"parameters": {"explain": True}, "inputs": tensors(*[ROW] * 101)}, "parameters.explain"),
    ],
)
def test_what_a_request_of_tensors_cannot_have_explained_is_refused(served, body, where):
    status, _, refused = served.ask("POST", "/v2/models/trees/infer", {"inputs": tensors(ROW), **body})

    assert (422, where) == (status, refused["where"])


def test_of_an_explanation_a_request_may_ask_for_a_part(served):
    """Each output in its own form; the metadata name those alone that every request can get."""
    body = {
        "inputs": tensors(ROW),
        "parameters": {"explain": True},
        "outputs": [{"name": "score", "parameters": {"binary_data": False}}],
    }
    status, _, answer = served.ask("POST", "/v2/models/trees/infer", body)
    outputs = served.ask("GET", "/v2/models/trees")[2]["outputs"]

    assert (200, ["score"]) == (status, [one["name"] for one in answer["outputs"]])
    assert ["prediction", "probabilities", "id"] == [one["name"] for one in outputs]
    assert "explain-parameter" in served.ask("GET", "/v2")[2]["extensions"]
    assert 422 == served.ask("POST", "/v2/models/claims/infer", body)[0]


def test_rows_that_a_canary_answered_stand_in_the_same_tensor():
    """It may read a column more; to what the other model makes of a row that column has contributed nothing."""
    explained = [
        {"score": 1.0, "score_unit": "value", "base": 0.5, "contributions": {"a": 0.5}},
        {"score": 2.0, "score_unit": "value", "base": 0.25, "contributions": {"b": 0.75, "a": 1.0}},
    ]
    contributions, base, score = oip._explanation(explained)

    assert (["a", "b"], [2, 2]) == (contributions["parameters"]["columns"], contributions["shape"])
    assert [0.5, 0.0, 1.0, 0.75] == contributions["data"]
    assert ([0.5, 0.25], [1.0, 2.0]) == (base["data"], score["data"])


def test_a_hundred_rows_are_explained_and_no_more(served):
    many, _, answer = explain(served, "trees", *[ROW] * 100)
    status, _, refused = explain(served, "trees", *[ROW] * 101)

    assert (200, 100) == (many, len(answer["predictions"]))
    assert (422, "explain", 101, "at most 100 rows") == (
        status,
        refused["where"],
        refused["found"],
        refused["allowed"],
    )


def test_what_cannot_be_explained_is_refused_and_not_logged(served):
    """Without `explain` it is answered."""
    status, _, refused = explain(served, "claims", {**ROW, "PolicyNumber": "e-2"})
    log = served.state / "log" / "claims"

    assert (422, "explain") == (status, refused["where"])
    assert "an imported model" in refused["message"]
    assert "claims@1" == refused["found"]
    assert "LightGBM or XGBoost, and whatever the built-in engine trains, is explained" in refused["hint"]
    assert "(linewright retrain claims)" in refused["hint"]
    assert "e-2" not in {each.record.key for each in read_log(log)} if log.is_dir() else True
    assert "prediction" in served.predict(ROW)["predictions"][0]


def test_a_row_that_does_not_fit_is_refused_as_ever(served):
    status, _, refused = explain(served, "trees", ROW, {"Age": "old"})

    assert (422, "rows[1].Age") == (status, refused["where"])


def test_many_who_ask_at_once_get_the_same(served):
    """The first requests read the trees, maybe twice."""
    body = json.dumps({"rows": [ROW], "explain": True})

    def ask(_):
        connection = HTTPConnection(*served.address, timeout=30)
        connection.request(
            "POST", PREDICT.format("kinds"), body=body, headers={"Content-Type": "application/json"}
        )
        answer = json.loads(connection.getresponse().read())
        connection.close()
        return json.dumps(answer["predictions"][0]["contributions"])

    with ThreadPoolExecutor(4) as pool:
        assert 1 == len(set(pool.map(ask, range(12))))


def test_the_client_gives_explanations(served):
    """Typed, and only where they are asked for."""
    with linewright.Client("http://{}:{}".format(*served.address)) as client:
        (one,) = client.predict("trees", [ROW], explain=True).predictions
        (plain,) = client.predict("trees", [ROW]).predictions
        (kinds,) = client.predict("kinds", [ROW], explain=True).predictions
        with pytest.raises(RequestError, match="an imported model"):
            client.predict("claims", [ROW], explain=True)

    assert pytest.approx(one.score, rel=1e-6) == one.base + sum(one.contributions.values())
    assert "log-odds" == one.score_unit
    assert (None, {}) == (plain.score, plain.contributions)
    assert kinds.score.keys() == kinds.base.keys() == kinds.contributions.keys() == kinds.probabilities.keys()
