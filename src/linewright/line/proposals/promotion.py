"""Proposals to promote a model: whose change a model is, and the proposal to let it serve."""

from linewright.line.factory import Factory
from linewright.line.proposals.record import Look, propose
from linewright.line.proposals.rules import Rule
from linewright.line.record.registry import runs_behind
from linewright.people.facts import PromotionChange


def propose_promotion(
    factory: Factory, change: PromotionChange, rule: Rule, *, because: str, asker: str = ""
) -> Look:
    """Propose that a registered model serves.

    Its authors are the members who started the runs that made it, and who asks. A run that a schedule or the monitors started is
    nobody's.
    """
    runs = runs_behind(factory.metadata, change.line, change.package)
    authors = {asker, *(one.member for one in runs)}
    return propose(factory, "promotion", change, rule, because=because, authors=authors)
