"""The messages of one view are put together, whatever the order in which they come."""

from __future__ import annotations

import itertools
import threading
from typing import Any

import numpy as np
import pytest
import torch
from vmem_ros.msg import Retrieval

from rooms import box_view, orbit
from vmem_ros.errors import NotReadyError
from vmem_ros.geometry import Camera
from vmem_ros.messages.transforms import link_from_camera
from vmem_ros.nodes.client.view_assembly import CapturedView, ViewAssembly
from vmem_ros.nodes.interface.rclpy_messages import (
    camera_to_message,
    header,
    image_to_message,
    map_to_message,
    pose_to_message,
)

CAMERA = Camera.from_fov(16, 12, 75)
VIEW = box_view(CAMERA, orbit(1)[0])


def parts_of(stamp_ns: int) -> dict[str, Any]:
    head = header("camera", stamp_ns)
    pose = pose_to_message(link_from_camera(VIEW.T_world_camera))
    return {
        "camera/image_raw": image_to_message(VIEW.image, head),
        "camera/camera_info": camera_to_message(CAMERA, head),
        "camera/depth/image_rect": map_to_message(VIEW.depth, head),
        "camera/confidence": map_to_message(torch.full((12, 16), 0.5), head),
        "memory/retrieval": Retrieval(header=head, pose=pose, view_ids=[3, 1], weights=[0.75, 0.25], remembered=0.5),
    }


def add(assembly: ViewAssembly, stamp_ns: int) -> None:
    for name, message in parts_of(stamp_ns).items():
        assembly.add(name, message)


def check(view: CapturedView, stamp_ns: int) -> None:
    np.testing.assert_array_equal(view.image, VIEW.image)
    np.testing.assert_array_equal(view.depth, VIEW.depth)
    torch.testing.assert_close(view.T_world_camera, VIEW.T_world_camera, rtol=0, atol=1e-9)
    assert (view.camera, view.stamp_ns, view.references, view.weights) == (CAMERA, stamp_ns, (3, 1), (0.75, 0.25))


def test_in_any_order() -> None:
    for stamp_ns, order in enumerate(itertools.permutations(ViewAssembly.PARTS), 1):
        assembly, parts = ViewAssembly(), parts_of(stamp_ns)
        for name in order[:-1]:
            assembly.add(name, parts[name])
        assert assembly.latest is None
        assembly.add(order[-1], parts[order[-1]])
        assert assembly.latest is not None
        check(assembly.latest, stamp_ns)


def test_parts_of_two_views_are_not_mixed() -> None:
    assembly = ViewAssembly()
    with assembly.collect() as collection:
        for first, second in zip(parts_of(1).items(), parts_of(2).items(), strict=True):
            assembly.add(*first)
            assembly.add(*second)
        views = collection.wait([2, 1])
    for view, stamp_ns in zip(views, (2, 1), strict=True):
        check(view, stamp_ns)


def test_what_never_becomes_complete_is_given_up() -> None:
    assembly = ViewAssembly()
    for stamp_ns in range(1, 200):
        assembly.add("camera/image_raw", parts_of(stamp_ns)["camera/image_raw"])
    rest = {name: part for name, part in parts_of(1).items() if name != "camera/image_raw"}
    for name, part in rest.items():
        assembly.add(name, part)
    assert assembly.latest is None
    add(assembly, 1000)
    assert assembly.latest is not None


def test_a_collection_waits_for_views_of_another_thread() -> None:
    assembly = ViewAssembly()
    with assembly.collect() as collection:
        thread = threading.Timer(0.05, add, (assembly, 7))
        thread.start()
        (view,) = collection.wait([7])
        thread.join()
    check(view, 7)


def test_a_collection_says_what_did_not_arrive() -> None:
    assembly = ViewAssembly()
    add(assembly, 1)
    with assembly.collect() as collection:
        add(assembly, 2)
        with pytest.raises(NotReadyError, match="2 of 3 views were published but did not arrive"):
            collection.wait([1, 2, 3], timeout_s=0.05)
