"""Named errors, one class a cause, each with the error code that ROS results carry.

Every message says what was given, what is allowed and what to do. Raising one of these leaves the world unchanged.
"""

from enum import IntEnum


class ErrorCode(IntEnum):
    """Codes of ``error_code`` in results; equal to the constants in ``msg/ErrorCode.msg``."""

    NONE = 0
    NOT_READY = 1
    NOT_SEEDED = 2
    INVALID_POSE = 3
    TF_ERROR = 4
    INVALID_CAMERA_INFO = 5
    QUEUE_FULL = 6
    OUT_OF_MEMORY = 7
    CANCELLED = 8
    MODEL_ERROR = 9
    FILE_ERROR = 10
    NOTHING_TO_UNDO = 11
    INVALID_IMAGE = 12
    INVALID_EDIT = 13


class VmemError(Exception):
    """Base of all errors that this package raises on purpose."""

    code = ErrorCode.MODEL_ERROR


class NotReadyError(VmemError):
    """The model is still loading, or the node is not active."""

    code = ErrorCode.NOT_READY


class NotSeededError(VmemError):
    """The world has no view yet, so there is nothing to remember or to continue."""

    code = ErrorCode.NOT_SEEDED


class InvalidPoseError(VmemError, ValueError):
    """A pose is not finite, not rigid or has the wrong shape."""

    code = ErrorCode.INVALID_POSE


class FrameError(VmemError):
    """A coordinate frame is unknown, or its transform is not available at the asked time."""

    code = ErrorCode.TF_ERROR


class InvalidCameraError(VmemError, ValueError):
    """Intrinsics are absurd, or do not fit the image they come with."""

    code = ErrorCode.INVALID_CAMERA_INFO


class QueueFullError(VmemError):
    """More requests wait than the queue may hold."""

    code = ErrorCode.QUEUE_FULL


class MemoryFullError(VmemError, MemoryError):
    """The device ran out of memory; the world is kept as it was before the request."""

    code = ErrorCode.OUT_OF_MEMORY


class CancelledError(VmemError):
    """The caller cancelled; views that were not committed yet are dropped."""

    code = ErrorCode.CANCELLED


class ModelError(VmemError):
    """A model is missing, truncated, of another architecture, or failed while it ran."""

    code = ErrorCode.MODEL_ERROR


class DeadlockError(VmemError, RuntimeError):
    """A call would block the thread that has to answer it."""


class MissingPackageError(VmemError):
    """A Python package that only this needs is not installed; the message has the command that installs it."""


class WorldFileError(VmemError):
    """A world file cannot be written or read: missing, truncated, tampered with, too new, or outside its folder."""

    code = ErrorCode.FILE_ERROR


class ViewerError(VmemError):
    """The browser view cannot be opened where it was told to."""


class RecordingError(VmemError):
    """A recording cannot be read or written: something is missing, damaged, ambiguous or does not fit the rest."""

    code = ErrorCode.FILE_ERROR


class NothingToUndoError(VmemError):
    """The memory holds fewer views than should be undone."""

    code = ErrorCode.NOTHING_TO_UNDO


class InvalidImageError(VmemError, ValueError):
    """An image or depth map has the wrong shape, type, encoding or range."""

    code = ErrorCode.INVALID_IMAGE


class InvalidEditError(VmemError, ValueError):
    """A region or a cloud is none, nothing that is remembered lies there, or the memory cannot be edited."""

    code = ErrorCode.INVALID_EDIT


class ParameterError(VmemError, ValueError):
    """What a node was started with is of another type, out of range or does not fit the rest."""


class RecipeError(VmemError, ValueError):
    """A training recipe cannot be read, or has a field that is unknown, missing or out of range."""


class CheckpointError(VmemError):
    """A training checkpoint cannot be written or read; the one before is unchanged."""

    code = ErrorCode.FILE_ERROR


class TrainingDataError(VmemError):
    """Training data cannot be made or kept; the training stops with its last checkpoint intact."""

    code = ErrorCode.FILE_ERROR
