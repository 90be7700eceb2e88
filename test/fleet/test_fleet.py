"""Worlds and generators on Ray: one machine, and two nodes of which one is killed. Small, and on loopback alone."""

import dataclasses

import gymnasium
import numpy as np
import pytest

import vmem_ros.fleet
from comparisons import equal
from generator_contract import GeneratorContract
from small_worlds import look_around, save_small_world
from vmem_ros.errors import ModelError, NothingToUndoError, ParameterError
from vmem_ros.fleet.cluster import connect, import_ray
from vmem_ros.fleet.fleet import Fleet
from vmem_ros.fleet.local_cluster import two_nodes
from vmem_ros.fleet.remote_generator import NAMESPACE, RemoteGenerator
from vmem_ros.fleet.world_actor import WorldActor
from vmem_ros.fleet.world_setup import WorldSetup
from vmem_ros.protocols import Generator
from vmem_ros.world_file import read_world

# Minutes where other programs compute: every actor is a process that imports torch.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("ray")]
STORE = 100_000_000
WORLDS, REQUESTS = 2, 4


@pytest.fixture(scope="module")
def setup(tmp_path_factory) -> WorldSetup:
    path = save_small_world(tmp_path_factory.mktemp("world") / "room.world")
    return WorldSetup(world=str(path), engine="reprojection")


@pytest.fixture(scope="module")
def ray():
    with connect("local", cpus=2, object_store_bytes=STORE):
        yield import_ray()


def same(one, other) -> bool:
    return all(np.array_equal(a[name], b[name]) for a, b in zip(one, other, strict=True) for name in a)


def test_a_killed_node_loses_nothing(setup, tmp_path):
    """Half-way one of two nodes is killed, with a request on its way: answers and worlds are those of a calm day."""
    found = []
    with (
        two_nodes(cpus=2, object_store_bytes=STORE) as lose_node,
        Fleet(setup, worlds=WORLDS, folder=tmp_path / "lossy", cpus_per_world=0.25) as fleet,
    ):
        ray = import_ray()
        before = nodes_of_actors(ray)
        for number in range(1, REQUESTS + 1):
            asked = [world.explore(look_around(world.start, number), seed=number) for world in fleet.worlds]
            if number == REQUESTS // 2:
                lose_node()
            found.append(ray.get(asked))
        after = nodes_of_actors(ray)
    assert len(before) == 2, "all actors were on one node, whose loss would have shown nothing"
    assert len(after) == 1
    for i in range(WORLDS):
        calm = WorldActor(setup, tmp_path / "calm" / f"{i}", seed=i)
        _, start = calm.begin()
        for number in range(1, REQUESTS + 1):
            expected = calm.explore(number, look_around(start, number), prompt=None, seed=number)
            assert same(found[number - 1][i], expected)
        one, other = (
            read_world(folder / f"{REQUESTS:08d}.world")[0]
            for folder in (tmp_path / "calm" / f"{i}", tmp_path / "lossy" / f"world-{i:05d}")
        )
        assert one.keys() == other.keys()
        assert all(equal(one[name], other[name]) for name in one)


def nodes_of_actors(ray) -> set[str]:
    """The nodes that actors live on."""
    actors = ray._private.state.actors().values()
    return {actor["Address"]["NodeID"] for actor in actors if actor["State"] == "ALIVE"}


@pytest.fixture(scope="module")
def fleet(ray, setup, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fleet")
    with Fleet(setup, worlds=1, folder=folder, cpus_per_world=0.25, name="shared") as fleet:
        yield fleet


def test_verbs_and_errors_of_a_world(ray, fleet, tmp_path):
    (world,) = fleet.worlds
    assert len(ray.get(world.explore(look_around(world.start, 1)))) == 2
    assert ray.get(world.glimpse(world.start))["confidence"].min() == 1
    with pytest.raises(NothingToUndoError, match="99"):
        ray.get(world.undo(99))
    assert ray.get(world.save(tmp_path / "saved.world")) == (tmp_path / "saved.world").stat().st_size
    assert fleet.drawing_figures()[0].views == 2


def test_a_fleet_that_the_cluster_has_no_room_for(ray, setup, tmp_path):
    """Ray would wait for CPUs that never come, without a word."""
    with pytest.raises(ParameterError, match="takes 4 CPUs and the cluster has 2"):
        Fleet(setup, worlds=3, folder=tmp_path)


class TestRemoteGenerator(GeneratorContract):
    """A generator elsewhere keeps the contract of generators."""

    @pytest.fixture(autouse=True)
    def _actor(self, ray, fleet):
        self._drawing = ray.get_actor("shared-0", namespace=NAMESPACE)

    def make(self) -> Generator:
        return RemoteGenerator(self._drawing)


def test_environments_share_the_generator_of_a_fleet(ray, fleet, setup):
    def environment(actor):
        return gymnasium.make(
            vmem_ros.fleet.ENVIRONMENT,
            world=setup.world,
            engine="vmem_ros.fleet.remote_generator:from_options",
            engine_options={"actor": actor},
        )

    before = fleet.drawing_figures()[0].views
    env = environment("shared-0")
    env.reset(seed=0)
    env.step(np.array([0, 0, 0.5], np.float32))
    assert fleet.drawing_figures()[0].views == before + 1
    with pytest.raises(ModelError, match="no generator 'nobody'"):
        environment("nobody")


@pytest.mark.parametrize("wrong", [{"worlds": 0}, {"generators": -1}, {"max_batch": 0}, {"threads": 0}])
def test_numbers_that_are_none(ray, setup, tmp_path, wrong):
    with pytest.raises(ParameterError, match=next(iter(wrong))):
        Fleet(setup, folder=tmp_path, **{"worlds": 1, **wrong})


def test_an_engine_that_cannot_be_loaded_is_named(ray, setup, tmp_path):
    wrong = dataclasses.replace(setup, engine="nothing")
    with pytest.raises(ModelError, match="'nothing' is unknown"):
        # Without a generator of the fleet, for which this cluster has no CPU left.
        Fleet(wrong, worlds=1, folder=tmp_path, generators=0, cpus_per_world=0.25)


def test_who_is_connected_stays_so(ray):
    with connect("127.0.0.1:1"):
        assert ray.is_initialized()
    assert ray.is_initialized()
