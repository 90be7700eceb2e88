"""The multi-view U-Net."""

from vmem_ros.generation.network.attention import AttentionBackend, attention_backend
from vmem_ros.generation.network.multiview_unet import MultiviewUNet, MultiviewUNetOutput
from vmem_ros.generation.network.prepared import PreparedConditioning

__all__ = ["AttentionBackend", "MultiviewUNet", "MultiviewUNetOutput", "PreparedConditioning", "attention_backend"]
