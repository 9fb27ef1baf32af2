"""What influence scores cost, against one training of the network and against other libraries, on one core.

    UNTRAIN_DATA=... python benchmarks/influence.py

The network is that of the study of mislabeled examples, 784-50-50-2, with 2,000 zeros and ones of MNIST, a fifth of
the labels wrong. Training is 20 epochs in batches of 32. Everything takes turns, and medians of the ratios of processor
seconds are printed with their range. Of other libraries, those that can be imported are timed, fitting included, at
what they compute of it; the rest is named as skipped. The last column tells wrong labels by each score.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")

import contextlib
import importlib
import io
import logging
import platform
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from untrain.data import Examples, load
from untrain.influence import Curvature
from untrain.models import MLP, factory
from untrain.population import SGD, Population, Recipe

ROUNDS, RIVAL_ROUNDS = 7, 3
ONE_IN = 100
"""Of so many examples one is done as slowly as the study's code does it."""

RECIPE = Recipe(optimizer=SGD(lr=0.01, momentum=0.9), epochs=20, batch_size=32)
Scores = Callable[[nn.Module, Tensor, Tensor], Any]


def problem() -> tuple[Examples, np.ndarray[Any, np.dtype[np.bool_]]]:
    """The examples, and which labels are wrong."""
    mnist = load("mnist")
    chosen = mnist.select(np.concatenate([np.flatnonzero(mnist.labels == digit)[:1000] for digit in (0, 1)]))
    wrong = np.random.default_rng(0).permutation(2000) < 400
    return Examples.of(chosen.inputs, np.where(wrong, 1 - chosen.labels, chosen.labels), classes=["0", "1"]), wrong


def train(examples: Examples) -> Population:
    """Train the network once."""
    return Population.create(factory(MLP(widths=(50, 50)), (1, 28, 28), 2), 1).train(examples, RECIPE)


def ours(curvature: Curvature, models: Population, examples: Examples) -> Any:  # noqa: ANN401 (scores)
    """All three scores; the first is returned."""
    found = curvature.fit(models, examples)
    return found.self_influence(), found.train_influence(), found.leave_one_out()


def study_last(module: nn.Module, x: Tensor, y: Tensor) -> Any:  # noqa: ANN401
    """Self-influence by the last layer as the study's code has it: Hessian and inverse anew for each example.

    Done so for a hundredth of the examples, and the time multiplied; the rest take the last inverse.
    """
    layer = [part for part in module if isinstance(part, nn.Linear)][-1]  # type: ignore[attr-defined]
    with torch.no_grad():
        features = module[:-1](x)  # type: ignore[index]
    weight, bias = layer.weight.detach(), layer.bias.detach()

    def mean_loss(weights: Tensor) -> Tensor:
        return F.cross_entropy(F.linear(features, weights, bias), y)

    for _ in range(len(x) // ONE_IN):
        inverse = torch.linalg.pinv(torch.func.hessian(mean_loss)(weight).reshape(weight.numel(), -1).double())
    errors = F.linear(features, weight, bias).softmax(1) - F.one_hot(y, 2)
    gradients = torch.einsum("nc,nd->ncd", errors, features).flatten(1).double()
    return ((gradients @ inverse) * gradients).sum(1)


def captum_last(module: nn.Module, x: Tensor, y: Tensor) -> Any:  # noqa: ANN401
    """Self-influence by the last layer, explicit Hessian."""
    naive = importlib.import_module("captum.influence._core.influence_function").NaiveInfluenceFunction
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/checkpoint.pt"
        torch.save(module.state_dict(), path)
        loss, data = nn.CrossEntropyLoss(reduction="none"), TensorDataset(x, y)
        return naive(module, data, path, layers=["5"], loss_fn=loss, batch_size=500).self_influence()


def kronfluence_all(module: nn.Module, x: Tensor, y: Tensor) -> Any:  # noqa: ANN401
    """Self-influence by EK-FAC."""
    library = importlib.import_module("kronfluence")
    task_kind: Any = importlib.import_module("kronfluence.task").Task

    class Classify(task_kind):  # type: ignore[misc]
        def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> Tensor:  # noqa: ANN401
            logits = model(batch[0])
            labels = torch.distributions.Categorical(logits=logits).sample() if sample else batch[1]
            return F.cross_entropy(logits, labels, reduction="sum")

        def compute_measurement(self, batch: Any, model: nn.Module) -> Tensor:  # noqa: ANN401
            return self.compute_train_loss(batch, model)

    with tempfile.TemporaryDirectory() as folder:
        task, data = Classify(), TensorDataset(x, y)
        analyzer = library.Analyzer("a", library.prepare_model(module, task), task, output_dir=folder, cpu=True)
        analyzer.fit_all_factors("f", data, per_device_batch_size=500)
        analyzer.compute_self_scores("s", "f", data, per_device_train_batch_size=500)
        return analyzer.load_self_scores("s")["all_modules"]


def curvlinops_all(module: nn.Module, x: Tensor, y: Tensor) -> Any:  # noqa: ANN401
    """Influence on the mean training loss alone: conjugate gradients on Gauss-Newton with damping 0.001."""
    library = importlib.import_module("curvlinops")
    parameters = dict(module.named_parameters())
    operator = library.GGNLinearOperator(module, nn.CrossEntropyLoss(), list(parameters.values()), [(x, y)])
    identity = importlib.import_module("curvlinops.examples").IdentityLinearOperator
    damped = operator + 1e-3 * identity([p.shape for p in parameters.values()], x.device, x.dtype)
    gradients = torch.autograd.grad(F.cross_entropy(module(x), y), list(parameters.values()))
    solved = library.CGInverseLinearOperator(damped, max_iter=200, tolerance=1e-4) @ list(gradients)
    directions = dict(zip(parameters, solved, strict=True))
    values = {name: p.detach() for name, p in parameters.items()}

    def losses(values: dict[str, Tensor]) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(module, values, (x,)), y, reduction="none")

    return torch.func.jvp(losses, (values,), (directions,))[1]


def dattri_all(module: nn.Module, x: Tensor, y: Tensor) -> Any:  # noqa: ANN401
    """Influence of all on 20 examples alone: 10 iterations of conjugate gradients."""
    attributor = importlib.import_module("dattri.algorithm.influence_function").IFAttributorCG

    def loss(parameters: dict[str, Tensor], batch: tuple[Tensor, Tensor]) -> Tensor:
        return F.cross_entropy(torch.func.functional_call(module, parameters, batch[0]), batch[1])

    task = importlib.import_module("dattri.task").AttributionTask(loss, module, module.state_dict())
    every = DataLoader(TensorDataset(x, y), batch_size=2000)
    found = attributor(task, max_iter=10, regularization=1e-2)
    found.cache(every)
    return found.attribute(every, DataLoader(TensorDataset(x[:20], y[:20]), batch_size=20)).mean(1)


ANEW = "last layer, Hessian anew for each, self only"
RIVALS: dict[str, tuple[str, Scores | None]] = {
    "captum, last layer, self only": ("captum", captum_last),
    "kronfluence EK-FAC, self only": ("kronfluence", kronfluence_all),
    "curvlinops CG, on D only": ("curvlinops", curvlinops_all),
    "dattri CG, on 20 examples only": ("dattri", dattri_all),
    "pyDVL": ("pydvl", None),
}


def seconds(work: Callable[[], Any]) -> tuple[float, Any]:
    """Processor seconds of some work, and its result; what it prints is thrown away."""
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        result = work()
    return time.process_time() - start, result


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    examples, wrong = problem()
    models = train(examples)
    x, y = torch.from_numpy(examples.inputs), torch.from_numpy(examples.labels)
    works: dict[str, tuple[int, Callable[[], Any]]] = {
        "untrain, last layer, all three": (ROUNDS, lambda: ours(Curvature(), models, examples)[0]),
        "untrain, all parameters, all three": (ROUNDS, lambda: ours(Curvature(parameters="all"), models, examples)[0]),
        "untrain, all parameters, KFAC, all three": (
            ROUNDS,
            lambda: ours(Curvature(parameters="all", solver="kronecker"), models, examples)[0],
        ),
    }
    for name, (library, compute) in RIVALS.items():
        try:
            importlib.import_module(library)
        except ImportError as error:
            print(f"skipped {name}: {error}")
            continue
        if compute is None:
            print(f"skipped {name}: it needs numpy below 2, with which untrain does not work")
            continue
        works[name] = (RIVAL_ROUNDS, lambda compute=compute: compute(models.module(), x, y))  # type: ignore[misc]
    works[ANEW] = (RIVAL_ROUNDS, lambda: study_last(models.module(), x, y))
    scores: dict[str, Any] = {}
    ratios: dict[str, list[float]] = {name: [] for name in works}
    spent: dict[str, list[float]] = {name: [] for name in works}
    trainings = []
    for turn in range(ROUNDS + 1):  # the first warms up
        training = seconds(lambda: train(examples))[0]
        if turn:
            trainings.append(training)
        for name, (rounds, work) in list(works.items()):
            if turn > rounds:
                continue
            try:
                taken, scores[name] = seconds(work)
                taken *= ONE_IN if name == ANEW else 1
            except Exception as error:  # noqa: BLE001 (whatever another library raises)
                print(f"skipped {name}: {type(error).__name__}: {str(error).splitlines()[0]}")
                del works[name]
                continue
            if turn:
                ratios[name].append(taken / training)
                spent[name].append(taken)
    print(
        f"{platform.machine()}, torch {torch.__version__}, one thread; "
        f"training once {statistics.median(trainings):.2f} s"
    )
    print(f"{'':46}{'seconds':>9}{'ratio to training (range)':>30}{'AUC':>7}")
    for name in works:
        each = ratios[name]
        told = f"{statistics.median(each):.3f} ({min(each):.3f} to {max(each):.3f})"
        auc = roc_auc_score(wrong, torch.as_tensor(scores[name]).detach().double().ravel().numpy())
        print(f"{name:46}{statistics.median(spent[name]):9.3f}{told:>30}{auc:7.3f}")


if __name__ == "__main__":
    main()
