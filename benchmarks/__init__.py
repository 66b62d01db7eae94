"""Measures what Tagstream promises about speed and size: ``python -m benchmarks`` (or ``make bench``).

Each module named in :data:`benchmarks.__main__.GROUPS` measures one part and returns rows; :mod:`benchmarks.report`
turns them into a table, ``build/bench.json`` and ``build/bench.png``. What is measured, and how to read it, is in
``docs/performance.md``.
"""
