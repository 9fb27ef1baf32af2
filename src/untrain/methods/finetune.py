"""Fine-tuning: keep training the original on the retain set.

The competition's starter method, with its constants. It removes little of what was memorized, so it
serves as the baseline.

There is no preset `small`: on small data, too, `benchmarks/tune.py` found these learning rates best on
validation data.
"""

from untrain.methods.base import STUDY, Method, Request
from untrain.population import SGD, Population, Recipe


class Finetune(Method, frozen=True, tag="finetune"):
    """Train on the retain set for a little longer."""

    title = "fine-tuning"
    presets = {"kaggle": {}, "study": {"recipe": STUDY}}

    recipe: Recipe = Recipe(optimizer=SGD(lr=1e-3, momentum=0.9, weight_decay=5e-4), epochs=1)

    def forget(self, models: Population, request: Request) -> Population:
        return models.train(request.retain, self.recipe, validation=request.validation, purpose="finetune")
