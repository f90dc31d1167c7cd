"""Definitions of Feast become files of feature views; nothing of them is carried out, and each says what is not carried over."""

from datetime import timedelta
from pathlib import Path

import polars as pl
import pytest

from linewright.contrib.feast.carry_over import FeastImport, FeastObject
from linewright.contrib.feast.operations import import_features
from linewright.errors import RequestError, SpecError
from linewright.interfaces.cli.dispatch import result_text
from linewright.line.factory import Factory
from linewright.line.file.view_file import read_view
from linewright.line.views.read_events import read_events

STORE = """\
project: taxis
registry: data/registry.db
provider: local
offline_store: {type: postgres, host: db.example.com, port: 5433, database: rides, user: ann, password: very-secret}
"""
ENTITIES = """\
from feast import Entity, ValueType
import os
os.abort()  # nothing is carried out
driver = Entity(name="driver", join_keys=["driver_id"])
city = Entity(name="city", join_keys=["city"], value_type=ValueType.STRING)
"""
SOURCES = """\
from pathlib import Path
from feast import FileSource, KafkaSource, PushSource
from feast.infra.offline_stores.contrib.postgres_offline_store.postgres_source import PostgreSQLSource
HERE = Path(__file__).parent
stats = FileSource(
    name="stats", path=str(HERE / "data" / "stats.parquet"), timestamp_field="event_timestamp", created_timestamp_column="created",
    field_mapping={"conversion": "conv_rate"},
)
pushed = PushSource(name="stats_push", batch_source=stats)
rides = PostgreSQLSource(name="rides", table="public.rides", timestamp_field="at")
stream = KafkaSource(name="ride_stream", topic="rides", timestamp_field="at", batch_source=rides)
"""
VIEWS = """\
from datetime import timedelta
from feast import Aggregation, Feature, FeatureService, FeatureView, Field, SnowflakeSource, StreamFeatureView, ValueType
from feast.on_demand_feature_view import on_demand_feature_view
from feast.types import Array, Float32, Int64
from .entities import driver as who
from entities import *
from sources import *

DAYS = 2
fields = [Field(name="driver_id", dtype=Int64), Field(name="conv_rate", dtype=Float32), Field(name="trips", dtype=Int64)]
driver_stats = FeatureView(
    name="Driver Stats", entities=[who], ttl=timedelta(days=DAYS), schema=[*fields], source=stats, owner="ann@example.com",
)
hourly = FeatureView(
    name="hourly", entities=[who, city], ttl=timedelta(0), schema=[Field(name="conv_rate", dtype=Float32), Field(name="vector", dtype=Array(Float32))],
    source=pushed, description=f"Of {DAYS} days: all",
)
rides_30d = StreamFeatureView(
    name="rides_30d", entities=["driver"], source=stream, aggregations=[
        Aggregation(column="price", function="sum", time_window=timedelta(days=30)),
        Aggregation(column="rider", function="count_distinct", time_window=timedelta(hours=1), name="riders"),
        Aggregation(column="price", function="std", time_window=timedelta(hours=1)),
    ],
)
old = FeatureView(name="old", entities=["city"], features=[Feature(name="size", dtype=ValueType.INT64)], batch_source=FileSource(path="s3://b/x.parquet"))
snow = FeatureView(name="snow", entities=[city], schema=fields, source=SnowflakeSource(table="T", timestamp_field="at"))
nobody = FeatureView(name="nobody", entities=[], schema=fields, source=stats)
computed = FeatureView(name="computed", entities=[who], schema=fields, source=FileSource(path=open("path").read()))

@on_demand_feature_view(sources=[driver_stats], schema=[Field(name="twice", dtype=Float32)])
def twice(inputs):
    return inputs

service = FeatureService(name="model_v1", features=[driver_stats[["trips"]], hourly.with_name("h"), twice])
for number in range(3):
    FeatureView(name=f"made_{number}", entities=[who], schema=fields, source=stats)
"""


@pytest.fixture
def factory(tmp_path: Path):
    repository = tmp_path / "repo"
    (repository / "data").mkdir(parents=True)
    (repository / ".venv").mkdir()
    (repository / ".venv" / "bad.py").write_text("this is no definition")
    files = {"feature_store.yaml": STORE, "entities.py": ENTITIES, "sources.py": SOURCES, "views.py": VIEWS}
    for name, text in files.items():
        (repository / name).write_text(text)
    with Factory.create(tmp_path / "factory") as made:
        yield made


@pytest.fixture
def found(factory: Factory) -> FeastImport:
    return import_features(factory, factory.root.parent / "repo" / "feature_store.yaml")


def of(found: FeastImport, name: str) -> FeastObject:
    return next(one for one in found.objects if one.name == name)


def text_of(factory: Factory, name: str) -> str:
    return (factory.root / "features" / f"{name}.yaml").read_text()


def test_views_of_files_and_of_postgresql_are_carried_over(factory, found):
    """With names, times and windows as they are here; files of these are right, and what is no word here is said."""
    views = {name: read_view(factory.root, name) for name in ("driver_stats", "hourly", "rides_30d", "old")}
    stats, hourly, rides, old = views.values()

    assert "taxis" == found.project
    assert tuple(f"features/{name}.yaml" for name in views) == found.written
    assert ("driver_id", "event_timestamp", "created", "1d") == (
        stats.entities[0],
        stats.time,
        stats.known,
        "1d",
    )
    assert {"conv_rate": "last(conversion)", "trips": "last(trips)"} == stats.columns
    assert ("2d", None, "ann@example.com") == (stats.ttl, hourly.ttl, stats.owner)
    assert (("driver_id", "city"), "Of 2 days: all") == (hourly.entities, hourly.about)
    assert {"sum_price_2592000s": "sum(price) over 30d", "riders": "distinct(rider) over 1h"} == rides.columns
    assert "select * from public.rides order by driver_id, at" in str(rides.source)
    assert ("none", {"size": "last(size)"}) == (old.time, old.columns)


def test_rows_of_the_repository_are_read(factory, found):
    """The path of a file that stands beside the definitions is told by their own place."""
    start = pl.datetime(2026, 5, 1)
    pl.DataFrame({"driver_id": [1, 1], "trips": [3, 4], "conversion": [0.5, 0.25]}).with_columns(
        event_timestamp=start, created=start + timedelta(hours=1)
    ).write_parquet(factory.root.parent / "repo" / "data" / "stats.parquet")

    assert 2 == read_events(read_view(factory.root, "driver_stats"), factory.root, forgotten={}).rows
    del found


def test_what_is_not_carried_over_is_said_with_its_reason(factory, found):
    said = {one.name: "; ".join(one.says) for one in found.objects}
    text = result_text(found) or ""

    assert [None] * 5 == [
        of(found, name).file for name in ("snow", "nobody", "computed", "twice", "model_v1")
    ]
    assert "no source here is a SnowflakeSource" in said["snow"]
    assert "it has no entity" in said["nobody"]
    assert "open('path').read()" in said["computed"]
    assert "Python code on a request" in said["twice"]
    assert "vector was not carried over: a view reads no Array" in said["hourly"]
    assert "add push: NAME and key: COLUMN" in said["hourly"]
    assert "rows of the stream ride_stream were not carried over" in said["rides_30d"]
    assert "std of 'price' was not carried over" in said["rides_30d"]
    assert "set FEAST_DB to postgresql://USER:PASSWORD@db.example.com:5433/rides" in said["rides_30d"]
    assert "of driver_stats it takes trips" in said["model_v1"]
    assert "features: [driver_stats, hourly]" in said["model_v1"]
    assert ("views.py:36",) == found.unread
    assert "FeatureView hourly (views.py:14): features/hourly.yaml" in text
    assert "views.py:36: made in a function or a loop" in text
    assert not any(
        "very-secret" in one for one in (text, *(text_of(factory, name) for name in ("hourly", "rides_30d")))
    )


def test_a_second_time_nothing_changes_and_no_file_of_yours_is_lost(factory, found):
    repository = factory.root.parent / "repo"
    assert ((), found.objects) == (
        import_features(factory, repository).written,
        import_features(factory, repository).objects,
    )
    path = factory.root / "features" / "hourly.yaml"
    path.write_text(path.read_text() + "every: 2h\n")
    (factory.root / "features" / "old.yaml").unlink()
    with pytest.raises(RequestError, match=r"features/hourly.yaml: .*says something else"):
        import_features(factory, repository)

    assert "every: 2h" in path.read_text()
    assert not (factory.root / "features" / "old.yaml").exists()


@pytest.mark.parametrize(
    ("text", "said"), [("def (:", r"broken.py:1: this is not Python"), ("x = 1", "defines anything")]
)
def test_a_folder_without_definitions_is_refused(factory, tmp_path, text, said):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "broken.py").write_text(text)
    with pytest.raises((RequestError, SpecError), match=said):
        import_features(factory, tmp_path / "other")


def test_names_that_are_made_of_themselves_and_very_long_expressions_end(factory, tmp_path):
    (tmp_path / "other").mkdir()
    text = (
        "from feast import *\na = b\nb = a\nFeatureView(name='x', entities=a, schema=[b], source="
        + "(" * 50
        + "a"
        + ")" * 50
        + ")\n"
    )
    text += (
        "FeatureView(name='y', entities=[Entity(name='e')], source=FileSource(path='a'"
        + " + 'a'" * 900
        + "))\n"
    )
    (tmp_path / "other" / "v.py").write_text(text)

    one, other = (
        each for each in import_features(factory, tmp_path / "other").objects if each.kind == "FeatureView"
    )
    assert (None, None) == (one.file, other.file)
    assert "cannot be read without running the file" in other.says[0]
