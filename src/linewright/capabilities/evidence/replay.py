"""Computing a logged answer again, by the model that it names, and comparing."""

from collections.abc import Mapping
from math import inf
from typing import Any

import msgspec

from linewright.capabilities.evidence.lookup import find_prediction
from linewright.errors import Corrupt, NotFound
from linewright.line.factory import Factory
from linewright.model.package.model import answer_difference, load
from linewright.serve.facts import Replaced, Truth
from linewright.serve.rows.body.reader import in_rows
from linewright.serve.rows.lookup.known_series import KnownSeries
from linewright.serve.rows.lookup.series_sums import score_rows
from linewright.serve.rows.scorer import TOLERANCE, Scorer


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """A logged answer beside the one that its model gives to its row now."""

    id: str
    model: str
    digest: str
    at: str
    via: str
    row: dict[str, Any]
    logged: dict[str, Any]
    computed: dict[str, Any]
    difference: float
    """As `difference` has it: of probabilities, or of predictions relative to them; infinite where anything else differs."""
    label: Truth | None
    """What turned out to be true, where that is known."""
    label_before: tuple[Replaced, ...] = ()
    """What was held to be true before it was corrected, the earliest first."""
    explained: dict[str, Any] | None = None
    """If it was requested: ``score``, ``score_unit``, ``base`` and ``contributions``, and of pictures ``occlusion``, as `Scorer.explain`
    has them."""

    @property
    def exit_code(self) -> int:
        """That of `Corrupt` where the answers differ by more than rounding explains, else 0."""
        return 0 if self.difference <= TOLERANCE else Corrupt.exit_code


def replay_prediction(factory: Factory, identity: str, *, explain: bool = False) -> Replayed:
    """Compute a logged answer again."""
    found = find_prediction(factory, identity)
    # What somebody may not see is not there for them: an id tells nothing of other lines.
    if found is None or not factory.may("view-rows", found[0].line):
        raise NotFound(
            "no prediction has that id",
            found=identity[:100],
            hint="the id is beside each prediction in the answer, and in the column `id` of what `predict` writes",
        )
    record, truth = found
    scorer = Scorer(load(record.digest, factory.artifacts.get), answered=True)
    row = record.row
    if (values := record.answer.get("values")) is not None:  # a sum of series
        row = KnownSeries(values, factory.artifacts.get).sum_again(row, scorer.model.package)
    # A list that was shown may have been drawn, by the id of its prediction.
    x, answers = score_rows(
        scorer, [row], in_rows, ids=[record.id], explore=record.answer.get("explore", 0.0)
    )
    said = answers[0]
    computed = msgspec.json.decode(msgspec.json.encode(said))  # as the log has it
    name = f"{record.line}@{record.model}"
    return Replayed(
        id=record.id,
        model=name,
        digest=record.digest,
        at=record.at,
        via=record.via,
        row=record.row,
        logged=record.answer,
        computed=computed,
        difference=difference(record.answer, computed),
        label=truth,
        label_before=factory.labels_of(record.line).replaced(record.id),
        explained=scorer.explain(x, [said], name=name, rows=[record.row])[0] if explain else None,
    )


def difference(logged: Mapping[str, Any], computed: Mapping[str, Any]) -> float:
    """Return how far two answers are apart, as `answer_difference` has it; infinite where they differ, but not in a number.

    Examples
    --------
    >>> difference({"probabilities": {"a": 0.25, "b": 0.75}}, {"probabilities": {"a": 0.5, "b": 0.5}})
    0.25
    """
    apart = answer_difference(computed, logged)
    return apart if apart or computed == logged else inf
