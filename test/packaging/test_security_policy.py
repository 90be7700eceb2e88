"""The SROS 2 policy against the tables of the interface, and against what a real node has."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest
from rclpy.action import get_action_server_names_and_types_by_node

from harness import CameraProcess, Probe
from repository import ROOT
from vmem_ros.nodes.client import CameraClient
from vmem_ros.nodes.interface.names import ACTIONS, COMPRESSED, NAMESPACE, NODE_NAME, PUBLISHED, SERVICES, SUBSCRIBED
from waiting import wait_until

POLICY = ROOT / "config" / "sros2" / "policy.xml"
KINDS = {"topics": {"publish", "subscribe"}, "services": {"reply", "request"}, "actions": {"execute", "call"}}


def profiles() -> dict[str, ElementTree.Element]:
    """Return the profile of each node, of a policy with the elements and attributes of its format."""
    policy = ElementTree.parse(POLICY).getroot()
    assert (policy.tag, policy.get("version")) == ("policy", "0.2.0")
    out = {}
    for enclave in policy.findall("enclaves/enclave"):
        assert enclave.get("path", "").startswith(f"/{NAMESPACE}/")
        for profile in enclave.findall("profiles/profile"):
            assert profile.get("ns") == f"/{NAMESPACE}"
            for group in profile:
                assert set(group.attrib) <= KINDS[group.tag]
                assert set(group.attrib.values()) == {"ALLOW"}
                assert {item.tag for item in group} == {group.tag.removesuffix("s")}
            out[profile.get("node", "")] = profile
    return out


def names(node: str, kind: str, what: str) -> set[str]:
    """Return full names of what a node may do."""
    groups = [group for group in profiles()[node].findall(kind) if what in group.attrib]
    items = [(item.text or "").strip() for group in groups for item in group]
    assert len(items) == len(set(items))
    return {full(item, node) for item in items}


def full(name: str, node: str) -> str:
    if name.startswith("/"):
        return name
    return f"/{NAMESPACE}/{node}/{name[2:]}" if name.startswith("~/") else f"/{NAMESPACE}/{name}"


def test_every_name_of_the_interface_is_allowed_to_the_camera() -> None:
    published = {full(topic.name, NODE_NAME) for topic in PUBLISHED.values()}
    heard = {full(topic.name, NODE_NAME) for topic in (*SUBSCRIBED.values(), *COMPRESSED.values())}
    assert published <= names(NODE_NAME, "topics", "publish")
    assert heard <= names(NODE_NAME, "topics", "subscribe")
    assert {full(s.path, NODE_NAME) for s in SERVICES.values()} <= names(NODE_NAME, "services", "reply")
    assert {full(a.path, NODE_NAME) for a in ACTIONS.values()} == names(NODE_NAME, "actions", "execute")


def test_what_others_may_do_is_there() -> None:
    known = {what: names(NODE_NAME, kind, what) for kind, all_of in KINDS.items() for what in all_of}
    for node in profiles().keys() - {NODE_NAME}:
        own = {"/rosout", "/clock", "/parameter_events", "/tf", "/tf_static"}
        assert names(node, "topics", "publish") - own <= known["subscribe"]
        assert names(node, "topics", "subscribe") - own <= known["publish"]
        assert names(node, "services", "request") <= known["reply"]
        assert names(node, "actions", "call") <= known["execute"]
    asked = names("vmem_client", "services", "request")
    assert {full(s.path, NODE_NAME) for s in SERVICES.values()} <= asked


@pytest.mark.ros
def test_a_real_node_needs_nothing_else(tmp_path: Path) -> None:
    with CameraProcess(tmp_path / "log", {"seed.pose_source": "topic"}), CameraClient() as client:
        client.wait_until_ready()
        probe = Probe()
        where = (NODE_NAME, f"/{NAMESPACE}")

        def found(ask: str) -> set[str]:
            return {name for name, _ in getattr(probe.node, f"get_{ask}_names_and_types_by_node")(*where)}

        services = names(NODE_NAME, "services", "reply")
        wait_until(lambda: where in probe.node.get_node_names_and_namespaces(), "the node in the graph")
        actions = names(NODE_NAME, "actions", "execute")
        wait_until(
            lambda: {name for name, _ in get_action_server_names_and_types_by_node(probe.node, *where)} == actions,
            "the actions of the policy",
        )
        wait_until(
            lambda: {name for name in found("service") if "/_action/" not in name} == services,
            "the services of the policy",
            seen=lambda: found("service") ^ services,
        )
        assert {name for name in found("publisher") if "/_action/" not in name} <= names(NODE_NAME, "topics", "publish")
        assert found("subscriber") <= names(NODE_NAME, "topics", "subscribe")
        probe.close()
