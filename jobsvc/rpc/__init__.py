"""The door for clients: gRPC in front of the store.

A call goes through few hands: `methods` decodes it and knows who answers, `guard` surrounds it (errors become a
status, nothing of our insides gets out), one module for each kind of call checks and does it, `conversion` turns values
into messages. `watch` tells many streams of one change that was read once.
"""
