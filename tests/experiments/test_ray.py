"""A run on a Ray cluster of two nodes: whatever is lost, the bytes are those of one process."""

import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.experiments.runs import wait_for
from tests.experiments.tiny import JOBS, Deadly, Slow, files, results, run_tiny, tiny
from untrain.errors import ConfigError, InputError, InterruptedRunError
from untrain.experiments import Progress, run_experiment
from untrain.experiments.config import Experiment
from untrain.experiments.executors.ray import on_ray

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")

DRIVER = """import sys
from pathlib import Path
import untrain.experiments.run as run
from tests.experiments.tiny import Slow, tiny
run.ComparisonWork = Slow
run.run_experiment(tiny(), sys.argv[1], executor="ray", ray_address=sys.argv[2])
"""


@pytest.fixture(scope="module")
def trap(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that kills the worker of the next job, once it is made."""
    return tmp_path_factory.mktemp("trap") / "trap"


@pytest.fixture(scope="module")
def cluster(trap: Path) -> Iterator[Any]:
    """One node, with the driver, of one CPU."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRAP", str(trap))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        node = {"num_cpus": 1, "object_store_memory": 80_000_000, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=node)
        yield cluster
        cluster.shutdown()  # type: ignore[no-untyped-call]


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    run_tiny(monkeypatch)


def kill_driver(run: Path, address: str) -> None:
    """Start a run in another process and kill it when it has stored some results."""
    process = subprocess.Popen([sys.executable, "-c", DRIVER, str(run), address])
    try:
        wait_for(lambda: len(results(run)) >= 3 or process.poll() is not None)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL


def test_driver_worker_and_node_are_lost(tmp_path: Path, trap: Path, cluster: Any) -> None:
    run_experiment(tiny(), tmp_path / "serial", workers=1)
    node = cluster.add_node(num_cpus=1, object_store_memory=80_000_000)
    run = tmp_path / "run"
    kill_driver(run, cluster.address)
    kept = {path: path.stat().st_mtime_ns for path in results(run)}
    assert 3 <= len(kept) < JOBS
    done: list[int] = []
    losses: dict[int, Callable[[], object]] = {
        len(kept) + 3: trap.touch,
        len(kept) + 6: lambda: cluster.remove_node(node, allow_graceful=False),
    }

    def disturb(progress: Progress) -> None:
        done.append(progress.done)
        losses.pop(progress.done, lambda: None)()

    run_experiment(tiny(), run, executor="ray", ray_address=cluster.address, progress=disturb)
    assert not losses
    assert not trap.exists()
    assert done[0] == len(kept)
    assert done[-1] == JOBS
    assert files(run) == files(tmp_path / "serial")
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_errors_of_workers_are_sentences(tmp_path: Path, cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(experiment: Experiment, name: str) -> None:
        run_experiment(experiment, tmp_path / name, executor="ray", ray_address=cluster.address)

    wild = msgspec.structs.replace(tiny(), settings={"finetune": {"recipe": {"optimizer": {"lr": 1e30}}}})
    with pytest.raises(InputError, match=r"^finetune, forgetting 0\.05, models 0 to 0: .*finite"):
        run(wild, "wild")
    monkeypatch.setattr("untrain.experiments.run.ComparisonWork", Deadly)
    with pytest.raises(InterruptedRunError, match=r"3 workers were lost over ranking of 3 models, .*command"):
        run(tiny(), "deadly")
    basis = {**Slow(tiny().resolved(), tmp_path).basis, "torch": "1.0"}
    monkeypatch.setattr("untrain.experiments.run.ComparisonWork", Slow)
    monkeypatch.setattr(Slow, "basis", basis)
    with pytest.raises(ConfigError, match=r"^The run has torch 1\.0, which is 2.* on a worker: install the same"):
        run(tiny(), "versions")


def test_a_cluster_without_what_is_needed(tmp_path: Path, cluster: Any) -> None:
    on_gpu = on_ray(Slow(tiny().resolved(), tmp_path, None, "cuda"), None, cluster.address)
    with pytest.raises(ConfigError, match=r"The Ray cluster has no GPU: choose another"), on_gpu:
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere", "a:b", "ray://127.0.0.1:1"])
def test_where_there_is_no_cluster(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"There is no Ray cluster at {address} that can be used"):
        run_experiment(tiny(), tmp_path, executor="ray", ray_address=address)
