"""Write the golden plans and the schema anew: python -m tests.golden."""

from tests.golden import HERE, SCHEMA, STACKS, planned, render, schema_text

for stack in STACKS:
    (HERE / f"{stack}.txt").write_text(render(planned(stack)), encoding="utf-8")
    print(f"tests/golden/{stack}.txt")
SCHEMA.write_text(schema_text(), encoding="utf-8")
print("tests/golden/schema.json")
