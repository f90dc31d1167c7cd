"""Members: who may do what, invitations, sign-in and tokens."""

from linewright.operations.capability import PEOPLE, Capability

CAPABILITY = Capability(
    __name__,
    operations={
        "member add": (".operations.members", PEOPLE, "Add a member with a role."),
        "member list": (".operations.members", PEOPLE, "List who may sign in, and what they may do."),
        "member role": (
            ".operations.members",
            PEOPLE,
            "Give a member a role, or take it away; their tokens have it at once, and they sign in again.",
        ),
        "member remove": (
            ".operations.members",
            PEOPLE,
            "Remove a member with their saved views, sign them out and revoke their tokens.",
        ),
        "member invite": (
            ".operations.invitations",
            PEOPLE,
            "Make a code by which a member chooses a password, and print it this once.",
        ),
        "console": (
            ".operations.console",
            PEOPLE,
            "Print a link that opens the console, signed in as the owner of the factory.",
        ),
        "login": (".operations.login", PEOPLE, "Sign in to a factory that is up, here or elsewhere."),
        "logout": (".operations.login", PEOPLE, "Sign out of a factory, and forget the session."),
        "token create": (".operations.tokens", PEOPLE, "Make a token, and print it this once."),
        "token list": (
            ".operations.tokens",
            PEOPLE,
            "List all tokens, with what they may do and their last use.",
        ),
        "token revoke": (".operations.tokens", PEOPLE, "Revoke a token: within a second it lets nobody in."),
    },
    results={
        ".operations.console": ".render",
        ".operations.invitations": ".render",
        ".operations.tokens": ".render",
    },
    pages=".pages",
)
