"""What the methods that unlearn by one Newton step have in common.

The step away from the forget set is `1/|E| H^-1 g`, with g the sum of the gradients of the forget set and H the damped
mean curvature over examples E; the methods differ in E alone.
"""

import logging
from typing import Annotated

import msgspec
import torch
import torch.nn.functional as F
from torch import Tensor

from untrain.data import Examples
from untrain.influence import Curvature
from untrain.influence.curvature import SolverName, Which
from untrain.methods.base import Method, Request
from untrain.models.weights import Tensors
from untrain.population import Population
from untrain.population.recipe import NotNegative, Positive

STUDY: dict[str, object] = {"parameters": "last-weight", "dampings": [0.0], "steps": [1.0], "guarded": False}
"""Settings of the study of mislabeled examples."""

_HALVINGS = 10
logger = logging.getLogger("untrain")


class NewtonStep(Method, frozen=True):
    """One Newton step, of a damping and a length that are chosen for each model by its losses.

    A full step with little damping can destroy a model, and no fixed damping is safe. So every pair of damping and
    length is tried. Of those whose mean cross-entropy on the retain set is within `slack` of the lowest and not above
    the unmoved model's, the one with the highest on the forget set is taken. Where labels were right, no step may
    lower the loss on the retain set, as even retraining may not; only then may it rise, by `slack` at most: the
    shortest step of the largest damping is halved until that holds; if it never does, the model stays as it is and the
    log says so.

    Attributes:
        parameters: which move: those of the `last` layer, its weight alone (`last-weight`), or `all`.
        solver: see `untrain.influence.Curvature`.
        dampings: to choose from; 0 is the pseudo-inverse.
        steps: lengths to choose from, as factors on the full step.
        slack: how much higher than the lowest the mean cross-entropy on the retain set may be, in nats: 0.01 takes one
            percent off the typical probability of a label. With 0 a model never becomes worse there, even where that
            means that it forgets nothing.
        guarded: if not, the first damping and length are taken unseen.
    """

    reads_forget = True

    parameters: Which = "last"
    solver: SolverName = "auto"
    dampings: Annotated[tuple[NotNegative, ...], msgspec.Meta(min_length=1)] = (1e-3, 1e-2, 1e-1, 1.0)
    steps: Annotated[tuple[Positive, ...], msgspec.Meta(min_length=1)] = (1.0, 0.5, 0.25, 0.125)
    slack: NotNegative = 0.01
    guarded: bool = True

    def curved(self, request: Request) -> Examples:
        """The examples E over which the curvature is the mean."""
        raise NotImplementedError

    def forget(self, models: Population, request: Request) -> Population:
        directions = self._directions(models, request)
        if not self.guarded:
            return _moved(models, directions[0], self.steps[0])
        gentlest = directions[max(range(len(self.dampings)), key=lambda position: self.dampings[position])]
        candidates = [(direction, step) for direction in directions for step in self.steps]
        before = _losses(models, request.retain)
        retained, forgotten = self._tried(models, candidates, request)
        for halving in range(1, _HALVINGS + 1):
            if bool((retained.amin(0) <= before + self.slack).all()):
                break
            further = [(gentlest, min(self.steps) / 2**halving)]
            candidates += further
            losses = self._tried(models, further, request)
            retained, forgotten = torch.cat([retained, losses[0]]), torch.cat([forgotten, losses[1]])
        lowest = retained.amin(0)
        limit = torch.where(lowest <= before, torch.minimum(lowest + self.slack, before), before + self.slack)
        allowed = retained <= limit
        chosen = torch.where(allowed, forgotten, -torch.inf).argmax(0)
        for row, position in enumerate(chosen.tolist()):
            if not allowed[position, row]:
                logger.warning("model %d stays as it was: no step spares the retain set", models.indices[row])
                continue
            direction, step = candidates[position]
            for name, change in direction.items():
                models.tensors[name][row] += (step * change[row]).to(models.dtype)
        return models

    def _tried(
        self, models: Population, candidates: list[tuple[Tensors, float]], request: Request
    ) -> tuple[Tensor, Tensor]:
        """Losses of the models after each step, on the retain and on the forget set, each `[steps, N]`."""
        losses_after = []
        for direction, step in candidates:
            moved = _moved(models, direction, step)
            losses_after.append((_losses(moved, request.retain), _losses(moved, request.forget)))
        retained, forgotten = (torch.stack(losses).nan_to_num(torch.inf) for losses in zip(*losses_after, strict=True))
        return retained, forgotten

    def _directions(self, models: Population, request: Request) -> list[Tensors]:
        """For each damping, the full steps of all models, by name, `[N, ...]`."""
        examples = self.curved(request)
        curvature = Curvature(parameters=self.parameters, solver=self.solver)
        found: list[list[Tensors]] = []
        for row in range(len(models)):
            influence = curvature.fit(models.select([row]), examples)
            found.append([influence.step(request.forget, damping) for damping in self.dampings])
        return [
            {name: torch.cat([tensors[name] for tensors in each]) / len(examples) for name in each[0]}
            for each in zip(*found, strict=True)
        ]


def _moved(models: Population, direction: Tensors, length: float) -> Population:
    """Copies of the models, that much further in a direction."""
    moved = models.clone()
    for name, change in direction.items():
        moved.tensors[name] += (length * change).to(models.dtype)
    return moved


def _losses(models: Population, examples: Examples) -> Tensor:
    """Mean cross-entropy of each model `[N]`."""
    labels = torch.from_numpy(examples.labels).to(models.device)
    return torch.stack([F.cross_entropy(logits.double(), labels) for logits in models.logits(examples)])
