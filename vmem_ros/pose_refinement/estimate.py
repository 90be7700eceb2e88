"""The unknowns of an alignment: a small rigid motion, and what differs between pictures besides it."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from scipy.spatial.transform import Rotation
from torch import Tensor


def _identity() -> Tensor:
    return torch.eye(4, dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Estimate:
    """Values of the nine unknowns: translation in metres, rotation as metres at a lever's end; gain, offset, depth.

    :param lever_m: a rotation by so many radians counts as this times as many metres.
    :param T: [4, 4] float64: takes points from the optical frame of the frame to that of the model.
    :param gain: brightness of the model is this times that of the frame ...
    :param offset: ... plus so many levels of 255.
    :param nearer_m: all that the model shows is so much nearer than it is, close by, and more where sensors err more.
    """

    lever_m: float
    T: Tensor = field(default_factory=_identity)
    gain: float = 1.0
    offset: float = 0.0
    nearer_m: float = 0.0

    def after(self, step: Tensor) -> Estimate:
        """Return the estimate after a step [9]; its motion comes after the present one."""
        update = _identity()
        update[:3, :3] = torch.from_numpy(Rotation.from_rotvec(step[3:6].numpy() / self.lever_m).as_matrix())
        update[:3, 3] = step[:3]
        gain, offset, nearer_m = (
            old + float(new) for old, new in zip((self.gain, self.offset, self.nearer_m), step[6:], strict=True)
        )
        return Estimate(self.lever_m, update @ self.T, gain, offset, nearer_m)

    @property
    def unknowns(self) -> Tensor:
        """[9] float64, zero where nothing differs."""
        turned = torch.from_numpy(Rotation.from_matrix(self.T[:3, :3].numpy()).as_rotvec()) * self.lever_m
        others = torch.tensor([self.gain - 1, self.offset, self.nearer_m], dtype=torch.float64)
        return torch.cat([self.T[:3, 3], turned, others])

    def moving(self, motion: Tensor) -> Estimate:
        """Return the estimate with another motion [6]."""
        still = Estimate(self.lever_m, _identity(), self.gain, self.offset, self.nearer_m)
        return still.after(torch.cat([motion, torch.zeros(3, dtype=torch.float64)]))
