"""Fuzzing by coverage: `make fuzz SECONDS=600`, or python -m tests.fuzz SECONDS [TARGET ...].

Atheris (libFuzzer) drives each target in a process of its own. What it learns is kept in
build/fuzz; an input that fails is written there too, and the exit status is 1.
"""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

FOLDER = Path("build/fuzz")
TARGETS = ("message", "value", "credentials", "stream", "sdp", "node")
LONGEST_BYTES = 4096
STALL_S = 5  # for one input; the usual one takes less than a millisecond
CHILD = "--child"


def main(words: list[str]) -> int:
    """Share the seconds among the targets. Returns 1 where one has failed."""
    seconds = int(words[0]) if words else 120
    targets = words[1:] or [*TARGETS]
    failed = [name for name in targets if run(name, max(1, seconds // len(targets)))]
    for name in failed:
        print(f"fuzz: {name} failed; its input is in {FOLDER / name}")
    return 1 if failed else 0


def run(name: str, seconds: int) -> int:
    """Fuzz one target; return the status of its process."""
    corpus = FOLDER / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={LONGEST_BYTES}",
        f"-timeout={STALL_S}",
        f"-artifact_prefix={FOLDER / name}/",
        "-print_final_stats=1",
        str(corpus),
    ]
    print(f"fuzz: {name}, {seconds} s", flush=True)
    argv = [sys.executable, "-m", "tests.fuzz", CHILD, name, *options]
    return subprocess.run(argv, check=False).returncode


def child(name: str, options: list[str]) -> None:
    """Be the process of one target."""
    atheris = import_module("atheris")  # `make fuzz` alone installs it

    with atheris.instrument_imports(include=["sipcore"]):
        from tests.fuzz.house import House
        from tests.fuzz.mutants import torture
        from tests.fuzz.readers import READERS
        from tests.fuzz.seeds import SEEDS
    seeds = SEEDS.get(name) or [bytes([who]) + one for one in torture() for who in range(3)]
    for number, seed in enumerate(seeds):
        (Path(options[-1]) / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *options], READERS.get(name) or House().feed)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == [CHILD]:
        child(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main(sys.argv[1:]))
