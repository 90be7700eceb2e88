"""Pipelines of diffusers as they are: found, checked, loaded, put in their place, and called with named errors."""
