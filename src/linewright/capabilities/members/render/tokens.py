"""Tokens: what a new one is good for, which is shown once."""

from linewright.capabilities.members.operations.tokens import NewToken
from linewright.interfaces.cli.dispatch import renderer


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
