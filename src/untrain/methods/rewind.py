"""Rewind: go back to an earlier checkpoint of the original, and train on the retain set for the epochs that were left.

A checkpoint from before the forget set was first used knows nothing of it, so the result has forgotten by construction.
Whoever trained the model knows whether that holds, and declares it; a record says that it was declared. From any other
checkpoint, only an audit shows what is left.

Source: Mu, Klabjan (2024), "Rewind-to-Delete: Certified Machine Unlearning for Nonconvex Functions", without the noise
of their certificate.

Departures: they follow full gradients; here the rest of the recipe is followed, its schedule from where the checkpoint
stands. The optimizer begins anew, since a state dict holds no momentum.
"""

from pathlib import Path
from typing import Annotated

import msgspec

from untrain.core.files import digest
from untrain.errors import InputError, NotSupportedError
from untrain.methods.base import Method, Request
from untrain.models.weights import as_arrays, load_weights, read_weights, state_of
from untrain.population import Population, Recipe


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An earlier state of a model.

    Attributes:
        path: safetensors file of its state dict.
        epoch: number of epochs that it had been trained; 0 for the state before training.
        before_forgotten: whether, as its owner declares, no forgotten example had been used for training by then.
    """

    path: str
    epoch: Annotated[int, msgspec.Meta(ge=0)]
    before_forgotten: bool = False


class Rewind(Method, frozen=True, tag="rewind"):
    """Start from a checkpoint, and train on the retain set for the epochs that were left."""

    title = "rewinding to a checkpoint"

    checkpoint: Checkpoint | None = None

    @property
    def exact(self) -> bool:  # type: ignore[override]  # of this method alone, it depends on what is declared
        """Whether the checkpoint is declared to be from before the forgotten examples were used."""
        return self.checkpoint is not None and self.checkpoint.before_forgotten

    @property
    def construction(self) -> str:
        return "continues a checkpoint that, as declared, never saw the forgotten examples, on the retained ones alone"

    def settings(self) -> dict[str, object]:
        """Epoch and declaration, and a digest of the checkpoint instead of its path."""
        checkpoint = self._required()
        return {
            "checkpoint": digest(as_arrays(read_weights(Path(checkpoint.path))), {}),
            "epoch": checkpoint.epoch,
            "before_forgotten": checkpoint.before_forgotten,
        }

    def forget(self, models: Population, request: Request) -> Population:
        checkpoint, recipe = self._required(), request.recipe
        if checkpoint.epoch >= recipe.epochs:
            raise InputError(
                f"A checkpoint to rewind to must be from before the last of {recipe.epochs:g} epochs, got epoch "
                f"{checkpoint.epoch}."
            )
        module = models.module()
        load_weights(module, Path(checkpoint.path))
        for name, tensor in state_of(module).items():
            models.tensors[name].copy_(tensor.detach().expand_as(models.tensors[name]))
        training = models.training(recipe, purpose="rewind")
        training.epoch = checkpoint.epoch
        training.run(request.retain, epochs=recipe.epochs - checkpoint.epoch, validation=request.validation)
        return models

    def passes(self, recipe: Recipe) -> float | None:
        return None if self.checkpoint is None else max(0.0, recipe.epochs - self.checkpoint.epoch)

    def _required(self) -> Checkpoint:
        if self.checkpoint is None:
            raise NotSupportedError("rewind starts from a checkpoint of the model; pass checkpoint=.")
        return self.checkpoint
