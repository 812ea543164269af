"""Numbers that the tests print at their end: how much was tried."""

from __future__ import annotations

from collections import Counter

counts: Counter[str] = Counter()
