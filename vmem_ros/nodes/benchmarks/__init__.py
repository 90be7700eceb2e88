"""What messages and DDS cost: benchmarks that need ROS."""
