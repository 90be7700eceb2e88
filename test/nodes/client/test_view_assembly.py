"""The messages of one view are put together, whatever the order in which they come."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import torch
from vmem_ros.msg import Retrieval

from rooms import box_view, orbit
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
            assert not assembly.add(name, parts[name])
        assert assembly.latest is None
        assert assembly.add(order[-1], parts[order[-1]])
        assert assembly.latest is not None
        check(assembly.latest, stamp_ns)


def test_parts_of_two_views_are_not_mixed() -> None:
    assembly = ViewAssembly()
    with assembly.collect() as collection:
        for first, second in zip(parts_of(1).items(), parts_of(2).items(), strict=True):
            assembly.add(*first)
            assembly.add(*second)
    for stamp_ns in (1, 2):
        check(collection.views[stamp_ns], stamp_ns)


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


def test_a_collection_says_what_did_not_arrive() -> None:
    assembly = ViewAssembly()
    add(assembly, 1)
    with assembly.collect() as collection:
        add(assembly, 2)
    add(assembly, 3)
    assert collection.missing([1, 2, 3]) == [1, 3]
