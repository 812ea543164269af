"""Write the output that pages show anew: python -m tests.pages."""

from tests.pages import ROOT, pages, refreshed

for page in pages():
    before = page.read_text(encoding="utf-8")
    after = refreshed(before)
    if after != before:
        page.write_text(after, encoding="utf-8")
        print(page.relative_to(ROOT))
