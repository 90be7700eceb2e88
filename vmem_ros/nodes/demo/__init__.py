"""The demo: a robot and a planner as processes of their own around the camera node."""
