"""What has not been rewritten yet: the beginnings of paths that the prose check leaves out. Make it shorter, never longer."""

TODO: tuple[str, ...] = ()
