"""Columns that a registered model reads and that its line no longer gives to any model.

A champion that read a column which leaks the answer is better than every honest candidate, and no gate can know why. So wherever
such a champion wins, or would come back, its columns are named.
"""

from linewright.data.column_roles import barred_columns
from linewright.errors import LinewrightError
from linewright.line.factory import Factory
from linewright.line.facts import Accepted, BarredReads, Declared
from linewright.line.record.monitoring.alerts import newest_of
from linewright.line.spec import LineSpec
from linewright.model.facts import Certificate, Package
from linewright.release.promotion import champions

REASON = "the champion reads columns that the line no longer uses"


def barred_in(package: Package, spec: LineSpec) -> tuple[str, ...]:
    """Return the columns that a model reads and a line file bars: excluded, in another role, or not in its contract any more."""
    if package.encoder.listed:  # it reads what is made of the table
        return ()
    barred = barred_columns(spec)
    named = set(spec.contract.columns)
    if named:
        views = (view for view in package.views if view.view in spec.features)
        named |= {column.name for view in views for column in view.columns}
    return tuple(name for name in package.encoder.columns if name in barred or (named and name not in named))


def reads_barred(
    factory: Factory, line: str, digest: str, spec: LineSpec | None = None
) -> BarredReads | None:
    """Return which barred columns a registered model reads; `None` where it reads none."""
    spec = spec or _newest(factory, line)
    barred = barred_in(factory.metadata.get(digest, Package), spec) if spec else ()
    if not barred or spec is None:
        return None
    version = next(one.version for one in factory.metadata.versions(line) if one.digest == digest)
    return BarredReads(
        model=f"{line}@{version}", columns=barred, are_excluded=set(barred) <= set(spec.table.exclude)
    )


def unequal(factory: Factory, line: str, certificate: Certificate, spec: LineSpec) -> BarredReads | None:
    """Return what the model reads that a candidate which did not pass was held against, and that it may not read; `None` where it may."""
    if certificate.verdict == "promote" or not certificate.rival.startswith("sha256:"):
        return None
    return reads_barred(factory, line, certificate.rival, spec)


def in_spite(candidate: str) -> str:
    """Return the command that lets a candidate serve in spite of its gates, where its champion reads barred columns.

    Examples
    --------
    >>> in_spite("births@2")
    'linewright promote births@2 --force --because "the champion reads columns that the line no longer uses"'
    """
    return f'linewright promote {candidate} --force --because "{REASON}"'


def going_back(factory: Factory, line: str) -> BarredReads | None:
    """Return which barred columns the model reads that a rollback would bring back; `None` where it reads none, or there is none."""
    chain = champions(factory.metadata, line)
    if len(chain) < 2:
        return None
    digest = next(one.digest for one in factory.metadata.versions(line) if one.version == chain[-2])
    return reads_barred(factory, line, digest)


def _newest(factory: Factory, line: str) -> LineSpec | None:
    try:
        return factory.line(line)
    except LinewrightError:
        accepted = newest_of(factory, line, Accepted)
        if accepted is None:
            return None
        return LineSpec.model_validate(factory.metadata.get(accepted.declared, Declared).spec)
