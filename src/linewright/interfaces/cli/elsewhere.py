"""What a command asks of another factory than its own, by its folder or its address."""

from collections.abc import Mapping
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

from linewright.errors import LinewrightError
from linewright.operations.declare import load
from linewright.operations.table import OPERATIONS
from linewright.serve.access.authenticate import local_identity
from linewright.serve.access.refused import Refused
from linewright.store.clock import user
from linewright.store.files.disk import faults_explained

SCHEMES = ("http://", "https://")


def ask_elsewhere(of: str, name: str, arguments: Mapping[str, str], *, token: str) -> Any:
    """Carry an operation out at another factory, as its command with ``--factory`` would, and return its result."""
    operation = load(name, OPERATIONS)
    given = {name: [text] for name, text in arguments.items()}
    values = operation.check(given, text=True)
    if of.lower().startswith(SCHEMES):
        remote = import_module("linewright.interfaces.cli.remote")  # TLS takes long to import
        return remote.result_of(operation, remote.ask(of, operation, given, values, token=token))
    root, who = Path(of).expanduser().absolute(), ""
    state = root / ".linewright"
    try:
        identity = local_identity(state, token, user())
        who = identity.actor
        operation.authorize(identity, values)
        factory = import_module("linewright.line.factory").Factory
        with faults_explained(root), factory.open(root, identity=identity) as opened:
            return operation.carry_out(opened, values)
    except LinewrightError as error:
        if token and state.is_dir():
            with closing(Refused(state)) as refused:
                refused.note(error, server="command", who=who, what=name)
        raise
