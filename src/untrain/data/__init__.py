"""Examples, where they come from, and how they are split. No torch here."""

from untrain.data.adapters import as_examples as as_examples
from untrain.data.duplicates import Nearness as Nearness
from untrain.data.duplicates import content_digests as content_digests
from untrain.data.duplicates import contents as contents
from untrain.data.duplicates import find_copies as find_copies
from untrain.data.examples import Examples as Examples
from untrain.data.noise import Noisy as Noisy
from untrain.data.noise import human_noise as human_noise
from untrain.data.noise import mislabel as mislabel
from untrain.data.noise import pair_noise as pair_noise
from untrain.data.noise import symmetric_noise as symmetric_noise
from untrain.data.sources import load as load
from untrain.data.splits import ForgetSplit as ForgetSplit
from untrain.data.splits import Splits as Splits
from untrain.data.splits import forget_by as forget_by
from untrain.data.splits import forget_groups as forget_groups
from untrain.data.splits import forget_ids as forget_ids
from untrain.data.splits import forget_ratio as forget_ratio
from untrain.data.splits import read_ids as read_ids
from untrain.data.splits import split as split
from untrain.data.subjects import ids_of_subjects as ids_of_subjects
from untrain.data.surf.synthesize import synthesize_surf as synthesize_surf
