"""`untrain work`: help with a run."""

from pathlib import Path
from typing import Annotated

import tyro

from untrain.cli.options import OptionalDirectory, option
from untrain.cli.terminal import Status, print_text


def work(
    run: tyro.conf.Positional[Annotated[Path, option("DIR")]],
    workers: Annotated[int, option("N")] = 1,
    device: Annotated[str | None, option("DEVICE")] = None,
    share: Annotated[str | None, option("I/N")] = None,
    data_dir: OptionalDirectory = None,
) -> None:
    """Do jobs of a run until all are done, beside any number of other processes and machines.

    `untrain run EXPERIMENT --workers 0` begins a run. The directory is on a disk that all processes share. Each claims
    a job before it does it and takes over jobs of processes that died. The last one writes the report.

    Examples:
        untrain work runs/digits
        untrain work runs/digits --device cuda:1
        untrain work runs/digits --share 3/8

    Args:
        run: directory of the run
        workers: number of processes
        device: cpu, cuda or cuda:1; default a GPU if there is one
        share: do a fixed part of the jobs without claims, such as 3/8, where a disk cannot create files exclusively
        data_dir: directory of the parquet data; default the environment variable UNTRAIN_DATA
    """
    from untrain.experiments.jobs import Share
    from untrain.experiments.run import work_on

    part = None if share is None else Share.parse(share)
    with Status() as status:
        work_on(run, data_dir=data_dir, workers=workers, device=device, share=part, progress=status.show_run)
    print_text(f"all jobs are done: untrain report {run}")
