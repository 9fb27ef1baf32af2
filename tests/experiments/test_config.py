import msgspec
import pytest

from untrain.core.levels import FEWEST_MODELS
from untrain.core.registry import base_name
from untrain.errors import ConfigError
from untrain.experiments import packaged
from untrain.experiments.catalog import header
from untrain.experiments.config import Experiment, Mislabel, changed, differences, parse, read_experiment, to_toml
from untrain.methods import METHODS, build_method
from untrain.models import PooledCNN
from untrain.population import UntilConverged

TABLE1 = ["table1-cifar10", "table1-cifar10-small", "table1-surf", "table1-surf-small"]
NEWTON = {"influence", "ssse"}  # for one model and few examples, as in the study of wrong labels
SEVEN = {"finetune", "kl-contrast", "gradient-reinit", "conv-noise", "prune-entropy", "transpose", "renew"}


@pytest.mark.parametrize("name", ["digits", "mnist", "cifar10-small", *TABLE1])
def test_packaged_experiments_compare_all_methods_and_the_curve(name: str) -> None:
    assert name in packaged()
    experiment = read_experiment(name).resolved()
    assert isinstance(experiment, Experiment)
    assert set(experiment.methods) >= SEVEN
    assert sum(method.startswith("short-retrain:") for method in experiment.methods) >= 4
    asked = tuple(float(str(setting).removeprefix("groups:")) for setting in experiment.forget)
    assert asked == ((0.005, 0.02, 0.05, 0.1) if name in TABLE1 else (0.005, 0.02))


@pytest.mark.parametrize("name", TABLE1)
def test_table_1_compares_every_method_of_other_people_and_ours(name: str) -> None:
    experiment = read_experiment(name)
    assert isinstance(experiment, Experiment)
    assert {base_name(spec) for spec in experiment.methods} == set(METHODS.names()) - {"retrain", "rewind", *NEWTON}


STUDIED = ["kl-contrast", "gradient-reinit", "conv-noise", "prune-entropy", "transpose"]


@pytest.mark.parametrize("name", [*TABLE1, "table1-cifar10-medium"])
def test_table_1_has_the_studys_stopping_rule_beside_the_winners_constants(name: str) -> None:
    experiment = read_experiment(name).resolved()
    assert isinstance(experiment, Experiment)
    for method in STUDIED:
        built = build_method(f"{method}:study", settings=experiment.settings[f"{method}:study"])
        recipe = getattr(built, "repair" if method == "kl-contrast" else "recipe")
        assert recipe.until_converged == UntilConverged()
        assert method in experiment.methods


def test_the_medium_form() -> None:
    experiment = read_experiment("table1-cifar10-medium").resolved()
    assert isinstance(experiment, Experiment)
    assert isinstance(experiment.models, int)
    assert experiment.models >= FEWEST_MODELS
    assert experiment.originals >= 3
    assert experiment.forget == (0.005, 0.02)
    assert experiment.model == PooledCNN((32, 64, 128))
    assert {*STUDIED, "renew", "short-retrain:third"} <= set(experiment.methods)


@pytest.mark.parametrize(("name", "balance"), [("table1-cifar10", 0.0), ("table1-surf", 1.0)])
def test_the_studys_form(name: str, balance: float) -> None:
    experiment = read_experiment(name)
    assert isinstance(experiment, Experiment)
    assert experiment.published == "table1"
    assert experiment.forget[0] == (0.005 if name == "table1-cifar10" else "groups:0.005")
    assert experiment.models == 512
    assert experiment.preset is None
    assert msgspec.to_builtins(experiment.recipe) == {
        "optimizer": {"name": "adam", "lr": 1e-4, "betas": (0.9, 0.999), "weight_decay": 5e-3},
        "schedule": {"name": "cosine", "floor": 0.0, "per": "epoch"},
        "epochs": 30,
        "batch_size": 64,
        "class_balance": balance,
        "keep_best_from_epoch": 20,
    }


def test_the_resolved_experiment_writes_everything_out_and_comes_back() -> None:
    resolved = read_experiment("digits").resolved()
    again = parse(to_toml(resolved), "here")
    assert differences(resolved, again) == []
    assert differences(resolved, again.resolved()) == []
    assert again.settings["transpose"]["recipe"]["optimizer"]["lr"] == 0.1  # the preset `small`
    for name in again.methods:
        assert build_method(name, settings=again.settings[name]) == build_method(name, preset="small")


BASE = to_toml(read_experiment("digits"))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("models = 64", "modles = 64", "unknown field `modles`"),
        ("models = 64", "models = 1", r">= 2.*\$.models"),
        ("models = 64", 'models = "many"', r"'many' - at `\$.models`"),
        ("lr = 0.05", "lr = -1", r"> 0.*recipe.optimizer.lr"),
        ('name = "sgd"', 'name = "sgdd"', r"Invalid value 'sgdd' - at `\$.recipe.optimizer.name`"),
        ('name = "cnn"', 'name = "os:system"', "Invalid value 'os:system'"),
        ('name = "digits"', 'name = "../digits"', "name"),
        ("validation = 0.1", "validation = 1.0", "< 1"),
        ("models = 64", "models = ", "Invalid|invalid"),
        ("models = 64", f"models = {'9' * 5000}", "mine.toml: Exceeds the limit"),
        ("epochs = 15.0", "epochs = inf", "epochs above 0"),
        ("nesterov = false", "nesterov = true\nmomentum = 0.0", "mine.toml"),
    ],
)
def test_faults_are_named_with_their_path(old: str, new: str, message: str) -> None:
    assert old in BASE
    with pytest.raises(ConfigError, match=message):
        parse(BASE.replace(old, new, 1), "mine.toml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"methods": ["amnesia"]}, "'amnesia'"),
        ({"methods": ["transpose", "transpose"]}, "methods .* not distinct"),
        ({"forget": [0.02, 0.02]}, "forget settings .* not distinct"),
        ({"forget": [0.02, "0.02"]}, "forget settings .* not distinct"),
        ({"methods": ["finetune"], "settings": {"transpose": {}}}, "`settings` names 'transpose'"),
        ({"settings": {"transpose": {"recipe": {"epoch": 3}}}}, "unknown field `epoch`"),
        ({"settings": {"transpose": {"recipe": {"keep_best_from_epoch": 9}}}}, "from 1 to 3"),
        ({"models": 4, "originals": 5}, "5 originals for 4 models.*fewer originals"),
        ({"preset": "smal"}, "preset 'smal'.*untrain list"),
        ({"published": "table9"}, "'table9': choose mislabel or table1"),
    ],
)
def test_faults_in_methods_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        changed(read_experiment("digits"), changes, "here").resolved()


@pytest.mark.parametrize("name", packaged())
def test_the_list_says_what_the_experiment_says(name: str) -> None:
    experiment, listed = read_experiment(name), header(name)
    assert listed.title == experiment.title
    if isinstance(experiment, Mislabel):
        assert listed.repeats == f"{experiment.seeds} seed{'s' * (experiment.seeds > 1)}"
    else:
        assert listed.repeats == f"{experiment.models} models"


def test_unknown_experiments_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"a \.toml file or one of .*digits"):
        read_experiment("diggits")
