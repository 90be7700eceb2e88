"""Training: recipes, data drawn from procedural houses, and the loops of ``vmem train``."""
