"""A number."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from linewright.model.task_facts import TASK_FACTS
from linewright.model.tasks.rules import NumberRules


class Regression(NumberRules):
    """Rules of the regression task: there are no classes, scores are the predictions, shape (n,).

    Examples
    --------
    >>> REGRESSION.target(["1.5", "-2"], ()).tolist()
    [1.5, -2.0]
    >>> target = np.array([1.0, 2.0, 9.0])
    >>> [REGRESSION.baseline(target, np.ones(3), (), metric=metric) for metric in ("rmse", "mae")]
    [(4.0,), (2.0,)]
    >>> REGRESSION.answers(np.array([10.0]), classes=(), threshold=None, band=None)
    [{'prediction': 10.0}]
    """

    name = "regression"
    metrics = TASK_FACTS["regression"].metrics
    headline_because = "in the unit of the label; large errors weigh most"
    objective = "mse"
    loss_name = "squared error"
    is_squared = True

    def row_loss(self, target: NDArray[Any], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the squared error of each row, in squared units of the label."""
        return (target - scores) ** 2


REGRESSION = Regression()
