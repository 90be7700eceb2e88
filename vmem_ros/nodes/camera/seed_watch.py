"""Why the images of a camera do not reach the memory: topics that are silent, stamps that do not meet, frames lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable

from vmem_ros.nodes.camera.arrivals import Arrivals, lost_shares
from vmem_ros.nodes.camera.core import Core
from vmem_ros.nodes.camera.inputs import Problem
from vmem_ros.nodes.camera.synchroniser import Miss, Synchroniser
from vmem_ros.nodes.interface.names import COMPRESSED

IMAGE, INFO, DEPTH, MASK, POSE = "seed/image", "seed/camera_info", "seed/depth", "seed/mask", "seed/pose"
# A topic is silent if it was for so long, and its partners were not.
_ALIVE_S, _SILENT_S = 3.0, 1.0
#: From which share of lost messages on somebody is told.
LOSSY = 0.3
# Stamps farther apart are those of two clocks, and no slop is meant for that.
_TWO_CLOCKS_S = 1.0
# So many misses that are alike make sure.
_SURE, _SPREAD_S, _SPREAD = 5, 0.005, 0.2
_DOC = 'docs/troubleshooting.md, "My camera\'s images do not arrive"'
#: What to do where messages are lost between driver and node.
PROFILE = (
    "start the driver with the Fast DDS profile of this package (ros2 launch vmem_ros driver.launch.xml "
    "file:=PATH_OF_ITS_LAUNCH_FILE)"
)
_OTHERWISE = {
    IMAGE: "",
    INFO: "",
    DEPTH: ", or set seed.depth: false",
    MASK: ", or set seed.mask: false",
    POSE: ", or set seed.pose_source: tf",
}


class SeedWatch:
    """Notes what comes on ``seed/*``, and says what is wrong with it."""

    def __init__(self, core: Core, topics: Collection[str], synchroniser: Synchroniser) -> None:
        self._core = core
        self._synchroniser = synchroniser
        self._arrivals = {topic: Arrivals() for topic in topics}
        self._arrived_s: dict[str, float] = {}
        self._silent_s: dict[str, float] = {}
        self._unmatched = 0
        self._closed_s = 0.0
        core.inputs.watch(self.problems)

    def arrived(self, topic: str, stamp_ns: int) -> None:
        """Note a message."""
        self._arrivals[topic].add(stamp_ns)
        self._arrived_s[topic] = time.monotonic()

    def arrived_in_vain(self, topic: str) -> None:
        """Note a message that came while the node took none."""
        self._core.inputs.unused(topic)
        self._closed_s = time.monotonic()

    def clear(self) -> None:
        """Begin anew: time has jumped back."""
        for arrivals in self._arrivals.values():
            arrivals.clear()

    def lost(self) -> dict[str, float]:
        """Return the share of the newest messages that were published and did not arrive, of topics that come now.

        Poses come at a pace of their own, and are left out.
        """
        alive = self._alive()
        return {
            t: s for t, s in lost_shares({t: a for t, a in self._arrivals.items() if t != POSE}).items() if t in alive
        }

    def problems(self) -> Iterable[Problem]:
        """Yield what is wrong at present."""
        self._count_unmatched()
        yield from self._closed()
        silent = dict(self._silent())
        yield from silent.values()
        lossy = {topic: share for topic, share in self.lost().items() if share >= LOSSY}
        yield from self._losses(lossy)
        yield from self._apart({*silent, *lossy})

    def _count_unmatched(self) -> None:
        before, self._unmatched = self._unmatched, self._synchroniser.unmatched
        self._core.inputs.unused(IMAGE, times=self._unmatched - before)

    def _alive(self) -> set[str]:
        now = time.monotonic()
        return {topic for topic, at in self._arrived_s.items() if now - at < _ALIVE_S}

    def _closed(self) -> Iterable[Problem]:
        core = self._core
        if core.worker.state != "loading" and not core.active and time.monotonic() - self._closed_s < _ALIVE_S:
            yield (
                "seeds closed",
                "seed/*: images arrive and are not used, because the camera node is not active: activate it with `ros2 "
                "lifecycle set`",
            )

    def _silent(self) -> Iterable[tuple[str, Problem]]:
        """Yield topics that do not arrive while their partners do."""
        inputs, now, alive = self._core.inputs, time.monotonic(), self._alive()
        for topic in self._arrivals:
            if topic in alive or not alive:
                self._silent_s.pop(topic, None)
                continue
            if now - self._silent_s.setdefault(topic, now) < _SILENT_S:
                continue
            others, name = " and ".join(sorted(alive)), inputs.full_name(topic)
            publishers = inputs.publishers(topic)
            if publishers:
                text = (
                    f"{name}: {', '.join(publishers)} publishes it, and nothing of it arrives, while {others} do: if "
                    f"it is sent at all, it is lost on its way; {self._remedy()}"
                )
            else:
                found = inputs.others_of_type(topic)[:4]
                hint = f" (of its type are published: {', '.join(found)})" if found else ""
                text = (
                    f"{name}: nobody publishes it, while {others} arrive: remap {topic} to what the driver calls "
                    f"it{hint}{_OTHERWISE[topic]}"
                )
            yield topic, (f"{topic} {'sent in vain' if publishers else 'not published'}", text)

    def _losses(self, lossy: dict[str, float]) -> Iterable[Problem]:
        if lossy:
            shares = ", ".join(f"{share:.0%} of {self._core.inputs.full_name(t)}" for t, share in lossy.items())
            yield "seeds lost", f"frames are lost on their way here: {shares}; {self._remedy()}"

    def _remedy(self) -> str:
        other = ""
        if self._core.parameters["seed.transport"] == "raw":
            other = f", or let it compress and set seed.transport: compressed ({COMPRESSED[IMAGE].name.split('/')[-1]})"
        return f"{PROFILE}{other}; see {_DOC}"

    def _apart(self, explained: Collection[str]) -> Iterable[Problem]:
        """Yield topics whose stamps do not meet those of the images."""
        misses = [m for m in self._synchroniser.misses() if m.stamp_ns is not None and m.topic not in explained]
        if not misses or IMAGE not in self._alive():
            return
        topic, _ = Counter(miss.topic for miss in misses).most_common(1)[0]
        of_topic = [miss for miss in misses if miss.topic == topic]
        miss = sorted(of_topic, key=lambda m: m.apart_s)[len(of_topic) // 2]
        # What is missed while a topic begins or messages are lost is apart by anything.
        near = [m for m in of_topic if abs(m.apart_s - miss.apart_s) <= max(_SPREAD_S, _SPREAD * abs(miss.apart_s))]
        if len(near) < _SURE:
            return
        yield self._why_apart(miss)

    def _why_apart(self, miss: Miss) -> Problem:
        inputs, slop_s = self._core.inputs, self._core.parameters["seed.slop_s"]
        name, image = inputs.full_name(miss.topic), inputs.full_name(IMAGE)
        if 0 in (miss.lead_ns, miss.stamp_ns):
            empty, other = (name, image) if miss.stamp_ns == 0 else (image, name)
            return (
                f"{miss.topic} unstamped",
                f"{empty}: its stamps are 0, so that none belongs to {other}: let the driver stamp it with the time of "
                "its image",
            )
        apart_s = abs(miss.apart_s)
        which = "after" if miss.apart_s > 0 else "before"
        if apart_s < _TWO_CLOCKS_S:
            return (
                f"{miss.topic} beyond slop",
                f"{name}: its stamps are {apart_s * 1e3:.0f} ms {which} those of {image}, and seed.slop_s = {slop_s:g} "
                f"joins what is {slop_s * 1e3:.0f} ms apart at most: set seed.slop_s: {apart_s * 1.2 + 0.005:.2f}",
            )
        return (
            f"{miss.topic} by another clock",
            f"{name}: its stamps are {apart_s:.0f} s {which} those of {image}: they come from two clocks; let one "
            "driver stamp both, or synchronise the clocks (and use_sim_time everywhere or nowhere)",
        )
