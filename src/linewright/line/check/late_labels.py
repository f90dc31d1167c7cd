"""A `label.delay` that leaves no row to learn from is reported before the rows are split again."""

from collections.abc import Iterator

from linewright.errors import SpecError
from linewright.line.run_context import Work

_MOST_CELLS = 2_000_000
"""Of a larger dataset it is said by `check`, and when it is trained on."""


def late_labels(work: Work) -> Iterator[SpecError]:
    """Give why no model could be learned with the `label.delay` of a line, if its rows are there and are to be split again."""
    spec = work.spec
    by_time = spec.table.time is not None and spec.train.split.by in {"auto", "time"}
    is_fitted = spec.train.model is None and spec.recommend is None and spec.forecast is None
    is_due = "split" not in work.known and work.as_of is None
    is_small = work.dataset.rows * len(work.dataset.columns) <= _MOST_CELLS
    if spec.label.delay is None or spec.label.columns or not (by_time and is_fitted and is_due and is_small):
        return
    from linewright.data.dataset.split import foreseen_useless  # noqa: PLC0415 -- polars takes a while to import
    from linewright.data.dataset.version import read_dataset  # noqa: PLC0415

    rows = read_dataset(work.dataset, work.factory.artifacts, work.metadata)
    try:
        useless = foreseen_useless(rows, spec.train.split, spec, k=spec.train.fold_count)
    except SpecError as error:
        yield SpecError(error.what, where="label.delay", found=spec.label.delay, hint=error.hint)
        return
    if useless is not None and useless.part == "training" and useless.labels.is_empty():
        yield SpecError(
            "no label of a training row is known when the test part begins",
            where="label.delay",
            found=spec.label.delay,
            hint="shorten label.delay, bring a longer history, or choose split.by: random",
        )
