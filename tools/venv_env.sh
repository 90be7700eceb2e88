# The virtual environment of the ROS 2 wheels, as the only ROS 2 of this shell.
#
# usage (bash): source tools/venv_env.sh VENV
# What a sourced ROS installation or another workspace put on the search paths is taken off them: two builds of one
# library in one process end in import errors.

_vmem_venv=$1

_vmem_drop_ros() { # remove the entries below any ROS prefix from the path list named $1
  local name=$1 kept='' entry prefix
  local IFS=:
  set -f
  for entry in ${!name-}; do
    for prefix in ${AMENT_PREFIX_PATH-} ${COLCON_PREFIX_PATH-} ${VIRTUAL_ENV-} "$_vmem_venv"; do
      case $entry/ in "$prefix"/*) continue 2 ;; esac
    done
    kept=${kept:+$kept:}$entry
  done
  set +f
  # An empty element would stand for the current folder.
  if [ -n "$kept" ]; then export "$name=$kept"; else unset "$name"; fi
}
for _vmem_list in PATH PYTHONPATH LD_LIBRARY_PATH CMAKE_PREFIX_PATH PKG_CONFIG_PATH; do
  _vmem_drop_ros "$_vmem_list"
done
# Guard of the wheels' loader: inherited from another environment's Python it would keep that one's libraries.
unset _ROS_WHEELS_BOOTSTRAP_COMPLETE AMENT_PREFIX_PATH COLCON_PREFIX_PATH COLCON_CURRENT_PREFIX ROS_PACKAGE_PATH

export VIRTUAL_ENV=$_vmem_venv
export PATH=$VIRTUAL_ENV/bin:$PATH
export AMENT_PREFIX_PATH=$VIRTUAL_ENV
export CMAKE_PREFIX_PATH=$VIRTUAL_ENV${CMAKE_PREFIX_PATH:+:$CMAKE_PREFIX_PATH}
export RMW_IMPLEMENTATION=rmw_fastrtps_cpp # the only middleware among the wheels
unset PYTHONHOME _vmem_venv _vmem_list
unset -f _vmem_drop_ros
