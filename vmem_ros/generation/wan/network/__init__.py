"""The transformer of a video with a scene branch."""

from vmem_ros.generation.wan.network.transformer import SceneWanTransformer3DModel

__all__ = ["SceneWanTransformer3DModel"]
