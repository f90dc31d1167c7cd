"""Computing a logged answer again, by the model that it names, and comparing."""

from collections.abc import Mapping
from math import inf
from typing import Any

import msgspec

from linewright.errors import Corrupt, NotFound
from linewright.line.factory import Factory
from linewright.line.record.lookup import find_prediction
from linewright.model.package.model import answer_difference, load
from linewright.serve.facts import Replaced, Truth
from linewright.serve.rows.scorer import TOLERANCE, Scorer
from linewright.text.numbers import count

_SHOWN = 12
"""Contributions that are told in text, the largest first."""


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
    """Where it was asked for: ``score``, ``score_unit``, ``base`` and ``contributions``, as `Model.explain` has them."""

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
        before = "".join(
            f"; before that {one.label}, from {one.received} to {one.replaced}"
            for one in reversed(self.label_before)
        )
        lines = [
            f"prediction {self.id}: {verdict}",
            f"  model     {self.model} ({self.digest})",
            f"  asked     {self.at}, by {self.via}",
            f"  row       {_json(self.row)}",
            f"  logged    {_json(self.logged)}",
            f"  computed  {_json(self.computed)}",
            f"  truth     {truth}{before}",
            *_explained_text(self.explained, self.computed),
        ]
        if self.exit_code:
            lines.append("Next: linewright verify checks the bytes of the model and the record")
        return "\n".join(lines)


def _explained_text(explained: Mapping[str, Any] | None, computed: Mapping[str, Any]) -> list[str]:
    """Say what the score is made of, the largest contributions first; of several classes, for the one that was answered."""
    if explained is None:
        return []
    score, base, contributions = (explained[name] for name in ("score", "base", "contributions"))
    about = ""
    if isinstance(score, dict):
        answered = computed["prediction"]
        score, base, contributions = score[answered], base[answered], contributions[answered]
        about = f" of {answered}"
    largest = sorted(contributions.items(), key=lambda one: -abs(one[1]))
    rest = largest[_SHOWN:]
    width = max((len(name) for name, _ in largest[:_SHOWN]), default=0)
    said_rest = (
        f"    {sum(value for _, value in rest):+.4g} of {count(len(rest), 'further column')} (--json has all)"
    )
    return [
        f"  score     {score:.4g} ({explained['score_unit']}{about}, before calibration): {base:.4g} where no column is known, and",
        *(f"    {name:<{width}}  {value:+.4g}" for name, value in largest[:_SHOWN]),
        *([said_rest] if rest else []),
    ]


def replay_prediction(factory: Factory, identity: str, *, explain: bool = False) -> Replayed:
    """Compute a logged answer again.

    Parameters
    ----------
    explain
        Whether to say what each column of the logged row contributed to it, as the model that gave the answer has it.

    Raises
    ------
    NotFound
        If no prediction of any line has that id.
    RequestError
        If it is to be explained, and the model cannot be.
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
    scorer = Scorer(load(record.digest, factory.artifacts.get), answered=True)
    x = scorer.matrix([record.row])
    computed = msgspec.json.decode(_json(scorer.answers(x)[0]))  # as the log has it
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
        explained=scorer.explain(x, name=name)[0] if explain else None,
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
