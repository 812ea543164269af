"""Sphinx builds the API reference from the docstrings: make apidocs."""

import kubeports
from sphinx.application import Sphinx

project = "kubeports"
version = release = kubeports.__version__
extensions = ["sphinx.ext.autodoc", "sphinx.ext.napoleon"]
html_theme = "alabaster"
html_theme_options = {"description": (kubeports.__doc__ or "").splitlines()[0], "fixed_sidebar": True}
html_show_copyright = html_show_sourcelink = False
autodoc_member_order = "bysource"
autodoc_typehints_format = "short"
autodoc_default_options = {"members": True, "show-inheritance": True}
# A reference that leads nowhere is an error, but for the types of other packages.
nitpicky = True
nitpick_ignore_regex = [
    (r"py:.*", r"(pulumi|collections|typing|ipaddress)\b.*"),
    (r"py:.*", r"(Input|Output|ComponentResource|ResourceOptions|NotRequired|Sequence|Mapping|Self|Any|TypedDict|T)"),
    # Parts of a Row, of the Settings, of a Plan and of a Verdict, which a program never makes.
    (r"py:.*", r"kubeports\.(traffic\.Ports|rules\.Verdict|flows\.Flow|settings\.Outbound|conditions\.When)"),
]


def setup(app: Sphinx) -> None:
    """Give attributes' docstrings a first line for napoleon, which would take ``AWS: VPC id`` there for a type and a text."""

    def keep(app: Sphinx, what: str, name: str, item: object, options: object, lines: list[str]) -> None:
        if what in ("attribute", "property"):
            lines[:0] = ["..", ""]  # a comment

    app.connect("autodoc-process-docstring", keep, priority=400)
