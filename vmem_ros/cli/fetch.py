"""Fetch the published models that an engine needs, or the depth network that photographs and colour cameras want.

What there is to fetch, its size, its licence and the room on the disk are said first. A download that breaks off goes
on where it stopped when the same command is given again; every file is compared with its checksum. What is complete is
not fetched again.
"""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path

from vmem_ros.errors import ModelError
from vmem_ros.generation.engines import DEFAULT_ENGINE, ENGINES
from vmem_ros.pointmaps.huggingface import DEFAULT_MODEL, FILES, OUTDOOR_MODEL
from vmem_ros.pretrained import hub, hub_files
from vmem_ros.pretrained.hub_models import RemoteModel, in_words
from vmem_ros.pretrained.licences import USES, check_use
from vmem_ros.pretrained.published import CONVERTED, NOTHING_TO_FETCH, STOCK, Published, known_licence

_DEPTH = "depth"
_SCENES = {"indoors": DEFAULT_MODEL, "outdoors": OUTDOOR_MODEL}
_DEPTH_LICENCE = "apache-2.0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of ``vmem fetch``."""
    parser.add_argument(
        "what",
        choices=(_DEPTH, *ENGINES),
        metavar="WHAT",
        help=f"{_DEPTH}: Depth Anything V2 Metric Small (Apache-2.0, about 100 MB); or an engine: {', '.join(STOCK)} "
        f"(ready to draw), {', '.join(CONVERTED)} (to be converted)",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--scene",
        choices=tuple(_SCENES),
        help="for depth: what it was trained for (default indoors: up to 20 m; outdoors: up to 80 m)",
    )
    which.add_argument(
        "--model",
        metavar="OWNER/NAME",
        help=f"another model of the Hugging Face Hub; for wan-vace the large one is {STOCK['wan-vace'][-1].repository}",
    )
    parser.add_argument(
        "--use",
        choices=USES,
        help="what it is for: refused if the licence does not allow that. What is not free for every use needs a word",
    )
    parser.add_argument(
        "--to",
        type=Path,
        metavar="FOLDER",
        help="write it into a folder, to carry to a machine without a network (default: the Hub's cache on this one)",
    )


def run(args: argparse.Namespace) -> None:
    """Say what there is, fetch it, see whether it can be used, and say how.

    :raises ModelError: it cannot be had, is not what is wanted, or its licence does not allow the use.
    """
    models = _wanted(args)
    command = _command(args)
    several = len(models) > 1
    found = [
        hub.look_up(model.repository, model.patterns, elsewhere=_elsewhere(args, command, model)) for model in models
    ]
    places = [None if args.to is None else args.to / model.repository if several else args.to for model in found]
    for published, model, place in zip(models, found, places, strict=True):
        _announce(published, model, place)
    for published, model in zip(models, found, strict=True):
        # Whichever of the two is stricter: authors change their minds, and cards are copied from elsewhere.
        for licence in {published.licence or model.licence, model.licence or published.licence}:
            check_use(licence, args.use, what=model.repository, page=model.page)
    hub_files.check_space(found, places)
    folders = []
    for published, model, place in zip(models, found, places, strict=True):
        print(f"fetching {model.repository} ...", flush=True)
        folders.append(hub.download(model, place, elsewhere=_elsewhere(args, command, published)))
        print(f"{model.repository}: {in_words(model.size)} in {folders[-1]}, checksums compared", flush=True)
    if args.what == _DEPTH:
        _say_how_to_use_depth(args, models[0].repository, folders[0])
    elif args.what in STOCK:
        _say_how_to_use(args, models[0].repository)
    else:
        _say_how_to_convert(args.what, folders)


def _wanted(args: argparse.Namespace) -> tuple[Published, ...]:
    """Return the repositories that the arguments ask for."""
    if args.scene and args.what != _DEPTH:
        raise ModelError(f"--scene is of depth; {args.what} has none")
    if args.what == _DEPTH:
        known = args.model is None
        name = _SCENES[args.scene or "indoors"] if known else args.model
        return (Published(name, _DEPTH_LICENCE if known else "", FILES),)
    if args.what in NOTHING_TO_FETCH:
        raise ModelError(f"there is nothing to fetch for engine {args.what!r}: {NOTHING_TO_FETCH[args.what]}")
    if args.what in STOCK:
        return (STOCK[args.what][0] if args.model is None else Published(args.model, known_licence(args.model)),)
    if args.model is not None:
        raise ModelError(f"--model is of {', '.join((_DEPTH, *STOCK))}; what {args.what} is made of is fixed")
    return CONVERTED[args.what]


def _announce(published: Published, model: RemoteModel, place: Path | None) -> None:
    """Say what will be fetched before any of it is."""
    card = model.licence or "none"
    licence = published.licence or card
    differs = f" (its card says {card})" if published.licence and card != published.licence else ""
    to_come = hub_files.bytes_to_come(model, place)
    print(
        f"{model.repository}: {in_words(model.size)} in {len(model.files)} files, {in_words(to_come)} to come; "
        f"licence {licence}{differs}, {model.page}; "
        f"{in_words(hub_files.free_space(model, place))} free on the disk",
        flush=True,
    )


def _command(args: argparse.Namespace) -> str:
    """Return the command as it was given, but for the folder."""
    words = ["vmem", "fetch", args.what]
    for name in ("scene", "model", "use"):
        value = getattr(args, name)
        if value is not None:
            words += [f"--{name}", shlex.quote(value)]
    return " ".join(words)


def _elsewhere(args: argparse.Namespace, command: str, model: Published) -> str:
    if args.what == _DEPTH:
        return (
            f"run `{command} --to depth-model` where there is one, copy the folder here and say --depth-model "
            "depth-model (node: geometry.model)"
        )
    if args.what in STOCK:
        return (
            f"run `{command} --to {args.what}-model` where there is one, copy the folder here and say --model "
            f"{args.what}-model (node: model.path)"
        )
    return f"run `{command} --to {args.what}-parts` where there is one, and copy the folder here"


def _say_how_to_use_depth(args: argparse.Namespace, model: str, folder: Path) -> None:
    from vmem_ros.pointmaps.huggingface import HuggingFaceDepth

    if not HuggingFaceDepth.from_pretrained(folder).metric:
        print("It knows depth only up to scale and shift: it can go on with a world, but cannot begin one.")
        return
    chosen = _chosen(args, model, DEFAULT_MODEL)
    option = "" if chosen is None else f" --depth-model {chosen}"
    parameter = "" if chosen is None else f" -p geometry.model:={chosen}"
    print(
        f"Use it:\n  vmem explore --image photo.jpg --estimator huggingface{option}\n"
        f"  ros2 run vmem_ros vmem_camera --ros-args -p geometry.estimator:=huggingface{parameter}"
    )


def _say_how_to_use(args: argparse.Namespace, model: str) -> None:
    chosen = _chosen(args, model, STOCK[args.what][0].repository)
    option = "" if chosen is None else f" --model {chosen}"
    parameter = "" if chosen is None else f" -p model.path:={chosen}"
    print(
        f"Use it:\n  vmem explore --engine {args.what}{option} --device cuda\n"
        f"  make camera ARGS='-p engine:={args.what}{parameter} -p model.device:=cuda'\n"
        "Memory, seconds a view, and what to do with a smaller card: docs/engines.md"
    )


def _say_how_to_convert(engine: str, folders: list[Path]) -> None:
    main, second, third = (shlex.quote(str(folder)) for folder in folders)
    if engine == DEFAULT_ENGINE:
        made = f"vmem convert {main}/vmem_weights.pth models/vmem --vae {second}/vae --image-encoder {third}"
    else:
        made = f"vmem convert {main} models/spatia --control {second}/step-8500.safetensors --base {third}"
    print(
        f"Make a model of them:\n  {made} --dtype bfloat16\nUse it:\n"
        f"  make camera ARGS='-p engine:={engine} -p model.path:=models/{engine} -p model.device:=cuda'"
    )


def _chosen(args: argparse.Namespace, model: str, default: str) -> str | None:
    """Return what has to be named so that a model is used, ``None`` if it is the one that is used anyway."""
    if args.to is not None:
        return shlex.quote(str(args.to.absolute()))
    return None if model == default else shlex.quote(model)
