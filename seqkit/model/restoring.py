"""A network from saved weights: nothing is allocated before the weights are known to be what the settings ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from seqkit.errors import ModelError, SettingsError
from seqkit.nn.network import Network

_FILLING = {"uniform_", "normal_", "kaiming_uniform_", "xavier_uniform_", "constant_", "zeros_", "fill_", "zero_"}
"""methods of tensors, and functions of `torch.nn.init`, that give a tensor its first numbers"""


def restored_network(build: Callable[[], Network], weights: Mapping[str, Tensor], place: str) -> Network:
    """Build a network and give it saved weights.

    It is built without memory, on torch's device ``meta``; so settings and vocabularies that ask for a network larger
    than the one that was saved cost nothing before they are refused. What was built with numbers all the same (which
    moves between tags are legal, how a condition is scaled) follows from the model's documents, and has to be what was
    saved.

    Args:
        build: makes the network.
        weights: the saved weights.
        place: what error messages call the model.

    Returns:
        The network, with copies of the weights, ready for use.

    Raises:
        ModelError: settings, documents and weights do not fit each other, or a weight is no finite number.
    """
    try:
        with torch.device("meta"), _Unfilled():
            network = build()
    except SettingsError as error:
        raise ModelError(f"{place}: {error}") from None
    except (RuntimeError, ValueError, OverflowError) as error:  # sizes that no tensor can have, or that do not fit
        raise ModelError(f"{place}: settings of no possible network: {str(error).splitlines()[0]}") from None
    expected = network.state_dict()
    misfit = f"{place}: weights do not fit the model's settings: "
    odd = sorted(expected.keys() ^ weights.keys())
    if odd:
        found = "found none" if odd[0] in expected else f"found {odd[0]!r:.80}"
        raise ModelError(f"{misfit}expected {odd[0] if odd[0] in expected else 'no other'}, {found}")
    for name, tensor in expected.items():
        if shape_of(tensor) != shape_of(weights[name]):
            raise ModelError(f"{misfit}expected {name} as {shape_of(tensor)}, found {shape_of(weights[name])}")
        if not tensor.is_meta and not torch.equal(tensor.cpu(), weights[name]):
            raise ModelError(f"{misfit}expected {name} as the model's documents have it, found other values")
        _check_finite(weights[name], f"{misfit}expected finite numbers as {name}")
    trained = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    # Cloned into memory of torch's own, aligned as its kernels like it; a part of a file need not be.
    copies = {name: weights[name].clone() for name in expected}
    for name, wanted in trained.items():
        copies[name] = nn.Parameter(copies[name], requires_grad=wanted)
    network.load_state_dict(copies, assign=True)
    return network.eval()


class _Unfilled(TorchFunctionMode):
    """Nothing is drawn for tensors without memory: to some versions of torch that is worth seconds of imports."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        target = args[0] if args else kwargs.get("tensor")
        if func.__name__ in _FILLING and isinstance(target, Tensor) and target.is_meta:
            return target
        if func in (torch.zeros, torch.ones) and "device" not in kwargs:
            func = torch.empty
        return func(*args, **kwargs)


def shape_of(tensor: Tensor) -> str:
    """Type and shape of a tensor, as messages have them."""
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _check_finite(tensor: Tensor, expected: str) -> None:
    if tensor.is_floating_point() and tensor.numel():
        least, most = (float(bound) for bound in tensor.aminmax())  # NaN if there is one
        if not (-torch.inf < least and most < torch.inf):
            raise ModelError(f"{expected}, found {most if least > -torch.inf else least}")
