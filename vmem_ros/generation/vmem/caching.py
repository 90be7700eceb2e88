"""Skip evaluations of a network whose output drifts slowly: extrapolate from the steps before.

An experiment, for schedules of many steps: with few, the steps themselves are the better saving. The idea is that of
TaylorSeer (Liu et al. 2025), applied to the output of the network alone, so that it needs no hooks and one tensor per
order. Where TaylorSeer takes repeated differences for derivatives, this takes the Newton form of the interpolating
polynomial, which is exact for polynomials and for steps of any spacing.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from typing import Literal, get_args

from torch import Tensor

from vmem_ros.errors import ModelError

Order = Literal[0, 1, 2]


class TaylorCache:
    """Predicts a tensor at a step from its values at earlier ones.

    ::

        cache = TaylorCache(interval=3)
        for step in range(steps):
            if cache.due(step):
                cache.update(step, network(...))
            output = cache.predict(step)

    :param interval: evaluate every n-th step.
    :param order: degree of the polynomial in the step: 0 repeats the last value, 1 continues the last line, 2 the last
        parabola. While fewer than ``order`` + 1 values are known, as high a degree as they allow.
    :param warm_up: evaluate each of so many steps at the beginning, where the output changes most; by default as many
        as the polynomial needs.
    :raises ModelError: for an interval, order or warm-up that is not allowed.
    """

    def __init__(self, *, interval: int, order: Order = 1, warm_up: int | None = None) -> None:
        if order not in get_args(Order):
            raise ModelError(f"order must be one of {list(get_args(Order))}, got {order}")
        warm_up = order + 1 if warm_up is None else warm_up
        if interval < 1 or warm_up < 1:
            raise ModelError(f"interval and warm_up must be 1 or more, got {interval} and {warm_up}")
        self._interval, self._warm_up = interval, warm_up
        self._values: deque[tuple[float, Tensor]] = deque(maxlen=order + 1)

    def due(self, step: int) -> bool:
        """Return whether the network is to be evaluated at ``step``, counted from 0."""
        return step < self._warm_up or (step - self._warm_up + 1) % self._interval == 0

    def update(self, step: float, value: Tensor) -> None:
        """Keep ``value``, the output at ``step``; it is not copied.

        :raises ModelError: unless ``step`` is later than the one before; the cache stays as it was.
        """
        if self._values and step <= self._values[-1][0]:
            raise ModelError(
                f"steps must increase: got {step} after {self._values[-1][0]}; begin with a new TaylorCache"
            )
        self._values.append((step, value))

    def predict(self, step: float) -> Tensor:
        """Return the value at ``step``; at the last updated step, exactly the value given there.

        :raises ModelError: before the first update.
        """
        if not self._values:
            raise ModelError("nothing to predict from: update the cache with a first value")
        steps = [at for at, _ in reversed(self._values)]
        # Divided differences, newest value first: after k rounds the front holds the one of order k.
        differences = [value for _, value in reversed(self._values)]
        prediction, factor = differences[0], 1.0
        for order in range(1, len(steps)):
            factor *= step - steps[order - 1]
            if factor == 0:
                break
            differences = [
                (newer - older) / (steps[i] - steps[i + order])
                for i, (newer, older) in enumerate(pairwise(differences))
            ]
            prediction = prediction + factor * differences[0]
        return prediction
