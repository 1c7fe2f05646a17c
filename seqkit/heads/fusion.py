"""Options that models have in common of which a language model may be a part."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import PrivateAttr

from seqkit.config.sections import Options

_Kind = TypeVar("_Kind", bound="FusedOptions")


class FusedOptions(Options):
    """Options of prediction, among them ``lm``, the directory of a language model."""

    _model: Any = PrivateAttr(default=None)

    @property
    def model(self) -> Any:
        """The language model over what is predicted, where there is one."""
        return self._model

    def with_model(self: _Kind, model: Any) -> _Kind:
        """The options with a language model, as `seqkit.model.fusion.FusedModel` makes it for its head."""
        found = self.model_copy()
        found._model = model
        return found


def changed(options: Options, names: Sequence[str]) -> list[str]:
    """Those of some options that have another value than their default."""
    fields = type(options).model_fields
    return [name for name in names if getattr(options, name) != fields[name].default]


def refuse_without_model(options: Any, names: Sequence[str]) -> None:
    """Refuse options that are of use only beside a language model, where there is none.

    Args:
        options: the options, with ``lm``.
        names: which ones.

    Raises:
        ValueError: one is given.
    """
    if not options.lm and (given := changed(options, names)):
        raise ValueError(f"{given[0]} needs a language model, lm")
