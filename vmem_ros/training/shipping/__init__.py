"""Trained models become models of the package: stored small, with recipes, logs, sample sheets, card and manifest."""
