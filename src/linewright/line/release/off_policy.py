"""What the lists of a model are worth, from lists that the endpoint showed and what was taken of them."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from linewright.data.facts import Split
from linewright.data.spec import HISTORY
from linewright.errors import Corrupt, NotFound
from linewright.line.factory import Factory
from linewright.line.record.registry import lists_valued
from linewright.line.run_context import Work
from linewright.line.spec import LineSpec
from linewright.model.evaluate.off_policy import FEWEST_LISTS, ShownList, value_of_lists
from linewright.model.facts import ListsValued, ListValue, Package, Trained
from linewright.model.package.model import Model, load
from linewright.model.tasks.explore import pools
from linewright.serve.facts import Prediction
from linewright.serve.rows.scorer import Scorer
from linewright.store.clock import text_of
from linewright.store.protocols import Version
from linewright.text.lists import read_list
from linewright.text.times import from_epoch
from linewright.watch.facts import Watched

MOST_LISTS = 50_000
"""Lists that are looked at, the latest."""


@dataclass(frozen=True, kw_only=True)
class _Logged:
    record: Prediction
    taken: frozenset[str]


def value_lists(
    factory: Factory,
    spec: LineSpec,
    version: Version,
    *,
    run: str | None = None,
    after: Mapping[str, int] | None = None,
) -> ListsValued | None:
    """Value the lists of a model, and record it."""
    if spec.recommend is None or not spec.recommend.explore:
        return None
    metadata = factory.metadata
    trained = metadata.get(metadata.get(version.digest, Package).trained, Trained)
    since = _instant(metadata.get(trained.split, Split).cutoff)
    if since is None:
        return None
    now = factory.now()
    if after is None:
        windows = metadata.events(Watched, line=spec.line, newest_first=True)
        after = next((one.position for one in windows if one.end <= since), None)
    logged: deque[_Logged] = deque(maxlen=MOST_LISTS)
    for record, label in factory.labels_of(spec.line).labelled_since(after, known_by=now):
        is_shown = record.via == "endpoint" and record.arm != "shadow"
        if is_shown and record.at >= since and record.answer.get("propensities"):
            logged.append(_Logged(record=record, taken=frozenset(read_list(str(label.label)))))
    found = _value(factory, version.digest, logged)
    if found is None:
        return None
    before = lists_valued(metadata, spec.line, package=version.digest)
    if run is None and before is not None and before.found == found:
        return None  # no news since the last window
    event = ListsValued(
        at=now,
        by=factory.context.actor,
        because=f"{found.lists:,} lists have a label",
        line=spec.line,
        model=version.version,
        package=version.digest,
        since=since,
        found=found,
        run=run,
    )
    metadata.record(event)
    return event


def _instant(cutoff: str | None) -> str | None:
    """Return a cut-off as an instant; `None` if it is a number that is none, so that nobody knows which lists came after it."""
    if cutoff is None or "-" in cutoff[1:]:
        return cutoff
    found = from_epoch(float(cutoff))
    return None if found is None else text_of(found)


def value_candidate(work: Work, run: str) -> None:
    """Value the lists of the candidate of a run; twice is once."""
    metadata, line = work.metadata, work.spec.line
    if any(one.run == run for one in metadata.events(ListsValued, line=line)):
        return
    package = work.certificate.package
    version = next((one for one in metadata.versions(line) if one.digest == package), None)
    if version is not None:
        value_lists(work.factory, work.spec, version, run=run)


def _value(factory: Factory, package: str, logged: Sequence[_Logged]) -> ListValue | None:
    """Value lists; those of a model that is not kept any more are passed over, since nobody knows what it could have shown."""
    shown: list[ShownList] = []
    rows: list[object] = []
    by_model: dict[str, list[_Logged]] = {}
    for one in logged:
        by_model.setdefault(one.record.digest, []).append(one)
    if len(own := by_model.get(package, [])) >= FEWEST_LISTS:
        by_model = {package: own}  # lists of other models would add more noise than they tell
    for digest, ones in by_model.items():
        try:
            model = load(digest, factory.artifacts.get)
        except (NotFound, Corrupt):  # `verify` tells of bytes that are not what was stored
            continue
        of_model = [one.record.row.get(HISTORY) for one in ones]
        found = pools(_scores(model, of_model), model.package.encoder.items)
        for one, pool in zip(ones, found, strict=True):
            answer = one.record.answer
            shown.append(
                ShownList(
                    items=answer["prediction"],
                    propensities=answer["propensities"],
                    taken=one.taken,
                    pool=[item for item, _ in pool],
                    is_drawn=bool(answer["explored"]),
                )
            )
        rows += of_model
    if not shown:
        return None
    model = load(package, factory.artifacts.get)
    answers = model.answers(_scores(model, rows))
    return value_of_lists([one["prediction"] for one in answers], shown)


def _scores(model: Model, histories: Sequence[object]) -> np.ndarray:
    scorer = Scorer(model)
    return model.scores(scorer.matrix([{HISTORY: history} for history in histories]))
