"""The scenario that ``vmem explore`` and the demo share, and the pictures that they leave. No ROS."""
