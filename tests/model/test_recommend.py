"""Recommenders: what is learned of who took what, what graphs rank, and how lists are measured."""

from dataclasses import replace

import numpy as np
import pytest

from linewright.data.spec import RecommendSpec
from linewright.errors import SpecError
from linewright.features.history import HistoryReader
from linewright.model.list_loss import loss_of_list
from linewright.model.metrics.definitions import metric, metrics_of
from linewright.model.onnx.session import open_graph
from linewright.model.recommend.candidates import Candidate, Weights, candidates, fit
from linewright.model.recommend.graph import Lists, to_graph
from linewright.model.recommend.interactions import Taken, taken_by
from linewright.model.recommend.learn import HistoryRows, learn_recommender
from linewright.model.spec import TrainSpec
from linewright.model.tasks import task
from linewright.model.tasks.item_lists import ItemLists, hits, lists_of, ndcg_of_rows
from linewright.text.lists import read_spelled, to_list_text

RULES = task("recommend")


def ranked(weights: Weights, lists: Lists, histories: list[list[int]]) -> ItemLists:
    x = np.zeros((len(histories), lists.length), dtype=np.float32)
    for row, codes in enumerate(histories):
        x[row, : len(codes)] = codes
    graph = open_graph(
        to_graph(weights, lists), inputs=[("x", "float", lists.length)], outputs=lists.outputs, at_once=2
    )
    return ItemLists(graph.run({"x": x}, len(x)))


def few(shares: list[float], **more: object) -> Lists:
    settings = {"length": 4, "shown": 3, "again": False, **more}
    return Lists(shares=np.array(shares, dtype=np.float32), **settings)  # type: ignore[arg-type]


def shelf(users: int = 120, kinds: int = 4, seed: int = 1) -> HistoryRows:
    """Each user takes items of one kind, one after the other."""
    chance = np.random.default_rng(seed)
    names, histories, labels = [], [], []
    for user in range(users):
        order = [f"k{user % kinds}-{number}" for number in chance.permutation(6)[:4]]
        for place in range(1, 4):
            names.append(f"u{user}")
            histories.append(to_list_text(order[:place]))
            labels.append(to_list_text(order[place : place + 1]))
    at = chance.permutation(len(names))
    return HistoryRows(users=names, histories=histories, labels=labels, at=at)


# Graphs


def test_of_equal_scores_the_item_of_the_lower_code_comes_first():
    """Digests would differ otherwise."""
    lists = ranked(Weights(), few([0.5, 0.9, 0.5, 0.9]), [[]])

    assert [[2, 4, 1, 3]] == lists.items.tolist()
    assert [0] == lists.used.tolist()


def test_a_history_adds_up_its_rows_and_is_left_out():
    """EASE and item-kNN are sums over the items of a history."""
    dense = np.arange(16, dtype=np.float32).reshape(4, 4)
    found = ranked(Weights(dense=dense), few([0.1, 0.1, 0.1, 0.1]), [[1, 3], [2, 0]])

    # Beside popularity, which is the same for all here and counts 0.0001.
    assert [[4, 2, 0, 0], [4, 3, 1, 0]] == found.items.tolist()
    assert [3 + 11, 1 + 9] == found.values[0, :2].round(3).tolist()
    assert [2, 1] == found.used.tolist()


def test_neighbours_say_the_same_as_a_dense_matrix():
    """Above 8,000 items there is no place for a number for each two."""
    chance = np.random.default_rng(4)
    dense = chance.random((6, 6)).astype(np.float32)
    order = np.argsort(-dense, axis=1, kind="stable")
    near = Weights(neighbours=(order, np.take_along_axis(dense, order, axis=1)))
    histories = [[1], [2, 5, 6], [], [4, 3]]
    own, other = (ranked(one, few([0.3] * 6, shown=5), histories) for one in (Weights(dense=dense), near))

    assert own.items.tolist() == other.items.tolist()
    assert np.allclose(own.values, other.values, atol=1e-6)


def test_items_of_a_history_are_listed_again_where_that_is_asked():
    """By what they add themselves."""
    dense = np.zeros((3, 3), dtype=np.float32)
    np.fill_diagonal(dense, 0.5)

    assert 2 == ranked(Weights(dense=dense), few([0.1] * 3, again=True), [[2]]).items[0, 0]


def test_a_list_has_at_most_so_many_of_a_category_and_all_of_none():
    """Items whose category nobody knows do not stand in each other's way."""
    shares = [0.9, 0.8, 0.7, 0.6, 0.5, 0.4]
    lists = few(shares, shown=6, categories=["a", "a", "a", "", "", "b"], at_most=2)

    assert [1, 2, 4, 5, 6, 0] == ranked(Weights(), lists, [[]]).items[0].tolist()


def test_shorter_lists_end_with_nothing():
    """A user who has everything gets nothing."""
    found = ranked(Weights(), few([0.5, 0.4]), [[1, 2]])

    assert [[0, 0]] == found.items.tolist()
    assert [{"prediction": [], "scores": [], "history_used": 2}] == RULES.answers(
        found.scores, classes=("a", "b"), threshold=None, band=None
    )


# Candidates


def small() -> Taken:
    rows = [["a", "b"], ["a", "b", "c"], ["c"], ["a"]]
    return taken_by(list(range(4)), [list(map(to_list_text, rows))])


def test_ease_is_the_ridge_regression_of_each_item_on_the_others():
    """By its definition, column by column."""
    taken = small()
    x = taken.matrix.toarray().astype(np.float64)
    dense = fit(Candidate(family="ease", shrink=2.0), taken).dense
    for item in range(3):
        others = [place for place in range(3) if place != item]
        gram = x[:, others].T @ x[:, others] + 2.0 * np.eye(2)
        expected = np.linalg.solve(gram, x[:, others].T @ x[:, item])

        assert dense is not None
        assert np.allclose(expected, dense[others, item], atol=1e-5)
        assert 0 == dense[item, item]


def test_neighbours_are_the_nearest_by_shrunk_cosine():
    """Few common users say little."""
    near = fit(Candidate(family="knn", shrink=1.0, neighbours=2), small()).neighbours
    assert near is not None
    places, numbers = near

    assert [1, 2, 0] == places[0].tolist()
    assert [2 / (np.sqrt(6) + 1), 1 / (np.sqrt(6) + 1), 0] == pytest.approx(numbers[0].tolist())


def test_the_same_rows_give_the_same_bytes():
    """A digest rests on it."""
    spec = RecommendSpec(items=3, history=5)
    one, other = (learn_recommender(shelf(), TrainSpec(), spec, report=lambda _: None) for _ in range(2))

    assert one.graph == other.graph
    assert one.trials == other.trials


def test_what_knows_tastes_is_chosen_and_popularity_is_tried():
    """All are judged on later rows that none has seen."""
    found = learn_recommender(shelf(), TrainSpec(), RecommendSpec(), report=lambda _: None)

    assert found.trials[0].family in {"ease", "knn"}
    assert "popularity" in {one.family for one in found.trials}
    assert found.trials[0].loss == min(one.loss for one in found.trials)
    assert all(one.more is None or one.more >= 0 for one in found.trials)


@pytest.mark.parametrize(
    ("budget", "again", "tried"),
    [("quick", False, 3), ("normal", False, 5), ("normal", True, 9), ({"trials": 2}, False, 2)],
)
def test_a_budget_says_how_much_is_tried(budget, again, tried):
    """The same budget gives the same model."""
    assert tried == len(candidates(TrainSpec(budget=budget), items=100, again=again))


def test_rows_of_one_time_cannot_judge():
    rows = HistoryRows(users=["a"], histories=["[]"], labels=['["x"]'], at=np.zeros(1))

    with pytest.raises(SpecError, match="all training rows have one time"):
        learn_recommender(rows, TrainSpec(), RecommendSpec(), report=lambda _: None)


# Metrics and rules


def test_lists_are_measured_by_hand():
    """Two of three right items at the places 1 and 3, of ten that are asked for."""
    scores = lists_of(
        [{"prediction": ["a", "b", "c"], "scores": [3, 2, 1], "history_used": 1}], ["a", "b", "c", "d"]
    )
    target = RULES.target(['["a","c","z"]'], ("a", "b", "c", "d"))
    gain = 1 + 1 / np.log2(4)
    best = 1 + 1 / np.log2(3) + 1 / np.log2(4)
    weight = np.ones(1)

    assert [[True, False, True]] == hits(target, scores).tolist()
    assert [gain / best] == pytest.approx(ndcg_of_rows(target, scores).tolist())
    assert 2 / 3 == pytest.approx(metric("recall@10", "recommend").function(target, scores, weight))
    assert 3 / 4 == pytest.approx(metric("coverage@10", "recommend").function(target, scores, weight))
    assert 1 - gain / best == pytest.approx(RULES.row_loss(target, scores)[0])
    assert 1 - gain / best == pytest.approx(loss_of_list(["a", "b", "c"], ["a", "c", "z"]))


def test_coverage_is_the_share_of_items_in_at_least_one_list():
    answers = [{"prediction": ["a", "b"], "scores": [2, 1], "history_used": 1}] * 3
    answers.append({"prediction": ["a", "c"], "scores": [2, 1], "history_used": 1})
    scores = lists_of(answers, ["a", "b", "c", "d", "e", "f"])

    assert 0.5 == pytest.approx(
        metric("coverage@10", "recommend").function(np.zeros((4, 1)), scores, np.ones(4))
    )


def test_the_metrics_are_those_that_the_task_reports():
    assert set(RULES.metrics) == set(metrics_of("recommend"))


def test_the_baseline_ranks_by_popularity():
    """For those who ask without rows; gates leave out what a history has."""
    target = RULES.target(['["b"]', '["b","a"]'], ("a", "b"))
    shares = RULES.baseline(target, np.ones(2), ("a", "b"))
    lists = ItemLists(RULES.baseline_scores(shares, 2))

    assert (0.5, 1.0) == shares
    assert [[2, 1], [2, 1]] == lists.items.tolist()


@pytest.mark.parametrize("label", ["a", '{"a": 1}', "[[1]]"])
def test_a_label_that_is_no_list_is_refused(label):
    with pytest.raises(SpecError, match="a label is a list of items"):
        RULES.target([label], ("a",))


def test_a_positive_value_is_refused():
    with pytest.raises(SpecError, match="items have no positive value"):
        RULES.classes(['["a"]'], "a")


# Histories


def test_a_history_is_read_newest_first_without_what_is_not_known():
    read = HistoryReader(["a", "b", "c"]).read(['["a","x","b","c","b"]', "[]"], length=2)

    assert [[2, 3], [0, 0], [0, 0]] == read.tolist()


def test_rows_without_categories_and_blank_items_are_learned_from():
    """Feedback tells what was taken, not of which kind it is; SQL may make a blank of an item."""
    rows = shelf()
    labels = ['[" ","k0-1"]', *rows.labels[1:]]
    categories = [
        None if row % 5 == 4 else to_list_text(["kind"] * len(read_spelled(label)))
        for row, label in enumerate(labels)
    ]
    spec = RecommendSpec(items=2, at_most={"kind": 1})
    found = learn_recommender(
        replace(rows, labels=labels, categories=categories), TrainSpec(), spec, report=lambda _: None
    )

    assert "k0-1" in found.items


@pytest.mark.parametrize("family", ["ease", "knn"])
def test_items_that_last_are_not_listed_twice(family):
    """Who has a lamp does not want it again tomorrow, whatever others bought with it; bread is bought each week."""
    moments = [
        ([], ["bread", "lamp"]),
        (["bread", "lamp"], ["bread", "milk"]),
        (["lamp", "bread", "milk"], ["bread", "milk"]),
    ]
    rows = [(f"u{user}", *moment) for user in range(40) for moment in moments]
    users = [user for user, _, _ in rows]
    columns = [[to_list_text(row[part]) for row in rows] for part in (1, 2)]
    taken = taken_by(users, columns)
    again = fit(Candidate(family=family, shrink=10.0, neighbours=5, again=0.2), taken)
    lists = ranked(again, few(taken.shares.tolist(), again=True, shown=2), [[1, 2]])

    assert ("bread", "lamp", "milk") == taken.items
    assert [False, True, False] == taken.lasts.tolist()
    assert {1, 3} == {*lists.items[0, :2].astype(int).tolist()}
    assert not taken_by(users[:3], [column[:3] for column in columns]).lasts.any()  # three rows tell nothing
