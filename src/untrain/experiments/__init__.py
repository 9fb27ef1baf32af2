"""A declared experiment: configuration, work, results; resumable, in one process or several.

Names are imported when they are first used, so that listing experiments does not load torch.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
