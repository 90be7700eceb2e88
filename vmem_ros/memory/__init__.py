"""What the world remembers: what every memory shares, and one folder for each kind."""
