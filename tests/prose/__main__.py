"""What ``make lint`` runs: python -m tests.prose [FILE ...] prints the phrases that docs/terms.txt replaces."""

import sys

from tests.golden import ROOT
from tests.prose import files, hits
from tests.prose.todo import TODO

found = [hit for name in sys.argv[1:] or files() for hit in hits(name, (ROOT / name).read_text(encoding="utf-8"))]
shown = found if sys.argv[1:] else [hit for hit in found if not hit.path.startswith(TODO)]
print(*shown, sep="\n", end="\n" if shown else "")
sys.exit(1 if shown else 0)
