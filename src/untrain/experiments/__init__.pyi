"""The names of this package and where they live, read by type checkers and by the lazy import."""

from .catalog import packaged as packaged
from .config import Experiment as Experiment
from .config import Mislabel as Mislabel
from .config import Noise as Noise
from .config import read_experiment as read_experiment
from .run import Progress as Progress
from .run import run_experiment as run_experiment
