"""Computing a logged answer again, by the model that it names, and comparing."""

from collections.abc import Mapping
from math import inf
from typing import Any

import msgspec

from linewright.errors import Corrupt, NotFound
from linewright.line.factory import Factory
from linewright.line.lookup import find_prediction
from linewright.model.package import answer_difference, load
from linewright.serve.facts import Truth
from linewright.serve.scoring import TOLERANCE, Scorer


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

    @property
    def exit_code(self) -> int:
        """That of `Corrupt` where the answers differ by more than rounding explains, else 0."""
        return 0 if self.difference <= TOLERANCE else Corrupt.exit_code

    def to_text(self) -> str:
        """Say whether the model still says so, what it said, and what turned out to be true."""
        if self.difference == 0:
            verdict = "the same answer, to the bit"
        elif self.difference <= TOLERANCE:
            verdict = f"the same answer within rounding ({self.difference:.1e})"
        else:
            verdict = "ANOTHER ANSWER"
        truth = "not known yet" if self.label is None else f"{self.label.label} (since {self.label.received})"
        lines = [
            f"prediction {self.id}: {verdict}",
            f"  model     {self.model} ({self.digest})",
            f"  asked     {self.at}, by {self.via}",
            f"  row       {_json(self.row)}",
            f"  logged    {_json(self.logged)}",
            f"  computed  {_json(self.computed)}",
            f"  truth     {truth}",
        ]
        if self.exit_code:
            lines.append("Next: linewright verify checks the bytes of the model and the record")
        return "\n".join(lines)


def replay_prediction(factory: Factory, identity: str) -> Replayed:
    """Compute a logged answer again.

    Raises
    ------
    NotFound
        If no prediction of any line has that id.
    Corrupt
        If the model's bytes are not those that were stored.
    """
    found = find_prediction(factory, identity)
    if found is None:
        raise NotFound(
            "no prediction has that id",
            found=identity[:100],
            hint="the id is beside each prediction in the answer, and in the column `id` of what `predict` writes",
        )
    record, truth = found
    scorer = Scorer(load(record.digest, factory.artifacts.get))
    computed = msgspec.json.decode(_json(scorer.score([record.row])[0]))  # as the log has it
    return Replayed(
        id=record.id,
        model=f"{record.line}@{record.model}",
        digest=record.digest,
        at=record.at,
        via=record.via,
        row=record.row,
        logged=record.answer,
        computed=computed,
        difference=difference(record.answer, computed),
        label=truth,
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


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
