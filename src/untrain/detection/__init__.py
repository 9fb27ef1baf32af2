"""Find mislabeled training examples: scorers by name, and `detect`."""

from untrain.detection.base import Finding as Finding
from untrain.detection.base import Scorer as Scorer
from untrain.detection.base import Subject as Subject
from untrain.detection.base import check_classes as check_classes
from untrain.detection.detect import as_subject as as_subject
from untrain.detection.detect import check_question as check_question
from untrain.detection.detect import detect as detect
from untrain.detection.detect import inspect as inspect
from untrain.detection.registry import SCORERS as SCORERS
from untrain.detection.registry import build_scorer as build_scorer
from untrain.detection.review import Answer as Answer
from untrain.detection.review import ReviewFile as ReviewFile
from untrain.detection.review import check_same_data as check_same_data
from untrain.detection.review import has_answers as has_answers
from untrain.detection.review import read_review as read_review
from untrain.detection.review import write_review as write_review
from untrain.detection.suspects import Suspect as Suspect
from untrain.detection.suspects import Suspects as Suspects
