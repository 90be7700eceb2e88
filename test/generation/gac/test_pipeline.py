"""The pipeline and its folder: what comes out, what is refused, what survives saving."""

import json
import pickle

import pytest
import torch

from rooms import box_view
from tiny_gac import tiny_gac, tiny_patch_autoencoder, tiny_transformer
from tiny_models import tiny_pipeline
from vmem_ros.errors import InvalidImageError, ModelError
from vmem_ros.generation.gac import GacPipeline
from vmem_ros.generation.gac.sampling import flow_scheduler
from vmem_ros.generation.vmem.pipeline_folder import read_pipeline, read_pipeline_of, write_pipeline
from vmem_ros.geometry import Camera, look_at

CAMERA = Camera.from_fov(32, 24, 80)
POSES = [look_at((-1.0 + 0.2 * i, 0.1 * i, 0), (3, 0, 0)) for i in range(5)]
VIEWS = [box_view(CAMERA, T) for T in POSES]
KNOWN = VIEWS[:2]


def draw(pipeline: GacPipeline, **options: object):
    """Return what is drawn for two targets after two views, with other arguments."""
    arguments = {
        "images": [view.image for view in KNOWN],
        "cameras": [CAMERA] * 2,
        "poses": POSES[:2],
        "target_cameras": [CAMERA] * 2,
        "target_poses": POSES[2:4],
        "depths": [view.depth for view in KNOWN],
        "height": 24,
        "width": 32,
        **options,
    }
    return pipeline(**arguments, generator=torch.Generator().manual_seed(3))


@pytest.fixture(scope="module")
def pipeline() -> GacPipeline:
    return tiny_gac()


def test_pictures_and_depth_of_the_targets(pipeline) -> None:
    output = draw(pipeline)
    assert output.images.shape == (2, 3, 24, 32)
    assert output.depth.shape == (2, 24, 32)
    assert 0 <= float(output.images.min()) <= float(output.images.max()) <= 1
    finite = output.depth[torch.isfinite(output.depth)]
    assert bool(((finite >= 0.2) & (finite <= 20)).all())
    assert not torch.equal(output.images[0], output.images[1])


def test_without_geometry_half_the_steps_and_no_depth(pipeline) -> None:
    steps: list[tuple[int, int]] = []
    assert draw(pipeline, geometry=False, on_step=lambda *step: steps.append(step)).depth is None
    assert steps == [(n, 4) for n in range(1, 5)]
    steps.clear()
    draw(pipeline, geometry_steps=3, num_inference_steps=1, on_step=lambda *step: steps.append(step))
    assert steps == [(n, 8) for n in range(1, 9)]


def test_all_that_is_known_matters(pipeline) -> None:
    images = draw(pipeline).images
    other_depth = [view.depth * 2 for view in KNOWN]
    for changed in (
        {"depths": other_depth},
        {"depths": None},
        {"images": [view.image for view in VIEWS[3:5]]},
        {"target_poses": POSES[3:5]},
        {"target_cameras": [Camera.from_fov(32, 24, 60)] * 2},
        {"poses": POSES[1:3]},
    ):
        assert not torch.equal(draw(pipeline, **changed).images, images), changed.keys()


def test_only_where_cameras_are_to_each_other_matters(pipeline) -> None:
    by = look_at((1e5, -1e5, 30), (0, 0, 0))
    moved = {"poses": [by @ T for T in POSES[:2]], "target_poses": [by @ T for T in POSES[2:4]]}
    assert torch.allclose(draw(pipeline, **moved).images, draw(pipeline).images, atol=1e-3)


def test_depth_with_holes_is_filled_and_hardly_any_is_none(pipeline) -> None:
    depth = KNOWN[0].depth.clone()
    depth[:8] = torch.nan
    depth[8:10] = torch.inf
    filled = pipeline.encode_depth(depth, (24, 32))
    assert bool(torch.isfinite(filled).all())
    assert pipeline.encode_depth(torch.full((24, 32), torch.nan), (24, 32)) is None
    depth[:20] = torch.nan
    assert pipeline.encode_depth(depth, (24, 32)) is None
    assert pipeline.encode_depth(torch.full((24, 32), torch.inf), (24, 32)) is not None


def test_depth_at_the_far_end_is_infinite(pipeline) -> None:
    code = pipeline.depth_code
    depth = code.of_image(code.as_image(torch.tensor([[0.5, 7.0, 25.0, torch.inf]])))
    assert depth.tolist()[0] == [pytest.approx(0.5), pytest.approx(7.0), torch.inf, torch.inf]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"images": []}, "a context of 1 view or more"),
        ({"target_cameras": []}, "1 target or more, got .* and 0 targets"),
        ({"poses": POSES[:1]}, "one image, camera, pose and depth"),
        ({"target_poses": POSES[:1]}, "one camera and pose each, got 2 and 1"),
    ],
)
def test_what_cannot_be_drawn(pipeline, changed, message) -> None:
    with pytest.raises(ModelError, match=message):
        draw(pipeline, **changed)


def test_sizes_that_do_not_divide(pipeline) -> None:
    with pytest.raises(InvalidImageError, match="multiples of 8 for this model, got 20 x 32"):
        draw(pipeline, height=20)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"near_m": 5.0, "far_m": 2.0}, "near_m must be positive and less than far_m"),
        ({"curve": "cubic"}, "curve must be one of log"),
        ({"unit_m": 0.0}, "unit_m must be positive"),
        ({"frames": 0}, "frames and context 1 or more"),
        ({"sampling": {"steps": 3}}, "sampling has no field steps: allowed are num_inference_steps"),
        ({"sampling": {"geometry_steps": 0}}, "geometry_steps must be a whole number of 1 or more"),
    ],
)
def test_pipelines_that_cannot_be(config, message) -> None:
    with pytest.raises(ModelError, match=message):
        tiny_gac(**config)


def test_a_network_of_another_autoencoder() -> None:
    with pytest.raises(ModelError, match="use the vae that it was trained with"):
        GacPipeline(tiny_transformer(latent_channels=4), tiny_patch_autoencoder(), flow_scheduler())


def test_it_survives_saving_and_holds_no_pickle(pipeline, tmp_path) -> None:
    write_pipeline(pipeline, tmp_path / "model")
    loaded = read_pipeline_of(GacPipeline, tmp_path / "model")
    assert dict(loaded.config)["far_m"] == 20.0
    assert loaded.scheduler.config.shift == 3.0
    for name in ("images", "depth"):
        assert torch.equal(draw(loaded)[name], draw(pipeline)[name])
    kinds = {path.suffix for path in (tmp_path / "model").rglob("*") if path.is_file()}
    assert kinds == {".json", ".safetensors"}


class TestFolders:
    """Folders that are no model, or damaged ones."""

    @pytest.fixture
    def folder(self, pipeline, tmp_path):
        write_pipeline(pipeline, tmp_path / "model")
        return tmp_path / "model"

    def test_of_another_kind(self, folder, tmp_path) -> None:
        with pytest.raises(ModelError, match="holds a GacPipeline, not a VMemPipeline"):
            read_pipeline(folder)
        tiny_pipeline().save_pretrained(tmp_path / "other")
        with pytest.raises(ModelError, match=r"holds a VMemPipeline, not a GacPipeline: .*vmem train generator"):
            read_pipeline_of(GacPipeline, tmp_path / "other")

    def test_truncated_weights(self, folder) -> None:
        (file,) = (folder / "transformer").glob("*.safetensors")
        file.write_bytes(file.read_bytes()[:5000])
        with pytest.raises(ModelError, match="cannot be loaded as GacTransformer"):
            read_pipeline_of(GacPipeline, folder)

    def test_weights_of_another_size(self, folder) -> None:
        path = folder / "transformer" / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "ffn_width": 50}))
        with pytest.raises(ModelError, match="cannot be loaded as GacTransformer"):
            read_pipeline_of(GacPipeline, folder)

    def test_settings_that_mean_nothing(self, folder) -> None:
        path = folder / "model_index.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "near_m": -1.0}))
        with pytest.raises(ModelError, match="near_m must be positive"):
            read_pipeline_of(GacPipeline, folder)

    def test_a_pickle_is_never_read(self, folder, pipeline) -> None:
        (file,) = (folder / "transformer").glob("*.safetensors")
        file.unlink()
        (folder / "transformer" / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(print))
        with pytest.raises(ModelError):
            read_pipeline_of(GacPipeline, folder)
