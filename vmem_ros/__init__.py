"""A generative world behind a ROS 2 camera.

Everything but :mod:`vmem_ros.nodes` works without ROS. Inside a ROS workspace the generated messages
(``vmem_ros.msg``, ``vmem_ros.srv``, ``vmem_ros.action``) live in an overlay of the same package name; extending the
package path lets a source checkout and that overlay be imported together.
"""

__path__ = __import__("pkgutil").extend_path(__path__, __name__)
__version__ = "0.2.0"
