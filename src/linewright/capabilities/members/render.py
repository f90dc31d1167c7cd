"""Terminal texts of results."""

from linewright.capabilities.members.operations.console import ConsoleLink
from linewright.capabilities.members.operations.invitations import NewInvitation
from linewright.capabilities.members.operations.tokens import NewToken
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


@renderer.register
def new_token_text(result: NewToken) -> str:
    """Say it line by line; the token stands alone on its line, to be copied."""
    return (
        f"Token {result.name} ({result.may}), until {result.expires[:10]}:\n"
        f"{result.token}\n"
        "It is shown this once and not stored. Programs send it as `Authorization: Bearer TOKEN`; commands read "
        "LINEWRIGHT_TOKEN.\n"
        f"Next: linewright token revoke {result.name} ends it"
    )
