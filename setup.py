"""The library and the ``vmem`` command without ROS: ``pip install .``

Name, version, description and licence come from ``package.xml``, which ROS reads; the pinned versions of
``requirements/core.txt`` are the tested ones, here they are lower bounds. A plain installation has what a robot needs:
memory, engines, depth. What else a room needs is an extra, ``pip install '.[training]'``; ``vmem_ros/extras.py`` names
it where it is missing.
"""

import xml.etree.ElementTree as ElementTree
from glob import glob
from pathlib import Path

from setuptools import Extension, find_packages, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).parent
package = ElementTree.parse(ROOT / "package.xml").getroot()


ACCELERATE, MATPLOTLIB, PEFT, ROSBAGS = "accelerate>=1.0", "matplotlib>=3.8", "peft>=0.17", "rosbags>=0.10"
# What is compared with the package and never needed by it; not every Python has wheels of it, so `all` goes without.
PEERS = "peers"
EXTRAS = {
    "benchmarking": [MATPLOTLIB],
    "evaluation": [MATPLOTLIB],
    "fleet": ["gymnasium>=1.0", "ray>=2.40"],
    "lora": [PEFT],
    PEERS: ["open3d>=0.18"],
    "recordings": [ROSBAGS],
    "ros": ["transforms3d>=0.4.2"],
    "scenes": [],
    "showcase": [MATPLOTLIB, ROSBAGS],
    "training": [ACCELERATE, MATPLOTLIB, PEFT, "pydantic>=2.7"],
    "viewer": ["viser>=1.1"],
}

# Where there is no compiler, the library runs without them, only slower.
KERNELS = Extension(
    "vmem_ros.kernels.lib.libvmem_kernels",
    sources=sorted(str(path.relative_to(ROOT)) for path in (ROOT / "src" / "kernels").glob("*.cpp")),
    depends=["src/kernels/machine.hpp"],
    language="c++",
    extra_compile_args=["-std=c++17", "-O3", "-fno-math-errno", "-fno-trapping-math", "-fno-signed-zeros", "-pthread"],
    extra_link_args=["-pthread"],
    optional=True,
)


class BuildLibrary(build_ext):
    """Builds what is called through ctypes: a library like any other, no Python module."""

    def get_ext_filename(self, fullname: str) -> str:
        """Return where the library goes, without the name of a Python in it."""
        return str(Path(*fullname.split(".")).with_suffix(".so"))


def text(tag: str) -> str:
    return " ".join(package.findtext(tag, "").split())


setup(
    name=text("name"),
    version=text("version"),
    description=text("description"),
    license=text("license"),
    long_description=(ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    ext_modules=[KERNELS],
    cmdclass={"build_ext": BuildLibrary},
    packages=find_packages(include=["vmem_ros", "vmem_ros.*"]),
    package_data={"vmem_ros": ["py.typed", "models/**/*"]},
    # Where vmem_ros/training/recipes/named.py looks for them, as in an installation by colcon.
    data_files=[("share/vmem_ros/config/training", sorted(glob("config/training/*.yaml")))],
    python_requires=">=3.10",
    install_requires=[
        "numpy>=1.26",
        "scipy>=1.11",
        "torch>=2.4",
        "diffusers>=0.41",
        "transformers>=4.50",
        "huggingface-hub>=0.27",
        "opencv-python-headless>=4.9",
        "safetensors>=0.4.3",
        "tqdm>=4.66",
        "PyYAML>=6.0",
        "pillow>=10.0",
    ],
    extras_require={
        **EXTRAS,
        "all": sorted({name for extra, names in EXTRAS.items() if extra != PEERS for name in names}),
    },
    entry_points={"console_scripts": ["vmem = vmem_ros.cli:main"]},
)
