"""What ``config/launch_arguments.yaml`` becomes in the hands of launch, which is not among the ROS 2 wheels."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from repository import ROOT
from vmem_ros.nodes.interface.names import NAMESPACE, NODE_NAME
from waiting import WAIT_S

#: A line of the file: which argument becomes which parameter, if it is given.
ARGUMENT = re.compile(
    r"""^    \$\(eval "'' if '\$\(var (?P<argument>\w+)\)' else '# '"\)"""
    r"""(?P<shown>(?P<parameter>[\w.]+): "?\$\(var (?P=argument)\)"?,)$""",
    re.MULTILINE,
)
_READ = f"""
import json, sys, rclpy
rclpy.init(args=sys.argv)
node = rclpy.create_node("{NODE_NAME}", namespace="{NAMESPACE}", automatically_declare_parameters_from_overrides=True)
given = node.get_parameters_by_prefix("")
print(json.dumps({{name: p.value for name, p in given.items() if not name.startswith("qos_overrides")}}))
"""


def written(arguments: Mapping[str, str]) -> str:
    """Return the file with the values of arguments, as launch writes it."""
    text = (ROOT / "config" / "launch_arguments.yaml").read_text(encoding="utf-8")

    def line(found: re.Match[str]) -> str:
        value = arguments.get(found["argument"], "")
        return ("    " if value else "    # ") + re.sub(r"\$\(var \w+\)", value, found["shown"])

    return ARGUMENT.sub(line, text)


def launched(files: Sequence[Path], arguments: Mapping[str, str], folder: Path) -> dict[str, Any]:
    """Return the parameters of a camera node that is launched with parameter files and arguments."""
    last = folder / "arguments.yaml"
    last.write_text(written(arguments), encoding="utf-8")
    paths = [part for file in [*files, last] for part in ("--params-file", str(file))]
    command = [sys.executable, "-c", _READ, "--ros-args", *paths]
    result = subprocess.run(command, capture_output=True, text=True, timeout=2 * WAIT_S, check=True)
    parameters = json.loads(result.stdout.splitlines()[-1])
    implicit = {"start_type_description_service"}
    return {name: value for name, value in parameters.items() if name not in implicit}
