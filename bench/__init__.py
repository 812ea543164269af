"""What docs/speed.md quotes; nothing here is asserted."""
