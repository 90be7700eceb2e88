"""Spatia's and Mirage's network: Wan's video transformer with a branch for what memory shows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from diffusers import (
    ModelMixin,  # noqa: F401 a pipeline that is loaded looks for it where the classes of its parts are
    WanVACETransformer3DModel,
)
from diffusers.configuration_utils import register_to_config
from diffusers.models.modeling_outputs import Transformer2DModelOutput
from torch import Tensor, nn

from vmem_ros.generation.flow_prediction import SceneFlowPrediction, check_prediction, velocity_of
from vmem_ros.generation.wan.network.blocks import SceneWanBlock, SceneWanControlBlock, modulated
from vmem_ros.generation.wan.network.checks import (
    check_config,
    check_device,
    check_latents,
    check_text,
    controlled_frames,
    is_checkpointing,
)
from vmem_ros.generation.wan.network.rotary import SceneRotaryPosEmbed
from vmem_ros.generation.wan.network.times import TimeAngles
from vmem_ros.generation.wan.published import load_published

# The time of a frame that is noise alone.
_TIMES = 1000.0


class SceneWanTransformer3DModel(WanVACETransformer3DModel):
    """Predicts the flow of latent frames, told what memory shows of them.

    The main stream has, in this order: reference pictures, the frames to draw with those given before them, and, where
    there are any, given frames that follow. Given ones are clean and at time 0. The control stream has what memory
    shows of the frames that are no references: a scene, and how much of it is missing. The defaults are Spatia's size;
    Mirage's has ``vace_layers`` 0, 2, ..., 28. The names of parameters are those of diffusers' Wan VACE.

    :param in_channels: C of the latents.
    :param text_dim: width of the text embeddings.
    :param vace_layers: blocks of the main stream after which the control stream is added.
    :param vace_in_channels: of the control: scene and score, 2 C.
    :param prediction: what the layers say of a frame. A small network, which is hardly wider than its input, cannot
        carry noise through them: it says the clean latents (``sample``), or what has to be added to those of the scene
        (``difference``; of frames without control: the latents), and the flow is computed from these.
    :param rope_max_seq_len: taken for configurations of the parent, like the three that must be ``None``: positions are
        computed, not looked up.
    :raises ModelError: for a configuration that cannot be built.
    """

    _no_split_modules: ClassVar[list[str]] = [SceneWanBlock.__name__, SceneWanControlBlock.__name__]
    _repeated_blocks: ClassVar[list[str]] = [SceneWanBlock.__name__, SceneWanControlBlock.__name__]

    @register_to_config
    def __init__(
        self,
        patch_size: Sequence[int] = (1, 2, 2),
        num_attention_heads: int = 24,
        attention_head_dim: int = 128,
        in_channels: int = 48,
        out_channels: int = 48,
        text_dim: int = 4096,
        freq_dim: int = 256,
        ffn_dim: int = 14336,
        num_layers: int = 30,
        cross_attn_norm: bool = True,
        qk_norm: str = "rms_norm_across_heads",
        eps: float = 1e-6,
        image_dim: int | None = None,
        added_kv_proj_dim: int | None = None,
        rope_max_seq_len: int = 1024,
        pos_embed_seq_len: int | None = None,
        vace_layers: Sequence[int] = (0, 4, 8, 12, 16, 20, 24, 28),
        vace_in_channels: int = 96,
        prediction: SceneFlowPrediction = "velocity",
    ) -> None:
        check_prediction(prediction, scene=True)
        check_config(
            patch_size=patch_size,
            attention_head_dim=attention_head_dim,
            freq_dim=freq_dim,
            num_layers=num_layers,
            vace_layers=vace_layers,
            image_dim=image_dim,
            added_kv_proj_dim=added_kv_proj_dim,
        )
        super().__init__(
            patch_size=tuple(patch_size),
            num_attention_heads=num_attention_heads,
            attention_head_dim=attention_head_dim,
            in_channels=in_channels,
            out_channels=out_channels,
            text_dim=text_dim,
            freq_dim=freq_dim,
            ffn_dim=ffn_dim,
            num_layers=num_layers,
            cross_attn_norm=cross_attn_norm,
            qk_norm=qk_norm,
            eps=eps,
            rope_max_seq_len=rope_max_seq_len,
            pos_embed_seq_len=pos_embed_seq_len,
            vace_layers=list(vace_layers),
            vace_in_channels=vace_in_channels,
        )
        self.rope = SceneRotaryPosEmbed(attention_head_dim)
        self.condition_embedder.timesteps_proj = TimeAngles(freq_dim)
        shape = (num_attention_heads * attention_head_dim, ffn_dim, num_attention_heads, qk_norm, cross_attn_norm, eps)
        # One by one, so that no more than one block is there twice.
        for index in range(num_layers):
            self.blocks[index] = SceneWanBlock(*shape)
        for index in range(len(vace_layers)):
            self.vace_blocks[index] = SceneWanControlBlock(
                *shape, apply_input_projection=index == 0, apply_output_projection=True
            )

    @property
    def divisor(self) -> tuple[int, int]:
        """Latents have a height and a width that are multiples of these."""
        return self.config.patch_size[1], self.config.patch_size[2]

    def load_published(
        self, main_state: Mapping[str, Tensor], control_state: Mapping[str, Tensor]
    ) -> SceneWanTransformer3DModel:
        """Take the parameters of published files, and return the network.

        :param main_state: of the video model (Wan 2.2 TI2V-5B), under its published names.
        :param control_state: of the scene branch of Spatia or Mirage, under theirs.
        :raises ModelError: a name or shape that this network does not have, or one that it has and they do not; it is
            unchanged then.
        """
        load_published(self, main_state, control_state)
        return self

    def forward(
        self,
        hidden_states: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor | None,
        control_hidden_states: Tensor | None = None,
        num_references: int = 0,
        control_frames: slice | None = None,
        control_scale: float = 1.0,
        return_dict: bool = False,
    ) -> Transformer2DModelOutput | tuple[Tensor]:
        """Return the flow (noise minus latents) of every frame [B, C, F, H, W]; that of given frames means nothing.

        :param hidden_states: latents [B, C, F, H, W], the references first.
        :param timestep: [B, F] in 0 ... 1000, 0 for frames that are given.
        :param encoder_hidden_states: text embeddings [B, T, text_dim]; ``None``: no text.
        :param control_hidden_states: [B, 2 C, Fc, H, W], scene latents and then score latents of the frames that are no
            references; ``None``: memory shows nothing, and the control branch is not computed.
        :param num_references: how many of the F frames are references.
        :param control_frames: which of the F frames the control is for; ``None``: all that are no references.
        :param control_scale: what the control stream is multiplied by.
        :raises ModelError: shapes or numbers that do not fit the network or each other.
        """
        check_latents(self.config, hidden_states, timestep, num_references)
        batch, _, frames, height, width = hidden_states.shape
        if encoder_hidden_states is None:
            encoder_hidden_states = hidden_states.new_zeros(batch, 1, self.config.text_dim)
        check_text(self.config, encoder_hidden_states, batch)
        controlled = (0, 0)
        if control_hidden_states is not None:
            controlled = controlled_frames(
                self.config, hidden_states, control_hidden_states, num_references, control_frames, control_scale
            )
        check_device(
            hidden_states,
            timestep=timestep,
            encoder_hidden_states=encoder_hidden_states,
            control_hidden_states=control_hidden_states,
        )
        rows, columns = height // self.divisor[0], width // self.divisor[1]
        rotary = self.rope(frames - num_references, rows, columns, num_references, hidden_states.device)
        tokens = _flat(self.patch_embedding(hidden_states))
        time, modulation, text, _ = self.condition_embedder(
            timestep.flatten(), encoder_hidden_states, timestep_seq_len=frames
        )
        modulation = modulation.unflatten(2, (6, -1)).float()
        control = None if control_hidden_states is None else _flat(self.vace_patch_embedding(control_hidden_states))
        tokens = self._through_blocks(tokens, text, modulation, rotary, control, controlled, control_scale)
        shift, scale = (self.scale_shift_table.to(time.device) + time[:, :, None]).float().unbind(dim=2)
        output = self.proj_out(modulated(self.norm_out(tokens.float()), scale, shift).type_as(tokens))
        said = _unpatched(output, (frames, rows, columns), self.divisor)
        prediction = self.config.prediction
        if prediction == "difference":
            prediction = "sample"
            if control_hidden_states is not None:
                said = said.clone()
                said[:, :, slice(*controlled)] += control_hidden_states[:, : said.shape[1]].to(said.device)
        at = timestep[:, None, :, None, None] / _TIMES
        flow = velocity_of(prediction, said, hidden_states, at).type_as(said)
        return Transformer2DModelOutput(sample=flow) if return_dict else (flow,)

    def _through_blocks(
        self,
        tokens: Tensor,
        text: Tensor,
        modulation: Tensor,
        rotary: tuple[Tensor, Tensor],
        control: Tensor | None,
        controlled: tuple[int, int],
        control_scale: float,
    ) -> Tensor:
        """Return tokens [B, L, D] after all blocks, each control block just before the main block it is added to."""
        per_frame = tokens.shape[1] // modulation.shape[1]
        first, last = controlled[0] * per_frame, controlled[1] * per_frame
        start, times = tokens[:, first:last], modulation[:, slice(*controlled)]
        positions = (rotary[0][:, first:last], rotary[1][:, first:last])
        control_blocks: dict[int, Any] = {}
        if control is not None:
            control_blocks = dict(zip(self.config.vace_layers, self.vace_blocks, strict=True))
        for index, block in enumerate(self.blocks):
            hint = None
            if index in control_blocks:
                hint, control = self._run(control_blocks[index], control, start, text, times, positions)
            tokens = self._run(block, tokens, text, modulation, rotary)
            if hint is not None:
                middle = tokens[:, first:last] + hint.to(tokens.device) * control_scale
                tokens = torch.cat([tokens[:, :first], middle, tokens[:, last:]], dim=1)
        return tokens

    def _run(self, block: nn.Module, *inputs: Any) -> Any:
        return self._gradient_checkpointing_func(block, *inputs) if is_checkpointing(self) else block(*inputs)


def _flat(patches: Tensor) -> Tensor:
    """Return tokens [B, F * h * w, D] of patches [B, D, F, h, w]."""
    return patches.flatten(2).transpose(1, 2).contiguous()


def _unpatched(output: Tensor, grid: tuple[int, int, int], patch: tuple[int, int]) -> Tensor:
    """Return [B, C, F, H, W] of tokens [B, F * h * w, patch height * patch width * C]."""
    frames, rows, columns = grid
    channels = output.shape[-1] // math.prod(patch)
    cells = output.reshape(-1, frames, rows, columns, *patch, channels)
    return cells.permute(0, 6, 1, 2, 4, 3, 5).reshape(-1, channels, frames, rows * patch[0], columns * patch[1])
