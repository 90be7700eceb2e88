#!/usr/bin/env bash
# Install the environment and build the package, if not done yet: finds a Python and hands over to prepare.py.
#
# usage: prepare.sh DISTRO [PYTHON] [--install-only]
set -eu
here=$(dirname "${BASH_SOURCE[0]}")
distro=$1
python=$("$here/find_python.sh" "${2-}")
exec "$python" "$here/prepare.py" --distro "$distro" "${@:3}"
