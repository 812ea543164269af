"""What the README quotes of speed; nothing here is asserted."""
