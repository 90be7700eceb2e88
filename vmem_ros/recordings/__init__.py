"""Posed RGB-D sequences of real cameras: in, out, and as a sensor of which kind would have made them."""

from vmem_ros.recordings.opening import LAYOUTS, open_recording
from vmem_ros.recordings.recording import RecordedFrame, Recording, frames_from_text
from vmem_ros.recordings.upright import AXES

__all__ = ["AXES", "LAYOUTS", "RecordedFrame", "Recording", "frames_from_text", "open_recording"]
