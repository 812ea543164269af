"""Files that a user names: read whole, or an error that says what to name instead."""

from __future__ import annotations

from pathlib import Path

from kubeports.errors import bad

_MOST = 1 << 26  # bytes: 100,000 nodes are 20 MB, and /dev/zero has no end


def content(path: Path, name: str, right: str) -> bytes:
    """The content of a file.

    Args:
        path: of the file.
        name: what messages call it.
        right: what to name instead.

    Raises:
        InputError: it can't be read, or has no end.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST + 1)
    except FileNotFoundError:
        raise bad(name, "does not exist", right) from None
    except (OSError, ValueError) as error:  # a NUL in a path is a ValueError
        raise bad(name, f"can't be read ({error.strerror if isinstance(error, OSError) else error})", right) from None
    if len(data) > _MOST:
        raise bad(name, f"is larger than {_MOST >> 20} MiB", right)
    return data
