"""Point the CMake files of the ROS 2 wheels at this environment.

The wheels were built elsewhere, and their exported CMake targets still name that machine's Python and NumPy headers.
CMake refuses such targets ("includes non-existent path"), so the two paths are rewritten after every installation.
Run it with the environment's own interpreter; running it again changes nothing.
"""

import re
import sys
import sysconfig
from pathlib import Path

import numpy

_NUMPY_INCLUDE = re.compile(r"/opt/python/[^/\s;\"]+/lib/python3\.\d+/site-packages/numpy/(?:_core|core)/include")
_PYTHON_INCLUDE = re.compile(r"/opt/python/[^/\s;\"]+/include/python3\.\d+")


def fix(prefix: Path) -> int:
    """Rewrite the stale header paths under ``prefix/share``; returns the number of files changed."""
    changed = 0
    for path in (prefix / "share").rglob("*.cmake"):
        text = path.read_text(encoding="utf-8")
        mended = _NUMPY_INCLUDE.sub(lambda _: numpy.get_include(), text)
        mended = _PYTHON_INCLUDE.sub(lambda _: sysconfig.get_path("include"), mended)
        if mended != text:
            path.write_text(mended, encoding="utf-8")
            changed += 1
    return changed


if __name__ == "__main__":
    print(f"header paths mended in {fix(Path(sys.prefix))} CMake files")
