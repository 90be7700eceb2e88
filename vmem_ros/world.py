"""The loop: read what matters, generate what is new, find its geometry, write it back."""
