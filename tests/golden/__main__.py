"""Write the golden plans anew: python -m tests.golden."""

from tests.golden import HERE, STACKS, planned, render

for stack in STACKS:
    (HERE / f"{stack}.txt").write_text(render(planned(stack)), encoding="utf-8")
    print(f"tests/golden/{stack}.txt")
