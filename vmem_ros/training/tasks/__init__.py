"""What can be trained: networks with their losses and sample sheets, one module each."""
