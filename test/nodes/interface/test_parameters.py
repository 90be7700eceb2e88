"""The table of parameters: consistent in itself, and what bad values are told."""

import math

import pytest

from vmem_ros.nodes.interface.parameters import PARAMETERS, check

DEFAULTS = {name: p.default for name, p in PARAMETERS.items()} | {"frame_prefix": "vmem"}


@pytest.mark.parametrize("parameter", PARAMETERS.values(), ids=lambda p: p.name)
def test_rows_are_consistent(parameter) -> None:
    assert parameter.complaint(parameter.default) is None
    assert parameter.description
    descriptor = parameter.descriptor()
    assert descriptor.read_only == parameter.read_only
    assert len(descriptor.floating_point_range) == (
        isinstance(parameter.default, float) and parameter.limits is not None
    )
    assert len(descriptor.integer_range) == (type(parameter.default) is int and parameter.limits is not None)
    for choice in parameter.choices:
        assert choice in descriptor.additional_constraints


def test_defaults_make_a_node() -> None:
    assert check(DEFAULTS) is None


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("preview.rate_hz", 100.0, "preview.rate_hz = 100.0 is refused: allowed is 0.1 to 60 (default 10.0)"),
        ("preview.rate_hz", math.nan, "preview.rate_hz = nan is refused: allowed is 0.1 to 60 (default 10.0)"),
        ("preview.rate_hz", "10", "preview.rate_hz must be a double, got '10' (default 10.0)"),
        ("camera.width", True, "camera.width must be an integer, got True (default 576)"),
        ("camera.width", 640.0, "camera.width must be an integer, got 640.0 (default 576)"),
        (
            "seed.refine_pose",
            False,
            "seed.refine_pose must be a string, got False (default 'off'); YAML takes a bare word or number for text "
            "only in quotes",
        ),
        ("world.root", "", "world.root = '' names no folder (default '~/.ros/vmem_worlds')"),
        (
            "camera.mode",
            "always",
            "camera.mode = 'always' is refused: allowed is 'polled', 'streaming', 'disabled' (default 'polled')",
        ),
        ("world_frame_id", "", "world_frame_id must not be empty (default 'map')"),
        (
            "world_frame_id",
            "/map",
            "world_frame_id = '/map' is refused: frames of tf2 have no leading slash, write 'map'",
        ),
        (
            "follow_frame",
            "/camera_link",
            "follow_frame = '/camera_link' is refused: frames of tf2 have no leading slash, write 'camera_link'",
        ),
        (
            "follow_frame",
            "vmem_link",
            "follow_frame = 'vmem_link' is the camera itself: name a frame of the robot, or change frame_prefix",
        ),
    ],
)
def test_complaints_name_value_limit_and_remedy(name: str, value: object, text: str) -> None:
    assert check({**DEFAULTS, name: value}) == text


def test_values_that_do_not_fit_together() -> None:
    complaint = check({**DEFAULTS, "camera.width": 16, "camera.height": 4096, "camera.fov_deg": 100.0})
    assert complaint is not None
    assert complaint.startswith("camera.width, camera.height and camera.fov_deg do not make a camera: fy = ")


@pytest.mark.parametrize(
    ("name", "given", "meant"),
    [("preview.rate_hz", 5, 5.0), ("preview.rate_hz", True, True), ("camera.width", 640, 640), ("engine", 5, 5)],
)
def test_whole_numbers_are_doubles_where_doubles_are_meant(name: str, given: object, meant: object) -> None:
    value = PARAMETERS[name].read(given)
    assert (value, type(value)) == (meant, type(meant))
