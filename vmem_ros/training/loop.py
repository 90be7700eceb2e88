"""The loop of every training: steps under accelerate, running mean of the weights, log, samples, checkpoints, resume.

All that is random in a step follows from the recipe's seed and the number of the step, so a training that was killed
and goes on comes to the same weights as one that was not.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import Tensor, nn
from tqdm import tqdm

from vmem_ros.errors import CheckpointError, ModelError
from vmem_ros.training.checkpoints import Checkpoints
from vmem_ros.training.log import Log
from vmem_ros.training.recipes import Optimisation, Reporting

# What may change between one start of a training and the next.
_FREE = ("optimisation.steps", "reporting.", "sampling.", "data.workers")


class Task(Protocol):
    """What is trained, on what, and what comes of it."""

    @property
    def network(self) -> nn.Module:
        """What is trained: those of its parameters that require gradients."""
        ...

    def loss(self, network: nn.Module, first: int, count: int, generator: torch.Generator) -> tuple[Tensor, dict]:
        """Return the loss of the samples with numbers from ``first``, and figures for the log."""
        ...

    def sample(self, sheet: Path) -> dict[str, float]:
        """Draw a sample sheet with the network as it is now, and return figures of it."""
        ...

    def save(self, folder: Path) -> str:
        """Write the result of the training, and return a sentence that says what it is."""
        ...

    def close(self) -> None:
        """End what runs beside the training."""
        ...


class Training:
    """One training in one folder.

    :param out: gets ``log.jsonl``, ``loss.png``, ``samples/``, ``checkpoints/`` and the result.
    :param recipe: all of it as a mapping; a training that is there already must have the same.
    """

    def __init__(
        self,
        task: Task,
        optimisation: Optimisation,
        reporting: Reporting,
        out: Path,
        *,
        recipe: dict[str, Any],
        accelerator: Accelerator,
    ) -> None:
        self._task = task
        self._how = optimisation
        self._reporting = reporting
        self._out = out
        self._recipe = recipe
        self._accelerator = accelerator
        self._groups = _groups(task.network)
        self._parameters = [parameter for group in self._groups for parameter in group["params"]]
        optimizer = torch.optim.AdamW(
            self._groups,
            lr=optimisation.lr,
            betas=optimisation.betas,
            weight_decay=optimisation.weight_decay,
            fused=True,
        )
        self._network, self._optimizer = accelerator.prepare(task.network, optimizer)
        if optimisation.compile:
            # A wrapper: sampling, whose shapes are others, goes on with the network as it is.
            self._network = torch.compile(self._network)
        self._mean = EMAModel(self._parameters, decay=optimisation.ema_decay) if optimisation.ema_decay else None
        self._checkpoints = Checkpoints(out / "checkpoints", keep=reporting.keep_checkpoints)
        self._step = 0
        self._stop = False

    def run(self) -> None:
        """Train from the newest checkpoint, or from the start, to the last step, and save the result.

        :raises CheckpointError: a checkpoint cannot be written or read, or is of another recipe.
        :raises TrainingDataError: data cannot be made or kept.
        :raises ModelError: the loss is no longer finite.
        :raises KeyboardInterrupt: stopped by Ctrl-C or SIGTERM, with a checkpoint written.
        """
        main, how, reporting = self._accelerator.is_main_process, self._how, self._reporting
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            self._resume()
            log = Log(self._out / "log.jsonl", step=self._step, writes=main)
            with (
                self._stoppable(),
                tqdm(total=how.steps, initial=self._step, unit="step", smoothing=0.02, disable=not main) as bar,
            ):
                if main and self._step == 0:
                    # What the training begins with is what its sheets are compared with.
                    self._show(log, bar)
                seen: dict[str, list[float]] = {}
                since = time.monotonic()
                while self._step < how.steps:
                    figures = self._take_step()
                    for name, value in figures.items():
                        seen.setdefault(name, []).append(value)
                    bar.update()
                    bar.set_postfix(loss=f"{figures['loss']:.4f}", refresh=False)
                    last = self._step == how.steps
                    if main and (last or self._step % reporting.log_every == 0):
                        now = time.monotonic()
                        steps = len(seen["loss"])
                        means = {name: sum(values) / len(values) for name, values in seen.items()}
                        log.add(self._step, means | {"lr": self._rate(), "steps_per_s": steps / (now - since)})
                        seen, since = {}, now
                    if main and (last or self._step % reporting.sample_every == 0):
                        self._show(log, bar)
                    stop = self._any_stops()
                    if last or stop or self._step % reporting.checkpoint_every == 0:
                        self._save_checkpoint()
                    if stop:
                        raise KeyboardInterrupt
            if main:
                with self._mean_weights():
                    print(self._task.save(self._out / "model"))
        finally:
            self._task.close()

    def _take_step(self) -> dict[str, float]:
        """Change the weights once, and return figures of the step."""
        accelerator, how = self._accelerator, self._how
        rank, processes = accelerator.process_index, accelerator.num_processes
        first = (self._step * processes + rank) * how.batch
        state = np.random.SeedSequence((self._recipe["seed"], 17, first)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0]) >> 1)
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate() * group["rate"]
        with accelerator.autocast():
            loss, figures = self._task.loss(self._network, first, how.batch, generator)
        value = float(loss.detach())
        if not math.isfinite(value):
            raise ModelError(
                f"the loss is {value} at step {self._step}: lower optimisation.lr, or use precision: no; the last "
                "checkpoint is unchanged"
            )
        accelerator.backward(loss)
        accelerator.unscale_gradients()
        norms = [nn.utils.clip_grad_norm_(group["params"], how.max_grad_norm) for group in self._groups]
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._step += 1
        if self._mean is not None:
            self._mean.step(self._parameters)
        return {"loss": value, "grad_norm": float(norms[0]), **figures}

    def _any_stops(self) -> bool:
        """Return whether one of the processes was told to stop; all of them must know, for a checkpoint takes all."""
        if self._accelerator.num_processes == 1:
            return self._stop
        told = torch.tensor([float(self._stop)], device=self._accelerator.device)
        return bool(self._accelerator.reduce(told).item())

    def _rate(self) -> float:
        """Return the learning rate of the present step."""
        how = self._how
        rise = min(1.0, (self._step + 1) / how.warmup_steps) if how.warmup_steps else 1.0
        if how.schedule == "constant":
            return how.lr * rise
        done = min(1.0, self._step / how.steps)
        return how.lr * rise * (how.final_lr + (1 - how.final_lr) * (1 + math.cos(math.pi * done)) / 2)

    def _show(self, log: Log, bar: Any) -> None:
        folder = self._out / "samples"
        folder.mkdir(exist_ok=True)
        start = time.monotonic()
        with self._mean_weights():
            figures = self._task.sample(folder / f"step-{self._step:07d}.png")
        figures = {f"sample_{name}": value for name, value in figures.items()}
        log.add(self._step, figures | {"sample_s": time.monotonic() - start})
        log.draw(self._out / "loss.png")
        bar.write(f"step {self._step}: " + ", ".join(f"{name} {value:.4g}" for name, value in figures.items()))

    def _save_checkpoint(self) -> None:
        self._accelerator.wait_for_everyone()
        if self._accelerator.is_main_process:
            self._write_checkpoint()
        # Who ends earlier takes the others with it.
        self._accelerator.wait_for_everyone()

    def _write_checkpoint(self) -> None:
        state: dict[str, Any] = {
            "parameters": [parameter.detach().cpu() for parameter in self._parameters],
            "buffers": [buffer.detach().cpu() for buffer in self._task.network.buffers()],
            "optimizer": self._optimizer.state_dict(),
        }
        if self._mean is not None:
            state["mean"] = self._mean.state_dict()
        if self._accelerator.scaler is not None:
            state["scaler"] = self._accelerator.scaler.state_dict()
        self._checkpoints.save(self._step, state, {"recipe": self._recipe})

    def _resume(self) -> None:
        folder = self._checkpoints.newest
        if folder is None:
            return
        state, about = self._checkpoints.load(folder)
        changed = _differences(about["recipe"], self._recipe)
        if changed:
            raise CheckpointError(
                f"{self._out} holds a training with another recipe ({'; '.join(changed)}): choose another --out, or "
                f"delete {folder.parent} to start anew"
            )
        with torch.no_grad():
            for parameter, saved in zip(self._parameters, state["parameters"], strict=True):
                parameter.copy_(saved)
            # Checkpoints from before these were saved have none.
            for buffer, saved in zip(self._task.network.buffers(), state.get("buffers", ()), strict=False):
                buffer.copy_(saved)
        self._optimizer.load_state_dict(state["optimizer"])
        if self._mean is not None:
            self._mean.load_state_dict(state["mean"])
            self._mean.to(self._accelerator.device)
        if self._accelerator.scaler is not None and "scaler" in state:
            self._accelerator.scaler.load_state_dict(state["scaler"])
        self._step = about["step"]
        if self._accelerator.is_main_process:
            print(f"going on from step {self._step} ({folder})")

    @contextmanager
    def _mean_weights(self) -> Iterator[None]:
        """Put the running mean in the place of the weights."""
        if self._mean is None:
            yield
            return
        self._mean.store(self._parameters)
        self._mean.copy_to(self._parameters)
        try:
            yield
        finally:
            self._mean.restore(self._parameters)

    @contextmanager
    def _stoppable(self) -> Iterator[None]:
        """Let Ctrl-C and SIGTERM end the training after the step that is being taken, and a second one at once.

        A launcher of several processes passes signals on, so that one may come twice: there, each waits for the step.
        """

        def stop(*_: object) -> None:
            self._stop = True
            if self._accelerator.num_processes > 1:
                return
            print("stopping after this step; once more: now, without a checkpoint", file=sys.stderr)
            for number, handler in before.items():
                signal.signal(number, handler)

        before: dict[int, Any] = {}
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before |= {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _groups(network: nn.Module) -> list[dict[str, Any]]:
    """Return the parameters that are trained as groups of an optimiser: each is clipped by itself.

    A network may have ``rates``, learning rates of parameters as multiples of the recipe's, by how their names begin.
    """
    rates: dict[str, float] = getattr(network, "rates", {})
    groups: dict[str, dict[str, Any]] = {
        prefix: {"params": [], "rate": rate} for prefix, rate in {"": 1.0, **rates}.items()
    }
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            groups[max((prefix for prefix in groups if name.startswith(prefix)), key=len)]["params"].append(parameter)
    return [group for group in groups.values() if group["params"]]


def _differences(before: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """Return which fields of two recipes differ, apart from those that may."""
    found = []
    for name in sorted({*before, *now}):
        old, new, path = before.get(name), now.get(name), f"{prefix}{name}"
        if isinstance(old, dict) and isinstance(new, dict):
            found += _differences(old, new, f"{path}.")
        elif old != new and not path.startswith(_FREE):
            found.append(f"{path} was {old}, now {new}")
    return found
