"""Measuring what a world answers: metrics, protocols, and the ablation of its memory."""
