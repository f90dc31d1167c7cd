"""One of several classes."""

from collections.abc import Sequence

from linewright.errors import SpecError
from linewright.model.task_facts import TASK_FACTS
from linewright.model.tasks import rules

MOST_CLASSES = 200


class Multiclass(rules.ClassRules):
    """Rules of the multiclass task: classes are sorted by spelling, scores are (n, k) probabilities."""

    name = "multiclass"
    metrics = TASK_FACTS["multiclass"].metrics
    headline_because = "how good the probabilities are"

    def classes(self, labels: Sequence[str], positive: str | None) -> tuple[str, ...]:
        """Return the 2 to 200 classes, sorted by spelling."""
        if positive is not None:
            raise SpecError(
                "a multiclass label has no positive value",
                where="label.positive",
                found=positive,
                hint="remove `positive`, or write `task: binary`",
            )
        names = sorted(rules.count_labels(labels))
        if len(names) > MOST_CLASSES:
            raise SpecError(
                "too many classes",
                where="label.column",
                found=f"{len(names):,} values, {', '.join(map(repr, names[:3]))}, …",
                allowed=f"at most {MOST_CLASSES}",
                hint="write `task: regression` if they are amounts, or join rare values in `table.sql`",
            )
        return tuple(names)


MULTICLASS = Multiclass()
