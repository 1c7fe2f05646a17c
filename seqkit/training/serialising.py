"""Tensors and a few strings as bytes: the safetensors format, whose header takes strings beside names and shapes."""

from __future__ import annotations

import json
from collections.abc import Mapping

import safetensors.torch
from torch import Tensor


def packed(tensors: Mapping[str, Tensor], strings: dict[str, str]) -> bytes:
    """Write tensors and strings.

    Args:
        tensors: name → tensor, on any device.
        strings: name → string.

    Returns:
        The bytes.
    """
    plain = {name: tensor.detach().to("cpu").contiguous() for name, tensor in tensors.items()}
    return safetensors.torch.save(plain, metadata=strings)


def unpacked(content: bytes) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read what `packed` gave. Of other bytes it is a `safetensors.SafetensorError`.

    Args:
        content: the bytes.

    Returns:
        The tensors, on the CPU, and the strings.
    """
    tensors = safetensors.torch.load(content)
    length = int.from_bytes(content[:8], "little")
    strings: dict[str, str] = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    return tensors, strings
