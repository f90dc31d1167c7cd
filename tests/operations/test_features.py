"""Feature views at a glance: what they compute, how fresh they are, who uses them, and what is wrong."""

import msgspec
import pytest
from paid import VIEW, write_factory
from shown_pages import pages_of

from linewright.capabilities.evidence.operations import show
from linewright.capabilities.feature_views.operations import audit_features, features
from linewright.capabilities.notifications.openlineage import lineage_message
from linewright.errors import NotFound
from linewright.features.facts import FeatureAudit, FeaturesAudited
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.predict.batch import predict_file
from linewright.line.record.view_status import AuditStatus
from linewright.line.release.view_maintenance import note_audit
from linewright.line.runs.execute import execute_inline
from linewright.serve.access.rights import ROLES, Identity, Scope

pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("features") / "factory"
    folder.mkdir()
    write_factory(folder, payments=900)
    (folder / "features" / "unused.yaml").write_text(VIEW.replace("customer_30d", "unused"))
    said = VIEW.replace("view: customer_30d", "view: customer_30d\nabout: What a customer paid.\nowner: ann")
    (folder / "features" / "customer_30d.yaml").write_text(said)
    with Factory.create(folder) as factory:
        execute_inline(factory, "orders")
    return folder


@pytest.fixture(scope="module")
def pages(root):
    return pages_of(root)


def member(root, line):
    """Open the factory as somebody who may see one line."""
    scope = Scope(permissions=ROLES["viewer"], lines=frozenset({line}))
    return Factory.open(root, identity=Identity(actor="ann", member="ann", scopes=(scope,)))


def test_a_view_tells_what_it_computes_how_fresh_it_is_and_who_uses_it(root):
    """The newest row and the newest that was known are of what endpoints read; a view that no line names says so."""
    with Factory.open(root) as factory:
        found = features(factory)
        (one,) = features(factory, "customer_30d").views
    times = [row.split(",")[2:4] for row in (root / "payments.csv").read_text().splitlines()[1:]]
    seen = {each.name: (each.says, each.type, each.reads) for each in one.columns}

    assert (["customer_30d", "unused"], ()) == ([each.view for each in found.views], found.troubles)
    assert one == found.views[0]
    assert ("What a customer paid.", "ann", ("customer",), "file", "payments.csv") == (
        *(one.about, one.owner, one.entity, one.kind, one.reads),
    )
    assert ("share(method = 'card') over 30d", "number", ("method",)) == seen["card_share"]
    assert ("since()", "number", ()) == seen["since_last"]
    assert (900, "orders") == (one.read.rows, one.read.line)
    assert max(known for _, known in times).replace(" ", "T") in one.read.newest_known
    assert one.read.newest[:10] <= max(at for at, _ in times)[:10]
    assert one.records.entities == one.read.entities
    assert one.records.cpu_s > 0
    assert one.records.bytes > 1_000
    assert ([("orders", ("orders@1",), None)], ()) == (
        [(each.line, each.models, each.audited) for each in one.used_by],
        one.problems,
    )
    assert ((), None, None) == (found.views[1].used_by, found.views[1].read, found.views[1].records)


def test_a_person_reads_all_views_as_a_table_and_one_with_its_columns(root, pages):
    """Columns of the table that are empty for all views take no room."""
    with Factory.open(root) as factory:
        table = (result_text(features(factory)) or "").splitlines()
        one = result_text(features(factory, "customer_30d")) or ""
        unused = result_text(features(factory, "unused")) or ""
    page = pages("/features?view=customer_30d")

    assert table[0].startswith("view")
    assert "audit" not in table[0]
    assert "orders@1" in table[1]
    assert "owner         ann" in one
    assert "share(method = 'card') over 30d" in one
    assert "No line uses it: features: [unused]" in unused
    assert "/features?view=customer_30d" in pages("/features").links
    for said in ("What a customer paid.", "payments.csv", "sum(amount) over 30d", "orders@1", "CPU seconds"):
        assert said in page.text


def test_what_is_wrong_with_a_view_is_listed_with_what_helps(root):
    """A view whose file has changed, records that are late, and an audit that found other values."""
    audit = FeatureAudit(line="orders", rows=7, values=49, differ=2, behind=1, newest="a" * 8)
    path = root / "features" / "customer_30d.yaml"
    before = path.read_text()
    try:
        path.write_text(before.replace("over 7d", "over 14d") + "every: 1s\nmax_age: 0s\n")
        with Factory.open(root) as factory:
            note_audit(factory, msgspec.structs.replace(audit, differ=3), because="a test")
            note_audit(factory, audit, because="the source was mended, without a newer row")
            note_audit(factory, msgspec.structs.replace(audit, rows=8), because="nothing new")
            events = factory.metadata.events(FeaturesAudited, line="orders")
            found = features(factory)
    finally:
        path.write_text(before)
    one = found.views[0]

    assert [(7, 3), (7, 2)] == [(each.rows, each.differ) for each in events]
    assert AuditStatus(at=events[1].at, rows=7, differ=2, behind=1) == one.used_by[0].audited
    wrong = [("late", one.records.made), ("settings", ""), ("changed", "orders@1"), ("differs", "2")]
    assert wrong == [(each.kind, each.about) for each in one.problems]
    said = result_text(found) or ""
    goes_on = "orders@1 serves, and goes on with the form of it that it has learned, until a newer model serves: linewright run orders"
    assert f"problem: customer_30d: {goes_on}" in said
    assert "2 of 7 differ, 1 behind" in said


def test_views_are_seen_with_a_line_that_names_them(root):
    """A view names no line; who may see one line learns nothing of the views of others."""
    with member(root, "orders") as own, member(root, "other") as other:
        seen, unseen = features(own), features(other)
        with pytest.raises(NotFound, match="unknown feature view") as refused:
            features(own, "unused")

    assert (["customer_30d"], []) == ([one.view for one in seen.views], [one.view for one in unseen.views])
    assert "customer_30d" == refused.value.allowed


def test_a_column_of_a_source_leads_to_what_is_made_of_it(root, pages):
    """Who changes a column asks which features and models would see it."""
    with Factory.open(root) as factory:
        paid = show(factory, "customer_30d.amount")
        basket = show(factory, "orders.basket").body["lineage"]
        loaded = show(factory, "customer_30d.loaded_at").body["lineage"]
        with pytest.raises(NotFound):
            show(factory, "customer_30d.nothing")
    uses = {each["column"]: each for each in paid.body["lineage"]["uses"]}
    (model,) = uses["amount_30d"]["models"]
    (own,) = basket["uses"]

    assert ("column", "payments.csv") == (paid.kind, paid.body["lineage"]["reads"])
    assert {"amount_30d", "last_amount"} == uses.keys()
    assert ("orders", "customer_30d", "window", "sum(amount) over 30d") == tuple(
        uses["amount_30d"][name] for name in ("line", "view", "how", "says")
    )
    assert ("orders@1", True) == (model["model"], "amount_30d" in model["features"])
    assert uses["amount_30d"]["dataset"].startswith("sha256:")
    assert ("basket", "", "same") == (own["column"], own["view"], own["how"])
    assert {"rows"} == {each["how"] for each in loaded["uses"]}
    assert 7 == len(loaded["uses"])
    page = pages("/evidence/customer_30d.amount")
    assert "sum(amount) over 30d" in page.text
    assert "/features?view=customer_30d" in page.links
    table = [line.split() for line in (result_text(paid) or "").splitlines()]
    assert ["customer_30d", "sum(amount)", "over", "30d"] == table[2][2:6]
    assert "orders@1" in table[2]
    assert "/evidence/customer_30d.amount" in pages("/features?view=customer_30d").links


def test_a_column_of_a_view_or_a_table_leads_both_ways(root, pages):
    """Who reads the name of a feature asks what it comes of, and who uses it."""
    with Factory.open(root) as factory:
        paid = show(factory, "customer_30d.amount_30d")
        counted = show(factory, "customer_30d.payments_7d").body["lineage"]
        of_table = show(factory, "orders.amount_30d").body["lineage"]
        with pytest.raises(NotFound) as of_view:
            show(factory, "customer_30d.amount_3d")
        with pytest.raises(NotFound) as of_line:
            show(factory, "orders.nothing")
        with pytest.raises(NotFound, match="nothing has that id"):
            show(factory, "nothing.amount")
    lineage = paid.body["lineage"]
    (use,) = lineage["uses"]
    of = {each["column"]: each["how"] for each in lineage["of"]}

    assert ("column", "payments.csv", "window", "rows") == (
        *(paid.kind, lineage["reads"], of["amount"], of["paid_at"]),
    )
    assert ("orders", "amount_30d", "customer_30d", "same", "sum(amount) over 30d") == tuple(
        use[name] for name in ("line", "column", "view", "how", "says")
    )
    assert ["orders@1"] == [each["model"] for each in use["models"]]
    assert use["dataset"].startswith("sha256:")
    assert (lineage["of"], lineage["uses"]) == (of_table["of"], of_table["uses"])
    assert {"rows"} == {each["how"] for each in counted["of"]}
    assert "did you mean customer_30d.amount_30d?" == of_view.value.hint
    assert {"amount", "paid_at", "since_last"} <= set(of_view.value.allowed.split(", "))
    assert {"basket", "amount_30d"} <= set(of_line.value.allowed.split(", "))
    text = result_text(paid) or ""
    assert "made of customer_30d.amount\n" in text
    assert "made of customer_30d.paid_at, which says which rows count" in text
    assert "/evidence/customer_30d.amount" in pages("/evidence/orders.amount_30d").links


def test_a_column_leads_nowhere_that_one_may_not_look(root):
    """A name tells nothing of lines of others."""
    with member(root, "orders") as own, member(root, "other") as other:
        assert show(own, "orders.basket").body["lineage"]["uses"]
        for name in ("orders.basket", "orders.amount_30d", "customer_30d.amount_30d", "customer_30d.nothing"):
            with pytest.raises(NotFound, match="nothing has that id"):
                show(other, name)


def test_a_catalogue_of_others_learns_that_columns_come_of_the_view(root):
    """Their names say nothing of it, and the file of the line has no such column."""
    with Factory.open(root) as factory:
        (ended,) = (one for one in factory.metadata.links() if one.kind == "finished")
        (dataset, _) = lineage_message(factory, ended).event["outputs"]
    fields = dataset["facets"]["columnLineage"]["fields"]
    made = {name: [(one["name"], one["field"]) for one in fields[name]["inputFields"]] for name in fields}

    assert [("features.customer_30d", "amount_30d")] == made["amount_30d"]
    assert [(str(root / "orders.csv"), "basket")] == made["basket"]


def test_a_prediction_of_a_file_names_the_view_that_its_columns_are_of(root, tmp_path):
    """Its rows are joined with the source as a line's table is: no record was read."""
    with Factory.open(root) as factory:
        predict_file(factory, "orders", root / "ask.csv", tmp_path / "out.csv")
        (record, _) = factory.labels_of("orders").latest(1)[0]
        lineage = show(factory, record.id).body["lineage"]
    of = {each["column"]: (each["view"], each["known"], each["record"]) for each in lineage["features"]}

    assert ("customer_30d", None, None) == of["amount_30d"]
    assert ("", None, None) == of["basket"]


def test_an_audit_says_how_many_rows_of_files_it_passed_over(root, tmp_path):
    """Who reads that all is right would think that all was looked at."""
    with Factory.open(root) as factory:
        before = audit_features(factory, "orders").of_files
        predict_file(factory, "orders", root / "ask.csv", tmp_path / "out.csv")
        audited = audit_features(factory, "orders")

    assert (0, before + 400) == (audited.rows, audited.of_files)
    assert f"{audited.of_files:,} logged rows came of files, and were not audited" in (
        result_text(audited) or ""
    )
    asked = msgspec.structs.replace(audited, rows=7, values=21, of_files=1)
    assert (
        "7 logged rows, 21 values: all are what the sources say.\n1 logged row came of files, and was not"
        in (result_text(asked) or "")
    )
