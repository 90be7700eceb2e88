"""What the camera costs: memory, pictures, messages and latencies, measured on the machine at hand."""
