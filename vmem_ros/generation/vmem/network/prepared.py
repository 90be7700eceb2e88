"""What of the conditioning is the same for all denoising steps, computed once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

from torch import Tensor

from vmem_ros.errors import ModelError


class Modulation(NamedTuple):
    """What a residual block does with the dense conditioning: features * gain + shift.

    :param gain: [sets * frames, C, h, w] with as many sets as the dense map had (fewer are shared in turns).
    :param shift: the same.
    """

    gain: Tensor
    shift: Tensor


class AttendedToken(NamedTuple):
    """What cross-attention adds to every query when the context is a single token.

    The softmax over one key is 1, so queries and keys have no influence: the result is a linear map of the token.

    :param output: [batch, 1, C].
    """

    output: Tensor


class BlockContext(NamedTuple):
    """The context of one pair of spatial and time-mix blocks: tokens [batch, tokens, D], or what came of them.

    :param spatial: one batch entry per frame where frames attend alone, per set where they attend jointly.
    :param temporal: one batch entry per set.
    """

    spatial: Tensor | AttendedToken
    temporal: Tensor | AttendedToken


@dataclass(frozen=True, eq=False)
class PreparedConditioning:
    """Conditioning that ``MultiviewUNet.prepare`` worked out for all steps of a chunk; it knows nothing of the noise.

    It holds results of the network's weights: prepare again after loading weights, or changing an adapter.

    :param num_frames: frames per set, T.
    :param sets: independent sets of frames in the batch, B (twice as many with guidance: unconditional, conditional).
    :param size: latent height and width.
    :param modulations: by name of the residual block.
    :param contexts: by name of the transformer, one per pair of blocks.
    """

    num_frames: int
    sets: int
    size: tuple[int, int]
    modulations: Mapping[str, Modulation]
    contexts: Mapping[str, tuple[BlockContext, ...]]

    @property
    def num_bytes(self) -> int:
        """Bytes of the tensors held; at full size, for 8 frames at 72 x 72 in 16 bits, 0.8 GB."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self._tensors())

    def select(self, first: int, count: int = 1) -> PreparedConditioning:
        """Return the conditioning of ``count`` sets from ``first`` on, e.g. of the conditional half alone; no copy.

        :raises ModelError: where there are not so many sets, or they are no whole turns of a map that several share.
        """
        if first < 0 or count < 1 or first + count > self.sets:
            raise ModelError(f"sets {first} to {first + count - 1} were asked for, but there are {self.sets}")
        turn = self._mapped_sets
        if turn < self.sets and (first % turn or count % turn):
            raise ModelError(f"{turn} sets share a map in turns: select whole turns, not {count} sets from {first} on")

        def part(tensor: Tensor) -> Tensor:
            per_set = tensor.shape[0] // self.sets
            return tensor[first * per_set : (first + count) * per_set]

        def context_part(context: Tensor | AttendedToken) -> Tensor | AttendedToken:
            return AttendedToken(part(context.output)) if isinstance(context, AttendedToken) else part(context)

        def modulation_part(modulation: Modulation) -> Modulation:
            return modulation if turn < self.sets else Modulation(part(modulation.gain), part(modulation.shift))

        return replace(
            self,
            sets=count,
            modulations={name: modulation_part(entry) for name, entry in self.modulations.items()},
            contexts={
                name: tuple(BlockContext(context_part(e.spatial), context_part(e.temporal)) for e in entries)
                for name, entries in self.contexts.items()
            },
        )

    @property
    def _mapped_sets(self) -> int:
        """Sets that the dense map had."""
        return next(iter(self.modulations.values())).gain.shape[0] // self.num_frames

    def _tensors(self) -> Iterator[Tensor]:
        for modulation in self.modulations.values():
            yield from modulation
        for entries in self.contexts.values():
            for entry in entries:
                for context in entry:
                    yield context.output if isinstance(context, AttendedToken) else context
