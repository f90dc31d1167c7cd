"""What a file of a view may say, and what is said of each mistake in it."""

import polars as pl
import pytest
from paid import FILE, VIEW, write, write_factory

from linewright.capabilities.proposals.line_file import may_read
from linewright.data.ingest import check_sources
from linewright.data.read.source import open_source
from linewright.errors import LinewrightError, NotFound, SpecError
from linewright.line.factory import Factory
from linewright.line.file.read import parse_line
from linewright.line.file.view_file import parse_view, read_view, read_views
from linewright.line.views.point_in_time_join import ViewColumns
from linewright.line.views.read_events import read_events
from linewright.line.views.sources import files_read
from linewright.serve.access.rights import ROLES, Identity, Scope


def parsed(text: str):
    return parse_view(text, name="features/customer_30d.yaml", view="customer_30d")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("view: customer_30d", "view: other", r"yaml:1:1: the view is not named as its file: found 'other'"),
        ("view: customer_30d", "view: A", r"yaml:1:7: 'view' cannot have this value: found 'A'"),
        ("entity: customer\n", "", "yaml:1:1: 'entity' is missing in the file of the feature view"),
        ("known: ", "knwon: ", r"yaml:5:1: unknown word.*did you mean 'known'"),
        ("key: id\n", "", r"yaml:6:1: a row deletes what has its key.*add key: COLUMN"),
        ("last(amount)", "lst(amount)", r"yaml:13:3: unknown function: found 'lst'.*did you mean 'last'"),
        ("count() over 7d", "count()", r"yaml:10:3: count needs a window"),
        ("since_last:", "customer:", r"yaml:15:3: a column of the view has this name already"),
        ("deleted: gone", "where: amount >", r"yaml:7:1: here should be a constant"),
        ("deleted: gone", "ttl: 90 days", r"'ttl' cannot have this value"),
        ("deleted: gone", "ttl: 0d", r"no row is so young"),
        ("{file: payments.csv}", "{push: payments, key: id}", r"rows that are sent are known when they came"),
        (
            "source: {file: payments.csv}\ntime: paid_at",
            "source: {push: payments, key: id}",
            r"yaml:4:1: rows that are sent are known when they came",
        ),
        (
            "time: paid_at\nknown: loaded_at\n",
            "",
            r"yaml:1:1: 'time' is missing in the file of the feature view.*or ``none``: rows hold at",
        ),
        ("paid_at\nknown: loaded_at", "none", r"yaml:8:3: the rows have no time.*last\(COLUMN\)"),
        (
            "time: paid_at",
            "time: none",
            r"yaml:4:1: the rows hold from when they were known.*leave `time` out",
        ),
        ("{file: payments.csv}", "{fil: payments.csv}", "'source'"),
        (
            "{file: payments.csv}",
            '{sql: "select 1", at: "env:DB", key: id, cursor: at}',
            r"yaml:5:1: the versions of a row are known .*leave it out, and say known: loaded_at in the source",
        ),
        (
            "{file: payments.csv}\ntime: paid_at\nknown: loaded_at\nkey: id",
            '{sql: "select 1", at: "env:DB", key: id, cursor: at}\ntime: paid_at\nkey: other',
            r"yaml:5:1: the rows of a source with a cursor have its key.*leave `key` out",
        ),
    ],
)
def test_a_mistake_in_a_file_is_said_with_line_and_column(old, new, message):
    with pytest.raises(SpecError, match=message):
        parsed(VIEW.replace(old, new))


def test_the_time_and_key_of_rows_that_are_sent_need_not_be_said_twice():
    sent = VIEW.replace("known: loaded_at\nkey: id\n", "").replace(
        "{file: payments.csv}", "{push: payments, key: id, time: sent_at}"
    )

    view = parsed(sent.replace("time: paid_at\n", ""))

    assert ("id", "sent_at") == (view.key, view.time)
    assert "paid_at" == parsed(sent).time
    versions = VIEW.replace("known: loaded_at\nkey: id\n", "").replace("time: paid_at\n", "")
    sql = '{sql: "select 1", at: "env:DB", key: id, cursor: at}'
    assert "linewright_known" == parsed(versions.replace("{file: payments.csv}", sql)).time


def test_all_mistakes_of_a_file_are_listed():
    with pytest.raises(SpecError) as caught:
        parsed(VIEW.replace("sum(", "sun(").replace("count() over 7d", "count()"))

    assert 2 == len(caught.value.details["errors"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "sum(amount)",
            "sum(amont)",
            r"features/customer_30d.yaml:9:3: .*no such column: found 'amont'.*'amount'",
        ),
        ("sum(amount)", "sum(method)", r"yaml:9:3: sum is of numbers, and 'method' is a category"),
        ("= 'card'", "= 3", r"compares it with another type"),
        ("last(method)", "last(paid_at)", r"does not read columns of this type"),
        (
            "time: paid_at",
            "time: payed_at",
            r"yaml:4:1: the source has no such column: found 'payed_at'.*'paid_at'",
        ),
        ("known: loaded_at", "known: merchant", r"yaml:5:1: 'merchant' is not a time in all rows"),
        ("deleted: gone", "deleted: method", r"yaml:7:1: 'method' is a category.*true and false"),
        ("entity: customer", "entity: client", r"yaml:2:1: the source has no such column"),
        ("file: payments.csv", "file: nothing.csv", r"features/customer_30d.yaml:3:10"),
        ("deleted: gone", "zone: Mars/Base", "no such time zone"),
    ],
)
def test_a_source_that_has_not_what_a_view_reads_is_refused(tmp_path, old, new, message):
    write_factory(tmp_path, payments=50, orders=5)
    (tmp_path / "features" / "customer_30d.yaml").write_text(VIEW.replace(old, new))
    with pytest.raises(LinewrightError) as caught:
        read_events(read_view(tmp_path, "customer_30d"), tmp_path, forgotten={})

    caught.match(message)


def table(root, text=FILE, served=()):
    spec = parse_line(text, name="lines/orders.yaml")
    views = [read_events(view, root, forgotten={}) for view in read_views(root, spec.features)]
    sources = [open_source(name, one, root) for name, one in spec.sources.items()]
    return check_sources(sources, spec, served, added=ViewColumns(views, str(spec.table.time)))


@pytest.mark.parametrize(
    ("view", "line", "message"),
    [
        (("amount_30d", "basket"), ("", ""), "features: the table has a column 'basket' already"),
        (("", ""), ("time: at", "time: basket"), "features are of the moment of a row"),
        (
            ("entity: customer", "entity: merchant"),
            ("", ""),
            "the table has no column 'merchant', which feature view 'customer_30d' needs",
        ),
        (
            ("", ""),
            (
                "table: {",
                'table: {sql: "select * exclude (customer), customer as customers from orders", ',
            ),
            "did you mean 'customers'\\? if so, make it in table.sql: customers as customer",
        ),
        (
            ("", ""),
            ("train:", "contract: {columns: {late: {type: category}}}\ntrain:"),
            "the contract does not name the column 'customer'",
        ),
    ],
)
def test_a_table_that_does_not_suit_a_view_is_refused(tmp_path, view, line, message):
    write_factory(tmp_path, payments=50, orders=30)
    (tmp_path / "features" / "customer_30d.yaml").write_text(VIEW.replace(*view))
    with pytest.raises(SpecError, match=message):
        table(tmp_path, FILE.replace(*line))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (", time: at", "", "no column is named as its time.*add table.time"),
        ("[customer_30d]", "[customer_30d, customer_30d]", "the feature view is named twice"),
        ("task: binary", "task: recommend", "a line that recommends makes its rows of others"),
    ],
)
def test_a_line_that_cannot_have_features_is_refused(old, new, message):
    text = FILE.replace(old, new).replace(
        "task: recommend, budget: quick, folds: 2}", "task: recommend}\nrecommend: {}"
    )
    with pytest.raises(SpecError) as caught:
        parse_line(text, name="lines/orders.yaml")

    assert any(message.split(".*")[0] in one["message"] for one in caught.value.details["errors"])


def test_views_that_are_not_there_or_name_a_column_twice_are_refused(tmp_path):
    write_factory(tmp_path, payments=50, orders=5)
    with pytest.raises(
        NotFound, match=r"features\[0\]: unknown feature view: found 'customer'.*customer_30d"
    ):
        read_views(tmp_path, ["customer"])
    (tmp_path / "features" / "again.yaml").write_text(VIEW.replace("view: customer_30d", "view: again"))
    with pytest.raises(SpecError, match=r"features\[1\]: two views of the line have a column 'amount_30d'"):
        read_views(tmp_path, ["customer_30d", "again"])


def test_a_contract_may_name_columns_of_views_and_need_not(tmp_path):
    """Those that it does not name are features all the same: the line asked for them."""
    write_factory(tmp_path, payments=300, orders=60)
    contract = "contract: {columns: {order: {type: category}, customer: {type: category}, at: {type: datetime}, late: {type: category},"
    text = FILE.replace(
        "train:", contract + " amount_30d: {type: number, max: 100, on_breach: warn}}}\ntrain:"
    )
    checked = table(tmp_path, text)

    assert {"payments_7d", "since_last"} <= {column.name for column in checked.columns}
    assert ["amount_30d"] == [one.column for one in checked.breaches if one.kind == "max"]
    assert "integer" == next(column.type for column in checked.columns if column.name == "payments_7d")


def test_entities_of_several_columns_and_of_numbers_are_found_by_their_spelling(tmp_path):
    (tmp_path / "features").mkdir()
    rows = [["7", "a", "2026-01-01", "1"], ["7", "b", "2026-01-02", "2"], ["8", "a", "2026-01-03", "4"]]
    write(tmp_path / "p.csv", "shop,product,day,x", rows)
    asked = [["7", "a", "2026-01-05", "u"], ["8", "a", "2026-01-05", "v"], ["9", "a", "2026-01-05", "u"]]
    write(tmp_path / "t.csv", "shop,product,at,y", asked)
    (tmp_path / "features" / "v.yaml").write_text(
        "view: v\nentity: [shop, product]\nsource: {file: p.csv}\ntime: day\ncolumns: {x: last(x), n: count() over 3d}\n"
    )
    text = "line: l\nsources: {t: {file: t.csv}}\ntable: {time: at}\nfeatures: [v]\nlabel: {column: y}\n"
    spec = parse_line(text, name="lines/l.yaml")
    views = [read_events(view, tmp_path, forgotten={}) for view in read_views(tmp_path, spec.features)]
    sources = [open_source(name, one, tmp_path) for name, one in spec.sources.items()]
    frame = check_sources(sources, spec, added=ViewColumns(views, "at")).frame.sort("shop")

    assert [1, 4, None] == frame["x"].to_list()
    # The first of January is more than three days before the fifth.
    assert [0, 1, None] == frame["n"].to_list()


STORES = (
    "view: stores\nentity: store\nsource: {file: stores.csv}\ncolumns: {size: last(size), town: last(town)}\n"
)


def stores_at(root, text: str, moments: list[str | None]) -> list[list[object]]:
    (root / "features").mkdir(exist_ok=True)
    (root / "features" / "stores.yaml").write_text(text)
    rows = [
        ["s1", "10", "Oslo", "2026-05-01"],
        ["s2", "20", "Lima", "2026-06-01"],
        ["s1", "30", "Oslo", "2026-07-01"],
    ]
    write(root / "stores.csv", "store,size,town,said_at", rows)
    asked = pl.DataFrame(
        {"store": ["s1"] * len(moments), "at": pl.Series(moments, dtype=pl.String).str.to_datetime()}
    )
    views = [read_events(read_view(root, "stores"), root, forgotten={})]
    return ViewColumns(views, "at").of(asked)["size"].to_list()


def test_facts_without_a_time_hold_from_when_they_were_known(tmp_path):
    """A profile of a store has no event: what is known of it is what was said last."""
    moments = ["2026-04-01T00:00", "2026-05-02T00:00", "2026-07-02T00:00", None]

    assert [None, 10, 30, None] == stores_at(tmp_path, STORES + "known: said_at\n", moments)


def test_facts_that_hold_always_hold_for_each_row(tmp_path):
    """The last row of a store counts, whenever its table was written; `check` says what that risks."""
    assert [30, 30] == stores_at(tmp_path, STORES + "time: none\n", ["1970-01-02T00:00", None])


def test_a_column_that_is_called_as_the_lack_of_a_time_is_not_taken_for_it(tmp_path):
    stores_at(tmp_path, STORES + "time: none\n", [])
    write(tmp_path / "stores.csv", "store,size,town,none", [["s1", "1", "Oslo", "2026-05-01"]])

    with pytest.raises(SpecError, match=r"yaml:5:1: .*a column of this name"):
        read_events(read_view(tmp_path, "stores"), tmp_path, forgotten={})


def test_times_of_a_zone_are_those_of_the_zone(tmp_path):
    write(tmp_path / "p.csv", "who,at,x", [["a", "01.07.2026 12:00", "1"]])
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "v.yaml").write_text(
        "view: v\nentity: who\nsource: {file: p.csv}\ntime: at\nzone: Europe/Berlin\ncolumns: {x: last(x)}\n"
    )

    assert [1_782_900_000_000_000] == read_events(
        read_view(tmp_path, "v"), tmp_path, forgotten={}
    ).events.time.tolist()


def test_another_view_is_read_for_a_proposed_file_only_for_who_may_train(tmp_path):
    """What is wrong with the rows of a view shows some of them, so that nobody may have any view read by a proposal."""
    write_factory(tmp_path, payments=50, orders=5)
    plain, named = (parse_line(text, name="lines/orders.yaml") for text in (_without_features(), FILE))
    (tmp_path / "lines" / "orders.yaml").write_text(_without_features())
    analyst = Identity(actor="ann", scopes=(Scope(permissions=ROLES["analyst"], lines=None),), member="ann")
    with Factory.create(tmp_path) as factory:
        assert may_read(factory, named)
        factory.identity = analyst
        assert (True, False) == (may_read(factory, plain), may_read(factory, named))


def _without_features() -> str:
    return FILE.replace("features: [customer_30d]\n", "")


def test_answered_rows_keep_the_columns_they_were_answered_with_and_get_those_that_came_later(tmp_path):
    """A view that a line gets while it serves would else be null in all rows that it has learned of by feedback."""
    write_factory(tmp_path, payments=3_000, orders=60)
    row = {"order": "new", "customer": "C1", "at": "2026-05-01T00:00:00Z", "basket": 5.0, "late": "yes"}
    served = [row, {**row, "order": "old", "amount_30d": 7.0}]
    frame = table(tmp_path, served=served).frame
    new, old = (frame.filter(order=one).to_dicts()[0] for one in ("new", "old"))

    assert 7.0 == old["amount_30d"] != new["amount_30d"] > 0
    assert old["payments_7d"] == new["payments_7d"] is not None


def test_the_files_that_a_line_reads_are_those_of_its_views_too(tmp_path):
    """A backup has them, and no answers are written over them; a view that is wrong hides none of the others."""
    write_factory(tmp_path, payments=5, orders=5)
    with Factory.create(tmp_path) as factory:
        spec = factory.line("orders")
        assert ["orders.csv", "features/customer_30d.yaml", "payments.csv"] == list(files_read(factory, spec))
        (tmp_path / "features" / "customer_30d.yaml").write_text("view: [")
        assert ["orders.csv", "features/customer_30d.yaml"] == list(files_read(factory, spec))


@pytest.mark.parametrize("step", [1, 10**12])
def test_rows_without_an_entity_are_of_none(tmp_path, step):
    """Whether the numbers of entities lie close together or not."""
    entities = [3 * step, None, 5 * step, 3 * step]
    days = pl.Series(["2026-01-01"] * 4).str.to_date()
    pl.DataFrame({"who": entities, "day": days, "x": [1, 2, 3, 4]}).write_parquet(tmp_path / "p.parquet")
    (tmp_path / "features").mkdir()
    text = "view: v\nentity: who\nsource: {file: p.parquet}\ntime: day\ncolumns: {x: sum(x) over 9d}\n"
    (tmp_path / "features" / "v.yaml").write_text(text)
    found = read_events(read_view(tmp_path, "v"), tmp_path, forgotten={})

    assert [str(3 * step), str(5 * step)] == found.entities["who"].to_list()
    assert [1.0, 4.0, 3.0] == found.events.columns["x"].numbers.tolist()
