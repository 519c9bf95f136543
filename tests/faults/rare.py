"""The tests of the ordinary suite that are marked `rare`: long, for faults that few changes bring.

python -m tests.faults.rare
"""

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def run(*arguments):
    """How many passed, and the lines of pytest about those that did not."""
    command = [sys.executable, "-m", "pytest", "-q", "-m", "rare", *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|error)", done.stdout)}
    wrong = re.findall(r"^(?:FAILED|ERROR) .*", done.stdout, re.MULTILINE)
    if not counts.get("passed") and not wrong:
        wrong = [f"no test passed: {(done.stdout + done.stderr)[-300:]}"]
    return {"what": "rare", **counts, "wrong": wrong}


if __name__ == "__main__":
    result = run()
    print(json.dumps(result))
    sys.exit(bool(result["wrong"]))
