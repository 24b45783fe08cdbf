"""Jobs in Redis: the only part that knows keys, scripts and connections.

``calls`` says what to send and how to read the answer, without I/O; ``Store`` and ``AsyncStore`` send it. Each change
of state is one Lua script (``lua/``), which can be repeated without harm when its answer was lost.
"""
