"""Items that go with an item, by the model that recommends: what it lists for a history of that item alone."""

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any

from linewright.errors import RequestError
from linewright.model.tasks.explore import pools
from linewright.model.tasks.item_lists import ItemLists
from linewright.serve.rows.body.scalars import shown, spell
from linewright.serve.rows.scorer import Scorer

MOST_ASKED = 100
"""Items of one request."""
MOST_COMPARED = 2_000
"""Known items up to which a near one is looked for: of fifty thousand it takes seconds."""


def similar_items(scorer: Scorer, items: Sequence[object]) -> list[dict[str, Any]]:
    """Return ``item``, ``items`` and ``scores`` for each of some items: what goes with it, the best first, itself left out."""
    known = scorer.model.package.encoder.items
    if not known:
        raise RequestError(
            "this line lists no items",
            where="items",
            found=scorer.model.package.task,
            allowed="a line with `train.task: recommend`",
        )
    if not 0 < len(items) <= MOST_ASKED:
        raise RequestError(
            "too many items" if items else "no item is named",
            where="items",
            found=len(items),
            allowed=f"1 to {MOST_ASKED} items",
        )
    among = frozenset(known)
    asked = [_known(number, item, among) for number, item in enumerate(items)]
    column = scorer.model.package.encoder.columns[0]
    scores = scorer.model.scores(scorer.matrix([{column: [item]} for item in asked]))
    most = int(ItemLists(scores).shown[0])
    return [_others(item, pool, most) for item, pool in zip(asked, pools(scores, known), strict=True)]


def _known(number: int, item: object, known: frozenset[str]) -> str:
    text = spell(item) if isinstance(item, str | int | float) else None
    if text is None or text not in known:
        near = (
            get_close_matches(text, known, n=1)
            if text and len(text) <= 100 and len(known) <= MOST_COMPARED
            else []
        )
        raise RequestError(
            "the model does not know this item",
            where=f"items[{number}]",
            found=shown(item),
            allowed=f"one of the {len(known):,} items that it was trained on",
            hint=f"did you mean {near[0]!r}?" if near else "it may be new: the next training knows it",
        )
    return text


def _others(item: str, pool: Sequence[tuple[str, float]], most: int) -> dict[str, Any]:
    kept = [(other, score) for other, score in pool if other != item][:most]
    return {"item": item, "items": [other for other, _ in kept], "scores": [score for _, score in kept]}
