# The camera in a ROS 2 workspace: the commands of docs/install.md, "In a ROS 2 workspace".
#
#   docker build --tag vmem_ros .
#   docker run --rm --network=host --ipc=host vmem_ros                   # ros2 launch vmem_ros camera.launch.xml
#   docker run --rm --network=host --ipc=host --gpus=all vmem_ros ros2 launch vmem_ros camera.launch.xml device:=cuda
FROM ros:jazzy AS dependencies
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
WORKDIR /root/ws

# Versions of Debian packages are those of the ROS image's own snapshot.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3-dev python3-pip python3-venv \
 && rm -rf /var/lib/apt/lists/*

COPY package.xml src/vmem_ros/package.xml
RUN apt-get update \
 && rosdep update \
 && rosdep install --from-paths src --ignore-src -r -y \
 && rm -rf /var/lib/apt/lists/*

# For torch without CUDA: --build-arg PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
ARG PIP_EXTRA_INDEX_URL=""
ARG PIP_NO_CACHE_DIR=1
# hadolint ignore=DL3013,DL3042,SC3046
RUN python3 -m venv --system-site-packages ~/ws/venv \
 && touch ~/ws/venv/COLCON_IGNORE \
 && source ~/ws/venv/bin/activate \
 && pip install torch safetensors rosbags diffusers transformers peft

FROM dependencies AS camera
COPY . src/vmem_ros
# hadolint ignore=SC3046
RUN source /opt/ros/jazzy/setup.bash \
 && source ~/ws/venv/bin/activate \
 && python3 -m colcon build --packages-select vmem_ros

ENTRYPOINT ["/bin/bash", "-c", "source ~/ws/venv/bin/activate && source install/setup.bash && exec \"$@\"", "--"]
CMD ["ros2", "launch", "vmem_ros", "camera.launch.xml"]
