"""Write the output that pages show anew: python -m tests.pages."""

import warnings

from tests.pages import ROOT, pages, refreshed
from tests.pages.pictures import FOLDER, pictures
from tests.pages.scenes import SCENES

warnings.filterwarnings("ignore", category=FutureWarning)  # google.api_core, of Python 3.11
for page in pages():
    before = page.read_text(encoding="utf-8")
    after = refreshed(before)
    for name, scene in SCENES.items():
        if f"```console {name}\n$ kubeports" in after:
            with scene() as env:
                after = refreshed(after, name, env)
    if after != before:
        page.write_text(after, encoding="utf-8")
        print(page.relative_to(ROOT))
for name, picture in pictures().items():
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / name).write_text(picture, encoding="utf-8")
