"""Rules that say where to drive next."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from vmem_ros.planning.drives import Drive, around, look_around, straight, to_frontiers
from vmem_ros.planning.explorer import Explorer

#: Chooses the next drive of a robot.
Rule = Callable[[Explorer], Drive]

#: Drives that the rules that compare them choose among: so many, of which these lead to frontiers if there are any.
CANDIDATES, TO_FRONTIERS = 5, 3


def random_walk(explorer: Explorer) -> Drive:
    """Drive straight in a direction drawn at random."""
    return straight(explorer.free, explorer.place, float(explorer.rng.uniform(-math.pi, math.pi)))


def nearest_frontier(explorer: Explorer) -> Drive:
    """Drive to the nearest place where known floor meets unknown (Yamauchi 1997); at random once there is none."""
    found = to_frontiers(explorer.free, explorer.seen, explorer.place, 1)
    return found[0] if found else random_walk(explorer)


def least_remembered(explorer: Explorer) -> Drive:
    """Drive where memory shows the least of what would be in view: nothing is drawn."""

    def unknown(drive: Drive) -> float:
        shown = [explorer.world.glimpse(target).seen for target in explorer.targets(drive)]
        return sum(1 - float(seen.float().mean()) for seen in shown)

    return max(candidates(explorer), key=unknown)


def most_imagined(explorer: Explorer) -> Drive:
    """Imagine every drive, and take the one along which the most surface is imagined that nobody has seen."""
    drives = candidates(explorer)
    paths = explorer.world.imagine([explorer.targets(drive) for drive in drives], seed=0, two_seeds=False)
    gains = [
        explorer.seen.new_area_m2([(view.frame.view, ~view.frame.projection.seen) for view in path.views])
        for path in paths
    ]
    return drives[gains.index(max(gains))]


def candidates(explorer: Explorer) -> list[Drive]:
    """Return drives towards the nearest frontiers, a look around, and straight drives."""
    drives = [*to_frontiers(explorer.free, explorer.seen, explorer.place, TO_FRONTIERS), look_around(explorer.place)]
    others = CANDIDATES - len(drives)
    return drives + around(explorer.free, explorer.place, others, first=explorer.place.heading + math.pi / others)


RULES: Mapping[str, Rule] = {
    "imagined": most_imagined,
    "least remembered": least_remembered,
    "nearest frontier": nearest_frontier,
    "random walk": random_walk,
}
