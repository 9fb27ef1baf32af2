import pytest
import torch

from untrain.errors import InputError
from untrain.models import CNN, MLP, PooledCNN, ResNet18, factory, import_factory


def test_resnet18_has_torchvisions_names_and_sizes() -> None:
    state = ResNet18().build((3, 32, 32), 1000).state_dict()
    # Counted from torchvision.models.resnet18: 122 entries, 11,689,512 parameters.
    assert len(state) == 122
    assert sum(p.numel() for p in ResNet18().build((3, 32, 32), 1000).parameters()) == 11_689_512
    assert list(state)[:6] == [
        "conv1.weight", "bn1.weight", "bn1.bias", "bn1.running_mean", "bn1.running_var", "bn1.num_batches_tracked",
    ]  # fmt: skip
    assert state["conv1.weight"].shape == (64, 3, 7, 7)
    assert state["layer2.0.downsample.0.weight"].shape == (128, 64, 1, 1)
    assert state["layer4.1.bn2.running_var"].shape == (512,)
    assert {"layer3.1.conv2.weight", "layer3.0.downsample.1.bias", "fc.bias"} <= state.keys()


def test_resnet18_is_initialized_as_torchvisions() -> None:
    torch.manual_seed(0)
    state = ResNet18().build((3, 32, 32), 10).state_dict()
    for name, fan_out in (("conv1.weight", 64 * 49), ("layer4.1.conv2.weight", 512 * 9)):
        assert state[name].std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.05)


@pytest.mark.parametrize(("stem", "size"), [("imagenet", 1), ("cifar", 4)])
def test_stems(stem: str, size: int) -> None:
    network = ResNet18(stem=stem).build((3, 32, 32), 10)  # type: ignore[arg-type]
    seen = []
    network.get_submodule("layer4").register_forward_hook(lambda _module, _inputs, out: seen.append(out.shape))
    assert network.eval()(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    assert seen == [(2, 512, size, size)]


@pytest.mark.parametrize(
    "model",
    [MLP(widths=(7, 5)), MLP(widths=()), CNN(widths=(4,)), CNN(widths=(4, 6, 8)), PooledCNN(widths=(4, 6, 8))],
)
def test_small_networks_take_odd_images(model: MLP | CNN | PooledCNN) -> None:
    assert factory(model, (2, 7, 9), 5)()(torch.zeros(3, 2, 7, 9)).shape == (3, 5)


@pytest.mark.parametrize("model", [CNN(), ResNet18()])
def test_convolutions_need_images(model: CNN | ResNet18) -> None:
    with pytest.raises(InputError, match="channels x height x width"):
        model.build((8,), 2)


def test_a_factory_of_ones_own() -> None:
    assert import_factory("torch.nn:Identity")() is not None
    with pytest.raises(InputError, match=r"a function that builds a new network.* got str"):
        import_factory("untrain:__version__")


@pytest.mark.parametrize("path", ["torch.nn", "torch.nn:Nothing", "no.such.module:build", ":x"])
def test_a_path_that_leads_to_no_factory_is_refused(path: str) -> None:
    with pytest.raises(InputError, match=f"'{path}' cannot be imported as PACKAGE.MODULE:FACTORY"):
        import_factory(path)


def test_pooling_keeps_what_strides_skip() -> None:
    """Every convolution sees every place: three of them, and pooling halves the image after each."""
    layers = list(PooledCNN(widths=(2, 3, 4)).build((1, 32, 32), 10).children())
    convolutions = [layer for layer in layers if isinstance(layer, torch.nn.Conv2d)]
    assert [(layer.out_channels, layer.stride) for layer in convolutions] == [(2, (1, 1)), (3, (1, 1)), (4, (1, 1))]
    assert layers[-1].in_features == 4 * 4 * 4
