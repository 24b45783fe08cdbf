"""Telling many streams of changes that are read once.

State is data, and a version orders it: a watcher needs the newest record and the hint that something is newer, never a
log of events. One subscription carries the hints of everything that this server's clients watch (`feeds`). `hub` reads
what changed, for all watchers together, at most as often as the most curious of them wants to hear of it. Each stream
remembers what it told (`news`) and tells the difference when it may write (`watcher`): a slow reader gets the newest
state, not a backlog. Messages are put together from encoded events that all streams share (`wire`).
"""
