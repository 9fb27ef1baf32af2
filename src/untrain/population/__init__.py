"""N networks as one: state, forward pass, training, evaluation, storage."""

from untrain.core.deprecation import renamed_attributes
from untrain.population.defaults import recipe_for as recipe_for
from untrain.population.defaults import suited as suited
from untrain.population.defaults import suited_factory as suited_factory
from untrain.population.defaults import suited_recipe as suited_recipe
from untrain.population.defaults import train_suited as train_suited
from untrain.population.difficulty import losses as losses
from untrain.population.difficulty import memorized as memorized
from untrain.population.engine import Engine as Engine
from untrain.population.fitting import as_population as as_population
from untrain.population.fitting import check_fits as check_fits
from untrain.population.fitting import check_logits as check_logits
from untrain.population.fitting import guarded as guarded
from untrain.population.fitting import settled as settled
from untrain.population.loss import Batch as Batch
from untrain.population.loss import Loss as Loss
from untrain.population.loss import cross_entropy as cross_entropy
from untrain.population.population import Population as Population
from untrain.population.recipe import SGD as SGD
from untrain.population.recipe import Adam as Adam
from untrain.population.recipe import AdamW as AdamW
from untrain.population.recipe import Constant as Constant
from untrain.population.recipe import Cosine as Cosine
from untrain.population.recipe import EpochFactors as EpochFactors
from untrain.population.recipe import OneCycle as OneCycle
from untrain.population.recipe import Recipe as Recipe
from untrain.population.recipe import UntilConverged as UntilConverged
from untrain.population.training import Training as Training
from untrain.population.training import gradients as gradients

__getattr__ = renamed_attributes(__name__, PerEpoch="EpochFactors")
