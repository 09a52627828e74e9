"""Measures what a person waits for and reads: `tlkit --help`, the first line of a fit, lines of its output.

    python benchmarks/terminal_output.py recipes/quickstart.yaml

Run it where the recipe's data are; for the quickstart: tlkit data sample occupations data/occupations --skew light_men.
Each figure of time is the best of five, in a fresh process. A machine with other work makes them longer.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

TLKIT = [sys.executable, "-m", "tlkit"]
REPEATS = 5


def help_s() -> float:
    """Return the seconds that `tlkit --help` takes."""
    start = time.perf_counter()
    subprocess.run([*TLKIT, "--help"], check=True, capture_output=True)
    return time.perf_counter() - start


def first_line_s(recipe: str, name: str) -> tuple[float, str]:
    """Return the seconds until a fit writes its first line, and the line; the fit is then stopped."""
    start = time.perf_counter()
    fit = subprocess.Popen(
        [*TLKIT, "fit", recipe, f"name={name}"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert fit.stderr is not None
    line = fit.stderr.readline().rstrip()
    passed = time.perf_counter() - start
    fit.kill()
    fit.communicate()
    return passed, line


def require_data(recipe: str) -> None:
    """End with a message where a fit of the recipe could not begin, such as without its images."""
    done = subprocess.run([*TLKIT, "recipe", "plan", recipe], check=False, capture_output=True, text=True)
    if done.returncode:
        sample = "tlkit data sample occupations data/occupations --skew light_men"
        sys.exit(f"{recipe} cannot be fitted here:\n{done.stderr.strip()}\nImages of the quickstart: {sample}")


def main() -> None:
    """Print the figures."""
    if len(sys.argv) != 2:
        sys.exit("Name one recipe: python benchmarks/terminal_output.py recipes/quickstart.yaml")
    recipe = sys.argv[1]
    require_data(recipe)
    print(f"tlkit --help: {min(help_s() for _ in range(REPEATS)):.2f} s")
    with tempfile.TemporaryDirectory() as folder:
        name = Path(folder).name
        passed, line = min(first_line_s(recipe, name) for _ in range(REPEATS))
        print(f"first line of a fit: {passed:.2f} s: {line}")
        done = subprocess.run([*TLKIT, "fit", recipe, f"name={name}"], check=True, capture_output=True, text=True)
        print(f"lines of a fit: {len(done.stderr.splitlines())} on stderr, {len(done.stdout.splitlines())} on stdout")


if __name__ == "__main__":
    main()
