"""`Population`: N networks of one architecture, stored as one."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from untrain.auditing import confidence
from untrain.core.ambient import ordinary
from untrain.core.arguments import checked
from untrain.core.files import Arrays, read_arrays, write_arrays
from untrain.core.randomness import Streams
from untrain.data import Examples
from untrain.errors import InputError, NotSupportedError
from untrain.models import Factory
from untrain.models.inputs import InputTensors
from untrain.models.modules import copied, unwrapped
from untrain.models.specs import check_is_function
from untrain.models.weights import Tensors, as_arrays, check_tensors, state_of
from untrain.population.ambient import seeded
from untrain.population.choice import choose_on_gpu
from untrain.population.engine import Chunk, Engine, attach, choose_engine, last_linear, uses
from untrain.population.evaluation import bytes_of_example, evaluation_batch
from untrain.population.loss import Loss, cross_entropy
from untrain.population.recipe import Recipe
from untrain.population.residence import Resident, placed, resident
from untrain.population.slots import Slots
from untrain.population.training import Training


class Population:
    """N models of one architecture, each parameter and buffer stored as one tensor `[N, ...]`.

    Model i draws every random number from streams named by its index, so it comes out the same whatever
    population it is part of. Make one with `create`, `from_module` or `load`.

    Attributes:
        tensors: every parameter and buffer by its state-dict name, `[N, ...]`.
        streams: random streams, which each model's index continues.
        indices: `[N]` index of each model.
        skeleton: a module of the architecture; its own tensors are never used.
        factory: builds a new module with fresh weights, or None if that is not known.
        engine: how it is computed; None until it has been measured.
        recipe: how the models were trained, or None if that is not known; the first `train` sets it.
        epochs_taken: `[N]` epochs until each model had converged, in the latest training by a recipe with
            `until_converged`; None before one.
        slots: in which a GPU trains these models, and others of the same architecture that were made from them.
    """

    def __init__(
        self,
        skeleton: nn.Module,
        tensors: Tensors,
        streams: Streams,
        indices: Sequence[int],
        factory: Factory | None,
        engine: Engine | None = None,
        recipe: Recipe | None = None,
        slots: Slots | None = None,
    ) -> None:
        self.skeleton, self.tensors, self.streams = skeleton, tensors, streams
        self.indices, self.factory, self.engine, self.recipe = tuple(indices), factory, engine, recipe
        self.epochs_taken: npt.NDArray[np.intp] | None = None
        self.slots = Slots() if slots is None else slots
        self._single: nn.Module | None = None
        self._example_bytes: int | None = None

    # Making, taking apart, putting together

    @classmethod
    @ordinary
    @checked
    def create(
        cls,
        factory: Factory,
        count: int,
        *,
        seed: int | Streams = 0,
        first: int = 0,
        device: str | torch.device = "cpu",
        dtype: torch.dtype = torch.float32,
        engine: Engine | None = None,
        recipe: Recipe | None = None,
    ) -> "Population":
        """Build `count` freshly initialized models.

        Args:
            factory: builds one module; called once a model, with torch's generator seeded by that model's
                stream.
            count: how many, at least one.
            seed: root seed, or streams.
            first: index of the first model.
            device: where the tensors live.
            dtype: of floating-point tensors.
            engine: how to compute them; default None measures it when it is first needed.
            recipe: how they are going to be trained; default None leaves that to the first `train`.

        Raises:
            InputError: `count` is below 1, or the factory does not build a module that can be trained here.
        """
        if count < 1:
            raise InputError(f"A population needs at least one model, got {count}.")
        streams = seed if isinstance(seed, Streams) else Streams(seed)
        return cls._built(factory, streams, range(first, first + count), device, dtype, engine, recipe)

    @classmethod
    def _built(
        cls,
        factory: Factory,
        streams: Streams,
        indices: Sequence[int],
        device: str | torch.device,
        dtype: torch.dtype,
        engine: Engine | None,
        recipe: Recipe | None,
    ) -> "Population":
        """Build the models with these indices, one after another."""
        check_is_function(factory)
        skeleton: nn.Module | None = None
        stacked: Tensors = {}
        for row, index in enumerate(indices):
            with seeded(streams.seed("initialise", index), []):
                module = factory()
            if not isinstance(module, nn.Module):
                raise InputError(f"A factory must build a torch module, got {type(module).__name__}.")
            module = unwrapped(module)
            state = {name: placed(tensor.detach(), tensor.device, dtype) for name, tensor in state_of(module).items()}
            if skeleton is None:
                skeleton = module
                stacked = {name: tensor.new_empty(len(indices), *tensor.shape) for name, tensor in state.items()}
            for name, tensor in state.items():
                stacked[name][row] = tensor
        tensors = {name: tensor.to(device) for name, tensor in stacked.items()}  # in one piece each
        assert skeleton is not None  # noqa: S101 (there is at least one index)
        return cls(skeleton, tensors, streams, indices, factory, engine, recipe, Slots(factory))

    @classmethod
    @ordinary
    @checked
    def from_module(
        cls, module: nn.Module, *, seed: int = 0, factory: Factory | None = None, recipe: Recipe | None = None
    ) -> "Population":
        """A population of one, holding a copy of this module's parameters and buffers.

        Args:
            module: left as it is. Of a compiled or data-parallel one, the module inside is taken.
            seed: root of the random streams.
            factory: builds a new module of the same architecture; default not known.
            recipe: how the module was trained; default not known.

        Raises:
            InputError: it is TorchScript, has lazy layers that were never called, or holds what cannot be copied.
        """
        module = unwrapped(module)
        tensors = {name: tensor.detach().clone()[None] for name, tensor in state_of(module).items()}
        return cls(copied(module), tensors, Streams(seed), [0], factory, recipe=recipe)

    def __len__(self) -> int:
        return len(self.indices)

    def __repr__(self) -> str:
        size = sum(self.tensors[name][0].numel() for name, _ in self.skeleton.named_parameters())
        kind = f"{type(self.skeleton).__name__}, {size:,} parameters each, {str(self.dtype).removeprefix('torch.')}"
        return (
            f"Population of {len(self)} ({kind} on {self.device})\n"
            f"  engine: {self.engine or 'not measured yet'}\n"
            f"  recipe: {self.recipe or 'none known (not trained here)'}"
        )

    def _with(self, tensors: Tensors, indices: Sequence[int]) -> "Population":
        return Population(
            self.skeleton, tensors, self.streams, indices, self.factory, self.engine, self.recipe, self.slots
        )

    def clone(self) -> "Population":
        """A copy that shares nothing that training changes."""
        return self.select(range(len(self)))

    def select(self, positions: Sequence[int]) -> "Population":
        """A copy of the models at these positions."""
        rows = torch.as_tensor(list(positions), dtype=torch.long, device=self.device)
        return self._with(
            {name: tensor[rows] for name, tensor in self.tensors.items()},
            [self.indices[row] for row in positions],
        )

    def repeat(self, count: int, *, streams: Streams, first: int = 0) -> "Population":
        """`count` copies of the models, in turn, each with random streams of its own.

        How to compute them is measured anew, since what is best for few need not be for many.

        Args:
            count: how many.
            streams: of the copies.
            first: index of the first copy. The copy with index i is of the model at position `i % len(self)`.
        """
        indices = range(first, first + count)
        rows = torch.as_tensor([index % len(self) for index in indices], dtype=torch.long, device=self.device)
        tensors = {name: tensor[rows] for name, tensor in self.tensors.items()}
        return Population(self.skeleton, tensors, streams, indices, self.factory, None, self.recipe, self.slots)

    def with_factory(self, factory: Factory) -> "Population":
        """The same models, for which it is known how to build new ones."""
        models = self._with(self.tensors, self.indices)
        models.factory = factory
        return models

    def with_recipe(self, recipe: Recipe) -> "Population":
        """The same models, for which it is known how they were trained."""
        models = self._with(self.tensors, self.indices)
        models.recipe = recipe
        return models

    @staticmethod
    def concatenate(parts: Sequence["Population"]) -> "Population":
        """One population of all models of populations of the same architecture and streams.

        Raises:
            InputError: there are none, or they differ in tensors or streams.
        """
        if not parts:
            raise InputError("There are no populations to concatenate.")
        shapes = [{name: tensor.shape[1:] for name, tensor in part.tensors.items()} for part in parts]
        if any(shape != shapes[0] for shape in shapes) or any(part.streams != parts[0].streams for part in parts):
            raise InputError(
                "Populations can only be concatenated if they have the same architecture and the same random streams."
            )
        tensors = {name: torch.cat([part.tensors[name] for part in parts]) for name in parts[0].tensors}
        return parts[0]._with(tensors, [index for part in parts for index in part.indices])

    def fresh(self) -> "Population":
        """As many newly initialized models, with the same streams and indices.

        Raises:
            NotSupportedError: it is not known how to build a new model.
        """
        if self.factory is None:
            raise NotSupportedError("New models cannot be built, since the population has no factory: pass factory=")
        models = Population._built(
            self.factory, self.streams, self.indices, self.device, self.dtype, self.engine, self.recipe
        )
        if self.slots.factory is self.factory:
            models.slots = self.slots
        return models

    def module(self, position: int = 0) -> nn.Module:
        """One model as an ordinary module with its own copies of the tensors, in evaluation mode."""
        module = copied(self.skeleton).to(self.device, self.dtype)
        attach(module, {name: tensor[position].clone() for name, tensor in self.tensors.items()})
        return module.eval()

    # What it is made of

    @property
    def device(self) -> torch.device:
        """Where the tensors live."""
        return next(iter(self.tensors.values())).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of the floating-point tensors."""
        return next(tensor.dtype for tensor in self.tensors.values() if tensor.is_floating_point())

    @property
    def cuda_devices(self) -> list[torch.device]:
        """Devices whose generators matter besides the CPU's."""
        return [self.device] if self.device.type == "cuda" else []

    def to(self, *, device: str | torch.device | None = None, dtype: torch.dtype | None = None) -> "Population":
        """A copy on another device or of another floating-point type."""
        tensors = {
            name: placed(tensor.clone(), device or self.device, dtype or self.dtype)
            for name, tensor in self.tensors.items()
        }
        return self._with(tensors, self.indices)

    def weights(self, *kinds: type[nn.Module]) -> Tensors:
        """The `weight` of every layer of these kinds, by name, `[N, ...]`; changing one changes the models."""
        return {
            name: self.tensors[name]
            for prefix, module in self.skeleton.named_modules()
            if isinstance(module, kinds) and (name := f"{prefix}.weight".lstrip(".")) in self.tensors
        }

    def normal(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """Standard normal numbers `[N, *shape]`, each model's from its own stream."""
        return self._drawn(purpose, lambda generator: generator.standard_normal(shape))

    def uniform(self, purpose: str, shape: Sequence[int]) -> Tensor:
        """Uniform numbers in 0..1 `[N, *shape]`, each model's from its own stream."""
        return self._drawn(purpose, lambda generator: generator.random(shape))

    def _drawn(self, purpose: str, draw: Callable[[np.random.Generator], npt.NDArray[np.float64]]) -> Tensor:
        drawn = np.stack([draw(self.streams.generator(purpose, index)) for index in self.indices])
        return torch.from_numpy(drawn).to(self.device, self.dtype)

    # Training and evaluating

    @ordinary
    @checked
    def train(
        self,
        examples: Examples,
        recipe: Recipe,
        *,
        validation: Examples | None = None,
        purpose: str = "train",
    ) -> "Population":
        """Train in place by a recipe with mean cross-entropy, and return itself. See `training` for other losses.

        The order of the examples follows from streams, purpose and epoch: a second call needs another purpose. The
        first call with the purpose `train` also sets the population's recipe, unless it is known already.

        Raises:
            InputError: there are no examples, or no validation examples although the recipe keeps the best state.
        """
        self.training(recipe, purpose=purpose).run(examples, validation=validation)
        if self.recipe is None and purpose == "train":
            self.recipe = recipe
        return self

    def training(
        self,
        recipe: Recipe,
        *,
        loss: Loss = cross_entropy,
        purpose: str = "train",
        masks: Tensors | None = None,
    ) -> Training:
        """A training of these models that can be run in parts and beside others; see `Training`."""
        return Training(self, recipe, loss=loss, purpose=purpose, masks=masks)

    @checked
    def logits(self, examples: Examples) -> Tensor:
        """Logits `[N, n, C]` in evaluation mode, one model after another; memory for them and for one batch."""
        return torch.stack([self._logits_of(row, examples) for row in range(len(self))])

    @checked
    def accuracy(self, examples: Examples) -> npt.NDArray[np.float64]:
        """Share of examples that each model classifies rightly, `[N]` in 0..1."""
        return self.accuracies(range(len(self)), examples).cpu().numpy()

    @checked
    def confidences(self, examples: Examples) -> npt.NDArray[np.float64]:
        """Logit-scaled confidence of each example's label under each model, `[N, n]`.

        Raises:
            InputError: a logit is not finite, as after a training that diverged.
        """
        logits = self.logits(examples)
        if logits.dtype.itemsize < 4:  # NumPy has no bfloat16, and half precision is too coarse to take logarithms of
            logits = logits.float()
        return confidence(logits.cpu().numpy(), examples.labels)

    @torch.no_grad()
    def features(self, examples: Examples) -> Tensor:
        """Penultimate features `[N, n, d]`: what goes into the last linear layer, in evaluation mode.

        Raises:
            NotSupportedError: the network does not end in a linear layer.

        Cost: one forward pass of each model, one after another.
        """
        inputs, _ = self.resident(examples)
        batch, of_models = self._evaluation_batch(inputs), []
        for position in range(len(self)):
            module = self.module(position)
            _, layer = last_linear(module, inputs[:4])
            # The last use counts: a layer may be used before the end as well.
            of_models.append(torch.cat([used[-1] for used in uses(module, layer, inputs.split(batch))]))
        return torch.stack(of_models)

    def accuracies(self, rows: range, examples: Examples) -> Tensor:
        """Accuracy of the models at these positions, `[K]` in 0..1, on the device: nothing waits for it."""
        if not len(examples):
            return torch.full((len(rows),), torch.nan, dtype=torch.float64, device=self.device)
        labels = self.resident(examples)[1]
        right = [self._logits_of(row, examples).argmax(-1) == labels for row in rows]
        return torch.stack(right).double().mean(1)

    @torch.no_grad()
    def _logits_of(self, row: int, examples: Examples) -> Tensor:
        """Logits `[n, C]` of one model as a plain module: for large batches, vectorized models are not faster."""
        inputs, _ = self.resident(examples)
        batches = inputs.split(self._evaluation_batch(inputs))
        last = self.engine is not None and self.engine.channels_last
        chunk = Chunk(self._attachable(), self.tensors, slice(row, row + 1), channels_last=last)
        chunk.attach()
        chunk.skeleton.eval()
        # A copy, since a layer that works in place would change the examples.
        return torch.cat([chunk.forward(batch.clone(), shared=True)[0] for batch in batches])

    def _evaluation_batch(self, inputs: InputTensors) -> int:
        """Examples that a model is evaluated on in one call."""
        if self._example_bytes is None:
            module = self._attachable()
            attach(module, {name: tensor[0] for name, tensor in self.tensors.items()})
            self._example_bytes = bytes_of_example(module, inputs[:2])
        return evaluation_batch(self._example_bytes, self.device)

    # How it is computed

    def chunks(self, examples: Examples, batch_size: int = 64) -> Iterator[Chunk]:
        """The models in runs of the engine's width; measures how when that is not known."""
        if self.engine is None:
            inputs, _ = self.resident(examples)
            with seeded(0, self.cuda_devices):
                size = min(batch_size, len(examples))
                if self.device.type == "cuda":
                    self.engine = choose_on_gpu(self.module, self.tensors, inputs, size)
                else:
                    self.engine = choose_engine(self._attachable, self.tensors, inputs, size)
        for first in range(0, len(self), self.engine.width):
            last = min(first + self.engine.width, len(self))
            # A leftover single model is computed by the plain module, too.
            yield Chunk(self._attachable(), self.tensors, slice(first, last), channels_last=self.engine.channels_last)

    def _attachable(self) -> nn.Module:
        if self._single is None:
            self._single = copied(self.skeleton).to(self.device, self.dtype)
        return self._single

    def resident(self, examples: Examples) -> Resident:
        """Inputs and labels of `examples` as tensors on the device; they are kept there for all populations.

        Floating-point inputs and bytes get the type of the models, other integers stay what they are.
        """
        return resident(examples, self.device, self.dtype)

    # Storing

    def save(self, path: str | Path) -> None:
        """Write all models to one safetensors file with a digest, and with them streams, indices and recipe.

        Models in bfloat16, which NumPy lacks, are written and read back in float32.

        Raises:
            InputError: the file system refused.
        """
        write_arrays(Path(path), *self.contents())

    def contents(self) -> tuple[Arrays, dict[str, str]]:
        """The arrays and the metadata of the file that `save` writes."""
        arrays = as_arrays(self.tensors)
        metadata = {
            "format": "untrain.population.1",
            "root": json.dumps(self.streams.root),
            "path": json.dumps(self.streams.path),
            "indices": json.dumps(self.indices),
            "recipe": msgspec.json.encode(self.recipe).decode(),
        }
        return arrays, metadata

    @classmethod
    def load(
        cls,
        path: str | Path,
        factory: Factory,
        *,
        device: str | torch.device = "cpu",
        engine: Engine | None = None,
        recipe: Recipe | None = None,
    ) -> "Population":
        """Read what `save` wrote into the architecture that `factory` builds.

        Args:
            path: of the file.
            factory: builds one module.
            device: where the tensors live.
            engine: how to compute the models; default None measures it when it is first needed.
            recipe: how they were trained; default what the file says.

        Raises:
            InputError: the file is missing, is no population, or holds other tensors than the architecture has.
            IntegrityError: the file changed since it was written.
        """
        arrays, metadata = read_arrays(Path(path))
        if metadata.get("format") != "untrain.population.1":
            raise InputError(f"{path} is not a saved population; its format is {metadata.get('format')!r}.")
        try:
            saved = msgspec.convert(
                {name: json.loads(metadata[name]) for name in _Origin.__struct_fields__ if name in metadata}, _Origin
            )
        except (ValueError, RecursionError) as error:
            raise InputError(f"The seeds, indices or recipe in {path} cannot be read: {error}") from error
        skeleton = factory()
        check_tensors(
            {name: array.shape for name, array in arrays.items()},
            {name: (len(saved.indices), *tensor.shape) for name, tensor in state_of(skeleton).items()},
            path,
        )
        tensors = {name: torch.from_numpy(arrays[name]).to(device) for name in state_of(skeleton)}
        streams, recipe = Streams(saved.root, saved.path), recipe or saved.recipe
        return cls(skeleton, tensors, streams, saved.indices, factory, engine, recipe, Slots(factory))


class _Origin(msgspec.Struct):
    """What a file tells of where its models come from."""

    root: int
    path: tuple[str, ...]
    indices: tuple[int, ...]
    recipe: Recipe | None = None
