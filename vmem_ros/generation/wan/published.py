"""Published names of the video model and of scene branches, and what diffusers calls the same.

Every name is used and every parameter filled, or nothing is loaded: a network with random parameters draws noise
without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

from vmem_ros.errors import ModelError

# In this order: the first rules are for parts that stand alone, the others for what each block has.
_RULES = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"^text_embedding\.0(?=\.)", "condition_embedder.text_embedder.linear_1"),
        (r"^text_embedding\.2(?=\.)", "condition_embedder.text_embedder.linear_2"),
        (r"^time_embedding\.0(?=\.)", "condition_embedder.time_embedder.linear_1"),
        (r"^time_embedding\.2(?=\.)", "condition_embedder.time_embedder.linear_2"),
        (r"^time_projection\.1(?=\.)", "condition_embedder.time_proj"),
        (r"^head\.head(?=\.)", "proj_out"),
        (r"^head\.modulation$", "scale_shift_table"),
        (r"(?<=\.)modulation$", "scale_shift_table"),
        (r"(?<=\.)self_attn(?=\.)", "attn1"),
        (r"(?<=\.)cross_attn(?=\.)", "attn2"),
        (r"(?<=\.attn[12]\.)([qkv])(?=\.)", r"to_\1"),
        (r"(?<=\.attn[12]\.)o(?=\.)", "to_out.0"),
        (r"(?<=\.)ffn\.0(?=\.)", "ffn.net.0.proj"),
        (r"(?<=\.)ffn\.2(?=\.)", "ffn.net.2"),
        # The norm with parameters stands before the attention to the text: third there, second here.
        (r"(?<=\.)norm3(?=\.)", "norm2"),
        (r"(?<=\.)before_proj(?=\.)", "proj_in"),
        (r"(?<=\.)after_proj(?=\.)", "proj_out"),
    )
)
#: What parameters of the scene branch begin with, in both vocabularies.
_CONTROL = ("vace_blocks.", "vace_patch_embedding.")
_LISTED = 3


def to_diffusers(name: str) -> str:
    """Return what diffusers calls a parameter or module of the published networks; ``module.weight`` or ``module.``."""
    for pattern, replacement in _RULES:
        name = pattern.sub(replacement, name)
    return name


def is_control(name: str) -> bool:
    """Return whether a parameter, under either name, is of the scene branch."""
    return name.startswith(_CONTROL)


def load_published(network: Any, main_state: Mapping[str, Tensor], control_state: Mapping[str, Tensor]) -> None:
    """Fill a network with the tensors of two published files; see ``SceneWanTransformer3DModel.load_published``.

    A network on the meta device becomes the tensors themselves; one with memory of its own gets copies.

    :raises ModelError: see there.
    """
    parameters = dict(network.state_dict())
    state: dict[str, Tensor] = {}
    for what, given, control in (("main_state", main_state, False), ("control_state", control_state, True)):
        renamed = {to_diffusers(name): name for name in given}
        if len(renamed) < len(given):
            twice = given.keys() - set(renamed.values())
            raise ModelError(f"{what} has {_listed(twice)} under another name, too: is it two files in one?")
        wanted = {name for name in parameters if is_control(name) is control}
        if strange := renamed.keys() - wanted:
            raise ModelError(
                f"{what} has {_listed(renamed[name] for name in strange)}, which this network does not have there: is "
                "it the file of another model, or in another's place?"
            )
        if missing := wanted - renamed.keys():
            raise ModelError(
                f"{what} lacks {_listed(missing)} (names of diffusers): is the file complete, and of a model with this "
                "number of layers?"
            )
        for name, published in renamed.items():
            tensor, expected = given[published], parameters[name]
            if tensor.shape != expected.shape:
                raise ModelError(
                    f"{what} has {published} with shape {list(tensor.shape)}, this network needs "
                    f"{list(expected.shape)}: is it a model of another size?"
                )
            if tensor.is_meta and not expected.is_meta:
                raise ModelError(f"{what} has no data for {published} (it is on the meta device): read the file")
            state[name] = tensor
    on_meta = any(parameter.is_meta for parameter in parameters.values())
    with torch.no_grad():
        network.load_state_dict(state, strict=True, assign=on_meta)


def _listed(names: Iterable[str]) -> str:
    ordered = sorted(names)
    more = f" and {len(ordered) - _LISTED} more" if len(ordered) > _LISTED else ""
    return ", ".join(ordered[:_LISTED]) + more
