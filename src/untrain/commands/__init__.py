"""The commands that look at data of one's own, and at records: `untrain detect` and the like."""

from untrain.commands.converting import convert as convert
from untrain.commands.forgetting import audit as audit
from untrain.commands.forgetting import doctor as doctor
from untrain.commands.forgetting import forget as forget
from untrain.commands.records import push as push
from untrain.commands.records import sign as sign
from untrain.commands.records import verify as verify
from untrain.commands.synthetic import synthesize as synthesize
from untrain.commands.verbs import detect as detect
from untrain.commands.verbs import repair as repair
