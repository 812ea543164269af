"""The commands of the command line: one module each, with ``command``. ``kubeports.cli.COMMANDS`` lists them.

A module imports at its top what ``--help`` needs, and what takes long (a cloud's SDK, a renderer) when it runs. It raises
``InputError`` for bad input before it has written anything, writes through ``shared.write``, and ends with a code of its own
by ``ctx.exit``.
"""
