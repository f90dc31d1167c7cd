"""Lineage of columns: which columns of sources a column of a table is made of, and what is made of a column."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from linewright.data.facts import Dataset, Ingested
from linewright.data.spec import SourceSpec, identity_of
from linewright.errors import Corrupt, LinewrightError, NotFound
from linewright.features.facts import Encoder, partner
from linewright.line.factory import Factory
from linewright.line.facts import Declared
from linewright.line.file.view_file import read_view
from linewright.line.record.data.readings import last_read
from linewright.line.record.evidence import accepted_of, evidence_of
from linewright.line.record.registry import registration_of, served_versions
from linewright.line.spec import LineSpec
from linewright.line.views.column_origins import How, Origin, origins, views_in
from linewright.model.facts import Explanation, Package, Trained
from linewright.serve.facts import Prediction
from linewright.store.clock import micros_of
from linewright.text.suggest import listed, nearest


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
    """What is made of a column of a source, a feature view or a table, as the last run of each line has read it."""

    source: str
    """A source, a feature view, or a line for its table."""
    column: str
    reads: str
    """What the source reads, without secrets; of a column of a view or a table, what its own sources read."""
    of: tuple[Origin, ...]
    """Columns of sources that it is made of; empty for a column of a source, or if that is not known."""
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


class _Table(NamedTuple):
    line: str
    dataset: str
    columns: tuple[str, ...]
    made: Mapping[str, tuple[Origin, ...]]
    view_of: Mapping[str, str]
    """The feature view that computes a column."""


def features_of(encoder: Encoder, column: str) -> tuple[str, ...]:
    """Return the columns of an encoder that are made of a column."""
    pairs = zip(encoder.names, encoder.encodings, strict=True)
    return tuple(name for name, one in pairs if column in {one.column, partner(one)})


def column_lineage(factory: Factory, name: str) -> ColumnLineage | None:
    """Return what is made of a column, and of what it is made, in the lines that who asks may see; `None` if none of them has read it."""
    named = list(_sources(factory))
    tables = _tables(factory, named)
    for first, column in _parts(name):
        made = list(_made_of(named, tables, first, column))
        own = [one for one in tables if one.view_of.get(column) == first]
        if not made and not own:  # a source often has the name of its line: its columns come first
            own = [one for one in tables if one.line == first and column in one.columns]
        of = tuple(dict.fromkeys(one for table in own for one in table.made.get(column, ())))
        made += [(table, column, _itself(table, column)) for table in own]
        # A source may have a column of the name that its view gives to another.
        made = list({(table.line, each): (table, each, one) for table, each, one in made}.values())
        if made:
            reads = {one.name: one.source.describe() for one in reversed(named)}
            sources = dict.fromkeys(one.source for one in of) or [first]
            return ColumnLineage(
                source=first,
                column=column,
                reads="; ".join(reads[one] for one in sources if one in reads),
                of=of,
                uses=tuple(_uses(factory, made)),
            )
    return None


def unknown_column(factory: Factory, name: str) -> NotFound | None:
    """Return what is wrong with the name of a column whose first part is a source, feature view or line; `None` if it is none of them."""
    named = list(_sources(factory))
    tables = _tables(factory, named)
    for first, column in _parts(name):
        if not any(first in {one.name, one.line} for one in named):
            continue
        names = dict.fromkeys(each for table in tables if table.line == first for each in table.columns)
        names |= dict.fromkeys(
            each for table in tables for each, view in table.view_of.items() if view == first
        )
        for alike in _alike(named, first).items():
            names |= dict.fromkeys(_columns_of(tables, *alike))
        near = nearest(column, names)
        return NotFound(
            "no run has read a column of that name",
            where=first,
            found=column,
            allowed=listed(sorted(names)) or "(no run has read it yet)",
            hint=f"did you mean {first}.{near}?" if near else "",
        )
    return None


def _parts(name: str) -> Iterator[tuple[str, str]]:
    """Give the ways to read a name as that of a source and a column: both may have dots."""
    yield from ((name[:at], name[at + 1 :]) for at, letter in enumerate(name) if letter == ".")


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


def _alike(named: Sequence[_Named], source: str) -> Mapping[str, set[str]]:
    """Return the names of the sources of each line that read what the source of a name reads."""
    asked = {identity_of(one.source) for one in named if one.name == source}
    found = dict[str, set[str]]()
    for one in named:
        if identity_of(one.source) in asked:
            found.setdefault(one.line, set()).add(one.name)
    return found


def _tables(factory: Factory, named: Sequence[_Named]) -> list[_Table]:
    """Return the tables of lines as their last runs have read them."""
    lines = dict.fromkeys(one.line for one in named)
    return [table for line in lines if (table := _table(factory, line)) is not None]


def _table(factory: Factory, line: str) -> _Table | None:
    last, _ = last_read(factory, line)
    if last is None:
        return None
    try:
        ingested = factory.metadata.get(str(last.ingested), Ingested)
        dataset = factory.metadata.get(ingested.dataset, Dataset)
    except NotFound:  # retention dropped it
        return None
    views = [one.facts for one in views_in(factory.metadata, ingested)]
    return _Table(
        line=line,
        dataset=ingested.dataset,
        columns=tuple(one.name for one in dataset.columns),
        made=origins(factory.line(line), ingested, dataset, views),
        view_of={one.name: view.view for view in views for one in view.columns},
    )


def _made_of(
    named: Sequence[_Named], tables: Sequence[_Table], source: str, column: str
) -> Iterator[tuple[_Table, str, Origin]]:
    """Give the columns of tables that are made of a column of a source."""
    alike = _alike(named, source)
    for table in tables:
        for name, made in table.made.items():
            for one in made:
                if one.source in alike.get(table.line, ()) and one.column == column:
                    yield table, name, one


def _columns_of(tables: Sequence[_Table], line: str, sources: Collection[str]) -> Iterator[str]:
    """Give the columns of some sources of a line that its table is made of."""
    for table in tables:
        if table.line == line:
            made = (one for each in table.made.values() for one in each)
            yield from (one.column for one in made if one.source in sources)


def _itself(table: _Table, column: str) -> Origin:
    """Return that a column of a table is the column itself, and what computes it."""
    says = next((one.says for one in table.made.get(column, ())), "")
    return Origin(source=table.view_of.get(column, table.line), column=column, how="same", says=says)


def _uses(factory: Factory, made: Sequence[tuple[_Table, str, Origin]]) -> Iterator[ColumnUse]:
    models = {
        line: [(version, evidence_of(factory, version)) for version in served_versions(factory, line)]
        for line in dict.fromkeys(table.line for table, _, _ in made)
    }
    for table, name, one in made:
        yield ColumnUse(
            line=table.line,
            column=name,
            view=table.view_of.get(name, ""),
            how=one.how,
            says=one.says,
            dataset=table.dataset,
            models=tuple(
                ModelUse(
                    model=f"{table.line}@{version.version}",
                    features=features,
                    rise=_rise(found.explanation, name),
                )
                for version, found in models[table.line]
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
        age_s=max(micros_of(record.at) - micros_of(looked.table or looked.known), 0) / 1e6,
        record=looked.record,
    )
