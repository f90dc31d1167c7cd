"""A line that recommends goes the whole way: events, histories, gates, answers, labels, monitors, rebuild."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import shop

from linewright.capabilities.drafts.write import new_line
from linewright.capabilities.evidence.operations import card
from linewright.capabilities.evidence.rebuild.compare import rebuild
from linewright.capabilities.predictions.try_row import request_form, try_row
from linewright.capabilities.serving.worker import tend_inline
from linewright.data.dataset.event_time import known_at, moments
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Column, Dataset
from linewright.data.finding_text import finding_in_words
from linewright.data.profile.roles import GivenRoles
from linewright.data.spec import DataSpec
from linewright.data.table.event_rows import rows_of_events
from linewright.errors import RequestError, SpecError
from linewright.line.factory import Factory
from linewright.line.file.read import parse_line
from linewright.line.predict.batch import predict_file
from linewright.line.predict.label_file import hand_in
from linewright.line.record.evidence import explain
from linewright.line.record.registry import find_model
from linewright.line.runs.execute import execute_inline
from linewright.line.runs.plan import make_plan
from linewright.line.steps.table import STEPS
from linewright.model.facts import Certificate, Package, Trained
from linewright.model.package.model import load
from linewright.serve.rows.lookup.similar import similar_items
from linewright.serve.rows.scorer import Scorer
from linewright.text.lists import read_list
from linewright.text.steps import DAY
from linewright.watch.facts import Performance, Watched
from linewright.worlds.living import Clock


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Factory, Clock]]:
    factory, clock = shop.make_shop(tmp_path_factory.mktemp("shop") / "factory")
    with factory:
        execute_inline(factory, shop.LINE)
        yield factory, clock


@pytest.fixture
def scorer(trained: tuple[Factory, Clock]) -> Scorer:
    factory, _ = trained
    return Scorer(load(find_model(factory, shop.LINE).digest, factory.artifacts.get))


def package_of(factory: Factory) -> Package:
    return factory.metadata.get(find_model(factory, shop.LINE).digest, Package)


def dataset_of(factory: Factory) -> pl.DataFrame:
    trained = factory.metadata.get(package_of(factory).trained, Trained)
    dataset = factory.metadata.get(trained.dataset, Dataset)
    return read_dataset(dataset, factory.artifacts, factory.metadata)


def test_events_become_what_a_user_had_before_and_took_then(trained):
    """A row of the dataset is what a request could be, with what turned out to be true."""
    rows = dataset_of(trained[0])
    one = rows.filter(pl.col("customer") == rows["customer"][0])
    had: list[str] = []

    assert ["customer", "at", "history", "item"] == rows.columns
    for before, taken in zip(one["history"].to_list(), one["item"].to_list(), strict=True):
        assert set(read_list(before)) <= set(had)
        assert len(read_list(before)) == min(len(had), 20)
        assert not set(read_list(taken)) & set(had)
        had += read_list(taken)


def test_a_model_that_knows_tastes_is_promoted(trained):
    """The gate compares with popular items that the history does not rule out, customer by customer."""
    factory, _ = trained
    ran = execute_inline(factory, shop.LINE)

    assert ran.promoted or not ran.did
    assert ["ndcg@10", "recall@10", "coverage@10", "novelty@10"] == [one.name for one in ran.metrics]
    assert ran.metrics[0].value > 0.25
    assert package_of(factory).classes == ()
    assert set(package_of(factory).encoder.items) == {
        shop.item(kind, number) for kind in range(shop.KINDS) for number in range(shop.OF_KIND)
    }


def test_somebody_who_came_after_training_gets_what_fits(scorer):
    """Input is the history, so that nobody waits for the next training."""
    (answer,) = scorer.score([{"history": ["k2-0", "k2-1", "new item"], "customer": "nobody"}])

    assert 5 == len(answer["prediction"]) == len(answer["scores"])
    assert 2 == answer["history_used"]
    assert not {"k2-0", "k2-1"} & {*answer["prediction"]}
    assert sum(item.startswith("k2") for item in answer["prediction"]) >= 4
    assert sorted(answer["scores"], reverse=True) == answer["scores"]


def test_without_a_history_the_popular_items_come_first_and_the_answer_says_so(scorer):
    """Nothing is made up about those of whom nothing is known."""
    empty, unknown = scorer.score([{"history": []}, {"history": ["new item"]}])

    assert 0 == empty["history_used"]
    assert empty == unknown


def test_each_history_is_answered_alone_and_order_of_repeats_does_not_matter(scorer):
    """A row's answer never depends on the rows beside it."""
    rows = [{"history": ["k1-1", "k3-2"]}, {"history": ["k0-1"]}, {"history": ["k1-1", "k3-2", "k1-1"]}]
    together = scorer.score(rows)

    assert together == [scorer.score([row])[0] for row in rows]
    assert together[0]["prediction"] == together[2]["prediction"]


@pytest.mark.parametrize("history", ["k1-1", 7, {"a": 1}, [["k1-1"]], [{"item": "k1-1"}]])
def test_what_is_no_list_of_items_is_refused(scorer, history):
    """With the place, and with what is allowed."""
    with pytest.raises(RequestError, match=r"history: not a value of this column.*a list of at most"):
        scorer.score([{"history": history}])


def test_each_item_of_a_list_is_explained_by_items_of_the_history(scorer):
    """Contributions add up to the score, so a shop can say: because you had this."""
    x = scorer.matrix([{"history": ["k1-1", "new item", "k1-2"]}, {"history": []}])
    answers = scorer.answers(x)
    explained, popular = scorer.explain(x, answers, name="shop@1")

    assert answers[0]["prediction"] == [*explained["score"]]
    assert answers[0]["scores"] == [*explained["score"].values()]
    for item, parts in explained["contributions"].items():
        assert {"k1-1", "k1-2"} >= {*parts}
        assert explained["base"][item] + sum(parts.values()) == pytest.approx(explained["score"][item])
        assert abs(explained["base"][item]) <= 1e-3
        assert sorted(map(abs, parts.values()), reverse=True) == [*map(abs, parts.values())]
    assert all(parts == {} for parts in popular["contributions"].values())
    assert popular["base"] == popular["score"]


def test_explanations_of_long_histories_are_bounded(scorer):
    """A request of few bytes must not make an answer of many megabytes."""
    known = sorted(scorer.model.package.encoder.items)[:20]
    x = scorer.matrix([{"history": known}] * 2_500)

    with pytest.raises(RequestError, match=r"too many contributions.*200,000"):
        scorer.explain(x, name="shop@1")


def test_items_that_the_model_does_not_know_are_told(scorer):
    """A list of a history that is half unknown is half a guess."""
    rows = [
        {"history": ["k1-1", "new", "newer", "new"]},
        {"history": ["k1-1"]},
        {"history": []},
        {"history": '["k1-1","new"]'},
    ]
    told = scorer.warnings(scorer.matrix(rows), rows)

    assert {
        0: ["history: the model does not know 2 of 3 items"],
        3: ["history: the model does not know 1 of 2 items"],
    } == told


@pytest.mark.parametrize(
    ("row", "hint"),
    [
        ({"history": "k1-1"}, r'send a list: \["k1-1"\]$'),
        ({"history": '["k1-1"'}, "send the list itself, without quotes around it$"),
        ({"history": "k" * 200}, r'send a list: \["…"\]$'),
        ({"history": None}, r"\[\] is a history of nothing$"),
        ({"customer": "c001"}, r"\[\] is a history of nothing$"),
    ],
)
def test_who_sends_no_list_is_told_how_one_looks(scorer, row, hint):
    """And is not sent to columns of the contract, which has no history."""
    with pytest.raises(RequestError, match=hint) as caught:
        scorer.score([row])

    assert "contract.columns" not in str(caught.value)


def test_as_many_similar_items_as_a_list_has_also_where_it_may_have_the_item_itself(tmp_path: Path):
    """The item itself is left out before the list is cut."""
    factory, _ = shop.make_shop(tmp_path / "factory", more=", again: true")
    with factory:
        execute_inline(factory, shop.LINE)
        scorer = Scorer(load(find_model(factory, shop.LINE).digest, factory.artifacts.get))
    every = [shop.item(kind, 0) for kind in range(shop.KINDS)]
    found = similar_items(scorer, every)

    assert every == [one["item"] for one in found]
    assert {5} == {len(one["items"]) for one in found} == {len(one["scores"]) for one in found}
    assert not [one for one in found if one["item"] in one["items"]]


def test_similar_items_are_of_one_kind(scorer):
    """A page of an item shows what goes with it."""
    (found,) = similar_items(scorer, ["k4-3"])

    assert "k4-3" == found["item"]
    assert "k4-3" not in found["items"]
    assert {"k4"} == {item[:2] for item in found["items"][:3]}
    with pytest.raises(RequestError, match=r"items\[0\].*did you mean 'k4-3'"):
        similar_items(scorer, ["k4-33"])


def test_a_row_is_tried_as_a_form_has_it(trained):
    """Items stand with commas between them."""
    factory, _ = trained
    (field,) = request_form(factory, shop.LINE).fields
    tried = try_row(factory, shop.LINE, {"history": "k5-1, k5-2"})
    by_line = try_row(factory, shop.LINE, {"history": "k5-1\r\nMatrix, The\r\n"})

    assert ("history", "list") == (field.name, field.type)
    assert isinstance(field.example, list)
    assert ["k5-1", "k5-2"] == tried.row["history"]
    assert ["k5-1", "Matrix, The"] == by_line.row["history"]
    assert tried.answer["prediction"][0].startswith("k5")
    assert [*tried.answer["prediction"]] == [*tried.explained["score"]]
    assert ("history: the model does not know 1 of 2 items",) == by_line.warnings


def test_files_are_answered_labelled_and_watched(trained):
    """Clicks and purchases come by the id of the answer."""
    factory, clock = trained
    histories = [f'["{shop.item(number % shop.KINDS, 0)}"]' for number in range(40)]
    asked, out, truth = (factory.root / name for name in ("asked.csv", "answers.csv", "truth.csv"))
    pl.DataFrame({"history": histories}).write_csv(asked)
    predict_file(factory, shop.LINE, asked, out)
    answers = pl.read_csv(out)
    taken = [f'["{shop.item(number % shop.KINDS, 1)}"]' for number in range(40)]
    taken[-1] = "[]"  # nothing was taken: no list would have been right
    answers.select("id", label=pl.Series(taken)).write_csv(truth)
    told = hand_in(factory, shop.LINE, truth)
    clock.at += timedelta(days=1, seconds=1)
    tend_inline(factory, shop.LINE)
    (watched,) = factory.metadata.events(Watched, line=shop.LINE)
    measured = factory.metadata.get(watched.performance, Performance)

    assert 5 == len(read_list(answers["prediction"][0]))
    assert 40 == told["accepted"]
    assert ("ndcg@10", 39) == (measured.metric, measured.labelled)
    assert measured.value > 0.3


def test_a_label_that_is_no_list_is_refused_and_a_single_item_is_a_list(trained):
    """Nothing taken is a label too."""
    from linewright.serve.feedback.parse import check_labels

    package = package_of(trained[0])
    given = [["k1-1", "k1-2", "k1-1"], {"items": ["k1-1"]}, "k1-1", '["k1-1"]', []]
    kept = check_labels([{"id": "a", "label": label} for label in given], package)

    assert ['["k1-1","k1-2"]', '["k1-1"]', '["k1-1"]', '["k1-1"]', "[]"] == [one.label for one in kept]
    with pytest.raises(RequestError, match=r"labels\[0\].label: not a list of items"):
        check_labels([{"id": "a", "label": None}], package)


def test_an_item_that_first_appears_after_the_cut_is_never_listed(tmp_path: Path):
    """What is to come is not known when the model is made."""
    factory, _ = shop.make_shop(tmp_path / "factory")
    late = shop.sales().tail(60).with_columns(item=pl.lit("future"))
    pl.concat([shop.sales(), late]).sort("at", maintain_order=True).write_csv(factory.root / "sales.csv")
    with factory:
        execute_inline(factory, shop.LINE)
        package = package_of(factory)

    assert "future" not in package.encoder.items


def test_at_most_so_many_of_one_category_are_listed(tmp_path: Path):
    """A shop window that shows ten of one kind sells less."""
    factory, _ = shop.make_shop(tmp_path / "factory", more=", at_most: {kind: 2}")
    with factory:
        execute_inline(factory, shop.LINE)
        scorer = Scorer(load(find_model(factory, shop.LINE).digest, factory.artifacts.get))
        answers = scorer.score([{"history": [shop.item(kind, 0)]} for kind in range(shop.KINDS)])

    for answer in answers:
        kinds = [item[:2] for item in answer["prediction"]]
        assert 2 == max(map(kinds.count, kinds))


def test_what_was_bought_may_be_listed_again(tmp_path: Path):
    """Milk is bought every week."""
    factory, _ = shop.make_shop(tmp_path / "factory", more=", again: true")
    with factory:
        execute_inline(factory, shop.LINE)
        scorer = Scorer(load(find_model(factory, shop.LINE).digest, factory.artifacts.get))
        (answer,) = scorer.score([{"history": ["k3-1"]}])

    assert "k3-1" in answer["prediction"]


def test_another_length_of_lists_is_another_model(tmp_path: Path):
    """The rows are the same, and yet the old model must not serve on."""
    factory, _ = shop.make_shop(tmp_path / "factory")
    path = factory.path_of(shop.LINE)
    with factory:
        execute_inline(factory, shop.LINE)
        path.write_text(path.read_text().replace("items: 5", "items: 3"))
        ran = execute_inline(factory, shop.LINE)
        scorer = Scorer(load(ran.digest, factory.artifacts.get))

    assert 3 == len(scorer.score([{"history": []}])[0]["prediction"])


def test_the_same_events_give_the_same_digest(trained, tmp_path: Path):
    """In any folder."""
    factory, _ = shop.make_shop(tmp_path / "factory")
    with factory:
        execute_inline(factory, shop.LINE)

        assert find_model(trained[0], shop.LINE).digest == find_model(factory, shop.LINE).digest


def test_a_second_model_is_compared_user_by_user_with_the_champion(tmp_path: Path):
    """Each model has codes of its own for items, and the champion did not know the new ones."""
    factory, clock = shop.make_shop(tmp_path / "factory")
    with factory:
        execute_inline(factory, shop.LINE)
        more = shop.sales(range(shop.DAYS, shop.DAYS + 40), seed=6)
        fresh = more.with_columns(
            item=pl.when(pl.col("item") == "k0-0").then(pl.lit("a-new-one")).otherwise("item")
        )
        pl.concat([shop.sales(), fresh]).write_csv(factory.root / "sales.csv")
        clock.at += timedelta(days=40)
        ran = execute_inline(factory, shop.LINE)
        certificate = factory.metadata.get(ran.certificate, Certificate)
        items = factory.metadata.get(ran.digest, Package).encoder.items

    (gate,) = certificate.outcomes
    assert "champion" == gate.found.against
    assert -0.2 < gate.value < 0.2
    assert "a-new-one" in items


def test_answered_rows_with_their_labels_are_learned_from(tmp_path: Path):
    """What users took from lists that were shown is news that no source has."""
    factory, clock = shop.make_shop(tmp_path / "factory")
    with factory:
        execute_inline(factory, shop.LINE)
        before = dataset_of(factory).height
        clock.at += timedelta(hours=1)
        asked, out, truth = (factory.root / name for name in ("asked.csv", "answers.csv", "truth.csv"))
        pl.DataFrame({"customer": ["c001"] * 3, "history": ['["k1-1"]', '["k1-2"]', "[]"]}).write_csv(asked)
        predict_file(factory, shop.LINE, asked, out)
        pl.read_csv(out).select("id", label=pl.Series(['["k1-3"]', '["k1-4","k1-5"]', "[]"])).write_csv(truth)
        hand_in(factory, shop.LINE, truth)
        clock.at += timedelta(hours=1)
        ran = execute_inline(factory, shop.LINE, as_of=factory.now())
        rows = read_dataset(factory.metadata.get(ran.dataset, Dataset), factory.artifacts, factory.metadata)

    assert before + 3 == rows.height
    assert ['["k1-3"]', '["k1-4","k1-5"]', "[]"] == rows["item"].tail(3).to_list()


def test_it_is_rebuilt_to_the_byte(trained, tmp_path: Path):
    """From the manifest alone."""
    factory, _ = trained
    version = find_model(factory, shop.LINE)
    found = rebuild(factory, version, workers=1, scratch=tmp_path, report=lambda _: None)

    assert "R0" == found.level


def test_the_card_says_what_events_became(trained):
    """And does not count rows of histories as rows that a contract kept out."""
    factory, _ = trained
    text = str(card(factory, "shop@1").markdown)

    assert "events were read. Each row is a moment of one user" in text
    assert "kept out" not in text
    assert "there are too few test rows" not in text
    assert "It was compared with the popular items, on 182 rows" in text
    assert "| Metric | This model | 95 % interval | Popular items |" in text
    assert "its scores have parts by item of the history" in text


def test_the_evidence_says_nothing_of_classes_numbers_or_columns(trained):
    """No test row was shuffled, and no threshold is missing."""
    factory, _ = trained
    claims = [explain(factory, "shop@1")]
    for claim in claims:
        claims += claim.rests_on
    said = {one.kind: one.says for one in claims}

    assert "no threshold: what is answered does not depend on one" == said["decision"]
    assert said["explanation"].startswith("nothing by column: a list of items comes of a history alone")


def test_a_run_chooses_a_threshold_only_where_there_is_one():
    doing = {step.name: step.doing for step in STEPS}

    assert "choosing the threshold, if there is one" == doing["decide"]


def test_new_finds_user_and_time_and_leaves_out_what_was_given_back(tmp_path: Path):
    """From an event table to a promoted model without an edit."""
    (tmp_path / "factory").mkdir()
    events = shop.sales().with_columns(quantity=pl.lit(1), customer=pl.col("customer").str.slice(1))
    back = events.head(5).with_columns(quantity=pl.lit(-1))
    nobody = events.head(300).with_columns(customer=pl.lit(None, dtype=pl.String))
    pl.concat([events, back, nobody]).write_csv(tmp_path / "factory" / "events.csv")
    made = new_line(
        tmp_path / "factory",
        "shop",
        tmp_path / "factory" / "events.csv",
        GivenRoles(label="item"),
        task="recommend",
    )
    text = Path(made.path).read_text()
    with Factory.create(tmp_path / "factory", now=Clock(shop.START + timedelta(days=shop.DAYS))) as factory:
        ran = execute_inline(factory, "shop")

    assert ("recommend", "customer", "at") == (made.task, made.group, made.time)
    assert "# 300 rows have no customer; 5 give something back" in text
    assert "again: true  # " in text
    assert "took before, so lists may begin with what was just taken; `false` lists only new items" in text
    assert ran.promoted


def rated(root: Path) -> Path:
    """Write ratings as public sets have them: times are Unix seconds, and a user rates many films in one evening."""
    chance, rows = np.random.default_rng(1), list[tuple[int, int, int, int]]()
    for user in range(60):
        second = 874_724_710 + int(chance.integers(0, 10_000_000))
        for film in chance.permutation(80)[:30].tolist():
            rows.append((user + 1, film + 1, int(chance.integers(1, 6)), second))
            second += 40
    names = ["user_id", "movie_id", "rating", "timestamp"]
    pl.DataFrame(rows, schema=names, orient="row").write_csv(root / "ratings.csv")
    return root / "ratings.csv"


@pytest.mark.parametrize("label", ["movie_id", "rating"])
def test_new_proposes_to_recommend_from_events(tmp_path: Path, label: str):
    """Who does not know the word is told it, whichever column they name."""
    made = new_line(tmp_path, "films", rated(tmp_path), GivenRoles(label=label))
    found = [one for one in made.findings if one.check == "events"]

    assert [("movie_id",)] == [one.columns for one in found]
    assert "--label movie_id --task recommend" in finding_in_words(found[0])


def test_new_proposes_nothing_of_a_table_that_has_no_events(tmp_path: Path):
    """One row a user is no history."""
    pl.read_csv(rated(tmp_path)).unique("user_id").write_csv(tmp_path / "once.csv")
    made = new_line(tmp_path, "films", tmp_path / "once.csv", GivenRoles(label="movie_id"))

    assert not [one for one in made.findings if one.check == "events"]


def test_new_names_a_column_of_which_lists_may_have_so_many(tmp_path: Path):
    """Each film has one studio, and several moods; who knows no word for it would not find `at_most`."""
    table = pl.read_csv(rated(tmp_path)).with_columns(
        studio=pl.format("s{}", pl.col("movie_id") % 5), mood=pl.format("m{}", pl.int_range(pl.len()) % 3)
    )
    table.write_csv(tmp_path / "rated.csv")
    made = new_line(tmp_path, "films", tmp_path / "rated.csv", GivenRoles(label="movie_id"), task="recommend")
    path = Path(made.path)
    path.write_text(path.read_text().replace("# at_most: {studio: 3}", "at_most: {studio: 1}"))
    with Factory.create(tmp_path, now=Clock(datetime(1999, 1, 1, tzinfo=UTC))) as factory:
        model = load(execute_inline(factory, "films").digest, factory.artifacts.get)
    items = Scorer(model).score([{"history": ["1"]}])[0]["prediction"]

    assert len(items) == len({int(one) % 5 for one in items}) > 1
    assert "mood" not in path.read_text()


def test_new_makes_an_evening_one_moment_and_names_the_rating(tmp_path: Path):
    """Each of very many moments would be a row, and a run takes minutes in place of seconds."""
    made = new_line(tmp_path, "films", rated(tmp_path), GivenRoles(label="movie_id"), task="recommend")
    text = Path(made.path).read_text()
    with Factory.create(tmp_path, now=Clock(datetime(1999, 1, 1, tzinfo=UTC))) as factory:
        ran = execute_inline(factory, "films")
        rows = read_dataset(factory.metadata.get(ran.dataset, Dataset), factory.artifacts, factory.metadata)

    assert "every: 1d  # a user has events at" in text
    assert "again: false  # " in text
    assert (
        "so lists have only items that are new to the user; `true` may list those of the history too" in text
    )
    assert "# rating is not used: each event counts alike" in text
    assert 'where "rating" >=' in text
    assert rows.height < 200


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"label": "itme"}, "--label: the data has no such column.*item"),
        ({"label": "item", "key": "who"}, "--key: this is not for lines of task recommend"),
        ({"label": "item"}, "--group: it is not known which column says who took an item.*allowed: who"),
    ],
)
def test_new_asks_for_what_it_cannot_tell(tmp_path: Path, given: dict[str, str], match: str):
    """Rather than to guess who is who."""
    shop.sales().drop("kind").rename({"customer": "who"}).write_csv(tmp_path / "events.csv")

    with pytest.raises(RequestError, match=match):
        new_line(tmp_path, "shop", tmp_path / "events.csv", GivenRoles(**given), task="recommend")


@pytest.mark.parametrize(
    ("old", "new", "match"),
    [
        ("group: customer, ", "", "table.group"),
        ("time: at, ", "", "table.time"),
        ("recommend: {items: 5, history: 20}\n", "", "recommend: {}"),
        ("task: recommend", "task: multiclass", "recommend"),
        ("group: customer", "group: customer, key: item", "table.key"),
        ("budget: quick", "budget: quick, metric: novelty@10", "train.metric|lists can be varied"),
        ("group: customer", "group: customer, subject: kind", "nobody else could be forgotten"),
        ("budget: quick", "budget: quick, split: {by: random}", "not by time"),
        ("watch:", "gates: [{fairness: kind, at_most: 0.1}]\nwatch:", "fairness"),
        ("history: 20", "history: 20, at_most: {kid: 2}", "did you mean 'kind'"),
        (
            "history: 20",
            "history: 20, at_most: {artist: 2}",
            r"add artist: \{type: category\} under contract.columns",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(tmp_path: Path, old: str, new: str, match: str):
    """Before anything is read."""
    factory, _ = shop.make_shop(tmp_path / "factory")
    path = factory.path_of(shop.LINE)
    path.write_text(path.read_text().replace(old, new))
    with factory, pytest.raises(SpecError, match=match):
        execute_inline(factory, shop.LINE)


def test_another_section_of_the_line_file_is_planned(trained: tuple[Factory, Clock]):
    """Rows are made by it, so a change of it reads the source again."""
    factory, _ = trained
    text = factory.path_of(shop.LINE).read_text()

    assert () == make_plan(factory, factory.line(shop.LINE)).changes
    changed = parse_line(text.replace("history: 20", "history: 19"), name=str(factory.path_of(shop.LINE)))
    assert {"ingest", "train"} <= {one.step for one in make_plan(factory, changed).changes}


def test_a_plan_for_more_events_calls_no_column_gone_that_is_made_of_them(trained: tuple[Factory, Clock]):
    """The column of histories was never in the source."""
    factory, _ = trained
    file = factory.root / "sales.csv"
    before = file.read_bytes()
    try:
        file.write_bytes(before + before.splitlines(keepends=True)[-1])
        reason = make_plan(factory, factory.line(shop.LINE)).changes[0].reason
    finally:
        file.write_bytes(before)

    assert () == reason.gone


def test_what_was_taken_within_a_span_is_known_at_its_end():
    """The list of a week that is half over at the cut has items of after it: its row trains nothing."""
    at = [datetime(2025, 1, day) for day in (2, 8, 3)]
    frame = pl.DataFrame({"user": ["a", "a", "b"], "at": at, "item": ["x", "y", "z"]})
    columns = tuple(
        Column(name=name, type=type_, nullable=False)
        for name, type_ in (("user", "category"), ("at", "datetime"), ("item", "category"))
    )
    data = DataSpec.model_validate(
        {
            "sources": {"s": {"file": "s.csv"}},
            "table": {"time": "at", "group": "user"},
            "label": {"column": "item"},
            "recommend": {"every": "7d"},
        }
    )
    rows, _ = rows_of_events(frame, columns, data)

    assert ['["x","y"]', '["z"]'] == rows["item"].to_list()
    assert [6 * DAY, 0] == (known_at(rows, data) - moments(rows["at"])).tolist()
