"""The engine ``inpaint``: pipelines of diffusers for pictures fill what memory's projection does not show."""
