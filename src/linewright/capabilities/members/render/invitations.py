"""Invitations, and the owner's link: what somebody does with one."""

from linewright.capabilities.members.operations.console import ConsoleLink
from linewright.capabilities.members.operations.invitations import NewInvitation
from linewright.interfaces.cli.dispatch import renderer
from linewright.store.clock import said


@renderer.register
def new_invitation_text(result: NewInvitation) -> str:
    """Say it line by line; the code stands alone on its line, to be copied."""
    return (
        f"Invitation of {result.member}, until {said(result.expires)}, to be used once:\n"
        f"{result.invitation}\n"
        "It is shown this once and not stored.\n"
        f"Next: send it to {result.member}, who chooses a password by `linewright login URL --invitation CODE`, or in a browser "
        "at URL/join?invitation=CODE; URL is that of the control plane"
    )


@renderer.register
def console_link_text(result: ConsoleLink) -> str:
    """Say it alone on its line, to be copied."""
    return f"{result.link}\nIt signs you in once, within 24 h"
