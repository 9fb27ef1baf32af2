"""A run on a Ray cluster of two nodes: workers are killed, a node is lost, the driver restarts; the bytes are serial."""

import pytest

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")

TINY = """name = "tiny"
title = "Almost nothing"
methods = ["finetune"]
forget = [0.1]
models = 4
chunk = 1
data = { limit = 200 }
model = { name = "mlp", widths = [4] }
recipe = { epochs = 1, batch_size = 32, optimizer = { name = "sgd", lr = 0.1 } }
engine = { width = 1 }
"""
MODULE = """
import time
from untrain.experiments.comparison.work import ComparisonWork

class Slow(ComparisonWork):
    def _make(self, job):
        time.sleep(0.3)
        return super()._make(job)
"""
