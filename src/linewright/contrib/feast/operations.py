"""The operation that brings feature views over from Feast."""

from pathlib import Path

from linewright.contrib.feast.carry_over import FeastImport, import_definitions
from linewright.line.factory import Factory
from linewright.operations.declare import operation


@operation(permission="run", effect="act", local=True)
def import_features(factory: Factory, folder: Path, /) -> FeastImport:
    """Write the feature views of a Feast repository as files, and say what of it is not carried over.

    Its Python files are read and not run, so what is computed in them is not known. Sources of files and of PostgreSQL are carried over; of
    views, entity, times, ttl, features and windows of aggregations. No file is changed that is there.

    Parameters
    ----------
    folder
        The folder of `feature_store.yaml`, or that file.
    """
    return import_definitions(factory, folder)
