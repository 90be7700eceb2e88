"""Turn published weights (vmem_weights.pth) into a pipeline folder that engine 'vmem' of the camera node loads.

Nothing in the file is executed, every parameter has to fit, and the folder appears whole or not at all.
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem convert``."""
    source = "a folder in the format of diffusers or transformers, or owner/name[/folder] on the Hugging Face Hub"
    parser.add_argument("weights", type=Path, metavar="WEIGHTS", help="the published file, .pth or .safetensors")
    parser.add_argument("out", type=Path, metavar="OUT", help="folder to make")
    parser.add_argument("--vae", required=True, metavar="SOURCE", help=f"autoencoder of Stable Diffusion 2.1: {source}")
    parser.add_argument("--image-encoder", required=True, metavar="SOURCE", help=f"CLIP ViT-H/14: {source}")
    parser.add_argument(
        "--dtype",
        choices=DTYPES,
        default="float32",
        help="type of the stored parameters (default float32, as published)",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="JSON with fields of MultiviewUNet that differ from the published"
    )
    parser.add_argument("--allow-download", action="store_true", help="fetch --vae and --image-encoder from the Hub")
    parser.add_argument("--overwrite", action="store_true", help="replace a pipeline folder that is there")


def run(args: argparse.Namespace) -> None:
    """Convert, and say what was made, how to drive with it and what its licence allows.

    :raises ModelError: the weights do not fit, a part cannot be had, or the folder cannot be written.
    """
    start = time.monotonic()
    # These import diffusers, which takes seconds: not for --help, and not before a mistyped path is found.
    if not args.weights.is_file():
        raise ModelError(f"there is no file {args.weights}")
    config = _config(args.config)
    import torch

    from vmem_ros.generation import VMemPipeline
    from vmem_ros.generation.vmem.pipeline_folder import check_writable, write_pipeline

    check_writable(args.out, overwrite=args.overwrite)
    with tqdm(total=args.weights.stat().st_size, desc="reading", unit="B", unit_scale=True) as progress:
        pipeline = VMemPipeline.from_original(
            args.weights,
            vae=args.vae,
            image_encoder=args.image_encoder,
            config=config,
            torch_dtype=getattr(torch, args.dtype),
            allow_download=args.allow_download,
            on_bytes=progress.update,
        )
    print(f"writing {args.out} ...", flush=True)
    size = write_pipeline(pipeline, args.out, notice=TERMS, overwrite=args.overwrite)
    print(f"wrote {args.out}: {size / 1e9:.2f} GB of {args.dtype} in {time.monotonic() - start:.0f} s\n\n{TERMS}")
    print(
        "Drive with it:\n  ros2 launch vmem_ros camera.launch.xml engine:=vmem device:=cuda "
        f"model:={args.out.absolute()}"
    )


def _config(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"--config {path} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise ModelError(f"--config {path} must hold a JSON object with fields of MultiviewUNet")
    return {name: value for name, value in config.items() if not name.startswith("_")}
