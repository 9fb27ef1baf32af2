"""Unlearning methods, one file each, found by name through entry points."""

from untrain.methods.base import Method as Method
from untrain.methods.base import Request as Request
from untrain.methods.base import convolutions as convolutions
from untrain.methods.base import frozen as frozen
from untrain.methods.base import trainable_weights as trainable_weights
from untrain.methods.registry import METHODS as METHODS
from untrain.methods.registry import build_method as build_method
from untrain.methods.registry import method_names as method_names
from untrain.methods.rewind import Checkpoint as Checkpoint
