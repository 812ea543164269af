"""``kubeports probe``: the plan's ports, proved with packets between the nodes themselves.

    nodes, plan -> questions -> schedule -> agents (ssh) -> outcomes -> differences -> text

All but ``agents`` and ``run`` is pure. ``agent`` is sent to the nodes.
"""
