"""Sphinx's settings for the site: the README, docs/ and the API reference. ``make site`` builds it from the repository's root."""

import kubeports

project = "kubeports"
version = release = kubeports.__version__
# sandbox.pages reads the Markdown pages as a code host shows them.
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sandbox.pages"]
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/**.md", "docs/**.rst"]
exclude_patterns = [".*", "build", "components", "examples", "sandbox", "stacks", "tests", "**/node_modules"]
myst_heading_anchors = 6
smartquotes = False  # options begin with two hyphens
html_theme = "furo"
html_title = f"kubeports {version}"
html_static_path = ["site.css"]
html_css_files = ["site.css"]
html_show_copyright = html_copy_source = html_show_sourcelink = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
# A reference that leads nowhere is an error, but for the types of other packages.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(pulumi|collections|typing|ipaddress)\b.*"),
    (r"py:.*", r"(Input|Output|ComponentResource|ResourceOptions|NotRequired|Sequence|Mapping|Self|Any|TypedDict|T)"),
    # Parts of a Row, of the Settings, of a Plan and of a Verdict, which a program never makes.
    (
        r"py:.*",
        r"kubeports\.(traffic\.Ports|clouds\.capabilities\.Capabilities|rules\.Verdict|flows\.Flow|settings\.model\.Outbound|conditions\.When)",
    ),
]
