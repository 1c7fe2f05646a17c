"""A device that says ``cuda:0`` and computes on the CPU: what a GPU would refuse or wait for shows without one.

`pretended` lets torch have it for a while. A tensor on it is a `Pretended`, around an ordinary tensor. An operation
that mixes it with tensors of the CPU fails, as on a GPU; what would make the CPU wait for the device is written down
with the place in seqkit that asked for it, see `Waits`. It knows nothing of cuDNN, of kernels, or of CUDA's autocast:
the arithmetic is that of the CPU, so that results can be compared.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing

import seqkit

DEVICE = torch.device("cuda", 0)
TRAINED = pytest.mark.skipif(torch.__version__ < "2.4", reason="this torch has fused optimisers for GPUs alone")
"""of tests that train: the device computes on the CPU, and has the optimisers of a GPU"""
_HOME = str(Path(seqkit.__file__).resolve().parent)
_aten = torch.ops.aten
_READING = {"_local_scalar_dense", "is_nonzero", "equal", "nonzero", "masked_select", "bincount"} | {
    "_unique2",
    "unique_dim",
    "unique_consecutive",
}
"""operations whose results are numbers, or of shapes that depend on numbers"""
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_"}


class Waits:
    """What made the CPU wait for the device, by the place in seqkit that asked for it: ``file.py::function``."""

    def __init__(self) -> None:
        self.places: Counter[str] = Counter()
        self.operations = 0

    def note(self) -> None:
        """Write one down."""
        self.places[_place()] += 1

    @contextmanager
    def among(self) -> Iterator[set[str]]:
        """The places that wait meanwhile, filled at the end."""
        before, found = self.places.copy(), set[str]()
        yield found
        found |= set(self.places - before)


WAITS = Waits()
"""of all pretended devices, since there is one machine"""


def _place() -> str:
    """The innermost function of seqkit that is running, which has a name."""
    frame = sys._getframe()
    while frame is not None and not (frame.f_code.co_filename.startswith(_HOME) and frame.f_code.co_name[0] != "<"):
        frame = frame.f_back  # type: ignore[assignment]
    if frame is None:
        return "a test"
    return f"{frame.f_code.co_filename[len(_HOME) + 1 :]}::{frame.f_code.co_name}"


class Pretended(Tensor):
    """A tensor on the device.

    Args:
        held: its numbers.
    """

    held: Tensor

    @staticmethod
    def __new__(cls, held: Tensor) -> Pretended:
        # Truly on the CPU: autograd would ask a GPU's driver for its streams.
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made = Tensor._make_wrapper_subclass(cls, held.shape, device="cpu", **layout)  # type: ignore[attr-defined]
        made.held = held
        return made  # type: ignore[no-any-return]

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Every operation comes here."""
        return _computed(func, args, kwargs or {})

    device = property(lambda self: DEVICE)  # type: ignore[assignment]
    is_cuda = property(lambda self: True)  # type: ignore[assignment]
    is_cpu = property(lambda self: False)  # type: ignore[assignment]

    def cpu(self, *_: Any) -> Tensor:
        """A copy that waits."""
        WAITS.note()
        return self.detach().held.clone()  # type: ignore[attr-defined, no-any-return]

    def tolist(self) -> Any:
        """Numbers, for which somebody waits."""
        WAITS.note()
        return self.detach().held.tolist()  # type: ignore[attr-defined]

    def numpy(self, *_: Any, **__: Any) -> Any:
        """What torch says."""
        raise TypeError("can't convert cuda:0 device type tensor to numpy")

    def to(self, *args: Any, **kwargs: Any) -> Tensor:
        """A copy to the CPU waits; everything else is an operation."""
        flat = [
            part for given in args for part in ((given.device, given.dtype) if isinstance(given, Tensor) else (given,))
        ]
        copied = kwargs.pop("copy", False)
        device, dtype, *_ = torch._C._nn._parse_to(*flat, **kwargs)
        there: Tensor = self.clone() if copied else self
        if device is not None and device.type == "cpu":
            there = self.cpu()
        return there if dtype is None else Tensor.to(there, dtype)

    def __repr__(self, **_: Any) -> str:
        """Without a number."""
        return f"Pretended({list(self.shape)}, {self.dtype})"


class Device(TorchDispatchMode):
    """Makes tensors on the device, and copies tensors of the CPU to it."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled, and importing the compiler takes seconds

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _computed(func, args, kwargs or {})


def _computed(func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """The result of an operation, on the device if an argument is or if it is made there."""
    device = kwargs.get("device")
    made_there = device is not None and torch.device(device).type == "cuda"
    tensors: list[Tensor] = []
    _each(lambda given: tensors.append(given) if isinstance(given, Tensor) else None, [*args, *kwargs.values()])
    here = [given for given in tensors if not isinstance(given, Pretended)]
    there = len(here) < len(tensors)
    if not there and not made_there:
        return func(*args, **kwargs)
    WAITS.operations += 1
    # A number of the CPU goes along. What autograd makes itself, the gradient of nothing, is where tensors truly are.
    backward = torch._C._current_graph_task_id() != -1
    copied = func is _aten._to_copy.default and bool(here)
    if func is _aten.copy_.default and there and here:
        _check_copy(here[0], bool(args[2]) if len(args) > 2 else bool(kwargs.get("non_blocking")))
    elif copied:
        _check_copy(here[0], bool(kwargs.get("non_blocking")))
    elif there and any(given.dim() and not (given.numel() == 0 and backward) for given in here):
        shapes = ", ".join(f"{list(given.shape)} on {given.device}" for given in tensors)
        raise RuntimeError(f"Expected all tensors to be on the same device: {func} in {_place()} of {shapes}")
    name = func.overloadpacket.__name__
    by_truth = name in _INDEXING and any(index is not None and index.dtype is torch.bool for index in args[1])
    if name in _READING or by_truth or (name == "repeat_interleave" and kwargs.get("output_size") is None):
        WAITS.note()
    options = {name: _each(_inner, value) for name, value in kwargs.items()}
    if made_there:
        options["device"] = torch.device("cpu")
    found = func(*_each(_inner, args), **options)
    if copied and found is args[0]:
        found = found.clone()
    found = _each(_around, found)
    return return_and_correct_aliasing(func, args, kwargs, found) if there else found


def _each(function: Callable[[Any], Any], value: Any) -> Any:
    """What a function makes of a value, or of each in lists of them."""
    return type(value)(_each(function, each) for each in value) if type(value) in (list, tuple) else function(value)


def _inner(value: Any) -> Any:
    return value.held if isinstance(value, Pretended) else value


def _around(value: Any) -> Any:
    return Pretended(value) if isinstance(value, Tensor) else value


def _check_copy(source: Tensor, asynchronous: bool) -> None:
    """A copy to the device waits, unless it is asked not to and reads pinned memory."""
    if source.dim() and not (asynchronous and hasattr(source, "pinned")):
        WAITS.note()


def _pinned(tensor: Tensor, *_: Any) -> Tensor:
    copy = tensor.clone()
    copy.pinned = True  # type: ignore[attr-defined]
    return copy


def _moved(module: nn.Module, device: str | torch.device) -> nn.Module:
    """`Module.to`, without the places in memory that it swaps, which these tensors do not have."""
    place = DEVICE if torch.device(device).type == "cuda" else torch.device("cpu")
    for part in module.modules():
        for name, parameter in part._parameters.items():
            if parameter is not None and parameter.device != place:
                with torch.no_grad():
                    there = parameter.detach().to(place)
                part._parameters[name] = nn.Parameter(there, requires_grad=parameter.requires_grad)
        for name, buffer in part._buffers.items():
            if buffer is not None:
                part._buffers[name] = buffer.to(place)
        if isinstance(part, nn.RNNBase):
            part._init_flat_weights()
    return module


_group = torch._C._group_tensors_by_device_and_dtype


def _grouped(lists: Any, indices: bool = False) -> Any:
    """What torch groups tensors by, which asks not Python where they are."""
    found = _group(lists, indices)
    there = any(isinstance(each, Pretended) for each in lists[0])
    return {(DEVICE, dtype): group for (_, dtype), group in found.items()} if there else found


class _Autocast(torch.autocast):
    """Of the CPU, whose arithmetic it is; bfloat16 in place of float16, which few operations of a CPU have."""

    def __init__(self, device_type: str, dtype: Any = None, enabled: bool = True, **options: Any) -> None:
        there = device_type == "cuda"
        rounded = torch.bfloat16 if there and dtype is torch.float16 else dtype
        super().__init__("cpu" if there else device_type, rounded, enabled, **options)


def _always(value: Any) -> Callable[..., Any]:
    return lambda *_, **__: value


@contextmanager
def pretended() -> Iterator[Waits]:
    """Let torch have the device.

    Yields:
        What waits for it.
    """
    with pytest.MonkeyPatch.context() as patch, Device():
        for name, value in {
            **dict.fromkeys(("_lazy_init", "empty_cache", "manual_seed_all", "set_rng_state")),
            "is_available": True,
            "device_count": 1,
            "is_bf16_supported": True,
            "get_device_capability": (9, 0),
            "get_rng_state": torch.zeros(16, dtype=torch.uint8),
            "_is_in_bad_fork": False,
        }.items():
            patch.setattr(torch.cuda, name, _always(value))
        patch.setattr("torch.backends.cudnn.is_acceptable", _always(False))
        patch.setattr("torch._C._group_tensors_by_device_and_dtype", _grouped)
        patch.setattr("torch.cuda.amp.common.amp_definitely_not_available", _always(False))
        for module in (torch, torch.amp):
            patch.setattr(module, "autocast", _Autocast)
        patch.setattr("torch._C._InferenceMode", _inference)
        patch.setattr(Tensor, "pin_memory", _pinned)
        patch.setattr(nn.Module, "to", _moved)
        yield WAITS


@contextmanager
def _inference(mode: bool = True) -> Iterator[None]:
    """`torch.inference_mode`, in which a tensor around another one cannot be made."""
    with torch.set_grad_enabled(torch.is_grad_enabled() and not mode):
        yield
