"""The denoiser: a U-Net over a set of frames with known cameras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from diffusers.loaders import PeftAdapterMixin
from diffusers.utils import BaseOutput
from diffusers.utils.accelerate_utils import apply_forward_hook
from torch import Tensor, nn

from vmem_ros.generation.vmem.network.architecture import NORM_GROUPS, UNetLevel, plan
from vmem_ros.generation.vmem.network.checks import check_conditioning, check_prepared, check_sample
from vmem_ros.generation.vmem.network.prepared import Modulation, PreparedConditioning
from vmem_ros.generation.vmem.network.residual import Downsample, ResidualBlock, Upsample
from vmem_ros.generation.vmem.network.timestep import sinusoid
from vmem_ros.generation.vmem.network.transformer import MultiviewTransformer

_EMBEDDING_WIDENING = 4


@dataclass
class MultiviewUNetOutput(BaseOutput):
    """:param sample: predicted noise [B*T, out_channels, h, w]."""

    sample: Tensor


class MultiviewUNet(ModelMixin, ConfigMixin, PeftAdapterMixin):
    """The multi-view U-Net of Stable Virtual Camera and VMem; the defaults are the published size, 1.26 B parameters.

    Parameter names and shapes are those of the published checkpoints. It denoises B sets of T frames, whose cameras
    it knows from Pluecker maps and some of which are given; T and the latent size are free at every call.

    :param in_channels: channels of the input: 4 noisy latents, 1 mask (1 = given frame), 6 Pluecker.
    :param model_channels: width of the first level.
    :param out_channels: channels of the predicted noise.
    :param num_frames: frames per set, T, where a call does not say.
    :param num_res_blocks: residual blocks per level on the input side; the output side has one more.
    :param attention_resolutions: down-sampling factors with transformers; the middle always has one.
    :param channel_mult: width of each level as a multiple of ``model_channels``; each level halves the size.
    :param num_head_channels: width of an attention head.
    :param transformer_depth: pairs of spatial and time-mix blocks per transformer, for each level.
    :param context_dim: width of the context tokens.
    :param dense_in_channels: channels of the dense conditioning, the Pluecker map.
    :param projection_channels: channels that follow the others in the input and hold what a memory renders at each
        camera (4 latents, 1 seen-mask), or 0. They enter through a convolution of their own that starts at zero, so
        a checkpoint without it loads with just that missing, and behaves as before until it is trained:
        ``from_pretrained(folder, projection_channels=5, low_cpu_mem_usage=False)``.
    :raises ModelError: for a configuration that cannot be built.
    """

    _supports_gradient_checkpointing = True
    _no_split_modules: ClassVar[list[str]] = ["ResidualBlock", "MultiviewTransformer"]
    # Few distinct widths each, so that regional compilation stays within the compiler's limit of variants.
    _repeated_blocks: ClassVar[list[str]] = ["SpatialBlock", "TimeMixBlock"]

    @register_to_config
    def __init__(
        self,
        in_channels: int = 11,
        model_channels: int = 320,
        out_channels: int = 4,
        num_frames: int = 8,
        num_res_blocks: int = 2,
        attention_resolutions: Sequence[int] = (4, 2, 1),
        channel_mult: Sequence[int] = (1, 2, 4, 4),
        num_head_channels: int = 64,
        transformer_depth: Sequence[int] = (1, 1, 1, 1),
        context_dim: int = 1024,
        dense_in_channels: int = 6,
        projection_channels: int = 0,
    ) -> None:
        super().__init__()
        architecture = plan(
            model_channels=model_channels,
            num_res_blocks=num_res_blocks,
            attention_resolutions=attention_resolutions,
            channel_mult=channel_mult,
            num_head_channels=num_head_channels,
            transformer_depth=transformer_depth,
        )
        embedding_channels = _EMBEDDING_WIDENING * model_channels

        def residual(in_channels: int, out_channels: int) -> ResidualBlock:
            return ResidualBlock(
                in_channels,
                out_channels,
                embedding_channels=embedding_channels,
                dense_channels=dense_in_channels,
            )

        def transformer(stage: UNetLevel) -> MultiviewTransformer:
            return MultiviewTransformer(
                stage.out_channels,
                depth=stage.depth,
                joint=stage.joint,
                head_channels=num_head_channels,
                context_channels=context_dim,
            )

        def layers(stage: UNetLevel) -> nn.ModuleList:
            if stage.resample == "down":
                return nn.ModuleList([Downsample(stage.in_channels)])
            made: list[nn.Module] = [residual(stage.in_channels, stage.out_channels)]
            if stage.depth:
                made.append(transformer(stage))
            if stage.resample == "up":
                made.append(Upsample(stage.out_channels))
            return nn.ModuleList(made)

        self.time_embed = nn.Sequential(
            nn.Linear(model_channels, embedding_channels),
            nn.SiLU(),
            nn.Linear(embedding_channels, embedding_channels),
        )
        first = nn.ModuleList([nn.Conv2d(in_channels, model_channels, 3, padding=1)])
        self.input_blocks = nn.ModuleList([first, *(layers(stage) for stage in architecture.inputs)])
        width = architecture.middle.out_channels
        self.middle_block = nn.ModuleList(
            [residual(width, width), transformer(architecture.middle), residual(width, width)]
        )
        self.output_blocks = nn.ModuleList([layers(stage) for stage in architecture.outputs])
        self.out = nn.Sequential(
            nn.GroupNorm(NORM_GROUPS, architecture.outputs[-1].out_channels),
            nn.SiLU(),
            nn.Conv2d(architecture.outputs[-1].out_channels, out_channels, 3, padding=1),
        )
        self.projection_in: nn.Conv2d | None = None
        if projection_channels:
            self.projection_in = nn.Conv2d(projection_channels, model_channels, 3, padding=1, bias=False)
            nn.init.zeros_(self.projection_in.weight)
        self._divisor = architecture.divisor
        self.gradient_checkpointing = False

    @property
    def divisor(self) -> int:
        """The sides of the latents must be multiples of this."""
        return self._divisor

    def forward(
        self,
        sample: Tensor,
        timestep: Tensor,
        encoder_hidden_states: Tensor | None = None,
        dense_conditioning: Tensor | None = None,
        num_frames: int | None = None,
        *,
        prepared: PreparedConditioning | None = None,
        return_dict: bool = True,
    ) -> MultiviewUNetOutput | tuple[Tensor]:
        """Predict the noise of B sets of T frames.

        The conditioning is either given, or ``prepared`` once for all steps.

        :param sample: [B*T, in_channels + projection_channels, h, w], the frames of a set one after another; the
            sides must be multiples of :attr:`divisor`. Fastest in channels-last memory, like the weights.
        :param timestep: index of the noise level of every frame [B*T], 0 to 999.
        :param encoder_hidden_states: context tokens of every frame [B*T, tokens, context_dim]. Where frames are
            processed together, the tokens of the first frame of a set stand for all of it.
        :param dense_conditioning: Pluecker map of every frame [B*T, dense_in_channels, h, w].
        :param num_frames: frames per set, T; by default that of the configuration.
        :param prepared: the conditioning from :meth:`prepare`, for the same frames and size.
        :param return_dict: whether to return a :class:`MultiviewUNetOutput` or a tuple of its field.
        :raises ModelError: for shapes that do not fit each other or the network, before any work.
        """
        num_frames = self.config.num_frames if num_frames is None else num_frames
        check_sample(self.config, self.divisor, sample, timestep, num_frames)
        if prepared is None:
            check_conditioning(self.config, self.divisor, encoder_hidden_states, dense_conditioning, num_frames, sample)
        else:
            check_prepared(prepared, encoder_hidden_states, dense_conditioning, num_frames, sample)
        embedding = self.time_embed(sinusoid(timestep, self.config.model_channels).to(sample.dtype))

        def through(stage: str, layers: Any, features: Tensor) -> Tensor:
            for index, layer in enumerate(layers):
                name = f"{stage}.{index}"
                if isinstance(layer, ResidualBlock):
                    dense = dense_conditioning if prepared is None else prepared.modulations[name]
                    features = self._run(layer, features, embedding, dense)
                elif isinstance(layer, MultiviewTransformer):
                    context = encoder_hidden_states if prepared is None else prepared.contexts[name]
                    features = self._run(layer, features, context, num_frames)
                else:
                    features = layer(features)
            return features

        features = through("input_blocks.0", self.input_blocks[0], sample[:, : self.config.in_channels])
        if self.projection_in is not None:
            features = features + self.projection_in(sample[:, self.config.in_channels :])
        skips = [features]
        for index in range(1, len(self.input_blocks)):
            features = through(f"input_blocks.{index}", self.input_blocks[index], features)
            skips.append(features)
        features = through("middle_block", self.middle_block, features)
        for index, layers in enumerate(self.output_blocks):
            features = through(f"output_blocks.{index}", layers, torch.cat([features, skips.pop()], dim=1))
        noise = self.out(features)
        return MultiviewUNetOutput(sample=noise) if return_dict else (noise,)

    @apply_forward_hook
    def prepare(
        self, encoder_hidden_states: Tensor, dense_conditioning: Tensor, num_frames: int | None = None
    ) -> PreparedConditioning:
        """Work out everything that does not change from one denoising step to the next.

        That is how the dense map modulates every residual block, and, where the context is a single token, what every
        cross-attention reads from it. The noise predicted with it is the same up to rounding.

        :param encoder_hidden_states: as in :meth:`forward`, of B sets.
        :param dense_conditioning: as in :meth:`forward`, of B sets, or of fewer, which set after set takes in turns, as
            the two halves of classifier-free guidance do. B must be a multiple of their number.
        :param num_frames: frames per set, T; by default that of the configuration.
        :raises ModelError: for shapes that do not fit each other or the network, before any work.
        """
        num_frames = self.config.num_frames if num_frames is None else num_frames
        context, dense = encoder_hidden_states, dense_conditioning
        check_conditioning(self.config, self.divisor, context, dense, num_frames)
        context, dense = context.to(self.dtype), dense.to(self.dtype)
        height, width = dense.shape[-2:]
        size = (height, width)
        modulations, contexts = {}, {}
        # Modules come in the order in which they were made, which is that of the work.
        for name, layer in self.named_modules():
            if isinstance(layer, Downsample):
                height, width = height // 2, width // 2
            elif isinstance(layer, Upsample):
                height, width = height * 2, width * 2
            elif isinstance(layer, ResidualBlock):
                gain, shift = layer.prepare(dense, (height, width))
                # A copy, because the shift is a view of twice its size.
                modulations[name] = Modulation(gain, shift.clone())
            elif isinstance(layer, MultiviewTransformer):
                contexts[name] = layer.prepare(context, num_frames)
        return PreparedConditioning(num_frames, context.shape[0] // num_frames, size, modulations, contexts)

    def _run(self, layer: nn.Module, *arguments: object) -> Tensor:
        """Return what a layer makes of its arguments; when checkpointing, its activations are computed again later."""
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return self._gradient_checkpointing_func(layer, *arguments)
        return layer(*arguments)
