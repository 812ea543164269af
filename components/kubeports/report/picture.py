"""The picture of who may reach whom: sources on the left, ports of the nodes on the right, a line where one reaches the other.

Two columns of boxes need no layout engine: each box stands below the one before it. Widths are counted in characters of a
fixed-width font.
"""

from __future__ import annotations

from dataclasses import dataclass
from textwrap import wrap

from kubeports.report.view import Kind, Line, Stack, is_open, is_way_out

_MOST = 4  # names that a box shows; the matrix has all
_CAPTIONS: dict[Kind, str] = {
    "self": "every node",
    "role": "role",
    "ref": "named source",
    "network": "network",
    "world": "the internet",
}


@dataclass(frozen=True, slots=True)
class Form:
    """How a picture is laid out.

    Args:
        width, left, right: pixels: of the whole, of the sources' boxes, of the ports' boxes.
        size: of the letters, in pixels.
        stacked: whether a port's service stands below it, not beside it.
    """

    name: str
    width: int
    left: int
    right: int
    size: float
    stacked: bool

    def letters(self, room: float) -> int:
        """How many letters fit: one of a fixed-width font is 0.602 of its size, or less."""
        return int(room / (self.size * 0.61))


WIDE = Form("wide", 1040, 290, 450, 13, stacked=False)
NARROW = Form("narrow", 346, 130, 156, 11, stacked=True)
_LINE, _PAD, _GAP, _ENTRY = 1.5, 10, 14, 17  # of the size; pixels; pixels; letters of the ports' column


@dataclass(frozen=True, slots=True)
class Text:
    """A line of letters; ``role`` says how it looks: caption, name, entry, service, head."""

    x: float
    y: float
    text: str
    role: str


@dataclass(frozen=True, slots=True)
class Box:
    """A box with its texts, and the lines that begin at it."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    texts: tuple[Text, ...]
    curves: tuple[str, ...] = ()
    ends: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Picture:
    """The boxes of both sides, and the size of all."""

    form: Form
    height: float
    sources: tuple[Box, ...]
    nodes: tuple[Box, ...]


def draw(stack: Stack, form: Form) -> Picture:
    """The picture of a stack's open ports, and of where its nodes may connect."""
    nodes, ports = _nodes(stack, form)
    heads: list[tuple[Kind, tuple[str, ...], tuple[int, ...]]] = [(each.kind, each.names, each.lines) for each in stack.reach]
    out = tuple(i for i, line in enumerate(stack.lines) if is_way_out(line))
    own = next((i for i, (kind, _, _) in enumerate(heads) if kind == "self"), None)
    if out and own is None:
        heads.append(("self", ("self",), out))
    elif own is not None:
        heads[own] = ("self", heads[own][1], heads[own][2] + out)
    texts = [_source(kind, names, form) for kind, names, _ in heads]
    heights = [len(each) * form.size * _LINE + 2 * _PAD for each in texts]
    total = sum(box.height for box in nodes) + _GAP * (len(nodes) - 1)
    height = max(total, sum(heights) + _GAP * (len(heights) - 1), 1)
    space = (height - sum(heights)) / max(len(heights), 1)
    y, sources = space / 2, []
    for (kind, _, lines), shown, tall in zip(heads, texts, heights, strict=True):
        ends = [(float(form.width - form.right), ports[i]) for i in lines]
        sources.append(_box(kind, 0, y, form.left, tall, shown, form, ends))
        y += tall + space
    return Picture(form, round(height, 1), tuple(sources), tuple(nodes))


def _box(
    kind: str,
    x: float,
    y: float,
    width: float,
    height: float,
    texts: list[tuple[str, str]],
    form: Form,
    ends: list[tuple[float, float]],
) -> Box:
    step = form.size * _LINE
    placed = tuple(Text(x + _PAD, round(y + _PAD + step * i + form.size, 1), text, role) for i, (text, role) in enumerate(texts))
    begin, middle = round(y + height / 2, 1), round(x + width + (form.width - form.left - form.right) / 2, 1)
    curves = tuple(f"M{x + width:g} {begin:g}C{middle:g} {begin:g} {middle:g} {b:g} {a:g} {b:g}" for a, b in ends)
    return Box(kind, x, round(y, 1), width, round(height, 1), placed, curves, tuple(ends))


def _source(kind: Kind, names: tuple[str, ...], form: Form) -> list[tuple[str, str]]:
    room = form.letters(form.left - 2 * _PAD)
    caption = _CAPTIONS[kind] + ("s" if len(names) > 1 and kind not in ("self", "world") else "")
    texts = [(caption, "caption")]
    for name in names[:_MOST]:
        texts += [(part, "name") for part in wrap(name, room)]
    if len(names) > _MOST:
        texts.append((f"and {len(names) - _MOST} more", "service"))
    return texts


def _nodes(stack: Stack, form: Form) -> tuple[list[Box], dict[int, float]]:
    """The boxes of the nodes, below each other, and the height at which each line of the matrix stands."""
    x, step = form.width - form.right, form.size * _LINE
    blocks: dict[str, list[int]] = {}
    for i, line in enumerate(stack.lines):
        if is_open(line) or is_way_out(line):
            name = f"Out of {line.nodes}, to" if line.direction == "egress" else line.nodes.capitalize()
            blocks.setdefault(name, []).append(i)
    boxes, ports, y = [], {}, 0.0
    for name, members in blocks.items():
        texts, top = [Text(x + _PAD + 2, y + _PAD + form.size, name, "head")], y
        y += _PAD + step + 4
        for i in members:
            rows = _port(stack.lines[i], form)
            for row in rows:
                for offset, text, role in row:
                    texts.append(Text(round(x + _PAD + 2 + offset, 1), round(y + form.size, 1), text, role))
                y += step
            ports[i] = round(y - step * len(rows) / 2 - 1, 1)
            y += 5 if form.stacked else 2
        y += _PAD - 2
        boxes.append(Box("nodes", x, round(top, 1), form.right, round(y - top, 1), tuple(texts)))
        y += _GAP
    return boxes, ports


def _port(line: Line, form: Form) -> list[list[tuple[float, str, str]]]:
    """A port's rows of text: offset, text and role."""
    if line.direction == "egress":
        names = [who.name for who in line.who[:_MOST]]
        more = [f"and {len(line.who) - _MOST} more"] if len(line.who) > _MOST else []
        room = form.letters(form.right - 2 * _PAD)
        return [[(0.0, part, "entry")] for name in (*names, *more) for part in wrap(name, room)]
    if form.stacked:
        parts = wrap(line.service, form.letters(form.right - 2 * _PAD))
        return [[(0.0, line.entry, "entry")], *[[(0.0, part, "service")] for part in parts]]
    offset = _ENTRY * form.size * 0.61
    first, *rest = wrap(line.service, form.letters(form.right - 2 * _PAD - offset))
    return [[(0.0, line.entry, "entry"), (offset, first, "service")], *[[(offset, part, "service")] for part in rest]]
