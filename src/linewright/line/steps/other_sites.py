"""Rows of the other sites of a template from which a site's model learns, and whether that is better than learning alone.

The site's own rows alone evaluate: folds, calibration, threshold and test set hold no row of another site.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from linewright.data.dataset.row_id import content_text, hash_in_parts
from linewright.data.dataset.split import identities
from linewright.data.dataset.version import read_dataset
from linewright.data.facts import Column, Dataset
from linewright.errors import SpecError
from linewright.line.record.data.other_sites import PEER
from linewright.line.run_context import Work
from linewright.line.spec import LineSpec
from linewright.line.split_rows import label_text, weights
from linewright.line.steps.compare_trainings import compare
from linewright.model.facts import Shared
from linewright.model.train.fit import Training

"""Probabilities are taken to be at least so large in a loss."""


@dataclass(frozen=True, eq=False)
class PeerRows:
    """Rows of other sites."""

    features: pl.DataFrame
    """The features of the site's own table, and the label."""
    target: np.ndarray
    weight: np.ndarray
    sites: int


def peer_rows(work: Work, classes: tuple[str, ...], *, most: int, seed: int) -> PeerRows | None:
    """Return the rows of other sites from which a model may learn; `None` if there are none.

    Rows without a label, rows of a class that the site does not have, and rows that it has itself are left out. These have the same key,
    if there is one, and the same features, but for those that the site has one value of.
    """
    columns, label = work.features, work.spec.label.column
    names = [column.name for column in columns]
    # What is the same in all rows of the site may say which site it is: it makes no row another one.
    varied = [name for name in names if work.rows.frame[name].n_unique() > 1]
    own, frames, sites = _which(work.rows.frame, varied, work.spec), list[pl.DataFrame](), 0
    metadata, artifacts = work.metadata, work.factory.artifacts
    for site in sorted(name for name in work.sources if name.startswith(PEER)):
        dataset = metadata.get(work.sources[site], Dataset)
        _require_alike(site.removeprefix(PEER), columns, dataset, work)
        frame = read_dataset(dataset, artifacts, metadata)
        frame = frame.filter(pl.Series(~np.isin(_which(frame, varied, work.spec), own)))
        kept = frame.filter(pl.col(label).is_not_null())
        if classes:
            kept = kept.filter(pl.col(label).cast(pl.String).is_in(list(classes)))
        weighed = [] if work.spec.table.weight in {None, *names} else [work.spec.table.weight]
        sites += bool(kept.height)
        frames.append(kept.select([*names, label, *weighed]))
    rows = pl.concat(frames, how="vertical_relaxed") if frames else pl.DataFrame()
    if not rows.height or most <= 0:
        return None
    if rows.height > most:
        rows = rows[np.sort(np.random.Generator(np.random.PCG64(seed)).permutation(rows.height)[:most])]
    return PeerRows(
        features=rows.select([*names, label]),
        target=work.rules.target(label_text(rows, label), classes),
        weight=weights(rows, work.spec),
        sites=sites,
    )


def _which(frame: pl.DataFrame, features: Sequence[str], spec: LineSpec) -> np.ndarray:
    """Return a number for each row, the same for the same row of two sites: a key alone may be a counter of each site."""
    if spec.table.key is None:
        return identities(frame, spec)
    return hash_in_parts(frame, lambda part: content_text(part, [str(spec.table.key), *features]), salt="")


def _require_alike(line: str, columns: Sequence[Column], dataset: Dataset, work: Work) -> None:
    theirs = {column.name: column.type for column in dataset.columns}
    label = next(column for column in work.dataset.columns if column.name == work.spec.label.column)
    for column in [*columns, label]:
        if theirs.get(column.name) != column.type:
            raise SpecError(
                f"the rows of {line} are not like those of {work.spec.line}: column {column.name!r}",
                where="train.share",
                found=theirs.get(column.name, "no such column"),
                allowed=column.type,
                hint="declare the column alike in the template, or train.share: alone at one of them",
            )


def compared(
    alone: Training, together: Training, *, target: np.ndarray, weight: np.ndarray, peers: PeerRows
) -> Shared:
    """Compare two trainings on the site's own rows that both predicted, each by models that did not see the row.

    Together is chosen if its loss is lower by more than one standard error of the paired difference.
    """
    n = len(target)
    found = compare(alone.out_of_fold[:n], together.out_of_fold[:n], target, weight=weight)
    return Shared(
        choice="together" if found.is_other_better else "alone",
        sites=peers.sites,
        rows=len(peers.target),
        compared=found.rows,
        loss_alone=found.loss,
        loss_together=found.other_loss,
        gain=found.gain,
        standard_error=found.standard_error if np.isfinite(found.standard_error) else None,
    )
