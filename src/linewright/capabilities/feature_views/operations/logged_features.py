"""The operation that computes the features of logged rows again."""

from typing import Annotated

from msgspec import Meta

from linewright.features.facts import FeatureAudit
from linewright.line.factory import Factory
from linewright.line.release.view_maintenance import SAMPLE, note_audit
from linewright.line.views.logged_features import audit_views
from linewright.operations.declare import operation


@operation(permission="view-rows", effect="act", expensive=True)
def audit_features(
    factory: Factory, line: str, /, *, sample: Annotated[int, Meta(ge=1, le=1_000_000)] = 1_000
) -> FeatureAudit:
    """Compute the features of logged rows again, and name those that differ.

    What feature views knew as a request came is computed from their sources, and compared with the logged row bit by bit. Rows are *behind* if more
    was known than the records that the endpoint read: it is right, and write records more often (`every`) if it matters. Rows that
    predictions of files logged are counted, not compared: what was known then is not logged with them. What was found is recorded, if the sample is 200 or more. If a row differs, the
    command exits with 4.

    Parameters
    ----------
    line
        Name of the line.
    sample
        How many rows, the newest ones.
    """
    factory.line(line)
    audited = audit_views(factory, line, sample=sample)
    if sample >= SAMPLE:
        note_audit(factory, audited, because="a person or program had logged features computed again")
    return audited
