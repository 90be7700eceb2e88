"""A soak: the real node for minutes or hours under everything that people do to it, and what grew meanwhile."""
