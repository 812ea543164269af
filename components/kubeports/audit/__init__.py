"""Compares what a cloud allows with the plan."""
