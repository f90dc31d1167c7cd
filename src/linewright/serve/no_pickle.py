"""No pickle is read in the process of an endpoint: a pickle may name any function, and reading it calls that function."""

import sys

from linewright.errors import Terminal

_READS_A_NAME = "pickle.find_class"


def forbid_pickles() -> None:
    """Make it an error, from now on and for good in this process, to read a pickle that names a class or a function.

    It holds for all that reads pickles, in C or in Python: `pickle`, `numpy.load`, `shelve`, `multiprocessing`. A pickle that
    names nothing holds plain values and calls nothing; it is read as before. Reading marshalled code runs nothing either, and
    Python does it whenever it imports.

    Notes
    -----
    What raises is an audit hook (PEP 578): none can be taken away, and each is called for every event of this process, so it
    compares one text and does no more.
    """
    sys.addaudithook(_refuse)


def _refuse(event: str, arguments: tuple[object, ...]) -> None:
    if event == _READS_A_NAME:
        raise Terminal(
            "a pickle was to be read in the process of an endpoint",
            found=".".join(map(str, arguments)),
            allowed="packages of JSON and ONNX",
            hint="nothing that serves needs one: find out which file it came from",
        )
