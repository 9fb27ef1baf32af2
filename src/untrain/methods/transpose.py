"""Transposed convolutions: rank 5 of the NeurIPS 2023 competition (toshi_k and marvelworld), first of its two methods.

Swapping the two spatial axes of every kernel keeps its statistics and destroys what it detects. Fine-tuning on the
retain set repairs the network.

Source: the winning entry, as described by Cadet et al. (2024), "Deep Unlearn" (CT), and by Shibata et al.,
who use it to represent rank 5, as here.

Departures: none known. Kernels that are not square cannot be transposed in place and are refused.

The preset `small`, for small data, has the learning rate that `benchmarks/tune.py` chose on validation data.
"""

from untrain.errors import NotSupportedError
from untrain.methods.base import STUDY, Method, Request, convolutions
from untrain.population import SGD, Cosine, Population, Recipe


class Transpose(Method, frozen=True, tag="transpose"):
    """Swap the two spatial axes of every convolution kernel, then fine-tune."""

    title = "5th: transposed convolutions"
    needs_convolutions = True
    presets = {"kaggle": {}, "study": {"recipe": STUDY}, "small": {"recipe": {"optimizer": {"lr": 1e-1}}}}

    recipe: Recipe = Recipe(optimizer=SGD(lr=1e-3, momentum=0.9, weight_decay=5e-4), schedule=Cosine(), epochs=3)

    def forget(self, models: Population, request: Request) -> Population:
        self.transpose(models)
        return models.train(request.retain, self.recipe, validation=request.validation, purpose="finetune")

    def transpose(self, models: Population) -> None:
        """Swap the spatial axes of every kernel; twice is the identity.

        Raises:
            NotSupportedError: the network has no convolutions, or one whose kernel is not square.
        """
        kernels = convolutions(models, "transpose")
        for name, kernel in kernels.items():
            if kernel.shape[-1] != kernel.shape[-2]:
                raise NotSupportedError(
                    f"transpose needs square kernels, and that of {name} is {tuple(kernel.shape[-2:])}: choose another "
                    "method."
                )
        for kernel in kernels.values():
            kernel.copy_(kernel.mT.clone())
