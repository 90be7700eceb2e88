"""Drawing disks against an exhaustive ray-disk intersection in float64."""

import pytest
import torch

from vmem_ros.geometry import Camera, invert, look_at, pixel_rays, transform
from vmem_ros.memory.growable import BLOCK
from vmem_ros.memory.occlusion import NEAR
from vmem_ros.memory.surfel import SurfelMemoryOptions
from vmem_ros.memory.surfel.splatting import Splat, splat
from vmem_ros.memory.surfel.surfels import SurfelCloud, SurfelStore

CAMERA = Camera([[55.0, 0, 30.5], [0, 60.0, 25.0], [0, 0, 1]], 64, 48)
POSE = look_at((0.3, -0.2, 0.1), (3, 0.4, -0.3))


def cloud(position, normal, radius) -> SurfelCloud:
    position = torch.as_tensor(position, dtype=torch.float32)
    normal = torch.nn.functional.normalize(torch.as_tensor(normal, dtype=torch.float32), dim=-1)
    n = len(position)
    radius = torch.as_tensor(radius, dtype=torch.float32).expand(n).clone()
    return SurfelCloud(position, normal, radius, torch.zeros(n, 3, dtype=torch.uint8), torch.ones(n))


def scattered(n: int, seed: int, *, spread: float = 1.5, radius: float = 0.08) -> SurfelCloud:
    """Disks of any direction in a box in front of the camera, some of it outside the picture."""
    g = torch.Generator().manual_seed(seed)
    position = torch.rand(n, 3, generator=g) * torch.tensor([4.0, 2 * spread, 2 * spread])
    position -= torch.tensor([0.5, spread, spread])
    size = radius * (0.3 + torch.rand(n, generator=g))
    return cloud(position, torch.randn(n, 3, generator=g), size)


def draw(surfels: SurfelCloud, camera=CAMERA, T=POSE, *, scale: float = 1.0) -> Splat:
    store = SurfelStore(torch.device("cpu"))
    store.append(surfels)
    return splat(store.cloud, store.blocks, camera, T, scale=scale)


class Oracle:
    """All disks against all pixels. A pixel whose answer hangs on rounding is not asked."""

    def __init__(self, surfels: SurfelCloud, camera: Camera, T: torch.Tensor, scale: float) -> None:
        centre = transform(invert(T), surfels.position.double())
        normal = surfels.normal.double() @ T[:3, :3]
        reach = torch.maximum(surfels.radius.double() * scale, centre[:, 2] * 0.71 / max(camera.fx, camera.fy))
        rays = pixel_rays(camera, dtype=torch.float64)
        front = (centre[:, 2] > NEAR) & ((normal * centre).sum(dim=-1) < 0)
        size = camera.size
        self.ids = torch.full(size, -1)
        self.depth = torch.full(size, torch.inf, dtype=torch.float64)
        second = self.depth.clone()
        self.sure = torch.ones(size, dtype=torch.bool)
        for i in front.nonzero().flatten().tolist():
            z = (normal[i] @ centre[i]) / (rays @ normal[i])
            ratio = (rays * z[..., None] - centre[i]).norm(dim=-1) / reach[i]
            hit = (ratio <= 1) & (z > NEAR)
            # The rim, and disks seen so nearly edge-on that float32 cannot place the intersection.
            self.sure &= ~(((ratio - 1).abs() < 2e-3) & (z > 0))
            self.sure &= ~(hit & ((rays @ normal[i]).abs() < 2e-3 * rays.norm(dim=-1)))
            nearer = hit & (z < self.depth)
            second = torch.where(nearer, self.depth, torch.where(hit, torch.minimum(second, z), second))
            self.ids[nearer], self.depth = i, torch.where(nearer, z, self.depth)
        self.sure &= ~((second - self.depth).abs() < 1e-4)


def check(surfels: SurfelCloud, camera=CAMERA, T=POSE, *, scale: float = 1.0, least: float = 0.9) -> Oracle:
    found, oracle = draw(surfels, camera, T, scale=scale), Oracle(surfels, camera, T, scale)
    assert oracle.sure.float().mean() > least
    assert torch.equal(found.ids[oracle.sure], oracle.ids[oracle.sure])
    hit = oracle.sure & (oracle.ids >= 0)
    assert torch.allclose(found.depth[hit].double(), oracle.depth[hit], rtol=1e-3, atol=1e-3)
    assert torch.equal(found.depth.isnan(), found.ids < 0)
    return oracle


class TestAgainstOracle:
    @pytest.mark.parametrize("seed", range(4))
    def test_scattered(self, seed):
        oracle = check(scattered(600, seed))
        assert 0.1 < (oracle.ids >= 0).float().mean() < 0.9

    def test_several_blocks_that_hide_each_other(self):
        check(scattered(5000, 10, radius=0.05))

    def test_scale(self):
        check(scattered(300, 11), scale=2.3)

    def test_tiny_and_far_disks_are_a_pixel_wide(self):
        oracle = check(scattered(300, 12, radius=1e-4))
        assert (oracle.ids >= 0).sum() > 20

    def test_disks_as_wide_as_the_picture(self):
        """A hand's breadth before a wall every disk is hundreds of pixels wide, and none may be cut off."""
        near = cloud([[0.3, -0.1, 0], [0.35, 0.12, 0.1]], [[-1.0, 0.3, 0.2], [-1.0, -0.4, 0]], 0.2)
        oracle = check(near, Camera.from_fov(400, 300, 80), look_at((0, 0, 0), (1, 0, 0)))
        assert all((oracle.ids == i).any(dim=0).sum() > 200 for i in (0, 1))

    @pytest.mark.parametrize("fov", [20, 90, 150])
    def test_fields_of_view(self, fov):
        check(scattered(600, 13), Camera.from_fov(60, 44, fov), least=0.8)

    def test_principal_point_outside_the_picture(self):
        check(scattered(600, 14), Camera([[40.0, 0, 75], [0, 40, -20], [0, 0, 1]], 60, 44))

    @pytest.mark.parametrize("size", [(1, 1), (7, 1), (1, 9), (97, 3)])
    def test_odd_sizes(self, size):
        check(scattered(400, 15, radius=0.06), Camera.from_fov(*size, 60), least=0.5)

    @pytest.mark.parametrize("fov", [40, 90, 150])
    @pytest.mark.parametrize("scale", [1.0, 2.5])
    def test_a_disk_that_only_reaches_into_the_picture(self, fov, scale):
        """It faces the edge of the frustum; its centre, and the sphere around its undrawn radius, lie outside."""
        camera = Camera.from_fov(100, 40, fov)
        edge = torch.tan(torch.deg2rad(torch.tensor(fov / 2))).item()
        T = look_at((0, 0, 0), (1, 0, 0))
        shown = 0
        for share in (0.5, 0.7, 0.9):  # of the drawn radius, from the centre to the frustum
            y = edge + share * 0.2 * (1 + edge**2) ** 0.5
            oracle = check(cloud([[1.0, y, 0]], [[-1.0, -edge, 0]], 0.2 / scale), camera, T, scale=scale)
            shown += int((oracle.ids >= 0).any())
        assert shown >= 2, "nothing reaches into the picture: the test shows nothing"


class TestRules:
    T = look_at((0, 0, 0), (1, 0, 0))

    def one(self, normal=(-1.0, 0, 0), x=2.0, radius=0.5) -> Splat:
        return draw(cloud([[x, 0, 0]], [normal], radius), T=self.T)

    def test_the_near_one_hides_the_far_one(self):
        for order in ([0, 1], [1, 0]):
            near_and_far = torch.tensor([[2.0, 0, 0], [3.0, 0, 0]])[order]
            found = draw(cloud(near_and_far, [[-1.0, 0, 0]] * 2, 0.5), T=self.T)
            assert found.ids[24, 30] == order.index(0)
            assert found.depth[24, 30] == pytest.approx(2)

    def test_of_equally_far_ones_the_older_shows(self):
        found = draw(cloud([[2.0, 0, 0]] * 3, [[-1.0, 0, 0]] * 3, 0.5), T=self.T)
        assert found.ids.max() == 0

    @pytest.mark.parametrize("normal", [(1.0, 0, 0), (1, 0.3, 0)])
    def test_back_faces_are_not_drawn(self, normal):
        assert (self.one(normal).ids == -1).all()

    def test_crossing_disks_are_cut_at_their_intersection(self):
        """Two disks through one point, tilted to both sides: each shows on the side where it is nearer."""
        crossing = cloud([[2.0, 0, 0], [2.0, 0, 0]], [[-1.0, 0.7, 0], [-1.0, -0.7, 0]], 0.5)
        ids = draw(crossing, T=self.T).ids
        assert set(ids[24, 24:28].tolist()) != set(ids[24, 34:38].tolist())

    def test_depth_is_that_of_the_plane(self):
        found = self.one((-1.0, 0.5, 0.2))
        assert found.depth[found.ids == 0].std() > 0.02

    @pytest.mark.parametrize("x", [-2.0, 0.0, 0.01])
    def test_nothing_behind_or_at_the_camera(self, x):
        assert (self.one(x=x).ids == -1).all()

    def test_no_surfels(self):
        nothing = cloud(torch.empty(0, 3), torch.empty(0, 3), 1.0)
        found = draw(nothing)
        assert (found.ids == -1).all()
        assert found.depth.isnan().all()

    def test_a_closed_wall_has_no_gaps(self):
        """Surfels spaced by twice their radius, as sampling spaces them, drawn at the default scale."""
        y, z = torch.meshgrid(torch.arange(-2, 2, 0.05), torch.arange(-2, 2, 0.05), indexing="ij")
        position = torch.stack([torch.full_like(y, 2.0), y, z], dim=-1).view(-1, 3)
        wall = cloud(position, torch.tensor([[-1.0, 0, 0]]).expand(len(position), 3), 0.025)
        assert (draw(wall, T=self.T, scale=SurfelMemoryOptions().splat_scale).ids >= 0).all()


class TestDeterminism:
    surfels = scattered(6000, 20, radius=0.06)

    def test_order_of_surfels_does_not_matter(self):
        """Written in another order they lie in other blocks; the picture is the same."""
        order = torch.randperm(len(self.surfels), generator=torch.Generator().manual_seed(0))
        straight, shuffled = draw(self.surfels, scale=1.8), draw(self.surfels.select(order), scale=1.8)
        ids = torch.where(shuffled.ids >= 0, order[shuffled.ids.clamp(min=0)], -1)
        assert torch.equal(straight.ids, ids)
        assert torch.equal(straight.depth.nan_to_num(), shuffled.depth.nan_to_num())

    def test_number_of_threads_does_not_matter(self):
        threads = torch.get_num_threads()
        try:
            pictures = []
            for n in (1, 2):
                torch.set_num_threads(n)
                pictures.append(draw(self.surfels, scale=1.8))
        finally:
            torch.set_num_threads(threads)
        assert torch.equal(pictures[0].ids, pictures[1].ids)
        assert torch.equal(pictures[0].depth.nan_to_num(), pictures[1].depth.nan_to_num())


def test_blocks_are_bounded_however_they_were_appended():
    """Bounding spheres after appending in pieces and cutting equal those of the same surfels stored at once."""
    whole = scattered(5000, 30)
    store, at_once = SurfelStore(torch.device("cpu")), SurfelStore(torch.device("cpu"))
    for start in range(0, 5000, 700):
        store.append(whole.select(torch.arange(start, min(start + 700, 5000))))
    store.truncate(3333)
    at_once.append(whole.select(torch.arange(3333)))
    assert len(store) == 3333
    for ours, theirs in (
        (store.blocks.bounds.blocks, at_once.blocks.bounds.blocks),
        (store.blocks.bounds.groups, at_once.blocks.bounds.groups),
    ):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))
    for level, size in ((store.blocks.bounds.blocks, BLOCK), (store.blocks.bounds.groups, BLOCK**2)):
        assert len(level.radius) == -(-3333 // size)
        for number, (centre, radius, largest) in enumerate(zip(*level, strict=True)):
            block = whole.select(torch.arange(number * size, min((number + 1) * size, 3333)))
            assert ((block.position - centre).norm(dim=-1) <= radius + 1e-6).all()
            assert largest == block.radius.max()
