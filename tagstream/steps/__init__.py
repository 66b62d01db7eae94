"""The steps that come with Tagstream, named by their modules: ``classify``, ``uppercase``.

A step is any program; see :mod:`tagstream.topics.step` for what it is given and what it must do.
Each of these runs as ``python -m tagstream.steps.NAME INPUT OUTPUT [SETTINGS [WORKFLOW_ID]]``.
"""
