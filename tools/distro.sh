#!/usr/bin/env bash
# Print which ROS 2 distribution the virtual environment holds: jazzy (the default) or kilted.
#
# usage: distro.sh [NAME]   NAME comes from the command line and must be one of the two. Without it $ROS_DISTRO decides,
# unless a sourced ROS installation has set it to one that has no wheels: then it is jazzy, and a note says so.
set -eu

supported="jazzy kilted"
is_supported() { case " $supported " in *" $1 "*) return 0 ;; *) return 1 ;; esac }

if [ -n "${1-}" ]; then
  if ! is_supported "$1"; then
    echo "ROS_DISTRO=$1 cannot be installed from the package index; allowed: ${supported/ /, }." \
      "For other distributions build in a ROS 2 workspace: docs/install.md" >&2
    exit 2
  fi
  echo "$1"
elif [ -n "${ROS_DISTRO-}" ] && is_supported "$ROS_DISTRO"; then
  echo "$ROS_DISTRO"
else
  if [ -n "${ROS_DISTRO-}" ]; then
    echo "note: this shell has ROS 2 $ROS_DISTRO sourced; make leaves it alone and uses its own ROS 2 jazzy in .venv." \
      "To build against $ROS_DISTRO, use colcon: docs/install.md" >&2
  fi
  echo jazzy
fi
