"""A world in the browser: what is remembered, a camera to fly, and buttons to generate. Needs the extra ``viewer``.

:mod:`~vmem_ros.viewer.backend` says what the viewer wants of a world; :mod:`~vmem_ros.viewer.world_backend` has it for
a world of this process, ``vmem_ros/nodes/camera/browser_view.py`` for that of the camera node.
"""
