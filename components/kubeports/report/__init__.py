"""The report: one page of plans for people who look: self-contained HTML, without scripts, fonts or requests.

``page`` makes it of plans; the same plans make the same page. It needs Jinja2, which the extra ``kubeports[report]`` installs.
"""

from __future__ import annotations

import shlex
import sys
from base64 import b64encode
from collections.abc import Iterable, Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING

import kubeports
from kubeports.errors import bad, show
from kubeports.report import comparison, picture, view
from kubeports.report.probed import Probed

if TYPE_CHECKING:
    from jinja2 import Template

    from kubeports.rules import Plan

_TEMPLATE, _STYLE = "page.html", "page.css"


def page(plans: Mapping[str, Plan], probes: Iterable[Probed] = ()) -> str:
    """The report on plans.

    Args:
        plans: the stack's name -> its plan, in the order in which people read them; from two on the page compares them.
        probes: what packets have shown, by the clusters' names (``kubeports.report.probed.load``): it colours the matrix.

    Returns:
        An HTML document. It asks nothing of the network, and its policy for content forbids it to.

    Raises:
        InputError: Jinja2 is not installed, there is no plan, or none of a probe's cluster.
    """
    require_jinja()
    if not plans:
        raise bad("report", "no stack is named", "name at least one")
    style = (files(__name__) / _STYLE).read_text(encoding="utf-8")
    seen = {probe.cluster: probe for probe in probes}
    for cluster in set(seen) - {plan.settings.cluster for plan in plans.values()}:
        what = f"is a probe of {show(cluster)}, and no stack of the report is that cluster"
        raise bad("--probe", what, "name the stack that was probed")
    stacks = [view.stack(name, plan) for name, plan in plans.items()]
    return _template().render(
        stacks=stacks,
        probes=[seen.get(each.cluster) for each in stacks],
        pictures=[[picture.draw(each, form) for form in (picture.WIDE, picture.NARROW)] for each in stacks],
        comparison=comparison.compare(plans) if len(plans) > 1 else None,
        style=style,
        style_hash=b64encode(sha256(style.encode()).digest()).decode(),
        version=kubeports.__version__,
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("kubeports.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template(_TEMPLATE)


def require_jinja() -> None:
    """Refuse where Jinja2 is not installed, with the command that installs it."""
    if find_spec("jinja2") is None:
        right = f"{shlex.quote(sys.executable)} -m pip install 'jinja2>=3.1,<4'"
        raise bad("report", "needs the package Jinja2, which is not installed", right)
