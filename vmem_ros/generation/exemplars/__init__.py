"""What nobody saw yet, furnished from pictures of other places.

A network of few million parameters draws what is likely behind a hole: the mean of all that may be there, which is fog.
Pictures of other places have what it lacks. So the picture of a library that fits best to what is known and to the fog
lends its details: edges, textures, furniture. Colours and brightness stay those that the network drew. This is scene
completion by retrieval (Hays and Efros, Scene Completion Using Millions of Photographs, 2007), with a network that says
what is likely instead of millions of photographs.
"""

from vmem_ros.generation.exemplars.details import lend_details
from vmem_ros.generation.exemplars.library import FILE, ExemplarLibrary, load_library

__all__ = ["FILE", "ExemplarLibrary", "lend_details", "load_library"]
