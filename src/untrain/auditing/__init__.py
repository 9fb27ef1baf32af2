"""How close unlearned models are to retrained ones: numbers in, numbers out, numpy only."""

from untrain.auditing.competition import ForgetQuality as ForgetQuality
from untrain.auditing.competition import bucket_count as bucket_count
from untrain.auditing.competition import final_score as final_score
from untrain.auditing.competition import forget_quality as forget_quality
from untrain.auditing.competition import mean_epsilon as mean_epsilon
from untrain.auditing.confidence import confidence as confidence
