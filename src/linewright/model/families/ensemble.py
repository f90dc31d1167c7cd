"""A few fitted models that answer as one: what they add up, before probabilities are made of it, is weighted and summed.

Margins and not probabilities, so that an ensemble is again a sum: what a column contributed is the weighted sum of what it
contributed to the members, and trees of several members can be one ensemble of trees.
"""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from linewright.errors import Corrupt
from linewright.model.facts import Task
from linewright.model.families.fitted import Fitted
from linewright.model.tasks import link_of
from linewright.model.tasks.links import Floats, Matrix, weighted

MOST_MEMBERS = 3
"""More members cost time at every answer and were worth nothing on any of the tables tried."""


class MemberNative(msgspec.Struct, frozen=True, kw_only=True):
    """A member as plain data."""

    weight: float
    native: msgspec.Raw
    """A native model of one family, as its `to_native` writes it."""


class EnsembleNative(msgspec.Struct, frozen=True, kw_only=True, tag="ensemble", tag_field="family"):
    """An ensemble as plain data."""

    task: Task
    width: int
    members: tuple[MemberNative, ...]


class Member(NamedTuple):
    """A fitted model with its weight."""

    weight: float
    fitted: Fitted


class EnsembleFitted:
    """Fitted models with weights; a `Fitted`."""

    def __init__(self, members: Sequence[Member]) -> None:
        forms = {_form(one.fitted) for one in members}
        weights = [one.weight for one in members]
        if len(members) < 2 or len(forms) != 1 or min(weights) <= 0 or abs(sum(weights) - 1) > 1e-9:
            raise Corrupt(
                "the members of an ensemble do not belong together",
                where="native model",
                found=f"{len(members)} members for {len(forms)} kinds of rows, weights {weights}",
                allowed="at least two for the same task and columns, with weights above 0 that sum to 1",
            )
        self.members = tuple(members)
        self.rounds = sum(one.fitted.rounds for one in members)
        ((task, width),) = forms
        natives = (
            MemberNative(weight=one.weight, native=msgspec.Raw(one.fitted.to_native())) for one in members
        )
        self.native = EnsembleNative(task=task, width=width, members=tuple(natives))

    def scores(self, x: Matrix) -> Floats:
        """Return probabilities, shape (n, classes), or numbers, shape (n,)."""
        link = link_of(self.native.task)
        margins = [link.to_margins(one.fitted.scores(x)) for one in self.members]
        return link.to_scores(weighted(margins, [one.weight for one in self.members]))

    def cuts(self) -> dict[int, npt.NDArray[np.float32]]:
        """Return the cuts of all members, ascending."""
        found: dict[int, list[npt.NDArray[np.float32]]] = {}
        for one in self.members:
            for column, values in one.fitted.cuts().items():
                found.setdefault(column, []).append(values)
        return {column: np.unique(np.concatenate(found[column])) for column in sorted(found)}

    def to_native(self) -> bytes:
        """Return the model as bytes that `read_native` reads."""
        return msgspec.json.encode(self.native)


def _form(fitted: Fitted) -> tuple[Task, int]:
    return fitted.native.task, fitted.native.width
