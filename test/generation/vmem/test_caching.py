"""Extrapolation between steps: exact on polynomials, lazy as told, loud about misuse."""

import pytest
import torch

from vmem_ros.errors import ModelError
from vmem_ros.generation.vmem.caching import TaylorCache


def polynomial(order: int):
    coefficients = torch.randn(order + 1, 3, 4, generator=torch.Generator().manual_seed(order), dtype=torch.float64)

    def at(step: float) -> torch.Tensor:
        return sum(coefficients[power] * step**power for power in range(order + 1))

    return at


@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("steps", [(0, 1, 2), (0, 3, 4), (1, 2.5, 7)])
def test_exact_for_polynomials_of_its_order(order, steps):
    value = polynomial(order)
    cache = TaylorCache(interval=2, order=order)
    for step in steps:
        cache.update(step, value(step))
    for step in (7.5, 8, 12):
        torch.testing.assert_close(cache.predict(step), value(step), rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("order", [0, 1])
def test_not_exact_beyond_its_order(order):
    value = polynomial(order + 1)
    cache = TaylorCache(interval=2, order=order)
    for step in (0, 1, 2):
        cache.update(step, value(step))
    assert (cache.predict(4) - value(4)).abs().max() > 0.1


def test_lower_orders_until_enough_is_known():
    cache = TaylorCache(interval=2, order=2)
    one, three = torch.tensor(1.0), torch.tensor(3.0)
    cache.update(0, one)
    assert cache.predict(5) == 1
    cache.update(1, three)
    assert cache.predict(3) == 7


def test_at_an_updated_step_its_value_comes_back_unchanged():
    cache = TaylorCache(interval=2, order=2)
    values = [torch.randn(5, generator=torch.Generator().manual_seed(i)) for i in range(4)]
    for step, value in enumerate(values):
        cache.update(step, value)
        assert cache.predict(step) is value


@pytest.mark.parametrize(
    ("options", "due"),
    [
        ({"interval": 1}, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ({"interval": 3, "order": 1}, [0, 1, 4, 7]),
        ({"interval": 3, "order": 2}, [0, 1, 2, 5, 8]),
        ({"interval": 2, "order": 0}, [0, 2, 4, 6, 8]),
        ({"interval": 4, "order": 1, "warm_up": 5}, [0, 1, 2, 3, 4, 8]),
    ],
)
def test_which_steps_are_due(options, due):
    cache = TaylorCache(**options)
    assert [step for step in range(10) if cache.due(step)] == due


def test_misuse():
    cache = TaylorCache(interval=2)
    with pytest.raises(ModelError, match="first value"):
        cache.predict(0)
    cache.update(2, torch.zeros(1))
    with pytest.raises(ModelError, match="got 2 after 2"):
        cache.update(2, torch.ones(1))
    assert cache.predict(2) == 0
    with pytest.raises(ModelError, match=r"order must be one of \[0, 1, 2\], got 3"):
        TaylorCache(interval=2, order=3)
    with pytest.raises(ModelError, match="got 0 and 2"):
        TaylorCache(interval=0)
