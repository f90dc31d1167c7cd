"""A line that reads feature views, from its file to its answers."""

import csv
from datetime import datetime, timedelta

import polars as pl
import pytest
from paid import LINE, VIEW, write, write_factory
from templates import copied, made_once

from linewright.capabilities.drafts.write import new_line
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Dataset, Ingested
from linewright.data.finding_text import finding_in_words
from linewright.data.profile.roles import GivenRoles
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.check.report import check_line
from linewright.line.factory import Factory
from linewright.line.facts import Finished
from linewright.line.predict.batch import predict_file
from linewright.line.release.excluded_columns import reads_barred
from linewright.line.runs.execute import execute
from linewright.line.runs.plan import make_plan
from linewright.line.runs.plan_text import change_in_words
from linewright.model.facts import Certificate, Package
from linewright.serve.log.segments import read_log

CONTRACT = """\
contract:
  columns: {order: {type: category}, customer: {type: category}, at: {type: datetime}, basket: {type: number}, late: {type: category}}
"""


def made(root):
    write_factory(root)
    with Factory.create(root) as factory:
        execute(factory, LINE)


@pytest.fixture
def root(tmp_path_factory, tmp_path):
    return copied(made_once(tmp_path_factory, "paid", made), tmp_path / "factory")


def rows_of(factory) -> pl.DataFrame:
    last = next(iter(factory.metadata.events(Finished, line=LINE, newest_first=True, limit=1)))
    ingested = factory.metadata.get(last.ingested, Ingested)
    dataset = factory.metadata.get(ingested.dataset, Dataset)
    return read_dataset(dataset, factory.artifacts, factory.metadata)


def by_hand(root, customer: str, at: datetime) -> dict[str, object]:
    """Say what was known of a customer at a moment, payment by payment."""
    with (root / "payments.csv").open() as file:
        payments = list(csv.DictReader(file))
    newest: dict[str, tuple] = {}
    for position, one in enumerate(payments):
        known = datetime.fromisoformat(one["loaded_at"])
        if known <= at and (one["id"] not in newest or (known, position) > newest[one["id"]][0]):
            newest[one["id"]] = (known, position), one
    mine = sorted(
        (datetime.fromisoformat(one["paid_at"]), *order, one["id"])
        for order, one in newest.values()
        if one["customer"] == customer and one["gone"] == "false"
    )
    mine = [(time, newest[key][1]) for time, *_, key in mine if time <= at]
    if not mine:
        return dict.fromkeys(("amount_30d", "payments_7d", "merchants_30d", "card_share", "last_amount"))
    month = [one for time, one in mine if time > at - timedelta(days=30)]
    methods = [one["method"] for one in month if one["method"]]
    return {
        "amount_30d": pytest.approx(sum(float(one["amount"]) for one in month), rel=1e-12),
        "payments_7d": sum(time > at - timedelta(days=7) for time, _ in mine),
        "merchants_30d": len({one["merchant"] for one in month}),
        "card_share": methods.count("card") / len(methods) if methods else None,
        "last_amount": float(mine[-1][1]["amount"]),
    }


def test_training_rows_have_what_was_known_at_their_time(root):
    """Late, corrected and deleted payments count as they were known when the order came, not as they are known today."""
    with Factory.open(root) as factory:
        rows = rows_of(factory)

    for row in rows.head(150).iter_rows(named=True):
        expected = by_hand(root, row["customer"], row["at"].replace(tzinfo=None))
        assert expected == {name: row[name] for name in expected}
    assert rows["last_method"].unique().drop_nulls().sort().to_list() == ["card", "cash"]
    assert rows.filter(pl.col("since_last").is_null()).height > 0


def test_a_file_needs_no_columns_of_views_and_gets_them_as_of_the_time_of_each_row(root):
    """Else whoever asks for a file would have to compute them, in the same way."""
    with Factory.open(root) as factory:
        predict_file(factory, LINE, root / "ask.csv", root / "answers.csv")
        trained = {row["order"]: row for row in rows_of(factory).iter_rows(named=True)}
        logged = [one.record.row for one in read_log(factory.log_of(LINE))]
        package = factory.metadata.get(factory.metadata.versions(LINE)[-1].digest, Package)

    assert len(trained) == len(logged)
    for row in logged:
        for name in ("amount_30d", "payments_7d", "merchants_30d", "card_share", "last_method", "since_last"):
            assert trained[row["order"]][name] == row[name]
    assert ["customer_30d"] == [view.view for view in package.views]
    assert "customer" not in package.encoder.columns  # it says whom a row is about
    assert all(one.optional for one in package.columns if one.name == "amount_30d")


def test_an_unchanged_line_plans_nothing_and_a_changed_view_plans_just_the_lines_that_read_it(root):
    """A view is an input as a source is: of those lines alone, and of what it computes, not of what is said about it."""
    text = (root / "lines" / "orders.yaml").read_text()
    plain = text.replace("line: orders", "line: plain").replace("features: [customer_30d]\n", "")
    (root / "lines" / "plain.yaml").write_text(plain)
    with Factory.open(root) as factory:
        execute(factory, "plain")
        assert () == make_plan(factory, factory.line(LINE)).changes
        about = root / "features" / "customer_30d.yaml"
        about.write_text(VIEW + "about: What a customer paid.\n")
        assert () == make_plan(factory, factory.line(LINE)).changes
        about.write_text(VIEW.replace("over 7d", "over 8d"))
        changes = make_plan(factory, factory.line(LINE)).changes
        assert ("ingest", "view:customer_30d") == (changes[0].step, changes[0].reason.inputs[0].name)
        assert () == make_plan(factory, factory.line("plain")).changes
        about.write_text(VIEW)
        with (root / "payments.csv").open("a") as file:
            file.write("X,C1,2026-09-01 00:00:00,2026-09-01 00:00:00,1,card,m1,false\n")
        assert "ingest" == make_plan(factory, factory.line(LINE)).changes[0].step
        assert () == make_plan(factory, factory.line("plain")).changes


def test_a_model_whose_views_changed_in_declaration_alone_serves_without_a_comparison(root):
    """It answers as the champion does, so that no row could show that it is better; and what its views read from now on is another matter."""
    file = root / "lines" / f"{LINE}.yaml"
    file.write_text(file.read_text() + "  - {beats: champion}\n")
    with Factory.open(root) as factory:
        assert execute(factory, LINE).promoted
        before = factory.metadata.pointer(LINE).champion
        (root / "features" / "customer_30d.yaml").write_text(VIEW + "zone: UTC\n")
        (told,) = [one for one in check_line(factory, LINE).findings if one.check == "view-changed"]
        assert f"{LINE}@{before} serves, and goes on with the form of feature view" in finding_in_words(told)
        reason = change_in_words(make_plan(factory, factory.line(LINE)).changes[0])
        assert "a model that serves goes on with the form that it has learned" in reason
        run = execute(factory, LINE)
        assert "view-changed" not in {one.check for one in check_line(factory, LINE).findings}
        certificate = factory.metadata.get(run.certificate, Certificate)
        packages = [factory.metadata.get(one.digest, Package) for one in factory.metadata.versions(LINE)]

        assert "only-views" == certificate.reason.kind
        assert run.promoted
        assert "only the declaration of feature views differs" in run.because
        assert before != factory.metadata.pointer(LINE).champion
        assert () == make_plan(factory, factory.line(LINE)).changes
    assert [None, "UTC"] == [one.views[0].zone for one in packages]
    assert 1 == len({one.trained for one in packages})


def test_a_new_line_names_the_views_whose_entity_its_table_has(root):
    """And does not learn whom a row is about; a view of another entity, or with a wrong file, is none of its business."""
    (root / "features" / "wrong.yaml").write_text("view: wrong\n")
    (root / "features" / "of_shops.yaml").write_text(
        VIEW.replace("customer_30d", "of_shops").replace("entity: customer", "entity: shop")
    )
    of_refs = VIEW.replace("customer_30d", "refs").replace("entity: customer", "entity: ref")
    (root / "features" / "refs.yaml").write_text(of_refs.replace("_30d:", "_ref:").replace("7d:", "ref:"))
    (root / "refs.csv").write_text(
        (root / "orders.csv").read_text().replace("order,customer", "order,ref", 1)
    )
    given = GivenRoles(label="late", positive="yes", time="at", key="order")
    of_no_role = new_line(root, "refs", root / "refs.csv", given)
    text = (root / "lines" / "refs.yaml").read_text()
    assert (("refs",), None) == (of_no_role.views, of_no_role.group)
    assert "    ref: {" not in text
    assert "- ref" not in text
    (root / "features" / "refs.yaml").unlink()
    (root / "lines" / "refs.yaml").unlink()
    made = new_line(root, "fresh", root / "orders.csv", given)
    text = (root / "lines" / "fresh.yaml").read_text()
    with Factory.open(root) as factory:
        spec = factory.line("fresh")
        found = check_line(factory, "fresh").findings
        execute(factory, "fresh")
        package = factory.metadata.get(factory.metadata.versions("fresh")[-1].digest, Package)

    assert ("customer_30d",) == made.views == tuple(spec.features)
    assert "features: [customer_30d]  # the table has customer, by which each row gets" in text
    assert "customer" not in {*spec.table.exclude, *package.encoder.columns}
    assert "customer" in {one.name for one in package.columns}
    assert "amount_30d" in package.encoder.columns
    assert "Reads the feature views customer_30d." in result_text(made)
    (told,) = (one for one in found if one.check == "view-absent")
    assert "rows get nothing of feature view 'customer_30d'" in finding_in_words(told)


def test_a_plan_calls_columns_that_no_source_ever_had_not_gone(root):
    """Those of views, that is: of another column of the source it says so."""
    with Factory.open(root) as factory:
        lines = (root / "orders.csv").read_text().splitlines()
        (root / "orders.csv").write_text("\n".join(lines[:-1]) + "\n")
        assert () == make_plan(factory, factory.line(LINE)).changes[0].reason.gone
        cut = [",".join(line.split(",")[:3] + line.split(",")[4:]) for line in lines]
        (root / "orders.csv").write_text("\n".join(cut) + "\n")
        assert ("basket",) == make_plan(factory, factory.line(LINE)).changes[0].reason.gone


def test_rows_known_after_a_training_row_never_change_it(root):
    """The law of knowledge time: what is loaded, corrected and deleted later is not known earlier."""
    moment = datetime(2026, 4, 1)
    with Factory.open(root) as factory:
        before = rows_of(factory).filter(pl.col("at").dt.replace_time_zone(None) <= moment)
        later = [
            ["P1", "C1", "2026-01-05 00:00:00", "2026-04-01 00:00:00.000001", "9999", "card", "m1", "false"],
            ["P2", "C2", "2026-01-05 00:00:00", "2026-04-02 00:00:00", "9999", "card", "m1", "true"],
            *(
                [
                    f"N{n}",
                    f"C{n}",
                    "2026-03-20 00:00:00",
                    "2026-04-01 00:00:01",
                    "9999",
                    "cash",
                    "m77",
                    "false",
                ]
                for n in range(60)
            ),
        ]
        with (root / "payments.csv").open("a") as file:
            file.writelines(",".join(row) + "\n" for row in later)
        execute(factory, LINE)
        after = rows_of(factory)

    assert before.equals(after.filter(pl.col("at").dt.replace_time_zone(None) <= moment))
    assert after.filter(pl.col("amount_30d") > 9999).height > 0


def test_a_file_without_the_time_gets_features_of_now(root):
    with Factory.open(root, now=lambda: "2026-03-01T00:00:00.000000Z") as factory:
        write(root / "now.csv", "order,customer,basket", [["A", "C5", "20"], ["B", "nobody", "20"]])
        done = predict_file(factory, LINE, root / "now.csv", root / "answers.csv")
        answers = pl.read_csv(root / "answers.csv")
        logged = [one.record.row for one in read_log(factory.log_of(LINE))]

    expected = by_hand(root, "C5", datetime(2026, 3, 1))
    assert expected == {name: logged[0][name] for name in expected}
    assert logged[1]["amount_30d"] is None
    assert "features are those of now" in done["note"]
    assert [["A", "B"], ["C5", "nobody"]] == [answers[name].to_list() for name in ("order", "customer")]


def test_answers_for_a_file_without_the_key_say_whom_they_are_about(root):
    with Factory.open(root, now=lambda: "2026-03-01T00:00:00.000000Z") as factory:
        write(root / "whom.csv", "customer,basket", [["C5", "20"], ["C6", "20"]])
        predict_file(factory, LINE, root / "whom.csv", root / "answers.csv")

    answers = pl.read_csv(root / "answers.csv")
    assert ["row", "customer", "id"] == answers.columns[:3]
    assert ["C5", "C6"] == answers["customer"].to_list()


@pytest.fixture
def promised(tmp_path):
    """Make a factory whose line has a contract that names no column of its view."""
    root = tmp_path / "factory"
    write_factory(root)
    file = root / "lines" / "orders.yaml"
    file.write_text(file.read_text().replace("train:", CONTRACT + "train:"))
    return root


def test_columns_of_views_that_the_contract_does_not_name_are_features(promised):
    """Also those that a check was told of: `checks.known` says nothing of what is a feature."""
    file = promised / "lines" / "orders.yaml"
    file.write_text(file.read_text() + "checks: {known: [last_amount]}\n")
    with Factory.create(promised) as factory:
        execute(factory, LINE)
        champion = factory.metadata.versions(LINE)[-1].digest
        package = factory.metadata.get(champion, Package)

        assert {"amount_30d", "payments_7d", "last_amount", "basket"} <= {*package.encoder.columns}
        assert "customer" in package.encoder.columns  # the contract names it
        assert reads_barred(factory, LINE, champion) is None
        file.write_text(
            file.read_text().replace("features: [customer_30d]\n", "").replace("last_amount", "basket")
        )
        assert "last_amount" in reads_barred(factory, LINE, champion).columns


def test_columns_of_sources_that_the_contract_does_not_name_are_none(promised):
    """Neither when a check was told of them."""
    file = promised / "lines" / "orders.yaml"
    text = file.read_text().replace(" basket: {type: number},", "")
    file.write_text(text + "checks: {known: [basket]}\n")
    with Factory.create(promised) as factory:
        execute(factory, LINE)
        package = factory.metadata.get(factory.metadata.versions(LINE)[-1].digest, Package)

    assert "basket" not in package.encoder.columns
    assert "amount_30d" in package.encoder.columns
