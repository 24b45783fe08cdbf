"""What has to happen as time goes by, whoever calls or not.

Every server runs `duties.run`; under a lease in Redis one of them does the work, and another takes over within seconds
when it dies. Each duty has a file of its own and can be repeated without harm.
"""
