"""Libraries that only an extra of untrain installs."""

import importlib
from types import ModuleType

from untrain.errors import NotSupportedError


def extra(name: str, module: str) -> ModuleType:
    """The module that an extra installs.

    Raises:
        NotSupportedError: the extra is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise NotSupportedError(f"This needs the `{name}` extra: pip install 'untrain[{name}]'") from error
