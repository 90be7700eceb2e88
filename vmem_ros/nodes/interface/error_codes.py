"""Errors across the process boundary: codes and messages in results, and back."""

from __future__ import annotations

from typing import Any

from vmem_ros.errors import ErrorCode, MemoryFullError, ModelError, VmemError
from vmem_ros.out_of_memory import is_out_of_memory


def _subclasses(cls: type[VmemError]) -> list[type[VmemError]]:
    return [cls, *(s for c in cls.__subclasses__() for s in _subclasses(c))]


def as_vmem_error(error: BaseException) -> VmemError:
    """Return any exception as a named one: memory exhausted, or a failure of the model or its code."""
    if isinstance(error, VmemError):
        return error
    if is_out_of_memory(error):
        return MemoryFullError(
            f"out of memory ({str(error) or type(error).__name__}): the world is kept; ask for smaller or fewer views "
            "(camera.width, camera.chunk), or bound it (memory.max_views, memory.max_surfels)"
        )
    return ModelError(f"{type(error).__name__}: {error}")


def classes_by_code() -> dict[ErrorCode, type[VmemError]]:
    """Return the error class of each code: the one that was defined for it first, where several carry it."""
    out: dict[ErrorCode, type[VmemError]] = {}
    for cls in _subclasses(VmemError)[1:]:
        if "code" in vars(cls):
            out.setdefault(cls.code, cls)
    return out


def error_of(code: int, message: str) -> VmemError:
    """Return the typed error of a result's ``error_code`` and ``error_msg``."""
    known = code in set(ErrorCode)
    return classes_by_code().get(ErrorCode(code), VmemError)(message) if known else VmemError(message)


def refuse(response: Any, error: VmemError) -> Any:
    """Fill a result or response that carries ``error_code`` and ``error_msg``; return it."""
    response.error_code = int(error.code)
    response.error_msg = str(error)
    return response


def as_text(error: VmemError) -> str:
    """Return an error as the message of a ``std_srvs`` response, led by the name of its code."""
    return f"{error.code.name}: {error}"


def error_from_text(message: str) -> VmemError:
    """Return the typed error behind :func:`as_text`."""
    name, separator, text = message.partition(": ")
    if separator and name in ErrorCode.__members__:
        return error_of(int(ErrorCode[name]), text)
    return VmemError(message)
