"""Inner loops compiled for the processor: the same arithmetic as the torch code beside which they stand.

The torch code runs on every device and is what tests compare with. The kernels are C++ (``src/kernels``), built with
the package, and are called from modules named ``compiled_...``; where they are missing, everything runs without them,
only slower.
"""

from vmem_ros.kernels.library import SWITCH, cores, default_threads, usable

__all__ = ["SWITCH", "cores", "default_threads", "usable"]
