"""One stage of a training that can be stopped at any time and goes on from its last checkpoint."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

CHECKPOINT_EVERY = 250


class Stage:
    """One stage of the training: AdamW, warm-up and cosine, running averages of the weights, checkpoints, a progress bar."""

    def __init__(
        self, name: str, work: Path, modules: dict[str, nn.Module], steps: int, rate: float, device: str
    ) -> None:
        self.name, self.work, self.steps, self.rate, self.device = name, work, steps, rate, device
        self.modules = nn.ModuleDict(modules).to(device)
        self.average = copy.deepcopy(self.modules).requires_grad_(False)
        self.trained = [parameter for parameter in self.modules.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(self.trained, lr=rate, weight_decay=1e-3, betas=(0.9, 0.98))
        self.done, self.seconds, self.losses = 0, 0.0, list[float]()

    @property
    def _file(self) -> Path:
        return self.work / f"{self.name}.checkpoint.pt"

    def _resume(self) -> None:
        if self._file.exists():
            state = torch.load(self._file, map_location=self.device, weights_only=True)
            self.modules.load_state_dict(state["modules"])
            self.average.load_state_dict(state["average"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.done, self.seconds, self.losses = state["done"], state["seconds"], state["losses"]

    def _save(self) -> None:
        state = {
            "modules": self.modules.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "seconds": self.seconds,
            "losses": self.losses,
        }
        half_written = self._file.with_suffix(".part")
        torch.save(state, half_written)
        half_written.replace(self._file)

    def run(self, loss_of: Callable[[torch.Generator, float], Tensor]) -> dict[str, nn.Module]:
        """Trains; returns the averaged modules, by name. `loss_of(generator, progress)`: the loss of one fresh batch."""
        self._resume()
        with tqdm(total=self.steps, initial=self.done, desc=self.name, mininterval=5) as bar:
            while self.done < self.steps:
                started = time.perf_counter()
                progress = self.done / self.steps
                warm = min(1.0, (self.done + 1) / 100)
                for group in self.optimizer.param_groups:
                    group["lr"] = (
                        self.rate
                        * warm
                        * (0.02 + 0.98 * 0.5 * (1 + torch.cos(torch.tensor(torch.pi * progress)).item()))
                    )
                generator = torch.Generator().manual_seed(1_000_003 * self.done + len(self.name))
                loss = loss_of(generator, progress)
                self.optimizer.zero_grad(set_to_none=True)
                loss.backward()
                nn.utils.clip_grad_norm_(self.trained, 1.0)
                self.optimizer.step()
                decay = min(0.9985, (self.done + 1) / (self.done + 10))
                with torch.no_grad():
                    for mean, parameter in zip(self.average.parameters(), self.modules.parameters(), strict=True):
                        mean.lerp_(parameter, 1 - decay)
                self.losses.append(loss.item())
                self.done += 1
                self.seconds += time.perf_counter() - started
                bar.update()
                if self.done % 50 == 0:
                    bar.set_postfix(loss=f"{sum(self.losses[-200:]) / len(self.losses[-200:]):.4f}", refresh=False)
                if self.done % CHECKPOINT_EVERY == 0 or self.done == self.steps:
                    self._save()
        return {name: module.eval().requires_grad_(False) for name, module in self.average.items()}

    def record(self) -> dict[str, float | int]:
        tail = self.losses[-max(1, len(self.losses) // 20) :]
        return {
            "steps": self.done,
            "minutes": round(self.seconds / 60, 1),
            "loss at the start": round(sum(self.losses[:50]) / len(self.losses[:50]), 4),
            "loss over the last 5 %": round(sum(tail) / len(tail), 4),
            "trained parameters": sum(parameter.numel() for parameter in self.trained),
        }
