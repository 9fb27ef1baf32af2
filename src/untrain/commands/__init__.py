"""The commands that look at data of one's own: `untrain detect` and `untrain repair`."""

from untrain.commands.verbs import detect as detect
from untrain.commands.verbs import repair as repair
