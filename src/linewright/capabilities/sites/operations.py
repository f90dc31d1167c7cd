"""Operations for sites without a connection: a model that serves away from its factory, and its predictions."""

from pathlib import Path

from linewright.capabilities.releases.operations import require_promotable
from linewright.capabilities.sites.folder import DetachedFolder, write_folder
from linewright.capabilities.sites.handover import Synced, take_over
from linewright.line.factory import Factory
from linewright.line.record.registry import find_model
from linewright.operations.declare import operation


@operation(permission="release", effect="act", local=True)
def detach(factory: Factory, model: str, folder: Path, /) -> DetachedFolder:
    """Write a folder from which an endpoint serves a model without the factory.

    Carry the folder to the site, and serve it there: ``linewright serve --detached FOLDER``. Each byte is verified by its digest before it serves.
    A model that has not served yet needs what ``promote`` needs: gates that passed, and approval if the line file wants it.

    Parameters
    ----------
    model
        Which model, as LINE@VERSION; LINE alone is its champion.
    folder
        The folder to make.
    """
    require_promotable(factory, find_model(factory, model))
    return write_folder(factory, model, folder)


@operation(permission="release", effect="act", local=True, checks_lines=True)
def sync(factory: Factory, folder: Path, /) -> Synced:
    """Take over the predictions and labels of a detached endpoint, each exactly once.

    It may be interrupted and be repeated, also while the endpoint serves: what it writes to then comes over the next time.

    Parameters
    ----------
    folder
        The folder that ``linewright detach`` wrote, or a copy of it.
    """
    return take_over(factory, folder)
