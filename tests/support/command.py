"""Has `commands` carry out a command with the streams, the folder and the environment of this process, and ends as it does.

It imports next to nothing, since it is started for each command.
"""

import json
import os
import socket
import sys


def main(address: str, *words: str) -> None:
    """Have a command carried out, and end as it does: with its code, or by its signal."""
    asked = {
        "words": words,
        "folder": os.getcwd(),  # noqa: PTH109 -- `pathlib` is not imported
        "umask": os.umask(0),
        "environment": dict(os.environ),
        "numbers": [0, 1, 2],
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as connection:
        connection.connect(address)
        socket.send_fds(connection, [json.dumps(asked).encode()], [0, 1, 2])
        ended = int(connection.recv(16))
    if ended < 0:
        os.kill(os.getpid(), -ended)
    os._exit(ended)


if __name__ == "__main__":
    main(*sys.argv[1:])
