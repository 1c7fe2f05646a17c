"""What is wrong with settings, in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from seqkit.config.renamed import given_name
from seqkit.errors import shown

_SHORTER = {"greater": "at least", "less": "at most"}


def faults_of(error: ValidationError, kind: type[BaseModel], given: Mapping[str, Any]) -> list[str]:
    """The faults of settings, one message each.

    Args:
        error: what pydantic found.
        kind: the class of the settings.
        given: the settings as the user wrote them.

    Returns:
        Where each fault is, by the name that the user wrote, what was expected and what was found.
    """
    return [_fault(fault, kind, given) for fault in error.errors(include_url=False)]


def _fault(fault: Mapping[str, Any], kind: type[BaseModel], given: Mapping[str, Any]) -> str:
    place = fault["loc"]
    where = ".".join(name if name.replace("_", "").isalnum() else shown(name) for name in map(str, place))
    where = given_name(where, given)
    if fault["type"] == "extra_forbidden":
        section = kind.model_fields[str(place[0])].annotation if len(place) > 1 else kind
        assert isinstance(section, type) and issubclass(section, BaseModel)
        return f"{where}: unknown name, expected one of {', '.join(section.model_fields)}"
    message = "expected a section" if fault["type"] == "model_type" else str(fault["msg"])
    message = re.sub("(Input|String) should (be|have) ", "expected ", message).removeprefix("Value error, ")
    message = re.sub("(greater|less) than or equal to", lambda words: _SHORTER[words[1]], message)
    message = re.sub(r"\d{20,}", lambda digits: f"{float(digits[0]):g}", message)
    found = "" if fault["type"] == "value_error" else f", found {shown(fault['input'])}"
    return f"{where}: {message}{found}" if where else message + found
