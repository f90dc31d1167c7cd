"""Lineage of columns: which columns of sources a column of a table is made of, and what is made of a column of a source."""

from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from linewright.data.facts import Dataset, Ingested
from linewright.data.spec import SourceSpec, identity_of
from linewright.errors import Corrupt, LinewrightError, NotFound
from linewright.features.facts import Encoder, partner
from linewright.line.factory import Factory
from linewright.line.facts import Declared
from linewright.line.file.view_file import read_view
from linewright.line.record.evidence import accepted_of, evidence_of
from linewright.line.record.readings import last_read
from linewright.line.record.registry import registration_of, served_versions
from linewright.line.spec import LineSpec
from linewright.line.views.column_origins import How, Origin, origins, views_in
from linewright.model.facts import Explanation, Package, Trained
from linewright.serve.facts import Prediction
from linewright.store.clock import micros_of


class ModelUse(msgspec.Struct, frozen=True, kw_only=True):
    """A model that serves or is tried and reads a column of its table."""

    model: str
    """LINE@VERSION."""
    features: tuple[str, ...]
    """Columns of its encoder that are made of it."""
    rise: float | None
    """How much larger its loss gets if the column is shuffled, alone or with those that say the same; `None` if that is not known."""


class ColumnUse(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a line's table that is made of a column of a source."""

    line: str
    column: str
    """Of the table."""
    view: str
    """Name of the feature view that computes it; empty if none does."""
    how: How
    """As `Origin.how` has it."""
    says: str
    dataset: str
    """Digest of the dataset version that the last run read it into."""
    models: tuple[ModelUse, ...]


class ColumnLineage(msgspec.Struct, frozen=True, kw_only=True):
    """What is made of a column of a source, as the last run of each line has read it."""

    source: str
    column: str
    reads: str
    """What the source reads, without secrets."""
    uses: tuple[ColumnUse, ...]


class FeatureOrigin(msgspec.Struct, frozen=True, kw_only=True):
    """A column that a model read for a prediction, and where it came from."""

    column: str
    """Of the row."""
    features: tuple[str, ...]
    """Columns of the encoder that are made of it."""
    of: tuple[Origin, ...]
    """Columns of sources that it is made of in training; empty if that is not known."""
    view: str = ""
    """Feature view that has it; empty if none has, or the request sent it all the same."""
    known: str | None = None
    """What was known then counted, UTC; `None` if the request sent it, or for rows of a file, whose columns are of the source itself."""
    age_s: float | None = None
    """How many seconds before the request that was."""
    record: str | None = None
    """Digest of the record of its entity; `None` if nothing was known of it, or no record was read."""


class PredictionLineage(msgspec.Struct, frozen=True, kw_only=True):
    """What a prediction came of."""

    model: str
    dataset: str
    """Digest of the dataset version that the model learned from."""
    run: str
    features: tuple[FeatureOrigin, ...]


class _Named(NamedTuple):
    line: str
    name: str
    source: SourceSpec


def features_of(encoder: Encoder, column: str) -> tuple[str, ...]:
    """Return the columns of an encoder that are made of a column."""
    pairs = zip(encoder.names, encoder.encodings, strict=True)
    return tuple(name for name, one in pairs if column in {one.column, partner(one)})


def column_lineage(factory: Factory, name: str) -> ColumnLineage | None:
    """Return what is made of a column of a source in the lines that who asks may see; `None` if none of them has read it.

    Parameters
    ----------
    name
        SOURCE.COLUMN: a source of a line file, or a feature view for its source. Sources of other lines that read the same count too.
    """
    named = list(_sources(factory))
    for place in (at for at, letter in enumerate(name) if letter == "."):
        source, column = name[:place], name[place + 1 :]
        asked = {identity_of(one.source) for one in named if one.name == source}
        of_lines = dict[str, set[str]]()
        for one in named:
            if identity_of(one.source) in asked:
                of_lines.setdefault(one.line, set()).add(one.name)
        uses = [
            use for line, names in of_lines.items() for use in _uses(factory, line, frozenset(names), column)
        ]
        if uses:
            reads = next(one.source.describe() for one in named if one.name == source)
            return ColumnLineage(source=source, column=column, reads=reads, uses=tuple(uses))
    return None


def _sources(factory: Factory) -> Iterator[_Named]:
    """Give the sources of lines and of their feature views, as far as files are right."""
    for line in sorted(one for one in factory.names() if factory.may("view", one)):
        try:
            spec = factory.line(line)
        except LinewrightError:
            continue
        yield from (_Named(line, name, source) for name, source in spec.sources.items())
        for view in spec.features:
            try:
                yield from (_Named(line, view, source) for source in read_view(factory.root, view).sources)
            except LinewrightError:
                continue


def _uses(factory: Factory, line: str, names: frozenset[str], column: str) -> Iterator[ColumnUse]:
    last, _ = last_read(factory, line)
    if last is None:
        return
    try:
        ingested = factory.metadata.get(str(last.ingested), Ingested)
        dataset = factory.metadata.get(ingested.dataset, Dataset)
    except NotFound:  # retention dropped it
        return
    spec, views = factory.line(line), [one.facts for one in views_in(factory.metadata, ingested)]
    of_view = {one.name: view.view for view in views for one in view.columns}
    models = [(version, evidence_of(factory, version)) for version in served_versions(factory, line)]
    for name, made in origins(spec, ingested, dataset, views).items():
        for one in made:
            if one.source in names and one.column == column:
                yield ColumnUse(
                    line=line,
                    column=name,
                    view=of_view.get(name, ""),
                    how=one.how,
                    says=one.says,
                    dataset=ingested.dataset,
                    models=tuple(
                        ModelUse(
                            model=f"{line}@{version.version}",
                            features=features,
                            rise=_rise(found.explanation, name),
                        )
                        for version, found in models
                        if (features := features_of(found.package.encoder, name))
                    ),
                )


def _rise(explanation: Explanation | None, column: str) -> float | None:
    shuffled = explanation.shuffled if explanation is not None else ()
    return next((one.rise for one in shuffled if column in one.columns), None)


def prediction_lineage(factory: Factory, record: Prediction) -> PredictionLineage | None:
    """Return what a prediction came of: its model, the columns that this read, and where these came from; `None` if that is kept no longer."""
    metadata = factory.metadata
    try:
        package = metadata.get(record.digest, Package)
        registered = registration_of(metadata, record.line, record.digest)
        trained = metadata.get(package.trained, Trained)
        ingested = metadata.get(registered.ingested, Ingested)
        dataset = metadata.get(trained.dataset, Dataset)
        declared = metadata.get(accepted_of(factory, record.line, registered.run).declared, Declared)
        spec = LineSpec.model_validate(declared.spec)
    except (NotFound, Corrupt, ValueError):  # dropped by retention, or of an older form
        return None
    made = origins(spec, ingested, dataset, package.views)
    of_view = {one.name: view.view for view in package.views for one in view.columns}
    return PredictionLineage(
        model=f"{record.line}@{record.model}",
        dataset=trained.dataset,
        run=registered.run,
        features=tuple(
            _origin(record, name, features_of(package.encoder, name), made.get(name, ()), of_view.get(name))
            for name in package.encoder.columns
        ),
    )


def _origin(
    record: Prediction, column: str, features: tuple[str, ...], of: tuple[Origin, ...], view: str | None
) -> FeatureOrigin:
    looked = record.features.get(view) if view is not None and record.features else None
    if view is None or (looked is None and record.via == "endpoint"):
        return FeatureOrigin(column=column, features=features, of=of)
    if looked is None:
        return FeatureOrigin(column=column, features=features, of=of, view=view)
    return FeatureOrigin(
        column=column,
        features=features,
        of=of,
        view=view,
        known=looked.known,
        age_s=max(micros_of(record.at) - micros_of(looked.known), 0) / 1e6,
        record=looked.record,
    )
