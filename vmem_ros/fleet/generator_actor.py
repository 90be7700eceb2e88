"""One generator that draws for many worlds: what waits while it draws is its next batch."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vmem_ros.generation.engines import load_generator
from vmem_ros.protocols import DrawRequest, DrawsTogether, Generator, HasEncodings, IgnoresSeeds, Use
from vmem_ros.types import View

# Whoever asks within this share of the time that the last batch took still gets into the next one.
_PATIENCE = 0.1
_LONGEST_WAIT_S = 0.5


@dataclass(frozen=True)
class GeneratorDescription:
    """What worlds must know of a generator; see :class:`vmem_ros.protocols.Generator`."""

    name: str
    uses: frozenset[Use]
    frames: int
    encodings: str
    ignores_seeds: bool


@dataclass(eq=False)
class DrawingFigures:
    """What a generator has done so far.

    :param batches: how many batches it drew, by the number of requests in them.
    :param apart: batches that could not be drawn together and were drawn one by one.
    :param views: that it drew.
    :param seconds: that it spent drawing.
    """

    batches: Counter[int] = field(default_factory=Counter)
    apart: int = 0
    views: int = 0
    seconds: float = 0.0

    @property
    def requests_per_batch(self) -> float:
        """Mean number of requests of a batch; 0 before the first."""
        requests = sum(size * count for size, count in self.batches.items())
        return requests / max(1, self.batches.total())


@dataclass(frozen=True, eq=False)
class _Waiting:
    request: DrawRequest
    prompt: str | None
    answer: asyncio.Future[list[View]]


class GeneratorActor:
    """A generator on one device, as a Ray actor: requests of many worlds come at once and are drawn in batches.

    It draws nothing that depends on who else is in a batch but for rounding, and the same requests again after it was
    lost and started anew.

    :param engine: see :func:`~vmem_ros.generation.engines.load_generator`, as ``device`` and ``options``.
    :param max_batch: requests drawn together at most.
    """

    def __init__(self, engine: str, *, device: str, options: Mapping[str, Any], max_batch: int) -> None:
        self._load = functools.partial(load_generator, engine, device=device, **options)
        self._max_batch = max_batch
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._drawing: asyncio.Task[None] | None = None
        self._last_s = 0.0
        self._figures = DrawingFigures()

    @functools.cached_property
    def _generator(self) -> Generator:
        """Loaded by the first request, whose answer an error is then: an actor that cannot be made has no words."""
        return self._load()

    async def describe(self) -> GeneratorDescription:
        """Return what worlds must know of the generator."""
        drawer = self._generator
        encodings = drawer.encodings() if isinstance(drawer, HasEncodings) else ""
        return GeneratorDescription(
            drawer.name, drawer.uses, drawer.frames, encodings, isinstance(drawer, IgnoresSeeds)
        )

    async def figures(self) -> DrawingFigures:
        """Return what was drawn so far."""
        return self._figures

    async def generate(self, request: DrawRequest, prompt: str | None = None) -> list[View]:
        """Return one view per target of a request; see :meth:`vmem_ros.protocols.Generator.generate`."""
        await self.describe()  # what keeps it from being loaded is the answer
        if self._drawing is None:
            self._drawing = asyncio.create_task(self._draw_what_waits())
        answer: asyncio.Future[list[View]] = asyncio.get_running_loop().create_future()
        await self._waiting.put(_Waiting(request, prompt, answer))
        return await answer

    async def _draw_what_waits(self) -> None:
        while True:
            first = await self._waiting.get()
            if self._waiting.qsize() + 1 < self._max_batch:
                await asyncio.sleep(min(_PATIENCE * self._last_s, _LONGEST_WAIT_S))
            batch = [first]
            while len(batch) < self._max_batch and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            for prompt in dict.fromkeys(each.prompt for each in batch):
                await self._answer([w for w in batch if w.prompt == prompt and not w.answer.done()], prompt)

    async def _answer(self, waiting: Sequence[_Waiting], prompt: str | None) -> None:
        """Draw requests with one prompt; those that nobody waits for any more are left out before."""
        if not waiting:
            return
        began = time.perf_counter()
        requests = [each.request for each in waiting]
        answers = await asyncio.to_thread(self._draw, requests, prompt)
        self._last_s = time.perf_counter() - began
        self._figures.seconds += self._last_s
        for each, answer in zip(waiting, answers, strict=True):
            if each.answer.done():
                continue
            if isinstance(answer, Exception):
                each.answer.set_exception(answer)
            else:
                self._figures.views += len(answer)
                each.answer.set_result(answer)

    def _draw(self, requests: Sequence[DrawRequest], prompt: str | None) -> list[list[View] | Exception]:
        """Return the views of each request, or what went wrong with it."""
        if len(requests) > 1 and isinstance(self._generator, DrawsTogether):
            try:
                drawn = self._generator.generate_together(requests, prompt=prompt)
            except Exception:
                # One of them may be at fault, or all of them be too many at once: each gets an answer of its own.
                self._figures.apart += 1
            else:
                self._figures.batches[len(requests)] += 1
                return list(drawn)
        self._figures.batches[1] += len(requests)
        return [_drawn_alone(self._generator, request, prompt) for request in requests]


def _drawn_alone(generator: Generator, request: DrawRequest, prompt: str | None) -> list[View] | Exception:
    try:
        return generator.generate(request.recall, request.targets, prompt=prompt, seed=request.seed)
    except Exception as error:
        return error
