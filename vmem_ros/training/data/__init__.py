"""What is trained on: walks through procedural houses, kept on disk, and samples drawn from them."""
