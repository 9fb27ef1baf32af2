#!/bin/bash
# An experiment on a Slurm cluster: sbatch examples/slurm.sh
# The directory of the run is on a disk that all nodes share. The job may be requeued or submitted again at any time.
#SBATCH --job-name=untrain
#SBATCH --ntasks=64
#SBATCH --cpus-per-task=1
#SBATCH --time=12:00:00
#SBATCH --requeue
# With GPUs, one for each task: add "#SBATCH --gpus-per-task=1".
set -euo pipefail
experiment=${EXPERIMENT:-table1-cifar10-small}
run=${RUN:-$HOME/runs/$experiment}
export OMP_NUM_THREADS=1

# Write the configuration, on a node like those that do the work.
srun --ntasks=1 untrain run "$experiment" --out "$run" --workers 0
# A task that fails leaves its jobs to the others.
srun --kill-on-bad-exit=0 untrain work "$run"
