"""The columns of feature views for requests: bit by bit what training would have computed at that moment."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from databases import at_postgres, share_features
from msgspec.structs import replace

from linewright.errors import Corrupt, RequestError, Transient
from linewright.features.facts import ViewColumn, ViewFacts, ViewInput
from linewright.features.views.aggregates import read_condition
from linewright.features.views.records import (
    KEY,
    Records,
    RecordsHeader,
    aggregates_of,
    arguments_of,
    columns_of,
    known_by,
    records_path,
    write_records,
)
from linewright.features.views.windows import Events, Values, events_of, values_at, values_of
from linewright.serve.rows.body.push_request import to_new_rows
from linewright.serve.rows.lookup import feature_lookup, newer_rows
from linewright.serve.rows.lookup.feature_lookup import FeatureLookup, ViewLookup
from linewright.serve.rows.lookup.newer_rows import entity_of
from linewright.store.clock import later, micros_of
from linewright.store.pushed_rows import Columns, PushedRows
from linewright.store.shared_features import shared_features

SECOND = 1_000_000
PLACE = "rows[{}].{}".format
START = "2026-05-01T10:00:00.000000Z"
FACTS = ViewFacts(
    view="shopper",
    entity=("shopper",),
    columns=tuple(
        ViewColumn(name=name, text=text, type="number")
        for name, text in {
            "total": "sum(amount) over 1h",
            "wide": "sum(amount) over 3h",
            "n": "count() over 1h",
            "mean": "mean(amount) over 2h",
            "most": "max(amount) over 3h",
            "shops": "distinct(shop) over 3h",
            "cards": "share(method = 'card' and amount > 1) over 2h",
            "newest": "last(shop)",
            "fresh": "last(amount) over 1h",
            "since": "since()",
        }.items()
    ),
    inputs=(
        ViewInput(name="amount", type="number"),
        ViewInput(name="shop", type="category"),
        ViewInput(name="method", type="category"),
        ViewInput(name="status", type="category"),
    ),
    time="at",
    known="known",
    key="id",
    deleted="gone",
    where="status <> 'test'",
)


def at(seconds: float) -> str:
    return later(START, round(seconds * SECOND))


@dataclass
class Shop:
    """A source that rows are sent to, with a clock."""

    root: Path
    asks: Path | None = None
    """Another machine of the factory, which requests come to."""
    seconds: float = 0.0
    sent: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    """Each with when it came."""

    def __post_init__(self) -> None:
        self.state = self.root / ".linewright"
        self.state.mkdir(parents=True, exist_ok=True)
        self.pushed = PushedRows.of(self.state, "shop", now=self.now)
        self.pushed.open_for(Columns("id", "at"))
        self.view = ViewLookup((self.asks or self.root) / ".linewright", FACTS, now=self.now)

    def now(self) -> str:
        return at(self.seconds)

    def send(self, rows: list[dict[str, Any]]) -> None:
        self.seconds += 1
        self.pushed.keep(to_new_rows(rows, self.pushed.columns))
        known = micros_of(self.now())
        held = {str(row["id"]): row for _, row in self.sent}
        for row in rows:
            if held.get(str(row["id"])) != row:
                held[str(row["id"])] = row
                self.sent.append((known, row))

    def events(self) -> tuple[Events, list[str]]:
        rows = [row for _, row in self.sent]
        entities = sorted({one for row in rows if (one := entity_of(row, FACTS.entity)) is not None})
        keys = {key: number for number, key in enumerate(dict.fromkeys(row["id"] for row in rows))}
        source = {
            "amount": Values.of([row["amount"] for row in rows], "number"),
            **{
                name: Values.of([row[name] for row in rows], "category")
                for name in ("shop", "method", "status")
            },
        }
        where = read_condition(str(FACTS.where))
        columns = {one.text: values_of(one, source) for one in arguments_of(FACTS)}
        columns[KEY] = Values.of([str(row["id"]) for row in rows], "category")
        made = events_of(
            entity=np.array(
                [entities.index(row["shopper"]) if row["shopper"] else -1 for row in rows], dtype=np.int64
            ),
            time=np.array([micros_of(row["at"]) for row in rows], dtype=np.int64),
            known=np.array([known for known, _ in self.sent], dtype=np.int64),
            key=np.array([keys[row["id"]] for row in rows], dtype=np.int64),
            is_deletion=np.array([row["gone"] for row in rows], dtype=np.bool_),
            is_left_out=np.array([where.of_row(row) is not True for row in rows], dtype=np.bool_),
            columns=columns,
            entities=len(entities),
        )
        return made, entities

    def write(self, **more: Any) -> None:
        """Make a file of what is known."""
        self.seconds += 1
        _, moment = self.pushed.since(0)
        events, entities = self.events()
        known = known_by(events, moment)
        words = tuple(tuple(known.columns[text].words) for text, _ in columns_of(FACTS))
        header = RecordsHeader(
            facts=FACTS,
            known=moment,
            words=words,
            entities=len(entities),
            has_keys=True,
            **{"push": "shop", **more},
        )
        path, shared = records_path(self.state, FACTS), shared_features(self.state)
        share = None if shared is None else partial(shared.publish, path.name, moment)
        write_records(path, header, known, entities, share=share)

    def asked(self, shoppers: list[str]) -> list[tuple[dict[str, Any], Any]]:
        return [(columns, found) for columns, found, _ in self.view.of(shoppers, self.now())]

    def by_definition(self, shopper: str, known: str) -> dict[str, Any]:
        events, entities = self.events()
        number = np.array([entities.index(shopper) if shopper in entities else -1], dtype=np.int64)
        then = known_by(events, micros_of(known))
        moments = np.array([micros_of(self.now())], dtype=np.int64)
        values = values_at(then, then.slices(number), moments, aggregates_of(FACTS))
        return {name: column.to_list()[0] for name, column in values.items()}


def some_row(chance: random.Random, seconds: float) -> dict[str, Any]:
    return {
        "id": chance.randrange(30),
        "shopper": chance.choice(["ada", "bob", "cy", None]),
        "at": at(seconds - chance.choice([0, 10, 1000, 5000, 20_000, -500])),
        "amount": chance.choice([0.1, 1e16, -1e16, 3.0, None, chance.random()]),
        "shop": chance.choice(["a", "b", "c", f"new {chance.randrange(9)}", None]),
        "method": chance.choice(["card", "cash", None]),
        "status": chance.choice(["paid", "paid", "test"]),
        "gone": chance.random() < 0.1,
    }


@pytest.mark.parametrize("seed", range(12))
def test_requests_get_what_the_definition_says_under_rows_that_come_and_newer_files(tmp_path, seed):
    """Rows are late, corrected, moved to another entity, deleted; the sums have terms whose order matters."""
    compare_with_the_definition(random.Random(seed), Shop(tmp_path))


@pytest.mark.parametrize("seed", [12, 13])
def test_requests_get_it_on_another_machine_too(tmp_path, seed, postgres, monkeypatch):
    """Machines share rows and records, and nothing else."""
    for folder in ("a", "b"):
        share_features(tmp_path / folder)
    with at_postgres(postgres, monkeypatch):
        compare_with_the_definition(random.Random(seed), Shop(tmp_path / "a", tmp_path / "b"))


def compare_with_the_definition(chance: random.Random, shop: Shop) -> None:
    shop.send([some_row(chance, 0) for _ in range(20)])
    shop.write()
    shop.view.refresh()
    compared = 0
    for _ in range(40):
        match chance.randrange(5):
            case 0 | 1:
                shop.send([some_row(chance, shop.seconds) for _ in range(chance.randrange(1, 4))])
            case 2:
                shop.seconds += chance.choice([1, 600, 4000])
            case 3:
                shop.write()
            case _:
                shop.view.refresh()
        shoppers = ["ada", "bob", "cy", "dee"]
        for shopper, (columns, found) in zip(shoppers, shop.asked(shoppers), strict=True):
            assert repr(shop.by_definition(shopper, found.known)) == repr(columns)
            assert (found.record is None) == (columns["since"] is None)
            compared += 1
    assert 160 == compared


def test_what_was_sent_counts_after_the_next_look_and_newer_files_hold_it(tmp_path):
    """Until then an answer says how old what it knows is."""
    shop = Shop(tmp_path)
    row = {
        **some_row(random.Random(1), 0),
        "shopper": "ada",
        "amount": 2.5,
        "status": "paid",
        "gone": False,
        "at": at(0),
    }
    shop.send([{**row, "id": 1}])
    shop.write()
    ((before, first),) = shop.asked(["ada"])
    shop.send([{**row, "id": 2}])
    shop.seconds += 1
    ((unseen, _),) = shop.asked(["ada"])
    shop.view.refresh()
    ((seen, second),) = shop.asked(["ada"])
    shop.write()
    shop.view.refresh()
    ((whole, third),) = shop.asked(["ada"])

    assert [1, 1, 2, 2] == [one["n"] for one in (before, unseen, seen, whole)]
    assert first.known < second.known < third.known
    assert first.record != second.record == third.record
    assert [2.5, 2.5, 5.0, 5.0] == [one["total"] for one in (before, unseen, seen, whole)]


def test_a_late_row_takes_no_place_and_a_deleted_newest_row_gives_its_place_back(tmp_path):
    """Rows come in any order; what was the newest before is in the file of records though it is older than each window."""
    shop = Shop(tmp_path)
    usual = {**some_row(random.Random(1), 0), "shopper": "ada", "status": "paid", "gone": False}
    old = [
        {**usual, "id": number, "at": at(-90_000 + 10 * number), "shop": f"s{number}"} for number in range(9)
    ]
    shop.send(old)
    shop.write()
    shop.view.refresh()

    def last(*rows: dict[str, Any]) -> str | None:
        shop.send(list(rows))
        shop.seconds += 1
        shop.view.refresh()
        ((columns, found),) = shop.asked(["ada"])
        assert repr(shop.by_definition("ada", found.known)) == repr(columns)
        return columns["newest"]

    assert "s8" == last({**usual, "id": 20, "at": at(-95_000), "shop": "late"})
    assert "s7" == last({**old[8], "gone": True})
    assert "s3" == last(*({**old[number], "gone": True} for number in (7, 6, 5, 4)))
    assert "s9" == last({**usual, "id": 9, "at": at(-1), "shop": "s9"})
    assert "s3" == last({**usual, "id": 9, "at": at(-1), "shop": "s9", "gone": True})


@pytest.mark.parametrize("moment", ["0001-01-01T00:00:00+05:00", "9999-12-31T23:59:59-05:00"])
def test_a_time_whose_utc_has_no_calendar_day_does_not_end_the_lookup(tmp_path, moment):
    """Anyone who may push rows could otherwise stop the thread that refreshes the views of all lines."""
    shop, usual = Shop(tmp_path), {**some_row(random.Random(1), 0), "status": "paid", "gone": False}
    shop.write()
    shop.view.refresh()
    shop.send([{**usual, "id": 1, "shopper": "ada", "at": moment}])
    shop.send([{**usual, "id": 2, "shopper": "bob", "at": at(0)}])
    shop.seconds += 1
    shop.view.refresh()

    for shopper, (columns, found) in zip(["ada", "bob"], shop.asked(["ada", "bob"]), strict=True):
        assert repr(shop.by_definition(shopper, found.known)) == repr(columns)


@pytest.mark.parametrize(
    ("otherwise", "age_s", "shopper", "expected"),
    [
        ("answer", 100, "ada", 1),
        ("answer", 100, "dee", None),
        ("default", 1, "ada", 1),
        ("default", 100, "ada", None),
        ("refuse", 1, "ada", 1),
        ("refuse", 100, "ada", "is too old"),
        ("refuse", 1, "dee", "knows nothing of this shopper"),
    ],
)
def test_a_record_that_is_too_old_or_absent_is_answered_defaulted_or_refused(
    tmp_path, otherwise, age_s, shopper, expected
):
    """The view's file says which."""
    shop = Shop(tmp_path)
    shop.send(
        [
            {
                **some_row(random.Random(1), 0),
                "id": 1,
                "shopper": "ada",
                "status": "paid",
                "gone": False,
                "at": at(0),
            }
        ]
    )
    shop.write(push=None, max_age=30 * SECOND, otherwise=otherwise)
    shop.seconds += age_s
    views = FeatureLookup(shop.state, now=shop.now)
    fill: Callable[[], Any] = lambda: views.fill(  # noqa: E731
        [{"shopper": shopper}], [FACTS], now=shop.now(), place=PLACE
    )
    if isinstance(expected, str):
        with pytest.raises(RequestError, match=expected) as refused:
            fill()
        assert "rows[0].shopper" == refused.value.where
    else:
        filled = fill()
        assert expected == filled.rows[0]["n"]
        assert age_s == pytest.approx(filled.found[0]["shopper"].age, abs=0.01)
    views.close()


def test_a_row_with_columns_of_the_view_keeps_them_and_without_records_there_is_no_answer(tmp_path):
    """Who has better knowledge sends it."""
    views = FeatureLookup(tmp_path)
    place = PLACE
    brings = [{"shopper": "ada", "n": 7}]

    assert brings is views.fill(brings, [FACTS], now=at(0), place=place).rows
    with pytest.raises(Transient, match="records of feature view 'shopper' are not there"):
        views.fill([{"shopper": "ada"}], [FACTS], now=at(0), place=place)
    views.close()


def test_an_entity_whose_rows_are_all_too_old_is_named_in_a_warning(tmp_path):
    """Its record is there, and yet the row gets nothing."""
    facts = replace(
        FACTS,
        columns=(ViewColumn(name="fresh", text="last(amount) over 1h", type="number"),),
        inputs=(ViewInput(name="amount", type="number"),),
        key=None,
        deleted=None,
        where=None,
    )
    now = micros_of(at(0))
    times = np.array([now - 7_200 * SECOND, now - 60 * SECOND])
    (text,) = (text for text, _ in columns_of(facts))
    events = events_of(
        entity=np.arange(2), time=times, known=times, columns={text: Values.of([1.0, 2.0], "number")}
    )
    header = RecordsHeader(facts=facts, known=now, words=((),), entities=2, has_keys=False)
    write_records(
        records_path(tmp_path, facts),
        header,
        events,
        [entity_of({"shopper": one}, ["shopper"]) or "" for one in ("ada", "bob")],
    )
    views = FeatureLookup(tmp_path)

    filled = views.fill([{"shopper": "ada"}, {"shopper": "bob"}], [facts], now=at(0), place=PLACE)

    assert [None, 2.0] == [row["fresh"] for row in filled.rows]
    said = "feature view 'shopper' has no value for shopper ada: its rows are too old to count (view-old)"
    assert {0: [said]} == filled.warnings
    assert ["view-old", None] == [one["shopper"].missing for one in filled.found]
    (absent,) = views.fill([{"shopper": "dee"}], [facts], now=at(0), place=PLACE).found
    assert ("view-absent", None) == (absent["shopper"].missing, absent["shopper"].record)
    long_after = views.fill([{"shopper": "bob"}], [facts], now=at(4000), place=PLACE)
    assert "view-old" == long_after.found[0]["shopper"].missing
    views.close()


def test_of_more_rows_than_are_held_none_is_known_until_there_is_a_newer_file(tmp_path, monkeypatch):
    """Its age says so."""
    shop = Shop(tmp_path)
    row = {**some_row(random.Random(1), 0), "shopper": "ada", "status": "paid", "gone": False, "at": at(0)}
    shop.send([{**row, "id": 1}])
    shop.write()
    shop.asked(["ada"])
    for module in (feature_lookup, newer_rows):
        monkeypatch.setattr(module, "MOST_NEWER_ROWS", 2)
    shop.send([{**row, "id": number} for number in range(2, 6)])
    shop.seconds += 9
    shop.view.refresh()
    ((before, old),) = shop.asked(["ada"])
    shop.write()
    shop.view.refresh()
    ((after, new),) = shop.asked(["ada"])

    assert [1, 5] == [before["n"], after["n"]]
    assert new.age < 2
    assert old.age > 9


def test_rows_of_a_canary_get_the_views_that_it_learned(tmp_path):
    """The champion may know a view of the same name otherwise."""
    shop = Shop(tmp_path)
    shop.send(
        [
            {
                **some_row(random.Random(1), 0),
                "id": 1,
                "shopper": "ada",
                "status": "paid",
                "gone": False,
                "at": at(0),
            }
        ]
    )
    shop.write()
    shop.seconds += 1
    views, rows = FeatureLookup(shop.state, now=shop.now), [{"shopper": "ada"} for _ in range(3)]
    of_champion = views.fill(rows, [FACTS], now=shop.now(), place=PLACE, only=[0, 2])
    whole = of_champion.with_rows_of(views.fill(rows, [], now=shop.now(), place=PLACE, only=[1]), [1])

    assert [1, None, 1] == [row.get("n") for row in whole.rows]
    assert [True, False, True] == [bool(one) for one in whole.found]
    assert {} == whole.warnings

    named = [{"shopper": "ada"}, {"shopper": "eve"}, {"shopper": "ada", "n": 3}]
    of_champion = views.fill(named, [FACTS], now=shop.now(), place=PLACE, only=[0, 2])
    of_canary = views.fill(named, [FACTS], now=shop.now(), place=PLACE, only=[1])
    whole = of_champion.with_rows_of(of_canary, [1])

    assert [1, 2] == sorted(whole.warnings)
    assert [1] == list(whole.unknown)
    views.close()


def test_a_file_of_records_is_whole_or_not_there(tmp_path):
    """Who reads it meanwhile reads the one before to its end."""
    shop = Shop(tmp_path)
    before: Records | None = None
    for number in range(3):
        shop.send(
            [
                {
                    **some_row(random.Random(number), 0),
                    "id": number,
                    "shopper": "ada",
                    "status": "paid",
                    "gone": False,
                }
            ]
        )
        shop.write()
        path = records_path(shop.state, FACTS)
        records = Records(path)
        if before is not None:
            assert [number] == before.find(["ada"]).counts.tolist()
        before = records

    assert [path.name] == [one.name for one in path.parent.iterdir()]


def test_each_of_many_records_is_found_and_a_damaged_file_is_refused(tmp_path):
    """A record is found by the hash of its entity, whichever others are near."""
    facts = ViewFacts(
        view="v",
        entity=("e",),
        columns=(ViewColumn(name="x", text="last(x)", type="number"),),
        inputs=(ViewInput(name="x", type="number"),),
        time="at",
    )
    many = 3_000
    made = events_of(
        entity=np.arange(many),
        time=np.zeros(many, dtype=np.int64),
        known=np.zeros(many, dtype=np.int64),
        columns={"x": Values(kind="number", numbers=np.arange(many) / 7)},
    )
    path, names = records_path(tmp_path, facts), [f"é{number}" for number in range(many)]
    header = RecordsHeader(facts=facts, known=SECOND, words=((),), entities=many, has_keys=False)
    write_records(path, header, made, names)
    asked = [name for one in names for name in (one, f"{one}?")]
    found = Records(path).find(asked)
    whole = path.read_bytes()

    assert [1, 0] * many == found.counts.tolist()
    assert (np.arange(many) / 7).tolist() == found.table[:, 1].view("<f8").tolist()
    assert many == len(set(found.digests)) - 1
    for damaged in (whole[:-8], whole + b" ", b"", b"SQLite format 3" + whole[15:], whole[:40]):
        path.write_bytes(damaged)
        with pytest.raises(Corrupt, match="cannot be the file of a feature view"):
            Records(path)
