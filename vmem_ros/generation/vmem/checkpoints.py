"""Published checkpoints: one file of tensors becomes a :class:`MultiviewUNet`, or says why it cannot.

A published ``vmem_weights.pth`` holds the network's parameters in float32 under the network's own names, each behind
the ``module.`` that data-parallel training puts there. Nothing is executed while it is read: the unpickler is
restricted to tensors, and the tensors stay mapped to the file until they are used.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.network import MultiviewUNet

#: Bytes of the published ``vmem_weights.pth``.
PUBLISHED_BYTES = 5_056_346_672
_GET_WEIGHTS = "the published file is vmem_weights.pth of huggingface.co/liguang0115/vmem, where access is asked for"
# What training frameworks put around a state dict, and before its names.
_WRAPPERS = ("state_dict", "module", "model")
_PREFIXES = ("module.", "_orig_mod.")
# Names listed in an error message; a wrong file differs in hundreds.
_LISTED = 3

#: Called after each tensor as ``on_bytes(bytes of it)``.
OnBytes = Callable[[int], None]


def load_original(path: Path | str) -> dict[str, Tensor]:
    """Return the state dict of a checkpoint file, without the wrappers of data-parallel or compiled training.

    :param path: ``.pth`` (read with the restricted unpickler) or ``.safetensors``.
    :returns: name: tensor on the CPU, mapped to the file, which therefore must stay until the tensors are used.
    :raises ModelError: no such file, truncated, not a checkpoint, or with content other than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelError(f"there is no file {path}: {_GET_WEIGHTS}")
    complete = zipfile.is_zipfile(path)
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            # Only the zip format, torch's since 2020, can be mapped.
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=complete)
    except Exception as error:  # the unpickler raises whatever the bytes lead it to
        size = path.stat().st_size
        with path.open("rb") as file:
            begins_well = file.read(4) == b"PK\x03\x04"
        if path.suffix == ".safetensors" or (begins_well and not complete):
            what = (
                f"is truncated or damaged ({size:,} bytes; the published file has {PUBLISHED_BYTES:,}): copy it again"
            )
        else:
            what = f"is no checkpoint that can be read safely: {_GET_WEIGHTS}"
        raise ModelError(f"{path} {what} ({_first_line(error)})") from error
    return _unwrapped(content, path)


def unet_from_original(
    weights: Path | str,
    *,
    config: Mapping[str, Any] | None = None,
    torch_dtype: torch.dtype = torch.float32,
    on_bytes: OnBytes | None = None,
) -> MultiviewUNet:
    """Return the network with the parameters of a checkpoint file, every one of them used.

    :param config: fields of :class:`MultiviewUNet` other than the published ones. With ``projection_channels`` the
        parameters that the file cannot have start at zero, which leaves the network's output as it was.
    :param torch_dtype: type of the parameters; those that have it already stay mapped to the file.
    :param on_bytes: called after each tensor with its size in the file.
    :raises ModelError: unreadable (see :func:`load_original`), or the file is that of another network.
    """
    config = dict(config or {})
    state = load_original(weights)
    try:
        with torch.device("meta"):
            unet = MultiviewUNet(**config)
            published = MultiviewUNet(**{**config, "projection_channels": 0})
    except (TypeError, ValueError) as error:
        raise ModelError(f"{config} is no configuration of MultiviewUNet: {error}") from error
    expected = {name: p.shape for name, p in published.state_dict().items()}
    check_fit(state, expected, source=str(weights))
    complete = {
        name: torch.zeros(p.shape, dtype=torch_dtype) for name, p in unet.state_dict().items() if name not in expected
    }
    for name, tensor in state.items():
        complete[name] = tensor.to(torch_dtype)
        if not bool(torch.isfinite(complete[name]).all()):
            raise ModelError(
                f"{name} in {weights} is not finite in {torch_dtype}: copy the file again, or use bfloat16"
            )
        if on_bytes is not None:
            on_bytes(tensor.nbytes)
    unet.load_state_dict(complete, strict=True, assign=True)
    return unet.eval().requires_grad_(False)


def check_fit(state: Mapping[str, Tensor], expected: Mapping[str, torch.Size], *, source: str) -> None:
    """Raise :class:`ModelError` unless names and shapes agree; the message names what is missing, left over or other.

    :param expected: name: shape, as the network has them.
    """
    missing = [name for name in expected if name not in state]
    unexpected = [name for name in state if name not in expected]
    other = [
        f"{name} {list(state[name].shape)} instead of {list(shape)}"
        for name, shape in expected.items()
        if name in state and state[name].shape != shape
    ]
    complaints = [
        f"{len(names)} {what} ({_listed(names)})"
        for what, names in (("missing", missing), ("unexpected", unexpected), ("of another shape", other))
        if names
    ]
    if complaints:
        raise ModelError(
            f"{source} does not fit the network: of {len(expected)} parameters, {', '.join(complaints)}; "
            f"{_GET_WEIGHTS}; for a network of another size give its configuration"
        )


def _unwrapped(content: Any, path: Path) -> dict[str, Tensor]:
    """Return the flat state dict inside what a checkpoint holds."""
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not content:
        raise ModelError(f"{path} holds a {type(content).__name__} and no state dict: {_GET_WEIGHTS}")
    alien = [str(name) for name, value in content.items() if not (isinstance(name, str) and _is_weight(value))]
    if alien:
        raise ModelError(f"{path} holds more than weights ({_listed(alien)}): {_GET_WEIGHTS}")
    state = dict(content)
    while prefix := next((p for p in _PREFIXES if all(name.startswith(p) for name in state)), None):
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _is_weight(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _listed(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
