"""ResNet-18 without torchvision: the same layers, initialization and state-dict names.

Source: He, Zhang, Ren, Sun (2016), "Deep Residual Learning for Image Recognition".
"""

import itertools
from typing import Literal

from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch norm, and a shortcut around them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.downsample: nn.Module | None = None
        if stride != 1 or before != after:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride=stride, bias=False), nn.BatchNorm2d(after)
            )

    def forward(self, x: Tensor) -> Tensor:
        """`[B, before, H, W]` to `[B, after, H / stride, W / stride]`."""
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.bn1(self.conv1(x)).relu()
        out: Tensor = (self.bn2(self.conv2(x)) + shortcut).relu()
        return out


class ResNet(nn.Module):
    """The network; see `resnet18`."""

    def __init__(self, channels: int, classes: int, stem: Literal["imagenet", "cifar"]) -> None:
        super().__init__()
        if stem == "imagenet":
            self.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
            self.maxpool: nn.Module = nn.MaxPool2d(3, stride=2, padding=1)
        else:
            self.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
            self.maxpool = nn.Identity()
        self.bn1 = nn.BatchNorm2d(64)
        widths = (64, 64, 128, 256, 512)
        for number, (before, after) in enumerate(itertools.pairwise(widths), start=1):
            stride = 1 if number == 1 else 2
            self.add_module(
                f"layer{number}",
                nn.Sequential(BasicBlock(before, after, stride), BasicBlock(after, after, 1)),
            )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """Images `[B, channels, H, W]` to logits `[B, classes]`."""
        x = self.maxpool(self.bn1(self.conv1(x)).relu())
        for number in range(1, 5):
            x = self.get_submodule(f"layer{number}")(x)
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits


def resnet18(channels: int, classes: int, stem: Literal["imagenet", "cifar"] = "imagenet") -> nn.Module:
    """ResNet-18 for images with `channels` channels; 11.2 million parameters at ten classes."""
    return ResNet(channels, classes, stem)
