"""A dataset version for others: what a catalogue reads is what the files hold, and nobody gets what they may not see."""

import hashlib
import json

import polars as pl
import pytest
from paid import write_factory
from small import LINE, make_factory

from linewright.capabilities.datasets.operations import datasets, export_dataset
from linewright.errors import Conflict, NotFound
from linewright.line.factory import Factory
from linewright.line.runs.execute import execute_inline
from linewright.serve.access.rights import ROLES, Identity, Scope

pytestmark = pytest.mark.usefixtures("processes")


@pytest.fixture
def factory(tmp_path_factory, tmp_path):
    """Give a factory whose line has a dataset version with a personal column."""
    root = make_factory(tmp_path_factory, tmp_path / "works")
    file = root / "lines" / "claims.yaml"
    text = file.read_text().replace("age: {type: number}", "age: {type: number, personal: true}")
    file.write_text(text + "about: Which claims are fraud\nowner: ann\ntags: [eu]\n")
    with Factory.open(root) as opened:
        yield opened


def as_analyst(factory):
    scope = Scope(permissions=ROLES["analyst"])
    return Factory.open(factory.root, identity=Identity(actor="bob", member="bob", scopes=(scope,)))


def test_a_croissant_record_describes_the_file_beside_it(factory, tmp_path):
    """Columns, types, split and digest follow from the dataset version: a loader checks the digest first."""
    done = export_dataset(factory, LINE, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "croissant.json").read_text())
    frame = pl.read_parquet(tmp_path / "out" / "rows.parquet")
    (file,), (parts, rows) = record["distribution"], record["recordSet"]
    fields = {one["name"]: one for one in rows["field"]}

    assert (240, (), ("rows.parquet", "croissant.json")) == (done.rows, done.left_out, done.files)
    assert hashlib.sha256((tmp_path / "out" / "rows.parquet").read_bytes()).hexdigest() == file["sha256"]
    assert frame.columns == [one["source"]["extract"]["column"] for one in rows["field"]]
    assert ("sc:Text", "sc:Float", "sc:Float") == tuple(
        fields[name]["dataType"] for name in ("claim", "amount", "age")
    )
    assert (
        {"train", "test"} == set(frame["split"].drop_nulls()) == {one["parts/name"] for one in parts["data"]}
    )
    assert "http://mlcommons.org/croissant/1.0" == record["conformsTo"]
    assert ("Which claims are fraud", "ann", ["age"]) == (
        record["description"],
        record["creator"]["name"],
        record["rai:personalSensitiveInformation"],
    )
    assert done.dataset == datasets(factory, LINE).datasets[0].dataset == record["identifier"]


def test_personal_columns_are_left_out_for_who_may_not_see_them(factory, tmp_path):
    """Of the rows and of the record; that they were there is said."""
    with as_analyst(factory) as reader:
        done = export_dataset(reader, LINE, tmp_path / "out")
    record = json.loads((tmp_path / "out" / "croissant.json").read_text())

    assert ("age",) == done.left_out
    assert "age" not in pl.read_parquet(tmp_path / "out" / "rows.parquet").columns
    assert "age" not in [one["name"] for one in record["recordSet"][1]["field"]]


def test_a_datasheet_answers_what_the_factory_knows_and_names_what_people_have_to(factory, tmp_path):
    export_dataset(factory, LINE, tmp_path / "out", form="datasheet")
    text = (tmp_path / "out" / "datasheet.md").read_text()

    assert "**For what purpose was the dataset created?**\n\nWhich claims are fraud" in text
    assert "240 rows." in text
    assert "declared personal: `age`" in text
    assert "Yes, by random: " in text
    assert "To train claims@1." in text
    assert "**Who funded the creation of the dataset?**\n\n[to fill in by ann]" in text


def test_a_datasheet_names_the_feature_views_whose_columns_were_added(tmp_path):
    """Columns that no source has would look like collected data."""
    write_factory(tmp_path / "works", payments=300, orders=150)
    with Factory.create(tmp_path / "works") as factory:
        execute_inline(factory, "orders")
        export_dataset(factory, "orders", tmp_path / "out", form="datasheet")
    text = (tmp_path / "out" / "datasheet.md").read_text()

    assert "The columns of these feature views were added: `customer_30d`. Nothing else was changed." in text
    assert "Values have the types that were found in the sources." in text


def test_nothing_is_written_over(factory, tmp_path):
    """A folder with anything in it may be of somebody else, and a line without that dataset has nothing to write."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("x")
    with pytest.raises(Conflict, match="not empty"):
        export_dataset(factory, LINE, tmp_path / "out")
    with pytest.raises(NotFound):
        export_dataset(factory, LINE, tmp_path / "other", dataset="sha256:00")
    assert not (tmp_path / "other").exists()
