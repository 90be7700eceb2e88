"""Writes docs/ros_interface.md from the tables of the node.

``python -m vmem_ros.nodes.interface.docs docs/ros_interface.md``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from rclpy.qos import DurabilityPolicy

from vmem_ros.errors import ErrorCode
from vmem_ros.files import write_text
from vmem_ros.nodes.interface.error_codes import classes_by_code
from vmem_ros.nodes.interface.frame_names import FrameNames
from vmem_ros.nodes.interface.names import (
    ACTIONS,
    COMPRESSED,
    NAMESPACE,
    NODE_NAME,
    PUBLISHED,
    SERVICES,
    SUBSCRIBED,
    Topic,
    message_type_name,
    qos_profile,
)
from vmem_ros.nodes.interface.parameters import PARAMETERS

_INTRODUCTION = f"""# The ROS 2 interface

Written by `python -m vmem_ros.nodes.interface.docs docs/ros_interface.md` from the tables in
`vmem_ros/nodes/interface/`; do not edit.

One lifecycle node, `{NODE_NAME}`, in a namespace of your choice (default `{NAMESPACE}`). Names of data are
relative, so a namespace or a remap moves the whole camera; services and actions are private to the node (`~/`).
There are two cameras over one memory: the **preview** shows what memory alone knows at the present pose, in
milliseconds, with holes, and changes nothing; the **camera** generates a view, in its own time, and commits it.

## Conventions

- Poses in messages are those of the camera *link* (x forward, y left, z up, REP-103), in any frame TF knows; an empty
  frame is the world frame. A pose without a stamp gets the present time.
- `map` -> `<prefix>_link` -> `<prefix>_optical_frame` is where the camera is now. Each image stream has an optical
  frame of its own below the world frame, sent on /tf with the stamp of its image just before it, so that a view
  that took long still has its place.
- Images, intrinsics, depth and clouds of one view share stamp and frame. `P` is filled, distortion is zero, principal
  points count pixel centres as integers.
- Depth is 32FC1 in metres along the optical axis: NaN unknown, +Inf looked and saw nothing (REP-117, REP-118).
- Every publisher is reliable. A subscription becomes best effort once a best-effort publisher is found, and stays so.
  Policies can be changed without code, and a reliability that is set stays, e.g.
  `-p qos_overrides./{NAMESPACE}/preview/image_raw.publisher.reliability:=best_effort`.
- `std_srvs` answers that report a failure begin their message with the name of the error code.
"""


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return [*lines, *("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows), ""]


def _qos(topic: Topic) -> str:
    def words(mode: str) -> str:
        profile = qos_profile(topic.qos, mode=mode)  # type: ignore[arg-type]
        latched = profile.durability == DurabilityPolicy.TRANSIENT_LOCAL
        return f"reliable, {'transient-local' if latched else 'volatile'} {profile.depth}"

    polled, streaming = words("polled"), words("streaming")
    return polled if polled == streaming else f"{polled} (streaming: {streaming})"


def _topics(topics: Iterable[Topic]) -> list[str]:
    names = FrameNames("map", "<prefix>")
    rows = []
    for topic in topics:
        types = [topic.type, *([topic.alternative] if topic.alternative else [])]
        frame = f" Frame `{names.of(topic.frame)}`." if topic.frame else ""
        kinds = " or ".join(f"`{message_type_name(t)}`" for t in types)
        rows.append((f"`{topic.name}`", kinds, topic.description + "." + frame, _qos(topic)))
    return _table(("topic", "type", "contents", "QoS"), rows)


def render() -> str:
    """Return the document."""
    services = [(f"`{s.path}`", f"`{message_type_name(s.type)}`", s.description) for s in SERVICES.values()]
    actions = [(f"`{a.path}`", f"`{message_type_name(a.type)}`", a.description) for a in ACTIONS.values()]
    parameters = []
    for p in PARAMETERS.values():
        when = "at start" if p.read_only else "any time"
        parameters.append((f"`{p.name}`", p.type_name, f"`{p.default!r}`", p.allowed, when, p.description))
    causes = {code: (cls.__doc__ or "").splitlines()[0] for code, cls in classes_by_code().items()}
    codes = [(str(int(c)), f"`{c.name}`", causes.get(c, "Success.")) for c in ErrorCode]
    lines = [
        _INTRODUCTION,
        "## Published",
        "",
        *_topics(PUBLISHED.values()),
        "`/tf` and `/tf_static` carry the frames above, with `publish_tf`, where `tf2_msgs` is installed.",
        "",
        "## Subscribed",
        "",
        *_topics([*SUBSCRIBED.values(), *COMPRESSED.values()]),
        "/tf and /tf_static are subscribed from the first time that a pose in another frame needs them.",
        "",
        "## Services",
        "",
        *_table(("service", "type", "meaning"), services),
        "## Actions",
        "",
        *_table(("action", "type", "meaning"), actions),
        "## Parameters",
        "",
        *_table(("name", "type", "default", "allowed", "set", "meaning"), parameters),
        "## Error codes",
        "",
        "Constants of `vmem_ros/msg/ErrorCode`, in `error_code` of every result; `error_msg` says what to do.",
        "",
        *_table(("code", "name", "cause"), codes),
    ]
    return "\n".join(lines).rstrip() + "\n"


def main() -> int:
    """Write the document to the path given as the only argument."""
    parser = argparse.ArgumentParser(prog="docs", description=main.__doc__)
    parser.add_argument("path", type=Path, help="usually docs/ros_interface.md")
    write_text(parser.parse_args().path, render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
