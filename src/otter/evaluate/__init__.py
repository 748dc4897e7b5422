"""How good it is: k-shot accuracy on tasks that are set only by the examples, and the controls.

In reading order: ``tasks`` (what is asked), ``controls`` (examples that are wrong on purpose),
``predictions`` (what was answered, on disk before it is scored), ``fewshot`` (the loop),
``metrics``, ``intervals``, ``results`` (the figures), ``tables``, ``samples``, ``charts`` and
``report`` (the page).
"""
