"""What runs in processes of its own: handlers, tasks of the peers, bare loops and clients."""
