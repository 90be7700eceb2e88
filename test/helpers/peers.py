"""Whether what is compared with the package is installed; its tests are skipped without."""

import importlib.util

import pytest

HAS_OPEN3D = importlib.util.find_spec("open3d") is not None
needs_open3d = pytest.mark.skipif(not HAS_OPEN3D, reason="Open3D is not installed: pip install 'vmem_ros[peers]'")
