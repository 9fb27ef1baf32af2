"""A declared experiment: configuration, work, results; resumable, in one process or several."""

from untrain.experiments.config import Experiment as Experiment
from untrain.experiments.config import Mislabel as Mislabel
from untrain.experiments.config import Noise as Noise
from untrain.experiments.config import packaged as packaged
from untrain.experiments.config import read_experiment as read_experiment
from untrain.experiments.run import Progress as Progress
from untrain.experiments.run import run_experiment as run_experiment
