"""Between ROS messages and arrays: the only place where either side's conventions meet. Needs no ROS.

ROS says: pixel centres at integers, bodies with x forward (REP-103), depth 0 or NaN where unknown (REP-118). The
package says: pixel centres at +0.5, optical axes, NaN where unknown.

``..._to_message`` functions make messages of the classes that they are given, rclpy's or those of rosbags;
``..._from_message`` functions read those of either. Readers copy, so that nothing aliases a message; they raise
:class:`~vmem_ros.errors.InvalidImageError` or :class:`~vmem_ros.errors.InvalidCameraError` with what was given and what
is allowed.
"""
