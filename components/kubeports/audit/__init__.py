"""What a cloud has open, read from it, against the plan."""
