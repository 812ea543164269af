"""Clouds and the engine on this machine: what `make demo`, `make preview` and the engine tests run against."""
