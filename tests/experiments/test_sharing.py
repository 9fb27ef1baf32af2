"""Several processes on one run: killed, paused past their claims, or with fixed shares, the result is that of one."""

import functools
import json
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkProcess
from pathlib import Path

import msgspec
import pytest

from tests.experiments.runs import start, stopped, wait_for
from tests.experiments.tiny import JOBS, Slow, files, results, run_tiny, tiny
from untrain.core.files import read_metadata
from untrain.errors import ConfigError, ContinuedWarning
from untrain.experiments import Progress, Share, prepare_run, run_experiment, work_on
from untrain.experiments.comparison.work import ComparisonWork
from untrain.experiments.executors import claims
from untrain.report import read_results, write_report

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Claims also expire within a test."""
    monkeypatch.setattr(claims, "EXPIRES", 2.0)
    monkeypatch.setattr(claims, "RENEWED", 0.2)
    run_tiny(monkeypatch)


def ended(process: ForkProcess) -> int | None:
    process.join(300)
    code = process.exitcode
    if code is None:
        process.kill()
    return code


@pytest.fixture(scope="module")
def _serial(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    return {}


@pytest.fixture
def serial(_serial: dict[str, bytes], tmp_path: Path) -> dict[str, bytes]:
    """The files of a run by one process."""
    if not _serial:
        prepare_run(tiny(), tmp_path / "serial")  # here, so that what is imported need not be imported again
        assert ended(start(lambda: run_experiment(tiny(), tmp_path / "serial", workers=1))) == 0
        _serial.update(files(tmp_path / "serial"))
    return _serial


def has_results(run: Path, count: int) -> bool:
    return len(results(run)) >= count


def claim_of(process: ForkProcess, run: Path) -> Path | None:
    for claim in run.rglob(".*.claim"):
        try:
            if json.loads(claim.read_text())["process"] == process.pid:
                return claim
        except (FileNotFoundError, json.JSONDecodeError):  # it is being written or was released
            continue
    return None


def pause_in_a_job(process: ForkProcess, run: Path) -> Path:
    """Stop a process while it holds a claim; the result of the claimed job is returned."""
    assert process.pid is not None
    while True:
        wait_for(lambda: claim_of(process, run))
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(0.02)  # the signal takes effect
        claim = claim_of(process, run)
        result = claim and claim.with_name(claim.name[1 : -len(".claim")])
        if result and not result.is_file():
            return result
        os.kill(process.pid, signal.SIGCONT)


def test_two_killed_and_one_paused_past_its_claim(tmp_path: Path, serial: dict[str, bytes]) -> None:
    run = tmp_path / "run"
    generator = random.Random(0)  # noqa: S311 (moments, not secrets)
    prepare_run(tiny(), run)
    paused, *others = [start(lambda: work_on(run)) for _ in range(4)]
    assert paused.pid is not None
    try:
        late = pause_in_a_job(paused, run)
        for process in others[:2]:
            finished = len(results(run)) + generator.randint(1, 4)
            wait_for(functools.partial(has_results, run, finished))
            time.sleep(generator.random() * 0.2)
            process.kill()
        assert [ended(process) for process in others] == [-signal.SIGKILL, -signal.SIGKILL, 0]
        assert files(run) == serial
        times = {path: path.stat().st_mtime_ns for path in results(run)}
        assert late in times
        os.kill(paused.pid, signal.SIGCONT)
        assert ended(paused) == 0
        assert files(run) == serial
        assert {path: path.stat().st_mtime_ns for path in results(run)} == times
    finally:
        for process in (paused, *others):
            process.kill()


def test_fixed_shares_need_no_claims(tmp_path: Path, serial: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    run = tmp_path / "run"
    prepare_run(tiny(), run)
    monkeypatch.setattr("untrain.experiments.executors.attempts.claimed", None)
    processes = [start(functools.partial(work_on, run, share=Share(number, 3))) for number in (1, 2, 3)]
    assert [ended(process) for process in processes] == [0, 0, 0]
    assert files(run) == serial


def test_a_run_and_a_helper_work_together(tmp_path: Path, serial: dict[str, bytes]) -> None:
    run = tmp_path / "run"
    prepare_run(tiny(), run)
    helper = start(lambda: work_on(run))
    wait_for(lambda: claim_of(helper, run))
    told: list[Progress] = []
    done = run_experiment(tiny(), run, workers=1, progress=told.append)
    assert ended(helper) == 0
    assert done == read_results(run)
    assert files(run) == serial
    assert [step.done for step in told] == sorted(step.done for step in told)
    assert {step.total for step in told} == {JOBS}
    assert told[-1].done == JOBS
    assert told[-1].seconds_left == 0
    assert sum(step.doing.startswith("waiting for ") for step in told) >= 1


def test_a_job_reads_the_files_that_it_needs_and_no_others(tmp_path: Path, serial: dict[str, bytes]) -> None:
    """Each job is done in a directory that holds nothing else."""
    work = Slow(tiny().resolved(), tmp_path / "serial")
    kinds = {(type(job), getattr(job, "arm", None)): job for job in work.jobs()}
    assert len(kinds) >= 12
    for number, job in enumerate(kinds.values()):
        alone = Slow(work.experiment, tmp_path / str(number))
        for needed in alone.needs(job):
            alone.keep(needed, serial[str(work.path(needed).relative_to(work.directory))])
        assert alone.make(job) == serial[str(work.path(job).relative_to(work.directory))]


def test_shares_are_parts_of_every_pace() -> None:
    work = ComparisonWork(tiny().resolved(), Path("nowhere"))
    all_jobs = work.jobs()
    parts = [Share(number, 4).of(all_jobs) for number in (1, 2, 3, 4)]
    assert sum(map(len, parts)) == len(all_jobs) == JOBS
    assert set().union(*parts) == set(all_jobs)
    for pace in ("reference", "retrain", "finetune"):
        assert {sum(job.pace == pace for job in part) for part in parts} == {1, 2}


@pytest.mark.parametrize("text", ["", "3", "0/2", "3/2", "a/b", "1/-2", "1.5/2"])
def test_a_wrong_share_is_named(text: str) -> None:
    with pytest.raises(ConfigError, match=f"such as 3/8; got '{text}'"):
        Share.parse(text)
    assert Share.parse("3/8") == Share(3, 8)


def test_where_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"holds no run: `untrain run EXPERIMENT --out .* --workers 0` begins one"):
        work_on(tmp_path)


@pytest.mark.parametrize("workers", [0, -1])
def test_a_helper_has_at_least_one_worker(workers: int, tmp_path: Path) -> None:
    prepare_run(tiny(), tmp_path)
    with pytest.raises(ConfigError, match=f"at least one worker, got {workers}"):
        work_on(tmp_path, workers=workers)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [("torch", "1.0", "torch 1.0, which is 2"), ("data", "0", "other data"), ("device", "cuda", "device cuda")],
)
def test_helpers_must_share_what_the_numbers_depend_on(name: str, value: str, message: str, tmp_path: Path) -> None:
    prepare_run(tiny(), tmp_path)
    path = tmp_path / "environment.toml"
    environment = msgspec.toml.decode(path.read_bytes(), type=dict[str, str])
    path.write_bytes(msgspec.toml.encode({**environment, name: value}))
    with pytest.raises(ConfigError, match=rf"was begun with {message}.*let `untrain run` go on"):
        work_on(tmp_path)
    with pytest.warns(ContinuedWarning, match=rf"was begun with {message}.*all are done again"):
        prepare_run(tiny(), tmp_path)
    assert msgspec.toml.decode(path.read_bytes()) == environment
    path.write_text("[")
    with pytest.raises(ConfigError, match=r"environment\.toml: .*delete it, and continue"):
        work_on(tmp_path)


def test_results_say_which_processors_did_the_jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = iter(["one kind <b>", "another kind"])

    def on_the_next_kind() -> None:
        kind = next(kinds)
        for module in ("work", "run"):
            monkeypatch.setattr(f"untrain.experiments.{module}.processor_kind", lambda _: kind)

    on_the_next_kind()
    stopped(tiny(), tmp_path, lambda progress: progress.done == JOBS // 2)
    assert {read_metadata(path)["processor"] for path in results(tmp_path)} == {"one kind <b>"}
    on_the_next_kind()
    message = rf"done elsewhere: {JOBS // 2} on one kind <b>; this is another kind.*the report will say"
    with pytest.warns(ContinuedWarning, match=message):
        done = run_experiment(tiny(), tmp_path, workers=1)
    assert done.processors == {"another kind": JOBS - JOBS // 2, "one kind <b>": JOBS // 2}
    assert done.environment["device"] == "another kind, one kind <b>"
    assert "Several kinds of processor did the jobs: another kind (" in done.mixed
    assert "one kind &lt;b&gt; (" in write_report(tmp_path).read_text()


def test_results_are_written_once_although_another_process_wrote_them_just_before_the_claim(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_experiment(tiny(), tmp_path, workers=1)
    (tmp_path / "report.html").unlink()

    @contextmanager
    def claimed_late(_: Path) -> Iterator[bool]:
        (tmp_path / "report.html").write_text("of another process")
        yield True

    monkeypatch.setattr("untrain.experiments.run.claimed", claimed_late)
    work_on(tmp_path)
    assert (tmp_path / "report.html").read_text() == "of another process"


def test_the_first_result_stays_although_a_network_file_system_remembers_that_there_was_none(
    tmp_path: Path, serial: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It asks its server again when the directory is opened."""
    work = Slow(tiny().resolved(), tmp_path)
    path = work.path(work.jobs()[0])
    path.parent.mkdir(parents=True)
    path.write_bytes(serial[str(path.relative_to(tmp_path))])
    asked: set[Path] = set()
    open_file, is_file = os.open, Path.is_file

    def open_and_ask(name: str | Path, flags: int, mode: int = 0o777) -> int:
        asked.add(Path(name))
        return open_file(name, flags, mode)

    monkeypatch.setattr(os, "open", open_and_ask)
    monkeypatch.setattr(Path, "is_file", lambda file: file.parent in asked and is_file(file))
    work.keep(work.jobs()[0], b"of a process that was slower")
    assert path.read_bytes() == serial[str(path.relative_to(tmp_path))]


def test_results_are_written_once_although_jobs_were_done_by_a_clock_that_is_ahead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_experiment(tiny(), tmp_path, workers=1)
    for path in results(tmp_path):
        os.utime(path, (path.stat().st_mtime + 3600,) * 2)
    written: list[Path] = []

    def write(run: Path) -> None:
        written.append(run)
        assert len(written) < 3

    monkeypatch.setattr("untrain.experiments.run.write_report", write)
    work_on(tmp_path)
    assert written == [tmp_path]
