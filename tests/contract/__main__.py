"""Write the contract anew: python -m tests.contract."""

from tests.contract import FILES, HERE, difference, render

for name in FILES:
    path = HERE / f"{name}.txt"
    now = render(name)
    changed = difference(path.read_text(encoding="utf-8") if path.exists() else "", now)
    path.write_text(now, encoding="utf-8")
    print(f"tests/contract/{name}.txt: {len(changed)} lines differ" if changed else f"tests/contract/{name}.txt: as it was")
