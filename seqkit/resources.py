"""What seqkit finds by name: the folders of recipes and cards, in a checkout or a wheel; modules loaded when needed."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Literal

from seqkit.errors import SeqkitError

_PACKAGE = Path(__file__).resolve().parent


def resource_dir(name: Literal["datasets", "tasks"]) -> Path:
    """Find the folder of recipes or of data set cards that belongs to this copy of seqkit.

    Args:
        name: ``"tasks"`` (recipes, one TOML file each) or ``"datasets"`` (cards, one TOML file each).

    Returns:
        The folder, which exists.

    Raises:
        SeqkitError: this copy of seqkit is neither a checkout nor a complete installation.
    """
    installed = _PACKAGE / "_resources" / name
    if installed.is_dir():
        return installed
    checkout = _PACKAGE.parent
    # Only a checkout has its project file beside the package: in site-packages the neighbour called `datasets` is
    # Hugging Face's library.
    if (checkout / "pyproject.toml").is_file() and (checkout / name).is_dir():
        return checkout / name
    raise SeqkitError(f"the folder {name!r} of this installation of seqkit is missing; install seqkit again")


def imported(place: str) -> Any:
    """An object of a module, which is imported only now.

    Args:
        place: ``package.module:name``.

    Returns:
        The object of that name.
    """
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


def extra(module: str, name: str, purpose: str) -> Any:
    """A module of a package that only some installations have.

    Args:
        module: the module.
        name: the extra of seqkit that installs it.
        purpose: what it is needed for.

    Returns:
        The module.

    Raises:
        SeqkitError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError:
        raise SeqkitError(f'{purpose} needs {module}: pip install "seqkit-nlp[{name}]"') from None
