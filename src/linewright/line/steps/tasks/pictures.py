"""How the pictures of a line become numbers: by which network, and at which size, which folds decide if the line file names several."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import NamedTuple

import numpy as np

from linewright.errors import SpecError
from linewright.features.learn import Look
from linewright.line.run_context import BACKBONE_FILE, Work, planned_bytes, read_backbone
from linewright.line.steps.compare_trainings import compare_losses, mean_loss
from linewright.model.facts import PicturesRead, SizeTried
from linewright.model.pictures import picture_of, picture_through
from linewright.model.spec import PicturesSpec

SIDE = 128
"""Of the squares that pictures are scaled to for the backbone of the extra, where nothing says it."""
MOST_COMPARED = 4_000
"""Training rows on which sizes are compared."""
COMPARED = frozenset({"two", "classes", "number"})
"""Labels whose losses are compared."""
WHERE = BACKBONE_FILE

Losses = Callable[[Look], np.ndarray]
"""Returns the out-of-fold loss of each row, NaN for rows of no fold."""


class ComparedRows(NamedTuple):
    """The rows that sizes are compared on."""

    units: np.ndarray | None
    """Of which group each is; `None` if rows are independent."""
    weight: np.ndarray


def choose_pictures(
    work: Work, losses: Losses, rows: Callable[[], ComparedRows]
) -> tuple[Look, PicturesRead | None]:
    """Return how pictures become numbers, and what decided it; `None` if the line file says nothing of it.

    Of several sizes the smallest is taken, but for larger ones whose loss is lower by more than one standard error of the paired difference.
    """
    spec = work.spec.train.pictures
    if spec is None:
        return partial(
            picture_of, artifacts=work.factory.artifacts, kept=work.factory.features_of, side=SIDE
        ), None
    ways = _ways(work, spec)
    digest = work.sources.get(BACKBONE_FILE)
    if len(ways) == 1:
        ((side, look),) = ways.items()
        return look, PicturesRead(side=side, backbone=digest)
    if work.task.label not in COMPARED:
        raise SpecError(
            "sizes are not compared for this task",
            where=f"{WHERE}.sizes",
            found=", ".join(map(str, ways)),
            allowed="one size",
        )
    tried, of = {side: losses(look) for side, look in ways.items()}, rows()
    best, *larger = tried
    gain: float | None = None
    error: float | None = None
    compared = 0
    for side in larger:
        found = compare_losses(tried[best], tried[side], of.units, weight=of.weight)
        gain, error, compared = found.gain, found.standard_error, found.rows
        if found.is_other_better:
            best = side
    return ways[best], PicturesRead(
        side=best,
        tried=tuple(
            SizeTried(side=side, loss=loss)
            for side, found in tried.items()
            if (loss := mean_loss(found, of.weight)) is not None
        ),
        rows=compared,
        gain=gain,
        standard_error=error if error is not None and np.isfinite(error) else None,
        backbone=digest,
    )


def _ways(work: Work, spec: PicturesSpec) -> dict[int, Look]:
    artifacts, kept = work.factory.artifacts, work.factory.features_of
    if spec.backbone is None:
        return {
            side: partial(picture_of, artifacts=artifacts, kept=kept, side=side)
            for side in sorted(set(spec.sizes)) or (SIDE,)
        }
    # What reads files of networks takes long to import, and few lines bring one.
    network = import_module("linewright.model.imported.network")
    where = f"{WHERE}.backbone"
    data = planned_bytes(
        work, BACKBONE_FILE, spec.backbone, partial(read_backbone, work.factory.root, spec.backbone)
    )
    ways: dict[int, Look] = {}
    for asked in sorted(set(spec.sizes)) or (None,):
        made = network.backbone_of(data, spec, side=asked, otherwise=network.OTHERWISE, where=where)
        digest = artifacts.put(made.graph)
        ways[made.side] = partial(
            picture_through, backbone=digest, side=made.side, width=made.width, artifacts=artifacts, kept=kept
        )
    return ways
