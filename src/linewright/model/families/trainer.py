"""The seam between our training and the libraries that fit models.

A trainer turns rows into a `Fitted`; a fitted model scores rows and can be written as plain text. Who adds a family
passes `linewright.testing.trainers.TrainerContract`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Protocol

import msgspec
import numpy.typing as npt
from msgspec.structs import replace

from linewright.errors import Corrupt
from linewright.model.facts import Task
from linewright.model.families.anomaly.fitted import OddityFitted, OddityNative
from linewright.model.families.ensemble import EnsembleFitted, EnsembleNative, Member
from linewright.model.families.fitted import Fitted
from linewright.model.families.hazard import HazardFitted, HazardNative
from linewright.model.families.lightgbm import Boosted, BoostedFitted, BoostedNative
from linewright.model.families.lightgbm_format import wider_text
from linewright.model.families.linear import Linear, LinearFitted, LinearNative
from linewright.model.families.onnx_model import WholeFitted, WholeNative
from linewright.model.families.tree_arrays import GrownFitted, GrownNative
from linewright.model.families.xgboost import XGBoost, XGBoostFitted, XGBoostNative
from linewright.model.tasks.links import Floats, Matrix, Valid

__all__ = [
    "TRAINERS",
    "Boosted",
    "Fitted",
    "Linear",
    "Trainer",
    "Valid",
    "XGBoost",
    "of_width",
    "read_native",
]


class Trainer(Protocol):
    """A family of models.

    Equal arguments give equal `to_native` bytes, in any process on the same kind of machine. Nothing but the arguments
    is read: no clock, no shared random stream, no number of processors. A trainer works on one thread.
    """

    family: str

    def fit(
        self,
        x: Matrix,
        target: npt.NDArray[Any],
        weight: Floats,
        *,
        categorical: tuple[int, ...],
        task: Task,
        classes: int,
        rounds: int | None,
        valid: Valid | None,
        seed: int,
        settings: Mapping[str, Any],
    ) -> Fitted:
        """Fit a model to rows.

        Parameters
        ----------
        x : float32 array, shape (n, width), width at least 1
            No infinities. Numbers may be NaN, also a whole column of them; a column may be constant.
        target : int64 or float64 array, shape (n,)
            Class codes below `classes`, of which at least two occur (others may be absent: they get a small
            probability); or finite numbers.
        weight : float64 array, shape (n,), above 0, mean about 1
            A row of weight 2 counts as two rows in the loss.
        categorical
            Columns of `x` that hold codes: 0 for rare and unseen values, 1 for missing, from 2 for levels. A code that
            `x` does not have is scored like no level in particular, never refused.
        task, classes
            What is predicted; `classes` is 2 for binary and 0 for regression.
        rounds
            Exactly so many boosting rounds; `None` lets `valid` decide. Families without rounds ignore both.
        valid
            Matrix, target and weight of rows that are watched for early stopping, and used for nothing else.
        seed
            In [0, 2**31).
        settings
            Of the family.

        Returns
        -------
        Fitted
        """
        ...


TRAINERS: Mapping[str, Trainer] = MappingProxyType(
    {"lightgbm": Boosted(), "linear": Linear(), "xgboost": XGBoost()}
)
"""Families by name."""


def of_width(fitted: Fitted, width: int) -> Fitted:
    """Return a model of one of the families as one of a wider matrix: it reads the columns at the front, as before."""
    native = fitted.native
    if not isinstance(native, Single) or native.width > width:
        raise Corrupt(
            "a model cannot be widened",
            where="native model",
            found=f"{native.width} columns",
            allowed=f"at most {width}",
        )
    text = {"text": wider_text(native.text, width)} if isinstance(native, BoostedNative) else {}
    return _fitted(replace(native, width=width, **text), rounds=fitted.rounds)


Single = BoostedNative | LinearNative | XGBoostNative
"""Models that may be members of an ensemble."""
Converted = GrownNative | WholeNative
"""Models that estimators of users and engines become, beside those of our families."""


def read_native(
    data: bytes,
) -> (
    BoostedFitted
    | LinearFitted
    | XGBoostFitted
    | HazardFitted
    | OddityFitted
    | EnsembleFitted
    | GrownFitted
    | WholeFitted
):
    """Return the fitted model that `Fitted.to_native` wrote. Nothing in it is executed."""
    native = _decoded(data, Single | HazardNative | OddityNative | EnsembleNative | Converted)
    if isinstance(native, OddityNative):
        return OddityFitted(native)
    if isinstance(native, GrownNative):
        return GrownFitted(native)
    if isinstance(native, WholeNative):
        return WholeFitted(native)
    if not isinstance(native, EnsembleNative):
        return _fitted(native)
    members = ((one.weight, _decoded(bytes(one.native), Single | HazardNative)) for one in native.members)
    return EnsembleFitted([Member(weight, _fitted(member)) for weight, member in members])


def _decoded(data: bytes, kinds: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kinds)
    except msgspec.MsgspecError as error:
        raise Corrupt(
            f"not a native model: {error}", where="native model", allowed=", ".join(TRAINERS)
        ) from error


def _fitted(
    native: Single | HazardNative, *, rounds: int = 0
) -> BoostedFitted | LinearFitted | XGBoostFitted | HazardFitted:
    match native:
        case HazardNative():
            return HazardFitted(native, _fitted(_decoded(bytes(native.binary), Single), rounds=rounds))
        case BoostedNative():
            return BoostedFitted(native, rounds=rounds)
        case XGBoostNative():
            return XGBoostFitted(native, rounds=rounds)
        case LinearNative():
            return LinearFitted(native)
