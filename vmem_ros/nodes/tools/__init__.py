"""Programs beside the camera: a recorder and a player for MCAP, and processes that end together."""
