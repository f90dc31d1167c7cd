"""Terminal texts of results."""

from collections.abc import Mapping

from linewright.capabilities.inbox.operations import Comment, Comments, Inbox, InboxItem, Views
from linewright.interfaces.cli.dispatch import renderer
from linewright.line.record.comments import WhyGone
from linewright.store.clock import said

GONE: Mapping[WhyGone, str] = {
    "removed": "(removed, with a person whom it named)",
    "damaged": "(its words are damaged: linewright verify)",
}


@renderer.register
def comment_text(one: Comment) -> str:
    """Say who said it, about what, and the words."""
    about = f", about {one.about}" if one.about else ""
    return f"{said(one.at)}  {one.line}, {one.by}{about}\n  {GONE[one.gone] if one.gone else one.text}"


@renderer.register
def comments_text(listed: Comments) -> str:
    """Say them one by one."""
    return "\n".join(comment_text(one) for one in listed.comments) or "Nobody has said anything yet."


@renderer.register
def inbox_text(waits: Inbox) -> str:
    """Say what waits, and nothing of what does not."""
    lines = [_item(one) for one in waits.items if one.kind != "alert"]
    if waits.alerts:
        lines.append(f"{waits.alerts} open alerts: linewright alerts")
    return "\n".join(lines) or "Nothing waits for you."


def _item(one: InboxItem) -> str:
    match one.kind:
        case "proposal":
            return f"proposal {one.id}  waits for your decision: linewright proposals"
        case "mention":
            return f"{said(one.at)}  {one.line}, {one.by}\n  {one.says}"
        case "failed-run":
            return f"run {one.id} of {one.line} failed: {one.says}"
        case _:
            return f"alert {one.id} of {one.line}: {one.says}"


@renderer.register
def views_text(saved: Views) -> str:
    """Say the name and the address of each."""
    return "\n".join(f"{one.name}  {one.address}" for one in saved.views) or "You have saved no view."
