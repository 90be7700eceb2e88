"""The loop of every training: steps under accelerate, running mean of the weights, log, samples, checkpoints, resume.

All that is random in a step follows from the recipe's seed and the number of the step, so a training that was killed
and goes on comes to the same weights as one that was not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator
from diffusers.training_utils import EMAModel
from torch import nn
from tqdm import tqdm

from vmem_ros.errors import CheckpointError, ModelError
from vmem_ros.training.checkpoints import Checkpoints
from vmem_ros.training.learning_rate import LearningRate
from vmem_ros.training.log import TrainingLog, read_log
from vmem_ros.training.log_plot import draw_log
from vmem_ros.training.parameter_groups import parameter_groups
from vmem_ros.training.recipes.changes import changes
from vmem_ros.training.recipes.recipe import BaseRecipe
from vmem_ros.training.stopping import StopSignal
from vmem_ros.training.tasks.task import Task

# Of what is random in a step; data is drawn with streams of their own.
_STREAM = 17


class TrainingLoop:
    """One training in one folder.

    :param task: what the recipe builds.
    :param out: gets ``log.jsonl``, ``loss.png``, ``samples/``, ``checkpoints/`` and the result, ``model/``. A training
        that is there already goes on; its recipe must be the same but for what may change.
    """

    def __init__(self, recipe: BaseRecipe, task: Task, out: Path, *, accelerator: Accelerator) -> None:
        how = recipe.optimisation
        self._recipe = recipe
        self._task = task
        self._out = out
        self._accelerator = accelerator
        self._groups = parameter_groups(task.network)
        self._parameters = [parameter for group in self._groups for parameter in group["params"]]
        optimizer = torch.optim.AdamW(
            self._groups, lr=how.lr, betas=how.betas, weight_decay=how.weight_decay, fused=True
        )
        self._network, self._optimizer = accelerator.prepare(task.network, optimizer)
        if how.compile:
            # A wrapper: sampling, whose shapes are others, goes on with the network as it is.
            self._network = torch.compile(self._network)
        self._learning_rate = LearningRate(how)
        self._mean = EMAModel(self._parameters, decay=how.ema_decay) if how.ema_decay else None
        self._checkpoints = Checkpoints(out / "checkpoints", keep=recipe.reporting.keep_checkpoints)
        self._stop = StopSignal(accelerator)
        self._step = 0

    def run(self) -> None:
        """Train from the newest checkpoint, or from the start, to the last step, and save the result.

        :raises CheckpointError: a checkpoint cannot be written or read, or is of another recipe.
        :raises TrainingDataError: data cannot be made or kept.
        :raises ModelError: the loss is no longer finite.
        :raises KeyboardInterrupt: stopped by Ctrl-C or SIGTERM, with a checkpoint written.
        """
        main, steps = self._accelerator.is_main_process, self._recipe.optimisation.steps
        try:
            self._out.mkdir(parents=True, exist_ok=True)
            self._resume()
            log = TrainingLog(self._out / "log.jsonl", step=self._step, accelerator=self._accelerator)
            with (
                self._stop.listening(),
                tqdm(total=steps, initial=self._step, unit="step", smoothing=0.02, disable=not main) as bar,
            ):
                if main and self._step == 0:
                    # What the training begins with is what its sheets are compared with.
                    self._show(log, bar)
                log.start_clock()
                while self._step < steps:
                    figures = self._take_step()
                    log.collect(figures)
                    bar.update()
                    bar.set_postfix(loss=f"{figures['loss']:.4f}", refresh=False)
                    self._report(log, bar)
            if main:
                with self._mean_weights():
                    print(self._task.save(self._out / "model"))
        finally:
            self._task.close()

    def _take_step(self) -> dict[str, float]:
        """Change the weights once, and return figures of the step."""
        accelerator, how = self._accelerator, self._recipe.optimisation
        rank, processes = accelerator.process_index, accelerator.num_processes
        first = (self._step * processes + rank) * how.batch
        state = np.random.SeedSequence((self._recipe.seed, _STREAM, first)).generate_state(1, np.uint64)
        generator = torch.Generator().manual_seed(int(state[0]) >> 1)
        rate = self._learning_rate.at(self._step)
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["rate"]
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

    def _report(self, log: TrainingLog, bar: Any) -> None:
        """Write what is due after a step, and end the training if it was told to stop."""
        main, reporting = self._accelerator.is_main_process, self._recipe.reporting
        last = self._step == self._recipe.optimisation.steps
        if main and (last or self._step % reporting.log_every == 0):
            log.add_means(self._step, {"lr": self._learning_rate.at(self._step)})
        if main and (last or self._step % reporting.sample_every == 0):
            self._show(log, bar)
        stop = self._stop.received()
        if last or stop or self._step % reporting.checkpoint_every == 0:
            self._save_checkpoint()
        if stop:
            raise KeyboardInterrupt

    def _show(self, log: TrainingLog, bar: Any) -> None:
        folder = self._out / "samples"
        folder.mkdir(exist_ok=True)
        start = time.monotonic()
        with self._mean_weights():
            figures = self._task.sample(folder / f"step-{self._step:07d}.png")
        figures = {f"sample_{name}": value for name, value in figures.items()}
        log.add(self._step, figures | {"sample_s": time.monotonic() - start})
        draw_log(read_log(self._out / "log.jsonl"), self._out / "loss.png")
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
        self._checkpoints.save(self._step, state, {"recipe": self._recipe.model_dump(mode="json")})

    def _resume(self) -> None:
        folder = self._checkpoints.newest
        if folder is None:
            return
        state, about = self._checkpoints.load(folder)
        if changed := changes(about["recipe"], self._recipe):
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
