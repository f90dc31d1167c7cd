"""A view whose rows of the past are in a table, and whose newer ones are sent: online as offline, and no row counts twice."""

import random
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from linewright.errors import SpecError
from linewright.features.spec import ViewSpec
from linewright.features.views.records import aggregates_of, known_by
from linewright.features.views.windows import Events, values_at
from linewright.line.factory import Factory
from linewright.line.file.view_file import parse_view, read_view
from linewright.line.views.read_events import ViewRows, read_events, read_rows
from linewright.line.views.write_records import write_view
from linewright.serve.rows.body.push_request import to_new_rows
from linewright.serve.rows.lookup.feature_lookup import ViewLookup
from linewright.store.clock import instant_of, micros_of, now_utc, text_of
from linewright.store.pushed_rows import Columns, PushedRows

VIEW = """\
view: paid
entity: [country, customer]
source: {file: paid.csv}
push: payments
time: paid_at
known: loaded_at
key: id
deleted: gone
columns: {total: sum(amount) over 300d, n: count() over 300d, shop: last(shop), code: last(code), since: since()}
"""
NAMES = ("id", "country", "customer", "paid_at", "loaded_at", "amount", "shop", "code", "gone")
ENTITIES = [f'["{country}","{customer}"]' for country in ("de", "fr") for customer in range(4)]
NOW = datetime.fromisoformat(now_utc())
ROWS = 120


def row(
    chance: random.Random, key: int, known: datetime, *, shops: tuple[object, ...] = (7, 8)
) -> dict[str, Any]:
    return {
        "id": key,
        "country": chance.choice(["de", "fr"]),
        "customer": chance.randrange(4),
        "paid_at": text_of(known - timedelta(hours=chance.randrange(1, 40))),
        "loaded_at": text_of(known),
        "amount": round(chance.expovariate(0.1), 2),
        "shop": chance.choice([*shops, None]),
        "code": chance.randrange(5),
        "gone": chance.random() < 0.1,
    }


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    pl.DataFrame(rows, schema=NAMES, infer_schema_length=None).write_csv(path)


def to_send(one: dict[str, Any]) -> dict[str, Any]:
    """Return a row as another program sends it: it knows nothing of loading, and spells numbers as text."""
    return {
        name: str(value) if name == "code" else value for name, value in one.items() if name != "loaded_at"
    }


def by_hand(rows: list[tuple[int, dict[str, Any]]], entity: str, moment: int) -> dict[str, Any]:
    """Say what is known of an entity, row by row; each comes with when it was known."""
    newest: dict[int, tuple[int, dict[str, Any]]] = {}
    for known, one in rows:
        if one["id"] not in newest or known >= newest[one["id"]][0]:
            newest[one["id"]] = known, one
    mine = [
        (micros_of(one["paid_at"]), known, one)
        for known, one in newest.values()
        if not one["gone"] and f'["{one["country"]}","{one["customer"]}"]' == entity
    ]
    mine = sorted((each for each in mine if each[0] <= moment), key=lambda each: each[:2])
    if not mine:
        return dict.fromkeys(("total", "n", "shop", "code", "since"))
    last = mine[-1][2]
    return {
        "total": pytest.approx(sum(one["amount"] for *_, one in mine), rel=1e-12),
        "n": len(mine),
        "shop": None if last["shop"] is None else str(last["shop"]),
        "code": last["code"],
        "since": pytest.approx((moment - mine[-1][0]) / 1e6),
    }


def offline(rows: ViewRows, events: Events, moment: int) -> list[dict[str, Any]]:
    numbers = rows.numbers_of(
        pl.DataFrame([one[2:-2].split('","') for one in ENTITIES], schema=rows.facts.entity, orient="row")
    )
    moments = np.full(len(numbers), moment, dtype=np.int64)
    found = values_at(events, events.slices(numbers), moments, aggregates_of(rows.facts))
    lists = {name: values.to_list() for name, values in found.items()}
    return [{name: values[place] for name, values in lists.items()} for place in range(len(ENTITIES))]


def test_online_is_offline_to_the_bit_whatever_the_table_says_later(tmp_path):
    """A payment is sent today and loaded tonight: it counts once, and a record made before the loading knows nothing of it."""
    chance = random.Random(5)
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "paid.yaml").write_text(VIEW)
    table = [row(chance, key % 80, NOW - timedelta(days=ROWS - key)) for key in range(ROWS)]
    table += [row(chance, 900 + key, NOW + timedelta(days=900)) for key in range(5)]
    write(tmp_path / "paid.csv", table)
    with Factory.create(tmp_path) as made:
        view = read_view(tmp_path, "paid")
        assert (
            ROWS + 5 == read_events(view, tmp_path, forgotten={}).rows
        )  # nothing was sent yet, which opens the source
        moments = iter([NOW - timedelta(days=day) for day in (2, 1)])
        pushed = PushedRows.of(made.state, "payments", now=lambda: text_of(next(moments)))
        early = [
            [row(chance, 60 + 7 * key + part, NOW, shops=("7", "s1")) for key in range(10)] for part in (0, 1)
        ]
        for rows in early:
            pushed.keep(to_new_rows([to_send(one) for one in rows], pushed.columns))
        facts = read_events(view, tmp_path, forgotten={}).facts
        assert {"amount": "number", "shop": "category", "code": "integer"} == {
            one.name: one.type for one in facts.inputs
        }
        header = write_view(made, facts)
        later = [
            row(chance, int(chance.choice([5, 65, 200])) + key, NOW, shops=("7", "s1")) for key in range(20)
        ]
        sent = PushedRows.of(made.state, "payments")
        sent.keep(to_new_rows([to_send(one) for one in later], sent.columns))
        # The table is loaded: it says again what was sent, corrects some of it, and knows it later.
        loaded = [{**one, "loaded_at": now_utc(), "amount": 1.0} for one in (*early[1], *later)]
        write(tmp_path / "paid.csv", table + loaded)
        time.sleep(0.002)
        lookup, now = ViewLookup(made.state, facts), now_utc()
        found = list(lookup.of(ENTITIES, now))
        online, one = [columns for columns, _, _ in found], found[0][1]
        rows = read_rows(ViewSpec.of(facts, view), tmp_path, forgotten={})
        mine = rows.about(np.arange(len(rows.entities)))

    moment, known = micros_of(now), micros_of(one.known)
    assert (instant_of(header.known), one.table) == (one.table, min(str(one.table), one.known))
    assert one.known <= now
    assert one.age == pytest.approx((moment - header.known) / 1e6)
    assert offline(rows, known_by(mine.events(read_by=header.known), known), moment) == online
    came = [
        (micros_of(text_of(NOW - timedelta(days=day))), each)
        for day, some in zip((2, 1), early, strict=True)
        for each in some
    ]
    counted = [
        (micros_of(each["loaded_at"]), each) for each in table if micros_of(each["loaded_at"]) <= moment
    ]
    then = [*counted, *came, *((header.known + 1, each) for each in later)]
    assert [by_hand(then, entity, moment) for entity in ENTITIES] == online
    since = [*then, *((known + 1, each) for each in loaded)]
    assert [by_hand(since, entity, moment) for entity in ENTITIES] == offline(rows, mine.events(), moment)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            VIEW.replace("key: id\n", "").replace("deleted: gone\n", ""),
            "which rows of the source are those that were sent",
        ),
        (VIEW.replace("known: loaded_at\n", ""), "which row of a key is newer"),
        (
            VIEW.replace("{file: paid.csv}", "{push: other, key: id}").replace("known: loaded_at\n", ""),
            "sent to the source already",
        ),
        (VIEW.replace("push: payments", "push: Pay ments"), "small letters, digits"),
    ],
)
def test_rows_of_two_places_must_say_which_are_the_same_and_which_is_newer(text, said):
    """Else a payment would count twice, or the wrong one would count."""
    with pytest.raises(SpecError, match=said):
        parse_view(text, name="features/paid.yaml", view="paid")


def test_a_column_that_is_of_another_kind_where_rows_are_sent_is_named(tmp_path):
    """A sum of numbers and truths would mean nothing."""
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "paid.yaml").write_text(VIEW)
    write(tmp_path / "paid.csv", [row(random.Random(1), 1, NOW)])
    with Factory.create(tmp_path) as made:
        pushed = PushedRows.of(made.state, "payments")
        pushed.open_for(Columns("id", "paid_at"))
        one = to_send(row(random.Random(1), 2, NOW)) | {"amount": True}
        pushed.keep(to_new_rows([one], pushed.columns))
        with pytest.raises(SpecError, match=r"paid.yaml:9:11: in the rows that were sent: sum.*'amount'"):
            read_events(read_view(tmp_path, "paid"), tmp_path, forgotten={})


PROFILE = """\
view: profile
entity: store
source: {file: stores.csv}
push: stores
known: said_at
key: store
columns: {size: last(size), n: count() over 9d}
"""


def test_facts_without_a_time_are_sent_too_and_count_from_when_they_came(tmp_path):
    """Facts that hold at all times are looked up as others are."""
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "profile.yaml").write_text(PROFILE)
    plain = PROFILE.replace("push: stores\nknown: said_at\nkey: store\n", "time: none\n")
    (tmp_path / "features" / "always.yaml").write_text(
        plain.replace("view: profile", "view: always").replace(", n: count() over 9d", "")
    )
    (tmp_path / "stores.csv").write_text("store,size,said_at\n1,10,2020-01-01\n2,20,2020-01-01\n")
    with Factory.create(tmp_path) as made:
        views = [
            read_events(read_view(tmp_path, name), tmp_path, forgotten={}).facts
            for name in ("profile", "always")
        ]
        for facts in views:
            write_view(made, facts)
        sent = PushedRows.of(made.state, "stores")
        assert Columns("store", None) == sent.columns
        sent.keep(to_new_rows([{"store": 1, "size": 30}], sent.columns))
        time.sleep(0.002)
        lookups = [ViewLookup(made.state, facts) for facts in views]
        found = [[columns for columns, *_ in one.of(["1", "2", "3"], now_utc())] for one in lookups]
        now, always = (
            read_events(read_view(tmp_path, name), tmp_path, forgotten={}) for name in ("profile", "always")
        )

    assert (None, None) == (always.newest, always.newest_known)
    assert [{"size": 30, "n": 1}, {"size": 20, "n": 0}, {"size": None, "n": None}] == found[0]
    assert [{"size": 10}, {"size": 20}, {"size": None}] == found[1]
    assert [30, 20] == values_at(
        now.events,
        now.events.slices(np.arange(2)),
        np.full(2, micros_of(now_utc())),
        aggregates_of(now.facts),
    )["size"].to_list()
