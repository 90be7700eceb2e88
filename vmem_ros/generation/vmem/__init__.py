"""VMem's generator: a multi-view diffusion network, its pipeline, checkpoints and adapters."""
