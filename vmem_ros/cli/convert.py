"""Turn published weights into a pipeline folder that an engine of the camera node loads.

VMem's (vmem_weights.pth) are for the engine 'vmem'; Wan 2.2 TI2V-5B with --control, Spatia's scene branch, is for the
engine 'spatia'. Nothing in the files is executed, every parameter has to fit, and the folder appears whole or not at
all.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from vmem_ros.errors import ModelError

DTYPES = ("float32", "bfloat16", "float16")
#: What may be done with the published weights; also written into the folder.
TERMS = """\
Terms of the published VMem weights. Converting changes their format, not their terms.

VMem's code is MIT, and its model card says Apache-2.0, but the weights are fine-tuned from Stable Virtual Camera, which
Stability AI licenses for non-commercial use only, its outputs included. Use them, and the images made with them, for
research and other non-commercial purposes; for anything else ask their authors. The autoencoder and the image encoder
keep the licences of the places they came from. vmem_ros contains none of these weights.
"""
#: The same of Spatia's and of what they stand on.
SPATIA_TERMS = """\
Terms of the published Spatia weights. Converting changes their format, not their terms.

Spatia's code and weights are Apache-2.0, and so are those of Wan 2.2 that they stand on: they may be used, changed and
passed on, commercially too, under that licence. Whoever took parts from elsewhere looks there for their terms. vmem_ros
contains none of these weights.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem convert``."""
    source = "a folder in the format of diffusers or transformers, or owner/name[/folder] on the Hugging Face Hub"
    parser.add_argument(
        "weights",
        type=Path,
        metavar="WEIGHTS",
        help="the published file, .pth or .safetensors; with --control also a folder of .safetensors files",
    )
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument("--vae", metavar="SOURCE", help=f"for vmem: autoencoder of Stable Diffusion 2.1: {source}")
    parser.add_argument("--image-encoder", metavar="SOURCE", help=f"for vmem: CLIP ViT-H/14: {source}")
    parser.add_argument(
        "--control", type=Path, metavar="FILE", help="for spatia: the scene branch, WEIGHTS being Wan 2.2 TI2V-5B"
    )
    parser.add_argument(
        "--base",
        metavar="SOURCE",
        help="for spatia: a folder with vae, text_encoder and tokenizer, or owner/name on the Hugging Face Hub",
    )
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="type of the stored parameters (default float32, as published)",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="JSON with fields of the network that differ from the published"
    )
    parser.add_argument("--allow-download", action="store_true", help="fetch the parts named by SOURCE from the Hub")
    parser.add_argument("--overwrite", action="store_true", help="replace a pipeline folder that is there")


def run(args: argparse.Namespace) -> None:
    """Convert, and say what was made, how to drive with it and what its licence allows.

    :raises ModelError: the weights do not fit, a part cannot be had, or the folder cannot be written.
    """
    start = time.monotonic()
    # What follows imports diffusers, which takes seconds: not for --help, and not before a mistyped path is found.
    if not args.weights.exists():
        raise ModelError(f"there is no file {args.weights}")
    _check_parts(args)
    config = _config(args.config)
    from vmem_ros.generation.vmem.pipeline_folder import check_writable, write_pipeline

    check_writable(args.out, overwrite=args.overwrite)
    engine, terms = ("vmem", TERMS) if args.control is None else ("spatia", SPATIA_TERMS)
    pipeline = _vmem(args, config) if args.control is None else _spatia(args, config)
    print(f"writing {args.out} ...", flush=True)
    size = write_pipeline(pipeline, args.out, notice=terms, overwrite=args.overwrite)
    print(f"wrote {args.out}: {size / 1e9:.2f} GB of {args.dtype} in {time.monotonic() - start:.0f} s\n\n{terms}")
    print(
        f"Drive with it:\n  ros2 launch vmem_ros camera.launch.xml engine:={engine} device:=cuda "
        f"model:={args.out.absolute()}"
    )


def _check_parts(args: argparse.Namespace) -> None:
    """Raise :class:`ModelError` unless the parts of one of the two models are named."""
    of_vmem = {"--vae": args.vae, "--image-encoder": args.image_encoder}
    of_spatia = {"--control": args.control, "--base": args.base}
    needed, others = (of_vmem, of_spatia) if args.control is None else (of_spatia, of_vmem)
    if missing := [name for name, value in needed.items() if value is None]:
        raise ModelError(f"{' and '.join(missing)} must be given, too: where these parts are")
    if strange := [name for name, value in others.items() if value is not None]:
        kind = "spatia, which --control says" if args.control is not None else "vmem; --control makes one of spatia"
        raise ModelError(f"{' and '.join(strange)} has no place in a model of {kind}")


def _vmem(args: argparse.Namespace, config: dict[str, Any]) -> Any:
    import torch

    from vmem_ros.generation import VMemPipeline

    if not args.weights.is_file():
        raise ModelError(f"there is no file {args.weights}")
    with tqdm(total=args.weights.stat().st_size, desc="reading", unit="B", unit_scale=True) as progress:
        return VMemPipeline.from_original(
            args.weights,
            vae=args.vae,
            image_encoder=args.image_encoder,
            config=config,
            torch_dtype=getattr(torch, args.dtype),
            allow_download=args.allow_download,
            on_bytes=progress.update,
        )


def _spatia(args: argparse.Namespace, config: dict[str, Any]) -> Any:
    import torch

    from vmem_ros.generation.wan import SceneWanPipeline

    print("reading ...", flush=True)
    return SceneWanPipeline.from_original(
        args.weights,
        args.control,
        base=args.base,
        config=config,
        torch_dtype=getattr(torch, args.dtype),
        allow_download=args.allow_download,
    )


def _config(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"--config {path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise ModelError(f"--config {path} must hold a JSON object with fields of the network")
    return {name: value for name, value in config.items() if not name.startswith("_")}
