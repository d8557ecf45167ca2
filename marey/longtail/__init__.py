"""What long-tail learning adds to a loss: objectives and their state. Torch only."""
