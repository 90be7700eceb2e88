"""The camera node ``vmem_camera``, one part a file; :mod:`vmem_ros.nodes.camera.node` puts them together."""
