#!/usr/bin/env bash
# Run a command in the environment of tools/env.sh.
#
# usage: run.sh [--local] DISTRO COMMAND [ARGUMENT ...]
# --local keeps all DDS traffic on this machine and, unless ROS_DOMAIN_ID is set, picks a domain of its own, so that two
# runs side by side (and robots on the network) neither see nor disturb each other.
set -eu

local_only=
if [ "$1" = --local ]; then
  local_only=yes
  shift
fi
set +u # scripts of ament and colcon read unset variables
. "$(dirname "${BASH_SOURCE[0]}")/env.sh" "$1"
set -u
shift

if [ -n "$local_only" ]; then
  unset ROS_LOCALHOST_ONLY ROS_STATIC_PEERS ROS_DISCOVERY_SERVER
  export ROS_AUTOMATIC_DISCOVERY_RANGE=LOCALHOST
  export ROS_DOMAIN_ID=${ROS_DOMAIN_ID:-$((RANDOM % 100 + 1))}
fi
exec "$@"
