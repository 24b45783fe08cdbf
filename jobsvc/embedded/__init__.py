"""An embedded Valkey: the store of `jobsvc dev`, of the demo and of the tests, without root and without Docker.

`EmbeddedValkey` supervises one server process on one data folder. What it promises, and tests show:

* one supervisor per folder: a second one is refused, by name and process id;
* never two servers on one folder, also after ``kill -9`` of a supervisor: the server holds a lock on the folder as long
  as it lives, and the next supervisor ends an orphan before it starts its own;
* what was acknowledged before any kill is there after the restart (an append-only file, synced every second by the
  operating system's clock, so a power cut may take the last second; a killed process takes nothing);
* nothing can reach it from outside: no TCP port, a unix socket in a folder that only its owner can enter.
"""

from jobsvc.embedded.valkey import EmbeddedValkey

__all__ = ["EmbeddedValkey"]
