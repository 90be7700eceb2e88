"""Weights from folders, the Hub and the package: whole, safe, or a named error."""
