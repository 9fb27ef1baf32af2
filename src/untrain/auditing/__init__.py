"""How close unlearned models are to retrained ones: numbers in, numbers out, numpy and scipy only."""

from untrain.auditing.certificate import Certificate as Certificate
from untrain.auditing.certificate import certificate as certificate
from untrain.auditing.competition import ForgetQuality as ForgetQuality
from untrain.auditing.competition import bucket_count as bucket_count
from untrain.auditing.competition import final_score as final_score
from untrain.auditing.competition import forget_quality as forget_quality
from untrain.auditing.competition import mean_epsilon as mean_epsilon
from untrain.auditing.competition import quality_interval as quality_interval
from untrain.auditing.confidence import confidence as confidence
from untrain.auditing.membership import MembershipAttack as MembershipAttack
from untrain.auditing.membership import MembershipChange as MembershipChange
from untrain.auditing.membership import membership as membership
from untrain.auditing.membership import membership_change as membership_change
from untrain.auditing.memorization import memorization as memorization
from untrain.auditing.memory import Memory as Memory
from untrain.auditing.memory import MethodMemory as MethodMemory
from untrain.auditing.memory import memory as memory
from untrain.auditing.memory import memory_of_method as memory_of_method
from untrain.auditing.orders import agreement as agreement
from untrain.auditing.orders import ranks as ranks
from untrain.auditing.rank_energy import RankEnergy as RankEnergy
from untrain.auditing.rank_energy import rank_energy as rank_energy
from untrain.auditing.rank_energy import rank_energy_difference as rank_energy_difference
from untrain.auditing.spread import spread as spread
from untrain.core.deprecation import renamed_attributes
from untrain.core.estimate import Estimate as Estimate
from untrain.core.estimate import Spread as Spread

__getattr__ = renamed_attributes(__name__, Membership="MembershipAttack")
