"""Measuring and showing what a world answers: metrics, protocols, pictures, clouds, recordings and reports."""
