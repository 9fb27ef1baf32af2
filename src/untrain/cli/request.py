"""A request to forget as it is named on the command line, for `forget`, `audit` and `doctor`."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import tyro

from untrain.cli.inputs import Inputs
from untrain.cli.terminal import Status
from untrain.errors import ConfigError
from untrain.records.directory import MODEL

if TYPE_CHECKING:
    from torch import nn

    from untrain.data import Examples
    from untrain.records import Audit
    from untrain.workflows.doctor import Diagnosis
    from untrain.workflows.forget import Forgotten

_Inputs = Annotated[Inputs, tyro.conf.arg(name="")]


@dataclass(frozen=True, eq=False)
class GivenRequest:
    """A request as it was named on the command line, read."""

    examples: "Examples"
    ids: list[str]
    validation: "Examples | None"
    module: "nn.Module"
    own: dict[str, Any]
    """Factory and recipe, by these names."""
    chain: dict[str, Any]
    """The directory of the request before and the key, by the names `previous` and `key`."""
    seed: int
    status: Status

    @classmethod
    def read(
        cls,
        inputs: Inputs,
        forget: Path,
        validation: str | None,
        previous: Path | None,
        key: Path | None,
        status: Status,
    ) -> "GivenRequest":
        """Read data, ids and weights.

        Raises:
            ConfigError: there are no weights.
            InputError: something cannot be read.
        """
        from untrain.data import read_ids
        from untrain.records import read_key

        if inputs.weights is None and previous is not None:
            inputs = dataclasses.replace(inputs, weights=str(previous / MODEL))
        if inputs.weights is None:
            raise ConfigError("expected the weights of a trained model, got none: give --weights or --previous")
        ids, opened = read_ids(forget), None if key is None else read_key(key)
        status.show(f"reading {inputs.data}")
        examples = inputs.examples()
        held_out = None if validation is None else dataclasses.replace(inputs, data=validation, limit=None).examples()
        if held_out is not None and Path(validation or "").is_dir():
            # Ids are paths below the folder, and the same path below two folders is not the same picture.
            renamed = np.asarray([f"validation/{name}" for name in held_out.ids])
            held_out = dataclasses.replace(held_out, ids=renamed)
        network = inputs.network(examples)
        assert network.module is not None  # noqa: S101 (there are weights)
        own = {"factory": network.factory, "recipe": network.recipe}
        chain = {"previous": previous, "key": opened}
        return cls(examples, ids, held_out, network.module, own, chain, inputs.seed, status)

    def forgotten(self, method: str, seconds: float | None, bound: float) -> "Forgotten":
        """Carry the request out."""
        from untrain.workflows.forget import forget

        return forget(
            self.module, self.examples, self.ids, method=method, validation=self.validation, seed=self.seed,
            time_budget=seconds, max_accuracy_drop=bound, progress=self.status.show, **self.own, **self.chain,
        )  # fmt: skip

    def audit(self, method: str, models: int, keep: Path | None) -> "Audit":
        """Compare a method with retraining."""
        from untrain.workflows.audit import audit

        return audit(
            self.module, self.examples, self.ids, method=method, models=models, validation=self.validation,
            seed=self.seed, checkpoint_dir=keep, progress=self.status.show, **self.own, **self.chain,
        )  # fmt: skip

    def diagnosis(self, seconds: float | None) -> "Diagnosis":
        """Look whether the request can be carried out."""
        from untrain.workflows.doctor import doctor

        return doctor(
            self.module, self.examples, self.ids, validation=self.validation,
            time_budget=seconds, progress=self.status.show, **self.own, **self.chain,
        )  # fmt: skip
