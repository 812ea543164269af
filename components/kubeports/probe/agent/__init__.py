"""The agent on a node. It is sent as text (``kubeports.probe.agents.source``): see ``node`` for what it does."""
