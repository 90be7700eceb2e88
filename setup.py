"""The library and the ``vmem`` command without ROS: ``pip install .``

Name, version, description and licence come from ``package.xml``, which ROS reads; the pinned versions of
``requirements/core.txt`` are the tested ones, here they are lower bounds. A plain installation has what a robot needs:
memory, engines, depth. What else a room needs is an extra, ``pip install '.[training]'``; ``vmem_ros/extras.py`` names
it where it is missing.
"""

import xml.etree.ElementTree as ElementTree
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
package = ElementTree.parse(ROOT / "package.xml").getroot()


ACCELERATE, MATPLOTLIB, PEFT, ROSBAGS = "accelerate>=1.0", "matplotlib>=3.8", "peft>=0.17", "rosbags>=0.10"
EXTRAS = {
    "benchmarking": [MATPLOTLIB],
    "evaluation": [MATPLOTLIB],
    "lora": [PEFT],
    "recordings": [ROSBAGS],
    "scenes": [],
    "showcase": [MATPLOTLIB, ROSBAGS],
    "training": [ACCELERATE, MATPLOTLIB, PEFT, "pydantic>=2.7"],
}


def text(tag: str) -> str:
    return " ".join(package.findtext(tag, "").split())


setup(
    name=text("name"),
    version=text("version"),
    description=text("description"),
    license=text("license"),
    long_description=(ROOT / "README.md").read_text(encoding="utf-8") if (ROOT / "README.md").exists() else "",
    long_description_content_type="text/markdown",
    packages=find_packages(include=["vmem_ros", "vmem_ros.*"]),
    package_data={"vmem_ros": ["py.typed", "models/**/*"]},
    python_requires=">=3.10",
    install_requires=[
        "numpy>=1.26",
        "scipy>=1.11",
        "torch>=2.4",
        "diffusers>=0.35",
        "transformers>=4.50",
        "huggingface-hub>=0.27",
        "opencv-python-headless>=4.9",
        "safetensors>=0.4.3",
        "tqdm>=4.66",
        "PyYAML>=6.0",
        "pillow>=10.0",
    ],
    extras_require={**EXTRAS, "all": sorted({name for names in EXTRAS.values() for name in names})},
    entry_points={"console_scripts": ["vmem = vmem_ros.cli:main"]},
)
