"""``vmem fetch``, from a hub of our own on this machine: a real server, the real client, small models."""

import fcntl
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants, file_download
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from hub import Running, running_hub, sums
from stock_pipelines import tiny_klein
from vmem_ros.cli.main import main
from vmem_ros.generation.engines import load_generator
from vmem_ros.pointmaps import load_estimator
from vmem_ros.pointmaps.huggingface import DEFAULT_MODEL
from vmem_ros.pretrained.hub_models import RemoteModel
from vmem_ros.pretrained.published import CONVERTED, KLEIN

NON_COMMERCIAL = "someone/not-for-sale"
UNKNOWN = "someone/own-terms"
WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"


@pytest.fixture(scope="module")
def depth_model(tmp_path_factory) -> Path:
    """A folder as the hub has it: a depth model of random weights, and a file that nobody needs."""
    folder = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    backbone = Dinov2Config(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=28,
        patch_size=14,
        reshape_hidden_states=False,
        out_features=["stage1", "stage2"],
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=16,
        neck_hidden_sizes=[8, 8],
        reassemble_factors=[2, 1],
        fusion_hidden_size=8,
        head_hidden_size=4,
        patch_size=14,
        depth_estimation_type="metric",
        max_depth=20,
    )
    DepthAnythingForDepthEstimation(config).save_pretrained(folder)
    size = {"height": 28, "width": 28}
    (folder / "preprocessor_config.json").write_text(json.dumps({"size": size, "ensure_multiple_of": 14}))
    (folder / "README.md").write_text("a card")
    return folder


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory) -> Path:
    """A pipeline as the hub has it: with the same weights twice, in half precision, in one file, and as a pickle."""
    folder = tmp_path_factory.mktemp("klein")
    tiny_klein().save_pretrained(folder)
    for name in ("flux-2-klein-4b.safetensors", "vae/diffusion_pytorch_model.fp16.safetensors", "vae/old.bin"):
        shutil.copy(folder / WEIGHTS, folder / name)
    (folder / "README.md").write_text("a card")
    return folder


@pytest.fixture
def hub(depth_model, pipeline) -> Iterator[Running]:
    models = {
        DEFAULT_MODEL: (depth_model, "apache-2.0"),
        KLEIN.repository: (pipeline, "apache-2.0"),
        NON_COMMERCIAL: (pipeline, "cc-by-nc-4.0"),
        UNKNOWN: (pipeline, ""),
    }
    with running_hub(models) as running:
        yield running


@pytest.fixture
def here(hub, tmp_path, monkeypatch) -> Path:
    """This process asks that hub, and has a cache of its own."""
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}"
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path / "hub"


def vmem(home: Path, endpoint: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``vmem`` with a cache of its own; the client reads its address when it is imported."""
    surroundings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "HF_HUB_DISABLE_TELEMETRY": "1", "NO_PROXY": "*"}
    command = [sys.executable, "-m", "vmem_ros.cli", *arguments]
    return subprocess.run(command, env=os.environ | surroundings, capture_output=True, text=True, timeout=120)


def fetched(cache: Path) -> set[str]:
    (snapshot,) = cache.glob("models--*/snapshots/*")
    return {str(file.relative_to(snapshot)) for file in snapshot.rglob("*") if file.is_file()}


def test_the_recommended_model_is_fetched_and_found_by_its_name(hub, here, tmp_path, monkeypatch):
    done = vmem(tmp_path, hub.address, "fetch", "depth")
    assert done.returncode == 0, done.stderr
    assert "vmem explore --image photo.jpg --estimator huggingface\n" in done.stdout
    assert "-p geometry.estimator:=huggingface\n" in done.stdout
    assert "100%" in done.stderr
    assert fetched(tmp_path / "hub") == {"config.json", "model.safetensors", "preprocessor_config.json"}
    assert hub.sent.count("model.safetensors") == 1
    assert main(["fetch", "depth"]) == 0
    assert hub.sent.count("model.safetensors") == 1
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert load_estimator("huggingface").metric


def test_into_a_folder_that_can_be_carried_elsewhere(here, tmp_path, monkeypatch, capsys):
    assert main(["fetch", "depth", "--to", str(tmp_path / "depth model")]) == 0
    assert f"--depth-model '{tmp_path}/depth model'" in capsys.readouterr().out
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert load_estimator("huggingface", model=tmp_path / "depth model").metric


def test_what_an_engine_needs_is_said_fetched_and_drawn_with(hub, here, monkeypatch, capsys):
    assert main(["fetch", "inpaint"]) == 0
    said = capsys.readouterr().out
    first, second, *_ = said.splitlines()
    assert first.startswith(f"{KLEIN.repository}: ")
    for words in ("MB in", "to come; licence apache-2.0,", f"{hub.address}/{KLEIN.repository}", "free on the disk"):
        assert words in first
    assert second.startswith("fetching")
    assert "make camera ARGS='-p engine:=inpaint -p model.device:=cuda'" in said
    # Neither what is not named, nor what is there twice, nor pickles.
    names = fetched(here)
    assert {"model_index.json", WEIGHTS, "tokenizer/tokenizer.json", "scheduler/scheduler_config.json"} <= names
    assert not any(name.endswith((".fp16.safetensors", ".bin", ".md")) or name.startswith("flux-2") for name in names)
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert load_generator("inpaint").name == "inpaint"


def test_into_a_folder_and_drawn_with_from_there(here, tmp_path, monkeypatch, capsys):
    folder = tmp_path / "klein"
    assert main(["fetch", "inpaint", "--to", str(folder)]) == 0
    assert f"-p model.path:={folder}" in capsys.readouterr().out
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert load_generator("inpaint", model=folder).name == "inpaint"


@pytest.mark.parametrize("to", [None, "folder"])
def test_a_download_that_breaks_off_goes_on_where_it_stopped(hub, here, tmp_path, monkeypatch, to):
    """The connection breaks, somebody presses Ctrl-C while the client waits, and gives the same command again."""
    arguments = ["fetch", "inpaint"] + ([] if to is None else ["--to", str(tmp_path / to)])
    hub.break_after = 5000
    # The library keeps whole chunks, of 10 MB.
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1024)

    def interrupted(_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(file_download.time, "sleep", interrupted)
        assert main(arguments) == 130
    (part,) = tmp_path.rglob("*.part")
    assert 0 < part.stat().st_size <= 5000
    there = part.stat().st_size
    assert main(arguments) == 0
    assert there in hub.ranges
    assert not list(tmp_path.rglob("*.part"))


def test_what_was_damaged_on_the_way_is_not_kept(hub, here, pipeline, capsys, monkeypatch):
    from vmem_ros.pretrained import hub as client

    true, _ = sums((pipeline / WEIGHTS).read_bytes())
    real = client.look_up

    def other_sum(*arguments, **options):
        model = real(*arguments, **options)
        files = tuple(f._replace(sha256="0" * 64) if f.sha256 == true else f for f in model.files)
        return RemoteModel(model.repository, model.commit, model.licence, files)

    with monkeypatch.context() as patched:
        patched.setattr(client, "look_up", other_sum)
        assert main(["fetch", "inpaint"]) == 1
    assert f"{WEIGHTS} is damaged, its checksum is wrong; it was removed" in capsys.readouterr().err
    assert not list(here.rglob("*.part"))
    assert main(["fetch", "inpaint"]) == 0


def test_what_is_damaged_on_the_disk_is_found(hub, here, capsys):
    assert main(["fetch", "inpaint"]) == 0
    (weights,) = here.glob(f"models--*/snapshots/*/{WEIGHTS}")
    content = weights.read_bytes()
    weights.resolve().write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert main(["fetch", "inpaint"]) == 1
    assert "is damaged" in capsys.readouterr().err
    assert main(["fetch", "inpaint"]) == 0
    assert weights.read_bytes() == content


@pytest.mark.parametrize(
    "file",
    [
        {"rfilename": "vae/../../../evil.json", "size": 1, "blobId": "0" * 40},
        {
            "rfilename": "vae/weights.safetensors",
            "size": 1,
            "blobId": "0" * 40,
            "lfs": {"size": 1, "sha256": "../../evil", "pointerSize": 1},
        },
    ],
)
def test_names_that_lead_out_of_the_folder(hub, here, tmp_path, capsys, file):
    """A mirror may be anybody."""
    hub.also.append(file)
    assert main(["fetch", "inpaint", "--to", str(tmp_path / "in" / "folder")]) == 1
    assert "which is none: not fetched" in capsys.readouterr().err
    assert not list(tmp_path.rglob("evil*"))
    assert not (tmp_path / "in").exists()


def test_more_than_there_is_of_a_file_begins_anew(hub, here, tmp_path, pipeline):
    part = tmp_path / "klein" / f"{WEIGHTS}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes((pipeline / WEIGHTS).stat().st_size + 7))
    assert main(["fetch", "inpaint", "--to", str(tmp_path / "klein")]) == 0
    assert (tmp_path / "klein" / WEIGHTS).read_bytes() == (pipeline / WEIGHTS).read_bytes()


def test_two_at_once(hub, here, tmp_path, capsys):
    part = tmp_path / "klein" / "text_encoder" / "model.safetensors.part"
    part.parent.mkdir(parents=True)
    with part.open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert main(["fetch", "inpaint", "--to", str(tmp_path / "klein")]) == 1
    assert "another process is fetching text_encoder/model.safetensors" in capsys.readouterr().err


def test_no_room_on_the_disk(hub, here, capsys):
    hub.claims[WEIGHTS] = 10**18
    assert main(["fetch", "inpaint"]) == 1
    error = capsys.readouterr().err
    assert "1000000000.0 GB are to come, but" in error
    assert "make room, or name another place with --to FOLDER" in error
    assert hub.sent == ["model_index.json"]


@pytest.mark.parametrize(
    ("model", "use", "refusal"),
    [
        (KLEIN.repository, "commercial", None),
        (KLEIN.repository, "research", None),
        (NON_COMMERCIAL, "research", None),
        (NON_COMMERCIAL, "commercial", "is cc-by-nc-4.0, which does not allow commercial use"),
        (NON_COMMERCIAL, None, "which allows no commercial use: read .*, and say --use research"),
        (UNKNOWN, "research", None),
        (UNKNOWN, "commercial", "is not named, which is not known here"),
        (UNKNOWN, None, "is not named, which is not known here: read .*, and say --use research"),
    ],
)
def test_the_licence_has_to_allow_the_use(hub, here, capsys, model, use, refusal):
    arguments = ["fetch", "inpaint", "--model", model] + ([] if use is None else ["--use", use])
    assert main(arguments) == (0 if refusal is None else 1)
    said = capsys.readouterr()
    assert said.out.startswith(f"{model}: ")
    if refusal is not None:
        assert re.search(refusal, said.err)
        assert not any(name.endswith(".safetensors") for name in hub.sent)


def test_parts_of_a_model_to_be_made(hub, here, tmp_path, capsys):
    """What derives from weights that may not be sold is not free, whatever its card says."""
    main_part, vae, clip = CONVERTED["vmem"]
    for part, names in (
        (main_part, ("vmem_weights.pth",)),
        (vae, ("vae/config.json", "vae/diffusion_pytorch_model.safetensors", "unet/big.safetensors")),
        (clip, ("config.json", "model.safetensors", "pytorch_model.bin")),
    ):
        folder = tmp_path / part.repository
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(name.encode() * 100)
        hub.models[part.repository] = (folder, "apache-2.0" if part is main_part else part.licence)
    assert main(["fetch", "vmem"]) == 1
    said = capsys.readouterr()
    assert "licence stable-virtual-camera-non-commercial (its card says apache-2.0)" in said.out
    assert "allows no commercial use" in said.err
    assert main(["fetch", "vmem", "--use", "research", "--to", str(tmp_path / "parts")]) == 0
    said = capsys.readouterr().out
    assert f"vmem convert {tmp_path}/parts/{main_part.repository}/vmem_weights.pth models/vmem --vae " in said
    assert (tmp_path / "parts" / vae.repository / "vae" / "config.json").is_file()
    assert "big.safetensors" not in "".join(hub.sent)
    assert "pytorch_model.bin" not in hub.sent


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("reprojection",), "nothing to fetch for engine 'reprojection': it has no network"),
        (("gac",), "no weights are published: train a model with `vmem train generator --recipe gac"),
        (("inpaint", "--scene", "outdoors"), "--scene is of depth; inpaint has none"),
        (("spatia", "--model", "a/b"), "what spatia is made of is fixed"),
        (("inpaint", "--model", "what is this"), "it is no owner/name"),
    ],
)
def test_what_cannot_be_fetched(here, capsys, arguments, message):
    assert main(["fetch", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_no_such_model(hub, here, capsys):
    assert main(["fetch", "depth", "--model", "nobody/nothing"]) == 1
    assert f"ModelError: there is no model nobody/nothing at {hub.address}" in capsys.readouterr().err


def test_no_pipeline_in_it(hub, here, capsys):
    assert main(["fetch", "inpaint", "--model", DEFAULT_MODEL]) == 1
    assert "holds no pipeline of diffusers" in capsys.readouterr().err


def test_no_network(tmp_path):
    done = vmem(tmp_path, "http://127.0.0.1:9", "fetch", "depth")
    assert done.returncode == 1
    assert f"ModelError: {DEFAULT_MODEL} cannot be fetched from http://127.0.0.1:9" in done.stderr
    assert "run `vmem fetch depth --to depth-model` where there is one" in done.stderr
    assert "Traceback" not in done.stderr


def test_no_network_for_an_engine(hub, here, capsys, monkeypatch):
    """The message says the same command, with what was chosen; a model that is here is used as it is."""
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert main(["fetch", "wan-vace", "--use", "research"]) == 1
    error = capsys.readouterr().err
    assert "run `vmem fetch wan-vace --use research --to wan-vace-model` where there is one" in error
    assert "say --model wan-vace-model (node: model.path)" in error
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    assert main(["fetch", "inpaint"]) == 0
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert load_generator("inpaint", allow_download=True).name == "inpaint"
