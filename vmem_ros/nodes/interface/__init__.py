"""The ROS interface as tables: names, parameters, error codes, and the one place where messages become arrays."""
