"""Write the Python stubs of ``proto/`` to ``sdk/jobsvc_proto``.

The stubs live in a package of their own name, because a second root that holds ``jobsvc/v1`` would clash with the
service's package ``jobsvc``. So imports are rewritten, and the module name that protobuf gives the messages as well:
without it they could not be pickled.

Run it with ``make proto``, which gives it an environment of its own: the generator is pinned to an old release on
purpose, since the code it writes runs on protobuf 6.31 to 7.x, while newer generators refuse older runtimes.
"""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
SOURCE_PACKAGE = "jobsvc"
TARGET_PACKAGE = "jobsvc_proto"


def rewrite(text: str) -> str:
    """Move generated code from the proto package to the Python package."""
    text = re.sub(rf"^(from|import) {SOURCE_PACKAGE}\.", rf"\1 {TARGET_PACKAGE}.", text, flags=re.MULTILINE)
    text = re.sub(rf"\b{SOURCE_PACKAGE}(\.v1\.\w+_pb2\b)", rf"{TARGET_PACKAGE}\1", text)
    return re.sub(
        rf"(BuildTopDescriptorsAndMessages\(DESCRIPTOR, '){SOURCE_PACKAGE}\.", rf"\1{TARGET_PACKAGE}.", text
    )


def generate(target: Path) -> int:
    """Write the stubs below ``target`` and return protoc's exit code."""
    protos = sorted(str(path.relative_to(PROTO)) for path in PROTO.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        code = protoc.main(
            [
                "protoc",
                f"-I{PROTO}",
                f"-I{files('grpc_tools') / '_proto'}",
                f"--python_out={scratch}",
                f"--grpc_python_out={scratch}",
                f"--mypy_out=quiet:{scratch}",
                f"--mypy_grpc_out=quiet:{scratch}",
                *protos,
            ]
        )
        if code:
            return int(code)
        shutil.rmtree(target, ignore_errors=True)
        for generated in sorted(Path(scratch, SOURCE_PACKAGE).rglob("*.py*")):
            text = generated.read_text()
            if "_pb2_grpc.py" in generated.name and "Stub" not in text:
                continue  # a file without services
            path = target / generated.relative_to(Path(scratch, SOURCE_PACKAGE))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(rewrite(text))
    for folder in [target, *(path for path in target.rglob("*") if path.is_dir())]:
        (folder / "__init__.py").touch()
    (target / "py.typed").touch()
    return 0


if __name__ == "__main__":
    sys.exit(generate(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "sdk" / TARGET_PACKAGE))
