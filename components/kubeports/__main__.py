"""``python -m kubeports``: the command line; with the engine's address as its argument, the provider of other languages.

Pulumi's language host for Python runs a plugin that is a package so (``pulumi.run.plugin``).
"""

from __future__ import annotations

import re
import sys

if __name__ == "__main__":
    if re.fullmatch(r"\S+:\d+", "".join(sys.argv[1:2])):
        from kubeports.provider import main
    else:
        from kubeports.cli import main
    main()
