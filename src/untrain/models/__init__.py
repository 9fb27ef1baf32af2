"""Networks by name, and factories by import path."""

from untrain.models.specs import CNN as CNN
from untrain.models.specs import MLP as MLP
from untrain.models.specs import Factory as Factory
from untrain.models.specs import Model as Model
from untrain.models.specs import PooledCNN as PooledCNN
from untrain.models.specs import ResNet18 as ResNet18
from untrain.models.specs import factory as factory
from untrain.models.specs import import_factory as import_factory
