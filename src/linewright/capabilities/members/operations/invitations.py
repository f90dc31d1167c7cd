"""Inviting members, and those that lost their password."""

from typing import ClassVar

import msgspec

from linewright.errors import RequestError
from linewright.line.factory import Factory
from linewright.operations.declare import operation
from linewright.operations.parameter import Duration
from linewright.people.facts import MemberInvited
from linewright.serve.access.sign_in import invite
from linewright.text.durations import duration_micros

LONGEST_DAYS = 7


class NewInvitation(msgspec.Struct, frozen=True, kw_only=True):
    """An invitation that was made."""

    is_secret: ClassVar[bool] = True

    member: str
    invitation: str
    """The code itself, which is stored nowhere."""
    page: str
    """Path at the control plane on which the member chooses a password."""
    expires: str


@operation(permission="manage", effect="act")
def member_invite(factory: Factory, name: str, /, *, expires: Duration = "24h") -> NewInvitation:
    """Make a code by which a member chooses a password, and print it this once.

    It ends an earlier code of the member. Once it is used the member's old password is of no use, and their sessions end.

    Parameters
    ----------
    name
        Name of the member.
    expires
        After how long it lets nobody in any more, at most 7d.
    """
    micros = duration_micros(expires)
    if not 0 < micros <= duration_micros(f"{LONGEST_DAYS}d"):
        raise RequestError(
            "an invitation cannot last so long",
            where="expires",
            found=expires,
            allowed=f"up to {LONGEST_DAYS}d",
        )
    at = factory.now()
    made = invite(factory.state, name, at, micros=micros)
    factory.metadata.record(
        MemberInvited(
            at=at, by=factory.actor, because="asked for", line="", member=name, expires=made.expires
        )
    )
    return NewInvitation(
        member=name, invitation=made.code, page=f"/join?invitation={made.code}", expires=made.expires
    )
