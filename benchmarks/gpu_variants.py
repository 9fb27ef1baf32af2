"""How fast can one CUDA device train many ResNet-18 at 32x32? Times ways to compute a step; needs torch alone.

    python benchmarks/gpu_variants.py --minutes 10 --out gpu_variants.jsonl

The work is that of `table1-cifar10`: torchvision's ResNet-18, 10 classes, batches of 64, Adam, 22,980 steps a model.
The data are random and stay on the device as bytes. A line of JSON after each variant, so that a cut loses nothing.
`us` is microseconds for one step of one model, `hours_512` what 512 models would take. Figures: docs/performance.md.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

STEPS, MODELS, BATCH = 22_980, 512, 64
PARAMETERS, ADAM_BYTES, STEP_FLOP = 11.2e6, 46, 13.9e9
SMALL_LAYERS_FLOP_S = 400e12
"""What bfloat16 products of this size reach on an H100, for the floor."""

SIZES = [
    (64, 64, 1),
    (64, 64, 1),
    (64, 128, 2),
    (128, 128, 1),
    (128, 256, 2),
    (256, 256, 1),
    (256, 512, 2),
    (512, 512, 1),
]
"""Channels in, channels out and stride of the eight blocks."""


class Block(nn.Module):
    """A residual block of two 3x3 convolutions."""

    def __init__(self, inside: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inside, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out)
        self.conv2, self.bn2 = nn.Conv2d(out, out, 3, 1, 1, bias=False), nn.BatchNorm2d(out)
        same = stride == 1 and inside == out
        self.down = (
            nn.Identity() if same else nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps `[B, inside, H, W]` to `[B, out, H / stride, W / stride]`."""
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.down(x))


def resnet18() -> nn.Module:
    """ResNet-18 with torchvision's 7x7 stem and 10 classes."""
    stem = [nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    blocks = [Block(*size) for size in SIZES]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def adam(parameters: Any, device: torch.device) -> torch.optim.Optimizer:  # noqa: ANN401 (as torch takes them)
    """Adam whose learning rate is a tensor, so that a captured graph can be told another."""
    cuda = device.type == "cuda"
    rate = torch.tensor(1e-4, device=device) if cuda else 1e-4
    return torch.optim.Adam(parameters, lr=rate, weight_decay=5e-3, fused=True, capturable=cuda)


class Slot:
    """One model with everything that a step needs at fixed addresses."""

    def __init__(
        self, bench: "Bench", seed: int = 0, *, amp: bool = True, last: bool = True, compiled: bool = False
    ) -> None:
        torch.manual_seed(seed)
        self.bench, self.amp, self.last = bench, amp, last
        self.model = resnet18().to(bench.device).train()
        if last:
            self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.call: Callable[[Tensor], Tensor] = torch.compile(self.model) if compiled else self.model
        self.optimizer = adam(self.model.parameters(), bench.device)
        self.order = torch.randperm(len(bench.images), device=bench.device)
        self.position = torch.zeros((), dtype=torch.long, device=bench.device)
        self.ramp = torch.arange(BATCH, device=bench.device)
        self.stream = torch.cuda.Stream() if bench.cuda else None
        self.graph: torch.cuda.CUDAGraph | None = None

    def step(self) -> None:
        """Gather a batch, normalize it, and take a step."""
        rows = self.order[(self.position + self.ramp) % len(self.order)]
        self.position += BATCH
        x = self.bench.images[rows].float().sub_(127.5).div_(64.0)
        if self.last:
            x = x.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.bench.device.type, torch.bfloat16, enabled=self.amp):
            logits = self.call(x)
        self.optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(logits.float(), self.bench.labels[rows]).backward()
        self.optimizer.step()

    def capture(self) -> None:
        """Warm up with three steps, then record one; recording computes nothing."""
        self.graph = captured(self.step, self.stream)

    def replay(self) -> None:
        """Take the recorded step on this slot's stream."""
        assert self.graph is not None
        with torch.cuda.stream(self.stream):
            self.graph.replay()


def captured(step: Callable[[], object], stream: "torch.cuda.Stream | None" = None) -> torch.cuda.CUDAGraph:
    """A graph of one step, after three that warm up."""
    side = stream or torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph, stream=side):
        step()
    return graph


class Stacked:
    """N models as one network of stacked tensors: its convolutions are batched products over models, or grouped."""

    def __init__(self, bench: "Bench", count: int, *, grouped: bool = False, compiled: bool = False) -> None:
        self.bench, self.count, self.grouped = bench, count, grouped
        self.parameters: list[Tensor] = []
        self.stem = self._layer(7, 3, 64)
        self.blocks = [
            (stride, self._layer(3, a, b), self._layer(3, b, b), self._layer(1, a, b) if stride > 1 or a != b else None)
            for a, b, stride in SIZES
        ]
        self.head = self._new(torch.randn(count, 512, 10) / 512**0.5), self._new(torch.zeros(count, 1, 10))
        self.optimizer = adam(self.parameters, bench.device)
        self.rows = torch.randint(0, len(bench.images), (count, BATCH), device=bench.device)
        self.call: Callable[[Tensor, Tensor], Tensor] = torch.compile(self.loss) if compiled else self.loss

    def _new(self, values: Tensor) -> Tensor:
        self.parameters.append(values.to(self.bench.device).requires_grad_())
        return self.parameters[-1]

    def _layer(self, size: int, inside: int, out: int) -> tuple[Tensor, Tensor, Tensor]:
        """Kernel `[N, size, size, inside, out]`, scale and shift `[N, out]` of a convolution with batch norm."""
        shape = (self.count, size, size, inside, out)
        kernel = self._new(torch.randn(shape) / (size * size * inside) ** 0.5)
        return kernel, self._new(torch.ones(self.count, out)), self._new(torch.zeros(self.count, out))

    def convolved(self, x: Tensor, kernel: Tensor, stride: int) -> Tensor:
        """Maps `[N, B, H, W, C]`, or `[B, N C, H, W]` if grouped, by the kernels of all models."""
        count, size, _, inside, out = kernel.shape
        kernel, pad = kernel.bfloat16(), size // 2
        if self.grouped:
            weights = kernel.permute(0, 4, 3, 1, 2).reshape(count * out, inside, size, size)
            return F.conv2d(x, weights, stride=stride, padding=pad, groups=count)
        height, width = ((length + 2 * pad - size) // stride + 1 for length in x.shape[2:4])
        if size == 3 and x.shape[2] == 1:  # only the middle of the kernel meets a map of one pixel
            return torch.bmm(x.flatten(1, 3), kernel[:, 1, 1]).view(count, -1, 1, 1, out)
        x = F.pad(x, (0, 0, pad, pad, pad, pad))
        rows, columns = (range(0, (length - 1) * stride + 1, stride) for length in (height, width))
        shifted = [
            x[:, :, i : i + rows.stop : stride, j : j + columns.stop : stride] for i in range(size) for j in range(size)
        ]
        patches = torch.cat(shifted, -1).flatten(1, 3)
        return torch.bmm(patches, kernel.flatten(1, 3)).view(count, -1, height, width, out)

    def layer(
        self, x: Tensor, layer: tuple[Tensor, Tensor, Tensor], stride: int, add: Tensor | None, relu: bool
    ) -> Tensor:
        """Convolution, batch norm, sum and ReLU."""
        kernel, scale, shift = layer
        y = self.convolved(x, kernel, stride)
        if self.grouped:
            y = F.batch_norm(y, None, None, scale.flatten(), shift.flatten(), training=True)
        else:
            variance, mean = torch.var_mean(y.float(), (1, 2, 3), correction=0, keepdim=True)
            scale, shift = (each[:, None, None, None] for each in (scale, shift))
            y = (y - mean) * torch.rsqrt(variance + 1e-5) * scale + shift
        y = y if add is None else y + add
        return (y.relu() if relu else y).bfloat16()

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        """Sum over models of the mean cross-entropy, inputs `[N, B, 3, 32, 32]`."""
        if self.grouped:
            x = x.transpose(0, 1).flatten(1, 2).contiguous(memory_format=torch.channels_last)
            x = F.max_pool2d(self.layer(x.bfloat16(), self.stem, 2, None, relu=True), 3, 2, 1)
        else:
            x = self.layer(x.permute(0, 1, 3, 4, 2).bfloat16(), self.stem, 2, None, relu=True)
            pooled = F.max_pool2d(x.flatten(0, 1).permute(0, 3, 1, 2), 3, 2, 1)
            x = pooled.permute(0, 2, 3, 1).unflatten(0, (self.count, BATCH))
        for stride, first, second, down in self.blocks:
            skip = x if down is None else self.layer(x, down, stride, None, relu=False)
            x = self.layer(self.layer(x, first, stride, None, relu=True), second, 1, skip, relu=True)
        features = x.mean((2, 3)).unflatten(1, (self.count, 512)).transpose(0, 1) if self.grouped else x.mean((2, 3))
        logits = torch.baddbmm(self.head[1].bfloat16(), features, self.head[0].bfloat16()).float()
        return F.cross_entropy(logits.flatten(0, 1), labels.flatten()) * self.count

    def step(self) -> None:
        """Gather the batches of all models, and take a step."""
        x = self.bench.images[self.rows].float().sub_(127.5).div_(64.0)
        loss = self.call(x, self.bench.labels[self.rows])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()


class Bench:
    """Data on a device, and the figures so far."""

    def __init__(self, device: str, out: Path, minutes: float) -> None:
        self.device, self.out, self.end = torch.device(device), out, time.time() + 60 * minutes
        self.cuda = self.device.type == "cuda"
        generator = torch.Generator().manual_seed(0)
        count = 49_000 if self.cuda else 2_000
        images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
        self.images = images.to(self.device)
        self.labels = torch.randint(0, 10, (count,), generator=generator).to(self.device)
        self.rows: list[dict[str, Any]] = []

    def note(self, name: str, **values: object) -> None:
        """Print a line of JSON, and keep it."""
        self.rows.append({"variant": name, **values})
        line = json.dumps(self.rows[-1])
        print(line, flush=True)
        with self.out.open("a") as file:
            file.write(line + "\n")

    def wait(self) -> None:
        """Wait until the device has finished."""
        if self.cuda:
            torch.cuda.synchronize()

    def timed(self, name: str, step: Callable[[], object], models: int) -> None:
        """Time a function that takes a step of so many models: the median of up to five rounds."""
        rounds, steps, start = list[float](), 50 if self.cuda else 1, time.perf_counter()
        for _ in range(3):
            step()
        self.wait()
        while len(rounds) < 5 and (not rounds or time.perf_counter() - start < 5):
            begin = time.perf_counter()
            for _ in range(steps):
                step()
            self.wait()
            rounds.append((time.perf_counter() - begin) / steps / models)
        us = sorted(rounds)[len(rounds) // 2] * 1e6
        memory = torch.cuda.max_memory_allocated() / 2**30 if self.cuda else 0.0
        hours = us * 1e-6 * STEPS * MODELS / 3600
        self.note(
            name,
            us=round(us, 1),
            spread=round(max(rounds) / min(rounds), 3),
            models=models,
            gib=round(memory, 2),
            hours_512=round(hours, 2),
        )

    def attempt(self, name: str, work: Callable[[str], None]) -> None:
        """Do a piece of work if there is time; a failure is noted and passed over."""
        if time.time() > self.end:
            self.note(name, skipped="no time left")
            return
        if self.cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        try:
            work(name)
        except Exception as error:  # noqa: BLE001 (one variant must not end the others)
            self.note(name, error=f"{type(error).__name__}: {str(error)[:300]}")
        torch._dynamo.reset()

    # The variants

    def ceilings(self, name: str) -> None:
        """Bytes and products a second, and the time of a step that nothing can beat."""
        a = torch.randn(8192, 8192, device=self.device, dtype=torch.bfloat16)
        b = torch.randint(0, 256, (2**30,), device=self.device, dtype=torch.uint8)
        c = torch.empty_like(b)
        product, copy = (self._seconds(work) for work in (lambda: a @ a, lambda: c.copy_(b)))
        bandwidth = 2 * 2**30 / copy
        floor = PARAMETERS * ADAM_BYTES / bandwidth + STEP_FLOP / SMALL_LAYERS_FLOP_S
        self.note(
            name,
            device=torch.cuda.get_device_name(),
            torch=torch.__version__,
            bf16_tflop_s=round(2 * 8192**3 / product / 1e12),
            copy_tb_s=round(bandwidth / 1e12, 2),
            floor_us=round(floor * 1e6),
        )

    def _seconds(self, work: Callable[[], object]) -> float:
        for _ in range(3):
            work()
        self.wait()
        start = time.perf_counter()
        for _ in range(10):
            work()
        self.wait()
        return (time.perf_counter() - start) / 10

    def same_bits(self, name: str, *, amp: bool) -> None:
        """Whether a captured step gives the bits of the eager one over 20 steps, with deterministic kernels."""
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = True, False
        plain, recorded = (Slot(self, 7, amp=amp) for _ in range(2))
        recorded.order.copy_(plain.order)
        recorded.capture()
        for _ in range(3):
            plain.step()
        for _ in range(20):
            plain.step()
            recorded.replay()
        self.wait()
        pairs = zip(plain.model.parameters(), recorded.model.parameters(), strict=True)
        self.note(name, equal=all(torch.equal(a, b) for a, b in pairs))
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True

    def slots(self, name: str, count: int, *, amp: bool = True, last: bool = True, compiled: bool = False) -> None:
        """Slots with a captured step each, on streams of their own."""
        slots = [Slot(self, seed, amp=amp, last=last, compiled=compiled) for seed in range(count)]
        for slot in slots:
            slot.capture()

        def step() -> None:
            for slot in slots:
                slot.replay()

        self.timed(name, step, count)

    def stacked(self, name: str, count: int, *, grouped: bool = False, compiled: bool = True) -> None:
        """Stacked models in one captured step."""
        models = Stacked(self, count, grouped=grouped, compiled=compiled)
        self.timed(name, captured(models.step).replay, count)


def main() -> None:
    """Time the variants, most valuable first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--out", type=Path, default=Path("gpu_variants.jsonl"))
    given = parser.parse_args()
    bench = Bench(given.device, given.out, given.minutes)
    if bench.cuda:
        bench.attempt("ceilings", bench.ceilings)
    torch.backends.cudnn.deterministic = True
    bench.attempt(
        "eager float32, deterministic", lambda name: bench.timed(name, Slot(bench, amp=False, last=False).step, 1)
    )
    torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = False, True
    bench.attempt("eager bfloat16, channels last", lambda name: bench.timed(name, Slot(bench).step, 1))
    bench.attempt("stacked 2, products, eager, not captured", lambda name: bench.timed(name, Stacked(bench, 2).step, 2))
    if bench.cuda:
        bench.attempt("graph equals eager, float32", partial(bench.same_bits, amp=False))
        bench.attempt("graph equals eager, bfloat16", partial(bench.same_bits, amp=True))
        bench.attempt("1 slot, float32", partial(bench.slots, count=1, amp=False))
        for count in (1, 2, 4, 8, 16):
            bench.attempt(f"{count} slots, bfloat16", partial(bench.slots, count=count))
        for count in (8, 16):
            bench.attempt(f"{count} slots, bfloat16, compiled", partial(bench.slots, count=count, compiled=True))
        for count in (16, 32):
            bench.attempt(f"stacked {count}, products, compiled", partial(bench.stacked, count=count))
        bench.attempt("stacked 8, grouped", partial(bench.stacked, count=8, grouped=True, compiled=False))
        bench.attempt("stacked 8, grouped, compiled", partial(bench.stacked, count=8, grouped=True))
    print(f"\n{'variant':48s} {'us':>9s} {'hours for 512':>14s}")
    for row in sorted((row for row in bench.rows if "us" in row), key=lambda row: float(row["us"])):
        print(f"{row['variant']:48s} {row['us']:9.1f} {row['hours_512']:14.2f}")


if __name__ == "__main__":
    main()
