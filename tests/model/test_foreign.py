"""Files of LightGBM and XGBoost become ONNX that answers as the library does, or are refused with what to do."""

import json
import re
import warnings
from typing import Any

import lightgbm as lgb
import numpy as np
import onnxruntime
import pytest
import xgboost
from hypothesis import example, given
from hypothesis import strategies as st

from linewright.errors import RequestError
from linewright.features.facts import Encoder, Number
from linewright.model.imported.booster_file import Converted, Sums, convert, read_foreign
from linewright.model.imported.library_model import LibraryModel
from linewright.model.imported.onnx_file import look_at
from linewright.plugins.xgboost_file import document_of, read_ubjson

ROWS = 400
QUIET = {"verbosity": -1, "num_threads": 1, "min_data_per_group": 5, "cat_smooth": 1, "max_cat_to_onehot": 2}


def rows(seed: int = 0) -> np.ndarray:
    """Draw two numbers, one of them missing at times, and a whole number from 0 to 5."""
    chance = np.random.default_rng(seed)
    x = np.column_stack([chance.normal(size=(ROWS, 2)), chance.integers(0, 6, ROWS)]).astype(np.float32)
    x[::7, 1] = np.nan
    return x


def target_of(x: np.ndarray, classes: int) -> np.ndarray:
    """Return a label that follows all three columns: a number above 0, or classes."""
    score = x[:, 0] - np.nan_to_num(x[:, 1]) + np.isin(x[:, 2], [1, 4])
    return (
        np.digitize(score, np.quantile(score, np.arange(1, classes) / classes)) if classes else np.exp(score)
    )


def of_lightgbm(classes: int = 2, *, codes: bool = False, target: Any = None, **asked: Any) -> lgb.Booster:
    """Train a small model of LightGBM."""
    x = rows()
    data = lgb.Dataset(
        x,
        target_of(x, classes) if target is None else target,
        feature_name=["a", "b", "k"],
        categorical_feature=[2] if codes else [],
    )
    objective = {0: "regression", 2: "binary"}.get(classes, "multiclass")
    many = {"num_class": classes} if classes > 2 else {}
    return lgb.train({**QUIET, "objective": objective, **many, **asked}, data, 12)


def of_xgboost(classes: int = 2, *, codes: bool = False, target: Any = None, **asked: Any) -> xgboost.Booster:
    """Train a small model of XGBoost."""
    x = rows()
    data = xgboost.DMatrix(
        x,
        target_of(x, classes) if target is None else target,
        feature_names=["a", "b", "k"],
        feature_types=["q", "q", "c" if codes else "q"],
        enable_categorical=True,
    )
    objective = {0: "reg:squarederror", 2: "binary:logistic"}.get(classes, "multi:softprob")
    many = {"num_class": classes} if classes > 2 else {}
    settings = {"objective": objective, "nthread": 1, "max_cat_to_onehot": 2, **many, **asked}
    with warnings.catch_warnings(action="ignore"):
        return xgboost.train(settings, data, 12)


def text_of(booster: lgb.Booster) -> bytes:
    """Return what `save_model` writes."""
    return booster.model_to_string().encode()


def ubj_of(booster: xgboost.Booster) -> bytes:
    """Return what `save_model` writes by default."""
    return bytes(booster.save_raw("ubj"))


def converted(data: bytes) -> Converted:
    """Convert a file, which looks like a model."""
    found = convert(data, where="here")
    assert found is not None
    return found


def answers(data: bytes, *columns: np.ndarray) -> np.ndarray:
    """Return what the ONNX of a file answers: the probability of the second of two classes, of each of more, or the number."""
    session = onnxruntime.InferenceSession(converted(data).graph)
    (found,) = session.run(None, dict(zip([one.name for one in session.get_inputs()], columns, strict=True)))
    return found[:, -1] if found.shape[1] < 3 else found


def asked(sums: Sums, x: np.ndarray) -> np.ndarray:
    """Return what the library answers to what was read of a file of two classes."""
    encoder = Encoder(encodings=tuple(Number(column=name) for name in "abk"))
    return LibraryModel(sums, encoder=encoder, order=(0, 1)).scores(x)[:, 1]


def hard(data: bytes) -> np.ndarray:
    """Return rows, and rows on and beside every bound of the trees."""
    sums = read_foreign(data, where="here")
    assert sums is not None
    x = rows(seed=1)
    drawn = [x]
    for column, bounds in sums.forest.cuts().items():
        for bound in (bounds, np.nextafter(bounds, np.float32(9)), np.nextafter(bounds, np.float32(-9))):
            each = x[np.arange(len(bound)) % len(x)].copy()
            each[:, column] = bound
            drawn.append(each)
    return np.concatenate(drawn)


@pytest.mark.parametrize(
    ("classes", "asked"),
    [
        (2, {}),
        (2, {"sigmoid": 2.0}),
        (2, {"boosting": "dart", "drop_rate": 0.9}),
        (3, {}),
        (0, {}),
        (0, {"objective": "huber"}),
        (0, {"objective": "quantile", "alpha": 0.9}),
        (0, {"objective": "poisson"}),
        (0, {"objective": "gamma"}),
        (0, {"objective": "tweedie"}),
        (0, {"max_depth": 1, "num_leaves": 2, "min_data_in_leaf": 300}),
    ],
)
def test_a_text_of_lightgbm_answers_as_lightgbm(classes, asked):
    """Also where a number lies on a bound, which is a double there and float32 here; and where trees have no split."""
    booster = of_lightgbm(classes, **asked)
    x = hard(text_of(booster))

    np.testing.assert_allclose(answers(text_of(booster), x), booster.predict(x), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("form", ["ubj", "json"])
@pytest.mark.parametrize(
    ("classes", "asked"),
    [
        (2, {}),
        (2, {"num_parallel_tree": 3, "subsample": 0.5, "base_score": 0.2}),
        (3, {}),
        (0, {}),
        (0, {"objective": "reg:absoluteerror"}),
        (0, {"objective": "count:poisson"}),
        (0, {"objective": "reg:gamma"}),
        (0, {"objective": "reg:tweedie"}),
    ],
)
def test_a_document_of_xgboost_answers_as_xgboost(classes, asked, form):
    """In both forms in which it is written; it is compared with sums in float32."""
    booster = of_xgboost(classes, **asked)
    data = bytes(booster.save_raw(form))
    x = hard(data)
    own = booster.predict(xgboost.DMatrix(x, feature_names=["a", "b", "k"]))

    np.testing.assert_allclose(answers(data, x), own, rtol=1e-5, atol=1e-6)


def test_softmax_of_xgboost_answers_with_the_probabilities_behind_its_classes():
    """It names the largest of what softprob says."""
    booster = of_xgboost(3, objective="multi:softmax")
    x = rows(seed=1)
    own = booster.predict(xgboost.DMatrix(x, feature_names=["a", "b", "k"]))

    assert own.tolist() == answers(ubj_of(booster), x).argmax(axis=1).tolist()


@pytest.mark.parametrize("interface", ["scikit-learn", "booster"])
def test_early_stopping_counts_as_the_interface_counts_it(interface, tmp_path):
    """The scikit-learn interface stops at the best round of those that are in the file, a booster does not."""
    x = rows()
    y = np.random.default_rng(1).integers(0, 2, ROWS)
    model = xgboost.XGBClassifier(n_estimators=50, early_stopping_rounds=5, n_jobs=1)
    model.fit(x, y, eval_set=[(x[:50], 1 - y[:50])], verbose=False)
    booster = model.get_booster()
    own = model.predict_proba(x)[:, 1] if interface == "scikit-learn" else booster.predict(xgboost.DMatrix(x))
    (model if interface == "scikit-learn" else booster).save_model(tmp_path / "model.ubj")

    assert model.best_iteration + 1 < booster.num_boosted_rounds()
    np.testing.assert_allclose(answers((tmp_path / "model.ubj").read_bytes(), x), own, rtol=1e-5)


def test_a_bound_that_no_number_reaches_is_read():
    """XGBoost writes it as Infinity, which is no JSON."""
    booster = of_xgboost()
    told = json.loads(booster.save_raw("json"))
    first = told["learner"]["gradient_booster"]["model"]["trees"][0]
    first["split_conditions"][0] = float("inf")
    data = json.dumps(told).encode()
    x = rows(seed=1)
    own = xgboost.Booster(model_file=bytearray(data)).predict(
        xgboost.DMatrix(x, feature_names=["a", "b", "k"])
    )

    sums = read_foreign(data, where="here")

    assert b"Infinity" in data
    assert sums is not None
    np.testing.assert_allclose(asked(sums, x), own, rtol=1e-5)
    np.testing.assert_allclose(answers(data, x), own, rtol=1e-5)


def test_both_forms_of_a_document_say_the_same():
    """What reads UBJSON is ours."""
    booster = of_xgboost(3)
    a, b = (document_of(bytes(booster.save_raw(form))).learner for form in ("json", "ubj"))

    assert a.feature_names == b.feature_names == ["a", "b", "k"]
    assert a.learner_model_param == b.learner_model_param
    assert a.gradient_booster.model is not None
    assert b.gradient_booster.model is not None
    for one, other in zip(a.gradient_booster.model.trees, b.gradient_booster.model.trees, strict=True):
        assert one.left_children == other.left_children
        np.testing.assert_array_equal(np.float32(one.split_conditions), np.float32(other.split_conditions))


# Categories


def test_codes_of_lightgbm_are_cut_off_as_it_does():
    """It reads 2.7 as 2 and -0.5 as 0; what is missing, below 0 or new is none of its codes."""
    booster = of_lightgbm(codes=True)
    x = rows(seed=1)
    x[:8, 2] = [2.7, -0.5, -1.5, np.nan, 99, 3e9, 1e30, 5.999]

    assert b"pandas_categorical:[]" not in text_of(booster).splitlines()[-3:]
    np.testing.assert_allclose(answers(text_of(booster), x)[:5], booster.predict(x)[:5], rtol=1e-5)
    np.testing.assert_allclose(answers(text_of(booster), x)[7:], booster.predict(x)[7:], rtol=1e-5)


LEVELS = {"texts": ["x", "y z", "é", "", "v3", "trees."], "whole numbers": [10, 20, 30, 40, 50, 60]}


def with_levels(x: np.ndarray, levels: list[Any], ending: str = "") -> tuple[np.ndarray, ...]:
    """Return the columns of rows, the last of them as it is spelled."""
    words = np.array([[f"{levels[int(code)]}{ending}"] for code in x[:, 2]], dtype=object)
    return x[:, :1], x[:, 1:2], words


@pytest.mark.parametrize(("kind", "ending"), [("texts", ""), ("whole numbers", ""), ("whole numbers", ".0")])
def test_categories_of_pandas_in_a_text_of_lightgbm(kind, ending):
    """Its text has their list, as python-package/lightgbm/basic.py writes it; what is none of them is missing."""
    booster = of_lightgbm(codes=True)
    levels = LEVELS[kind]
    text = re.sub(r"pandas_categorical:.*", "", booster.model_to_string())
    data = (text + f"\npandas_categorical:{json.dumps([levels])}\n").encode()
    x = rows(seed=1)
    a, b, words = with_levels(x, levels, ending)
    words[:3, 0], x[:3, 2] = "new", np.nan

    assert ["a", "b", "k"] == [one.name for one in look_at(data, where="here").inputs]
    np.testing.assert_allclose(answers(data, a, b, words), booster.predict(x), rtol=1e-5)


@pytest.mark.parametrize("kind", ["texts", "whole numbers"])
def test_categories_of_pandas_in_a_document_of_xgboost(kind):
    """Since 3.1 it has their names: texts as bytes with offsets, numbers as they are (``cats`` of the booster)."""
    booster = of_xgboost(codes=True)
    levels = [level for level in LEVELS[kind] if str(level).isascii()]
    words = [str(level).encode() for level in levels]
    last: dict[str, Any] = (
        {"offsets": np.cumsum([0, *map(len, words)]).tolist(), "values": list(b"".join(words))}
        if kind == "texts"
        else {"type": 15, "values": levels}
    )
    told = json.loads(booster.save_raw("json"))
    told["learner"]["gradient_booster"]["model"]["cats"]["enc"] = [{"offsets": [], "values": []}] * 2 + [last]
    x = rows(seed=1)
    x[:, 2] = x[:, 2] % len(levels)
    own = booster.predict(
        xgboost.DMatrix(
            x, feature_names=["a", "b", "k"], feature_types=["q", "q", "c"], enable_categorical=True
        )
    )
    found = answers(json.dumps(told).encode(), *with_levels(x, levels))

    np.testing.assert_allclose(found, own, rtol=1e-5)


def test_names_in_the_graph_are_not_those_of_columns():
    """A column may be called as something within a graph is."""
    booster = of_lightgbm(codes=True)
    text = re.sub(r"pandas_categorical:.*", "", booster.model_to_string())
    text = text.replace("feature_names=a b k", "feature_names=trees.v0 trees.y offset")
    data = (text + '\npandas_categorical:[["0", "1", "2", "3", "4", "5"]]\n').encode()
    x = rows(seed=1)

    found = answers(data, *with_levels(x, list("012345")))

    np.testing.assert_allclose(found, booster.predict(x), rtol=1e-5)


# What is refused


def changed(booster: lgb.Booster, *pairs: tuple[str, str]) -> bytes:
    """Return the text of a model with some words changed."""
    text = booster.model_to_string()
    for before, after in pairs:
        assert re.search(before, text, re.MULTILINE), before
        text = re.sub(before, after, text, count=1, flags=re.MULTILINE)
    return text.encode()


def in_tree(booster: xgboost.Booster, **lists: Any) -> bytes:
    """Return the document of a model, whose first tree has other lists: by name, place and value."""
    told = json.loads(booster.save_raw("json"))
    for name, (place, value) in lists.items():
        told["learner"]["gradient_booster"]["model"]["trees"][0][name][place] = value
    return json.dumps(told).encode()


def own_objective(predicted: np.ndarray, data: lgb.Dataset) -> tuple[np.ndarray, np.ndarray]:
    """Say the squared error, as a person might."""
    return predicted - data.get_label(), np.ones_like(predicted)


SHARE = target_of(rows(), 2).astype(float)
RANKS = {"target": np.arange(ROWS) % 3}
REFUSED = {
    "LightGBM: own objective": (
        lambda: text_of(of_lightgbm(0, objective=own_objective)),
        r"objective of your own, or none of LightGBM.*allowed: binary, .*tweedie.*ONNX",
    ),
    "LightGBM: cross_entropy": (
        lambda: text_of(of_lightgbm(0, objective="cross_entropy", target=SHARE)),
        "the objective cross_entropy of LightGBM",
    ),
    "LightGBM: one against the others": (
        lambda: text_of(of_lightgbm(3, objective="multiclassova")),
        "multiclassova",
    ),
    "LightGBM: roots": (lambda: text_of(of_lightgbm(0, reg_sqrt=True)), "regression sqrt"),
    "LightGBM: forest": (
        lambda: text_of(of_lightgbm(boosting="rf", bagging_freq=1, bagging_fraction=0.5)),
        "averages of trees",
    ),
    "LightGBM: linear": (lambda: text_of(of_lightgbm(linear_tree=True)), "linear models"),
    "LightGBM: zeros": (
        lambda: text_of(of_lightgbm(zero_as_missing=True)),
        "zeros as missing.*zero_as_missing",
    ),
    "LightGBM: cycle": (
        lambda: changed(of_lightgbm(), (r"left_child=\S+", "left_child=0")),
        "do not hang together",
    ),
    "LightGBM: child elsewhere": (
        lambda: changed(of_lightgbm(), (r"left_child=\S+", "left_child=77777")),
        "can be read: found",
    ),
    "LightGBM: column elsewhere": (
        lambda: changed(of_lightgbm(), (r"split_feature=\S+", "split_feature=7")),
        "do not hang together",
    ),
    "LightGBM: columns": (
        lambda: changed(of_lightgbm(), (r"^max_feature_idx=2", "max_feature_idx=9")),
        "3 names of columns",
    ),
    "LightGBM: words": (
        lambda: changed(of_lightgbm(), (r"^leaf_value=\S+", "leaf_value=much")),
        "can be read: found",
    ),
    "LightGBM: fewer leaves": (
        lambda: changed(of_lightgbm(), (r"^leaf_value=\S+ ", "leaf_value=")),
        "other leaves",
    ),
    "LightGBM: no number": (
        lambda: changed(of_lightgbm(), (r"^leaf_value=\S+", "leaf_value=nan")),
        "hang together",
    ),
    "LightGBM: codes elsewhere": (
        lambda: changed(of_lightgbm(codes=True), (r"^cat_boundaries=0 \d+", "cat_boundaries=0 999")),
        "other sets of codes",
    ),
    "LightGBM: other lists": (
        lambda: changed(
            of_lightgbm(codes=True), (r"^pandas_categorical:.*", 'pandas_categorical:[["x"],["y"]]')
        ),
        "2 lists of categories, and 1 columns",
    ),
    "LightGBM: flags": (
        lambda: changed(
            of_lightgbm(codes=True), (r"^pandas_categorical:.*", "pandas_categorical:[[false, true]]")
        ),
        "spelling of a category is not sure: found 'False'",
    ),
    "LightGBM: one name": (
        lambda: changed(of_lightgbm(), ("^feature_names=a b k", "feature_names=a a k")),
        "two columns of the model have one name",
    ),
    "XGBoost: ranks": (
        lambda: ubj_of(of_xgboost(0, objective="rank:pairwise", **RANKS)),
        "the objective rank:pairwise of XGBoost.*binary:logistic",
    ),
    "XGBoost: sums": (lambda: ubj_of(of_xgboost(objective="binary:logitraw")), "binary:logitraw"),
    "XGBoost: dart": (lambda: ubj_of(of_xgboost(booster="dart")), "booster is .*dart"),
    "XGBoost: linear": (lambda: ubj_of(of_xgboost(booster="gblinear")), "booster gblinear"),
    "XGBoost: leaves of several": (
        lambda: ubj_of(of_xgboost(3, multi_strategy="multi_output_tree")),
        "several outputs",
    ),
    "XGBoost: codes alone": (lambda: ubj_of(of_xgboost(codes=True)), "found 'columns of codes alone'.*3.1"),
    "XGBoost: letters": (
        lambda: bytes(of_xgboost(codes=True).save_raw("json")).replace(
            b'"cats":{"enc":[]', b'"cats":{"enc":[{},{},{"offsets":[0,1],"values":[-61]}]'
        ),
        "letters outside of ASCII",
    ),
    "XGBoost: cycle": (lambda: in_tree(of_xgboost(), left_children=(0, 0)), "below itself"),
    "XGBoost: child elsewhere": (
        lambda: in_tree(of_xgboost(), right_children=(0, 9999)),
        "can be read: found",
    ),
    "XGBoost: column elsewhere": (
        lambda: in_tree(of_xgboost(), split_indices=(0, 7)),
        "do not hang together",
    ),
    "XGBoost: other document": (lambda: b'{"a": 1}', "can be read: found.*arrived"),
    "XGBoost: deep": (lambda: b'{"a":' + b"[" * 100_000, "can be read: found"),
    "XGBoost: deep UBJSON": (lambda: b"{i\x01a" + b"[" * 1000, "64 deep"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_taken_is_refused_by_name(kind):
    """A model that would answer otherwise is not guessed at, and a file of somebody else is not believed."""
    make, says = REFUSED[kind]
    with pytest.raises(RequestError, match=says) as caught:
        look_at(make(), where="here")

    assert caught.value.where.startswith("here")
    assert caught.value.hint


FILES = {
    "text": text_of(of_lightgbm(codes=True)),
    "ubj": ubj_of(of_xgboost()),
    "json": bytes(of_xgboost().save_raw("json")),
}


@given(kind=st.sampled_from(sorted(FILES)), share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_ends_too_early_is_refused(kind, share):
    """Wherever it was cut off: what is left could be a smaller model that answers."""
    whole = FILES[kind].rstrip()
    end = whole.index(b"\nend of parameters") if kind == "text" else len(whole) - 1
    left = whole[: int(share * end)]
    with pytest.raises(RequestError, match=r"can be read: found|not an ONNX file"):
        look_at(left, where="here")


def test_a_text_of_lightgbm_without_the_end_of_its_last_line_is_refused():
    """What its codes mean stands there."""
    data = text_of(of_lightgbm(codes=True)).rstrip()
    assert data.endswith(b"\npandas_categorical:null")
    for cut in (1, 5):
        with pytest.raises(RequestError, match="can be read: found"):
            look_at(data[:-cut], where="here")


@given(
    kind=st.sampled_from(sorted(FILES)),
    place=st.floats(0, 1, exclude_max=True),
    there=st.binary(min_size=1, max_size=8),
)
@example(kind="ubj", place=0.0, there=b"{[$L#L\x7f\xff")
def test_a_damaged_file_is_refused_or_is_a_model(kind, place, there):
    """Nothing else may come of it: no other error, and no graph that cannot run."""
    whole = bytearray(FILES[kind])
    at = int(place * len(whole))
    whole[at : at + len(there)] = there
    try:
        found = look_at(bytes(whole), where="here")
    except RequestError:
        return

    assert found.outputs


def test_bounds_are_known_before_arrays_are_made():
    """A length that is a lie takes no memory."""
    with pytest.raises(ValueError, match="ends too early"):
        read_ubjson(b"[$L#L\x7f\xff\xff\xff\xff\xff\xff\xff")


def test_other_files_are_left_to_others():
    """ONNX is read elsewhere."""
    assert convert(b"\x08\x08", where="here") is None
    assert convert(b"", where="here") is None


def test_equal_files_give_equal_graphs():
    """A line that is planned twice has one model."""
    data = text_of(of_lightgbm(3))
    first = converted(data).graph
    convert.cache_clear()
    read_foreign.cache_clear()

    assert first == converted(bytes(bytearray(data))).graph


@pytest.mark.parametrize(
    "twice", ["left_child=100000000 100000000 100000000 100000000", "split_feature=9 9", "is_linear=2"]
)
def test_the_library_is_given_only_what_was_read(twice):
    """Of a line that comes twice LightGBM takes the last, where this reader takes the first: it would read beside its memory."""
    honest = text_of(of_lightgbm())
    lying = honest.replace(b"\nshrinkage=", f"\n{twice}\nshrinkage=".encode())
    sums, told = (read_foreign(data, where="model.txt") for data in (honest, lying))

    assert lying != honest
    assert sums is not None
    assert told is not None
    assert sums.text == told.text
    assert twice not in told.text
    assert np.array_equal(asked(sums, rows(3)), asked(told, rows(3)))


def test_more_answers_than_are_summed_are_refused():
    """A booster would make room for them."""
    with pytest.raises(RequestError):
        read_foreign(text_of(of_lightgbm(3)).replace(b"num_class=3", b"num_class=1000000"), where="model.txt")


def test_one_set_of_codes_for_many_splits_is_refused():
    """Each would be read with as many codes: a small file took all memory."""
    text = text_of(of_lightgbm(codes=True)).decode()
    tree = next(one for one in text.split("\nTree=") if re.search(r"^num_cat=[2-9]", one, re.MULTILINE))
    kinds = re.search(r"^decision_type=(.*)$", tree, re.MULTILINE)
    bounds = re.search(r"^threshold=(.*)$", tree, re.MULTILINE)
    assert kinds
    assert bounds
    shared = [
        "0" if int(kind) & 1 else bound
        for kind, bound in zip(kinds[1].split(), bounds[1].split(), strict=True)
    ]

    with pytest.raises(RequestError):
        read_foreign(
            text.replace(tree, tree.replace(bounds[0], f"threshold={' '.join(shared)}")).encode(),
            where="model.txt",
        )
