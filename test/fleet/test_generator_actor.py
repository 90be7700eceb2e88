"""The generator of many worlds, without a cluster: what waits is drawn together, and each gets its own answer."""

import asyncio

import pytest

from generator_contract import TARGETS, recall_of
from vmem_ros.errors import ModelError
from vmem_ros.fleet.generator_actor import GeneratorActor
from vmem_ros.protocols import DrawRequest

ONE_STEP = {"sampling": {"num_inference_steps": 1}}


def requests(count: int) -> list[DrawRequest]:
    return [DrawRequest(recall_of(TARGETS[i : i + 1]), TARGETS[i : i + 1], seed=i) for i in range(count)]


def actor(engine: str, *, max_batch: int = 4, **options) -> GeneratorActor:
    return GeneratorActor(engine, device="cpu", options=options, max_batch=max_batch)


async def at_once(generator: GeneratorActor, asked: list[DrawRequest]):
    return await asyncio.gather(*(generator.generate(each) for each in asked), return_exceptions=True)


def test_what_waits_is_drawn_together():
    """With the network of the package: a batch has what each request has alone, up to rounding."""

    async def run():
        generator, asked = actor("vmem", max_batch=3, **ONE_STEP), requests(4)
        alone = [await generator.generate(each) for each in asked]
        return alone, await at_once(generator, asked), await generator.figures()

    alone, together, figures = asyncio.run(run())
    assert dict(figures.batches) == {1: 5, 3: 1}
    assert (figures.views, figures.apart) == (8, 0)
    assert figures.requests_per_batch == pytest.approx(8 / 6)
    assert figures.seconds > 0
    for (one,), (other,) in zip(alone, together, strict=True):
        assert (one.image.int() - other.image.int()).abs().max() <= 1


def test_an_engine_that_draws_one_by_one():
    async def run():
        generator = actor("reprojection")
        return await at_once(generator, requests(3)), await generator.figures(), await generator.describe()

    answers, figures, about = asyncio.run(run())
    assert [len(views) for views in answers] == [1, 1, 1]
    assert dict(figures.batches) == {1: 3}
    assert (about.name, about.frames, about.encodings, about.ignores_seeds) == ("reprojection", 4, "", True)


@pytest.mark.parametrize("engine", ["reprojection", "vmem"])
def test_a_request_that_fails_takes_nobody_along(engine):
    async def run():
        generator, (good, other, bad) = actor(engine, **(ONE_STEP if engine == "vmem" else {})), requests(3)
        # A target without its projection.
        broken = DrawRequest(bad.recall, TARGETS[:2], seed=0)
        return await at_once(generator, [good, broken, other]), await generator.figures()

    (first, wrong, last), figures = asyncio.run(run())
    assert len(first) == len(last) == 1
    assert isinstance(wrong, (ValueError, ModelError, IndexError))
    assert figures.apart == (engine == "vmem")


def test_whoever_waits_no_longer_is_left_out():
    async def run():
        generator, (one, other) = actor("reprojection"), requests(2)
        dropped = asyncio.create_task(generator.generate(one))
        kept = asyncio.create_task(generator.generate(other))
        await asyncio.sleep(0)
        dropped.cancel()
        return await kept, await generator.figures()

    views, figures = asyncio.run(run())
    assert (len(views), figures.views) == (1, 1)


def test_an_engine_that_there_is_not():
    with pytest.raises(ModelError, match="'nothing' is unknown"):
        asyncio.run(actor("nothing").describe())
