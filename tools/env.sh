# Everything a shell needs to use vmem_ros as `make setup` installed it: the environment, the built package, Fast DDS
# settings for large messages.
#
# usage (bash): source tools/env.sh [jazzy|kilted]
# Discovery settings of the shell (ROS_DOMAIN_ID, ROS_AUTOMATIC_DISCOVERY_RANGE) stay as they are.

_vmem_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
_vmem_distro=$("$_vmem_root/tools/distro.sh" "${1-}") || return 1
_vmem_suffix=
[ "$_vmem_distro" = jazzy ] || _vmem_suffix=-$_vmem_distro

if [ ! -f "$_vmem_root/install$_vmem_suffix/setup.bash" ]; then
  echo "vmem_ros is not built for ROS 2 $_vmem_distro yet: run 'make setup ROS_DISTRO=$_vmem_distro' in $_vmem_root" >&2
  unset _vmem_root _vmem_distro _vmem_suffix
  return 1
fi

. "$_vmem_root/tools/venv_env.sh" "$_vmem_root/.venv$_vmem_suffix"
. "$_vmem_root/install$_vmem_suffix/setup.bash"
# colcon's scripts leave a colon at the end of a list that was empty. To the loader and to Python an empty element is the
# current folder, whose files would then run in place of the installed ones.
for _vmem_list in PATH PYTHONPATH LD_LIBRARY_PATH PKG_CONFIG_PATH CMAKE_PREFIX_PATH AMENT_PREFIX_PATH COLCON_PREFIX_PATH; do
  _vmem_kept=$(printf %s "${!_vmem_list-}" | sed -E 's/:+/:/g; s/^://; s/:$//')
  if [ -n "$_vmem_kept" ]; then export "$_vmem_list=$_vmem_kept"; else unset "$_vmem_list"; fi
done
export ROS_VERSION=2 ROS_PYTHON_VERSION=3 ROS_DISTRO=$_vmem_distro

# A profile of the user's own wins. Jazzy knows the first name only; Kilted warns about it.
if [ "$_vmem_distro" = jazzy ]; then
  export FASTRTPS_DEFAULT_PROFILES_FILE=${FASTRTPS_DEFAULT_PROFILES_FILE:-$_vmem_root/config/fastdds.xml}
else
  export FASTDDS_DEFAULT_PROFILES_FILE=${FASTDDS_DEFAULT_PROFILES_FILE:-$_vmem_root/config/fastdds.xml}
fi
# torch's threads would spin at barriers and starve whatever else runs on the same cores (vmem_ros/process.py).
[ -n "${OMP_WAIT_POLICY-}" ] || export GOMP_SPINCOUNT=${GOMP_SPINCOUNT:-1000}
# rclpy refuses to start without a folder for its logs.
[ -n "${HOME-}${ROS_LOG_DIR-}${ROS_HOME-}" ] || export ROS_LOG_DIR=$_vmem_root/log/ros
unset _vmem_root _vmem_distro _vmem_suffix _vmem_list _vmem_kept
