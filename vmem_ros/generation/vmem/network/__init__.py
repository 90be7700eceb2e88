"""The multi-view U-Net."""

from vmem_ros.generation.vmem.network.attention import AttentionBackend, attention_backend
from vmem_ros.generation.vmem.network.multiview_unet import MultiviewUNet, MultiviewUNetOutput
from vmem_ros.generation.vmem.network.prepared import PreparedConditioning

__all__ = ["AttentionBackend", "MultiviewUNet", "MultiviewUNetOutput", "PreparedConditioning", "attention_backend"]
