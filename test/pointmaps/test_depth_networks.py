"""Depth networks behind one call: real classes with random weights, and what is said where something is missing."""

import dataclasses
import json
import math
import socket
import sys
import types

import pytest
import torch
from huggingface_hub import constants
from transformers import (
    DepthAnythingConfig,
    DepthAnythingForDepthEstimation,
    DepthProConfig,
    DepthProForDepthEstimation,
    Dinov2Config,
    GLPNConfig,
    GLPNForDepthEstimation,
    PromptDepthAnythingConfig,
    PromptDepthAnythingForDepthEstimation,
)

from rooms import box_view, orbit
from vmem_ros.errors import ModelError
from vmem_ros.generation import ReprojectionGenerator
from vmem_ros.geometry import Camera
from vmem_ros.memory.surfel import SurfelMemory
from vmem_ros.pointmaps import AlignedDepth, MemoryDepth, load_estimator
from vmem_ros.pointmaps.cut3r import Cut3rDepth
from vmem_ros.pointmaps.depth_network import DepthNetwork, DepthNetworkOutput
from vmem_ros.pointmaps.huggingface import HuggingFaceDepth
from vmem_ros.pointmaps.preprocessing import Preprocessing
from vmem_ros.pointmaps.small import SmallDepth, _believable
from vmem_ros.types import Recall
from vmem_ros.world import World

CAMERA = Camera.from_fov(60, 44, 70)
POSES = orbit(16)
TINY = {"widths": [8, 16], "blocks": [1, 1], "attention_blocks": 1, "head_width": 8, "focal_px": 40.0}
BACKBONE = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": 28,
    "patch_size": 14,
    "reshape_hidden_states": False,
    "apply_layernorm": True,
    "out_features": ["stage1", "stage2"],
}
NECK = {
    "reassemble_hidden_size": 16,
    "neck_hidden_sizes": [8, 8],
    "reassemble_factors": [2, 1],
    "fusion_hidden_size": 8,
    "head_hidden_size": 4,
    "patch_size": 14,
    "max_depth": 20,
}
PREPROCESSOR = {
    "size": {"height": 28, "width": 28},
    "keep_aspect_ratio": True,
    "ensure_multiple_of": 14,
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
}


def anything(cls=DepthAnythingForDepthEstimation, config=DepthAnythingConfig, kind="metric"):
    torch.manual_seed(0)
    return cls(config(backbone_config=Dinov2Config(**BACKBONE), depth_estimation_type=kind, **NECK)).eval()


def depth_pro():
    torch.manual_seed(0)
    encoder = {
        "model_type": "dinov2",
        "hidden_size": 16,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 8,
    }
    config = DepthProConfig(
        patch_size=32,
        fusion_hidden_size=8,
        intermediate_hook_ids=[1, 0],
        intermediate_feature_dims=[8, 8],
        scaled_images_ratios=[0.5, 1.0],
        scaled_images_overlap_ratios=[0.0, 0.2],
        scaled_images_feature_dims=[8, 8],
        image_model_config=dict(encoder),
        patch_model_config=dict(encoder),
        fov_model_config=dict(encoder),
        use_fov_model=True,
        num_fov_head_layers=0,
    )
    return DepthProForDepthEstimation(config).eval()


def saved(model, folder, preprocessor=PREPROCESSOR):
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    return folder


def asked(*poses, known=True) -> tuple[list, Recall]:
    """Return views without depth at poses, and the recall of a memory that knows the place, or of an empty one."""
    views = [dataclasses.replace(box_view(CAMERA, T), depth=None) for T in poses]
    world = World(SurfelMemory(), ReprojectionGenerator(), MemoryDepth())
    if known:
        world.observe(box_view(CAMERA, POSES[0]))
        return views, world.memory.read([v.target for v in views], 4)
    projections = tuple(world.memory.project(v.target) for v in views)
    return views, Recall((), torch.empty(0), (), projections)


class TestHuggingFace:
    def test_a_metric_model_gives_its_metres(self, tmp_path):
        model = anything()
        (view,), recall = asked(POSES[1])
        (found,) = HuggingFaceDepth.from_pretrained(saved(model, tmp_path)).predict([view], recall)
        # By hand: the wider side takes the smaller change, 60 to 28; 44 becomes 20.5, and with it 14.
        x = view.image.permute(2, 0, 1)[None].float() / 255
        x = torch.nn.functional.interpolate(x, (14, 28), mode="bicubic", antialias=True)
        mean, std = (torch.tensor(PREPROCESSOR[k])[:, None, None] for k in ("image_mean", "image_std"))
        with torch.no_grad():
            expected = model((x - mean) / std).predicted_depth[:, None]
        expected = torch.nn.functional.interpolate(expected, CAMERA.size, mode="bilinear")[0, 0]
        assert torch.allclose(found.depth, expected, rtol=1e-4)
        assert found.depth.shape == found.deviation.shape == CAMERA.size

    def test_a_relative_model_takes_scale_and_shift_from_memory(self, tmp_path):
        model = anything(kind="relative")
        # Without weights that were learned it would say that everything is infinitely far.
        torch.nn.init.constant_(model.head.conv3.bias, 1.0)
        estimator = load_estimator("huggingface", model=saved(model, tmp_path))
        assert isinstance(estimator, AlignedDepth)
        assert estimator.predictor.scale_prior is None
        assert not estimator.metric
        views, recall = asked(POSES[1])
        (found,) = estimator.estimate(views, recall)
        both = recall.projections[0].seen & torch.isfinite(found.depth)
        # Random weights know no shapes, but their median lies where memory's does.
        ratio = (found.depth / recall.projections[0].depth)[both].log()
        assert ratio.median().abs() < 0.2

    def test_depth_pro_is_given_the_focal_length(self):
        """Twice the focal length: the same picture shows things at twice the distance."""
        estimator = HuggingFaceDepth(depth_pro(), Preprocessing((64, 64), mean=(0.5,) * 3, std=(0.5,) * 3))
        (view,), recall = asked(POSES[1])
        K = view.camera.K.clone()
        K[0, 0], K[1, 1] = 2 * K[0, 0], 2 * K[1, 1]
        longer = dataclasses.replace(view, camera=Camera(K, view.camera.width, view.camera.height))
        (near,), (far,) = estimator.predict([view], recall), estimator.predict([longer], recall)
        finite = torch.isfinite(near.depth)
        assert finite.any()
        assert torch.allclose(far.depth[finite], 2 * near.depth[finite], rtol=1e-4)

    def test_a_prompted_model_answers_in_the_range_of_memory(self, tmp_path):
        model = anything(PromptDepthAnythingForDepthEstimation, PromptDepthAnythingConfig)
        (view,), recall = asked(POSES[1])
        estimator = HuggingFaceDepth.from_pretrained(saved(model, tmp_path))
        (found,) = estimator.predict([view], recall)
        twice = dataclasses.replace(recall.projections[0], depth=2 * recall.projections[0].depth)
        (scaled,) = estimator.predict([view], dataclasses.replace(recall, projections=(twice,)))
        assert torch.isfinite(found.depth).all()
        assert torch.allclose(scaled.depth, 2 * found.depth, rtol=1e-3)

    def test_a_prompt_that_is_the_same_everywhere_does_not_break_it(self, tmp_path):
        model = anything(PromptDepthAnythingForDepthEstimation, PromptDepthAnythingConfig)
        (view,), recall = asked(POSES[1])
        wall = dataclasses.replace(recall.projections[0], depth=torch.full(CAMERA.size, 2.0))
        estimator = HuggingFaceDepth(model, Preprocessing((28, 28), multiple=14))
        (found,) = estimator.predict([view], dataclasses.replace(recall, projections=(wall,)))
        assert torch.allclose(found.depth, torch.tensor(2.0), atol=0.05)

    def test_without_memory_a_prompted_model_knows_nothing(self):
        model = anything(PromptDepthAnythingForDepthEstimation, PromptDepthAnythingConfig)
        estimator = HuggingFaceDepth(model, Preprocessing((28, 28), multiple=14))
        (found,) = estimator.predict(*asked(POSES[1], known=False))
        assert found.depth.isnan().all()

    def test_a_folder_that_is_not_there(self):
        with pytest.raises(ModelError, match=r"there is no folder /nowhere"):
            load_estimator("huggingface", model="/nowhere")

    def test_a_model_that_was_never_fetched_is_not_looked_for_on_the_network(self, monkeypatch, tmp_path):
        def ask(*_, **__):
            pytest.fail("the network was asked")

        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(socket, "getaddrinfo", ask)
        with pytest.raises(ModelError, match=r"vmem fetch depth --model depth-anything/Not-Here"):
            load_estimator("huggingface", model="depth-anything/Not-Here")

    def test_a_model_that_was_fetched_is_found_without_the_network(self, monkeypatch, tmp_path):
        """As ``hf download`` leaves it: a folder of the repository with snapshots and a name for the newest."""
        repository = tmp_path / "models--somebody--Depth"
        saved(anything(), repository / "snapshots" / ("0" * 40))
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("0" * 40)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
        monkeypatch.setattr(socket, "getaddrinfo", None)
        assert load_estimator("huggingface", model="somebody/Depth").name == "huggingface"

    def test_a_folder_without_a_kind(self, tmp_path):
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(ModelError, match=r"config.json does not say what kind of model it is \(KeyError"):
            load_estimator("huggingface", model=tmp_path)

    def test_a_model_without_its_preprocessing(self, tmp_path):
        anything().save_pretrained(tmp_path)
        with pytest.raises(ModelError, match=r"preprocessor_config.json cannot be used \(FileNotFoundError"):
            load_estimator("huggingface", model=tmp_path)

    @pytest.mark.parametrize(
        "config", [{}, {"size": {"height": 28}}, {"size": {"height": 28, "width": 28}, "resample": 7}]
    )
    def test_preprocessing_of_another_kind(self, tmp_path, config):
        saved(anything(), tmp_path, config)
        with pytest.raises(ModelError, match=r"preprocessor_config.json cannot be used"):
            load_estimator("huggingface", model=tmp_path)

    def test_models_of_other_kinds_are_named(self, tmp_path):
        config = GLPNConfig(
            num_encoder_blocks=4,
            depths=[1] * 4,
            hidden_sizes=[8] * 4,
            num_attention_heads=[1] * 4,
            decoder_hidden_size=8,
        )
        saved(GLPNForDepthEstimation(config), tmp_path)
        with pytest.raises(ModelError, match=r"kind 'glpn' is not known here; allowed are depth_anything"):
            load_estimator("huggingface", model=tmp_path)

    @pytest.mark.parametrize(
        ("picture", "keep", "expected"),
        [((480, 640), True, (518, 686)), ((480, 640), False, (518, 518)), ((1080, 1920), True, (518, 924))],
    )
    def test_sizes_are_those_of_the_published_processors(self, picture, keep, expected):
        how = Preprocessing((518, 518), keep_aspect_ratio=keep, multiple=14)
        assert how.size_for(*picture) == expected


class TestSmall:
    @pytest.fixture(scope="class")
    def network(self):
        torch.manual_seed(0)
        network = DepthNetwork(**TINY)
        for parameter in network.parameters():
            # What begins at zero would hide what the rest does.
            torch.nn.init.normal_(parameter, std=0.1) if parameter.abs().max() == 0 else None
        return network.eval()

    def test_it_loads_what_was_saved_and_says_depth_with_deviation(self, network, tmp_path):
        network.save_pretrained(tmp_path)
        estimator = load_estimator("small", model=tmp_path)
        views, recall = asked(*POSES[1:3])
        direct = SmallDepth(network).predict(views, recall)
        for a, b in zip(direct, estimator.predictor.predict(views, recall), strict=True):
            assert torch.equal(a.depth, b.depth)
        assert all(p.depth.shape == CAMERA.size for p in direct)
        assert all((p.depth > 0).all() and (p.deviation > 0).all() for p in direct)
        assert all(m.points.shape == (*CAMERA.size, 3) for m in estimator.estimate(views, recall))

    def test_it_is_told_what_memory_shows(self, network):
        views, recall = asked(POSES[1])
        (told,) = SmallDepth(network).predict(views, recall)
        (alone,) = SmallDepth(network).predict(*asked(POSES[1], known=False))
        assert not torch.allclose(told.depth, alone.depth, rtol=1e-3)

    def test_before_it_has_learnt_anything_it_repeats_the_shape_of_memory(self):
        _, recall = asked(POSES[1])
        remembered = recall.projections[0].depth
        known = torch.isfinite(remembered)
        (found,) = SmallDepth(DepthNetwork(**{**TINY, "focal_px": CAMERA.fx})).predict(*asked(POSES[1]))
        difference = (found.depth / remembered).log()[known]
        # The picture is brought to a size that the network takes, and back.
        assert (difference - difference.median()).abs().median() < 0.02

    def test_its_scale_is_what_it_says_of_the_picture_alone(self, network):
        camera = Camera.from_fov(64, 64, 70)
        view = dataclasses.replace(box_view(camera, POSES[1]), depth=None)
        nothing = SurfelMemory().project(view.target)
        shown = dataclasses.replace(nothing, depth=torch.full(camera.size, 2.0), seen=torch.ones_like(nothing.seen))
        predict = SmallDepth(network).predict
        (alone,), (told,) = (predict([view], Recall((), torch.empty(0), (), (p,))) for p in (nothing, shown))
        assert not torch.allclose(told.depth, alone.depth, rtol=1e-3)
        assert (told.depth / alone.depth).log().median().abs() < 0.02

    def test_memory_that_the_picture_contradicts_is_not_believed(self):
        alone = DepthNetworkOutput(torch.zeros(1, 8, 8), torch.full((1, 8, 8), 0.1).log())
        # In another scale, and a part much too near.
        prompt = torch.full((1, 8, 8), 1.2)
        prompt[:, :, :3] = 0.3
        believed = _believable(prompt, alone)
        assert torch.equal(torch.isfinite(believed), prompt > 1)
        # Nothing of it may be of the same surface, or there may be none.
        assert not torch.isfinite(_believable(torch.full((1, 8, 8), 5.0), alone)).any()
        assert not torch.isfinite(_believable(torch.full((1, 8, 8), torch.nan), alone)).any()

    def test_it_is_told_the_rays(self, network):
        image, rays = torch.rand(1, 3, 32, 32), torch.rand(1, 2, 32, 32)
        assert not torch.allclose(network(image, rays).log_depth, network(image, 2 * rays).log_depth, rtol=1e-3)

    @pytest.mark.parametrize("size", [(33, 200), (120, 67), (480, 640)])
    def test_pictures_of_any_size(self, network, size):
        camera = Camera.from_fov(size[1], size[0], 70)
        view = dataclasses.replace(box_view(camera, POSES[1]), depth=None)
        nothing = SurfelMemory().project(view.target)
        (found,) = SmallDepth(network).predict([view], Recall((), torch.empty(0), (), (nothing,)))
        assert found.depth.shape == size

    def test_the_size_of_pictures_must_fit(self, network):
        with pytest.raises(ModelError, match=r"multiples of 4 pixels, got 30 x 32"):
            network(torch.rand(1, 3, 32, 30), torch.rand(1, 2, 32, 30))

    @pytest.mark.parametrize(
        ("fields", "text"),
        [
            ({"blocks": [1]}, "equally many numbers"),
            ({"head_width": 7}, "head_width must divide 16"),
            ({"focal_px": 0.0}, "must be positive"),
        ],
    )
    def test_configurations_that_cannot_be_built(self, fields, text):
        with pytest.raises(ModelError, match=text):
            DepthNetwork(**{**TINY, **fields})

    def test_another_model_in_its_place(self, tmp_path):
        (tmp_path / "config.json").write_text("{}")
        with pytest.raises(ModelError, match="DepthNetwork"):
            load_estimator("small", model=tmp_path)


class TestCut3r:
    """Nobody may ship CUT3R; what it is called with is fixed here, as its own ``inference`` takes it."""

    @pytest.fixture
    def installed(self, monkeypatch, tmp_path):
        """An installation of the same interface whose network sees a wall 2 m away, 4 m in the second picture."""
        seen = []

        class Network:
            def to(self, device):
                return self

            def eval(self):
                return self

            @classmethod
            def from_pretrained(cls, path):
                if not str(path).endswith(".pth"):
                    raise ValueError("no checkpoint")
                return cls()

        def inference(views, model, device, verbose=True):
            seen.append(views)
            predictions = []
            for i, view in enumerate(views):
                height, width = view["img"].shape[-2:]
                points = torch.zeros(1, height, width, 3)
                points[..., 2] = 2.0 * (1 + i)
                predictions.append({"pts3d_in_self_view": points, "conf_self": torch.full((1, height, width), 4.0)})
            return {"pred": predictions, "views": views}, None

        modules = {
            "dust3r": {},
            "dust3r.model": {"ARCroco3DStereo": Network},
            "dust3r.inference": {"inference": inference},
        }
        for name, content in modules.items():
            module = types.ModuleType(name)
            module.__dict__.update(content)
            monkeypatch.setitem(sys.modules, name, module)
        checkpoint = tmp_path / "cut3r.pth"
        checkpoint.touch()
        return checkpoint, seen

    def test_new_views_are_estimated_after_those_that_were_recalled(self, installed):
        checkpoint, seen = installed
        estimator = load_estimator("cut3r", model=checkpoint)
        assert not estimator.metric
        views, recall = asked(POSES[1])
        (found,) = estimator.predictor.predict(views, recall)
        assert len(seen[0]) == len(recall.views) + 1
        assert torch.allclose(found.depth, torch.tensor(2.0 * (1 + len(recall.views))))
        assert torch.allclose(found.deviation, torch.tensor(0.05))
        given = seen[0][-1]
        assert given["img"].shape == (1, 3, 368, 512)
        assert given["img"].min() >= -1.3
        assert given["ray_map"].isnan().all()
        assert bool(given["img_mask"])
        assert not bool(given["ray_mask"])

    def test_not_installed(self):
        with pytest.raises(
            ModelError, match=r"cannot be imported.*git clone https://github.com/CUT3R/CUT3R.*PYTHONPATH"
        ):
            load_estimator("cut3r", model="cut3r.pth")

    def test_no_checkpoint(self, installed):
        with pytest.raises(ModelError, match=r"no CUT3R checkpoint '/nowhere.pth'.*geometry.model"):
            load_estimator("cut3r", model="/nowhere.pth")

    def test_a_checkpoint_that_it_cannot_load(self, installed, tmp_path):
        other = tmp_path / "other.txt"
        other.touch()
        with pytest.raises(ModelError, match=r"CUT3R cannot load .*other.txt \(no checkpoint\)"):
            load_estimator("cut3r", model=other)

    def test_what_fails_inside_is_named(self):
        def broken(*_, **__):
            raise RuntimeError("no CUDA")

        estimator = Cut3rDepth(None, broken, device="cpu")
        with pytest.raises(ModelError, match=r"CUT3R failed \(RuntimeError: no CUDA\)"):
            estimator.predict(*asked(POSES[1]))


def test_transformers_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"needs transformers.*pip install transformers"):
        load_estimator("huggingface")


def test_depth_pro_weights_are_not_asked_for_the_focal_length():
    model = depth_pro()
    HuggingFaceDepth(model, Preprocessing((64, 64)))
    with torch.no_grad():
        assert model(torch.rand(1, 3, 64, 64)).field_of_view is None
    assert math.isfinite(float(model(torch.rand(1, 3, 64, 64)).predicted_depth.mean()))
