"""The newest values of events for requests, with Feast's `get_historical_features`; run by features.py with the Python of --peers.

    PYTHON with_feast.py FOLDER KEPT

Reads FOLDER/events.parquet and FOLDER/requests.parquet, writes to KEPT the columns and the number of the request of each row that it gives, and prints seconds from the files to
the columns, seconds of the processor, peak MB and the version.
"""

import json
import os
import resource
import sys
import tempfile
import time
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path

os.environ["FEAST_USAGE"] = "False"

import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig
from feast.types import Float64
from feast.value_type import ValueType

VALUES = tuple(f"x{number}" for number in range(5))


def store_of(folder: Path, state: Path) -> FeatureStore:
    """Return a store that has the events as a feature view."""
    config = RepoConfig(
        project="bench",
        provider="local",
        registry=str(state / "registry.db"),
        online_store={"type": "sqlite", "path": str(state / "online.db")},
        entity_key_serialization_version=3,
    )
    store = FeatureStore(config=config)
    entity = Entity(name="entity", join_keys=["entity"], value_type=ValueType.INT64)
    source = FileSource(
        path=str(folder / "events.parquet"), timestamp_field="at", created_timestamp_column="known"
    )
    view = FeatureView(
        name="bench",
        entities=[entity],
        ttl=timedelta(0),
        schema=[Field(name=name, dtype=Float64) for name in VALUES],
        source=source,
    )
    store.apply([entity, view])
    return store


def main() -> None:
    """Join, and print what it took."""
    folder, kept = Path(sys.argv[1]), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as state:
        store = store_of(folder, Path(state))
        start, cpu = time.perf_counter(), time.process_time()
        requests = pd.read_parquet(folder / "requests.parquet").rename(columns={"at": "event_timestamp"})
        requests["row"] = range(len(requests))
        joined = store.get_historical_features(
            entity_df=requests, features=[f"bench:{name}" for name in VALUES]
        ).to_df()
        took = {"s": time.perf_counter() - start, "cpu": time.process_time() - cpu}
    joined = joined.sort_values("row").rename(columns={name: f"last_{name}" for name in VALUES})
    joined[["row", *(f"last_{name}" for name in VALUES)]].to_parquet(kept, index=False)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**took, "mb": peak, "version": version("feast")}))


if __name__ == "__main__":
    main()
