"""Linewright: an AI factory in one Python package."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from linewright.client import Client
    from linewright.interfaces.python.factory import Factory

__version__ = "0.1.0"

__all__ = ["Client", "Factory", "__version__"]


def __getattr__(name: str) -> Any:
    # `import linewright` stays cheap: what these need is imported when they are first named.
    if name == "Factory":
        return import_module("linewright.interfaces.python.factory").Factory
    if name == "Client":
        return import_module("linewright.client").Client
    raise AttributeError(f"module 'linewright' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
