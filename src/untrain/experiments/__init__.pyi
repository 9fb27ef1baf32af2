"""The names of this package and where they live, read by type checkers and by the lazy import."""

from .catalog import packaged as packaged
from .config import Experiment as Experiment
from .config import Mislabel as Mislabel
from .config import Noise as Noise
from .config import read_experiment as read_experiment
from .jobs import Progress as Progress
from .jobs import Share as Share
from .run import prepare_run as prepare_run
from .run import run_experiment as run_experiment
from .run import work_on as work_on
