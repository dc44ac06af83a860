"""Makes small changes to the package; for each, a test should fail.

    python tests/mutants/run.py [--seed N] [--parts N] [MODULE[:LINE] ...]

A run uses a part of the changes of each module, and at least six of them. The
seeds from 0 to the number of parts minus one use all of them. `table.toml`
lists the tests for each module. `equivalent.toml` lists changes that make no
difference, with the reason. At the end, the changes that no test noticed are
printed. The exit code is 1 if they are too many.
"""

import argparse
import collections
import fnmatch
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib

from changes import mutants as mutants_of

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parents[1]
# The lines that each test runs; stored for the next run.
TRACES = ROOT / "build" / "mutants"
BACKENDS = ("numpy", "torch", "jax", "tensorflow")
# This share of the changes must be noticed, without equivalent ones.
IN_ALL, IN_A_MODULE = 0.9, 0.8
# A run uses so many changes of a module, or all of them if there are fewer.
FEWEST = 6
# pytest's exit code if a test fails. With a larger one, nothing could run.
NOTICED = (1, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--parts", type=int, default=20)
    parser.add_argument("modules", nargs="*")
    options = parser.parse_args()
    start = time.time()
    mutants, tests = sample(options)
    reasons = equivalents()
    outcomes = {
        mutant: "equivalent"
        for mutant in mutants
        if any(is_meant(mutant, *reason) for reason in reasons)
    }
    left = [mutant for mutant in mutants if mutant not in outcomes]
    with tempfile.TemporaryDirectory() as temporary:
        folders = [copy_to(pathlib.Path(temporary, str(i))) for i in range(2)]
        for backend in BACKENDS:
            concerned = [m for m in left if backend in tests[m.module]]
            found = run(backend, concerned, tests, folders)
            outcomes |= found
            left = [m for m in left if outcomes.get(m, "") in ("", "survived")]
    minutes = (time.time() - start) / 60
    print(f"seed {options.seed} of {options.parts}, {minutes:.0f} minutes")
    sys.exit(report(mutants, outcomes))


def sample(options):
    """Returns a part of the mutants, with the tests for each module."""
    table = tomllib.loads((HERE / "table.toml").read_text())
    chosen, tests = [], {}
    for path in sorted(ROOT.glob("keras_sepconv/**/*.py")):
        module = str(path.relative_to(ROOT))
        rows = [row for row in table if fnmatch.fnmatch(module, row)]
        asked = [place.partition(":") for place in options.modules]
        asked = [place for place in asked if fnmatch.fnmatch(module, place[0])]
        if not rows or (options.modules and not asked):
            continue
        # The first row that matches.
        tests[module] = table[rows[0]]
        found = mutants_of(module, path.read_text())
        random.Random(module).shuffle(found)
        parts = max(1, min(options.parts, len(found) // FEWEST))
        found = found[options.seed % parts :: parts]
        lines = {int(place[2]) for place in asked if place[2]}
        found = [m for m in found if not lines or m.first in lines]
        chosen += sorted(found, key=lambda mutant: mutant.first)
    unused = [row for row in table if not any(ROOT.glob(row))]
    if unused:
        raise SystemExit(f"table.toml: no module is named {unused}")
    return chosen, tests


def equivalents():
    """Returns the mutants that behave like the original.

    For each there is the module, the line, and the beginning of the change.
    """
    entries = tomllib.loads((HERE / "equivalent.toml").read_text())
    found, unknown = [], []
    for module, rows in entries.items():
        every = mutants_of(module, (ROOT / module).read_text())
        for row in rows:
            reason = module, row["line"], row["change"]
            if any(is_meant(mutant, *reason) for mutant in every):
                found.append(reason)
            else:
                unknown.append(f"equivalent.toml: there is no {reason}")
    if unknown:
        raise SystemExit("\n".join(unknown))
    return found


def is_meant(mutant, module, line, change):
    is_there = mutant.module == module and mutant.line == line
    return is_there and mutant.change.startswith(change)


def copy_to(folder):
    ignored = shutil.ignore_patterns(".*", "__pycache__", "build", "_build")
    shutil.copytree(ROOT, folder, ignore=ignored)
    return str(folder)


def run(backend, mutants, tests, folders):
    """Returns the results of mutants under the tests of one backend."""
    if not mutants:
        return {}
    orders = [
        {
            "module": m.module,
            "first": m.first,
            "last": m.last,
            "scopes": m.scopes,
            "source": m.source,
            "files": [f"tests/{name}" for name in tests[m.module][backend]],
        }
        for m in mutants
    ]
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "OMP_NUM_THREADS": "1",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    process = subprocess.Popen(
        [sys.executable, str(HERE / "warm.py"), str(TRACES), *folders],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=folders[0],
        env=environment,
        text=True,
    )
    json.dump(orders, process.stdin)
    process.stdin.close()
    found = {}
    for line in process.stdout:
        result = json.loads(line)
        if "failing" in result:
            for name in result["failing"]:
                print(f"fails without a change, not used: {name}")
            continue
        mutant, code = mutants[result["number"]], result["code"]
        outcome = "noticed" if code in NOTICED else "broken"
        if code == 0:
            outcome = "survived"
        found[mutant] = outcome
        print(
            f"{outcome:9} {backend} {mutant.module}:{mutant.first} "
            f"{mutant.where}: {mutant.change} ({result['tests']} tests)",
            flush=True,
        )
    if process.wait():
        raise SystemExit(f"no tests could be run on {backend}")
    return found


def report(mutants, outcomes):
    """Prints the table and the survivors; returns the exit code."""
    counts = collections.defaultdict(collections.Counter)
    for mutant in mutants:
        counts[mutant.module][outcomes[mutant]] += 1
    counts["in all"] = sum(counts.values(), collections.Counter())
    kinds = ("noticed", "survived", "equivalent", "broken")
    print(f"{'':44}", *(f"{kind:>10}" for kind in kinds), f"{'rate':>5}")
    too_low = False
    for name, count in counts.items():
        told_apart = count["noticed"] + count["survived"]
        rate = count["noticed"] / told_apart if told_apart else 1.0
        least = IN_ALL if name == "in all" else IN_A_MODULE
        too_low |= rate < least
        numbers = (f"{count[kind]:10}" for kind in kinds)
        mark = "  too few" if rate < least else ""
        print(f"{name:44}", *numbers, f"{rate:5.0%}{mark}")
    for mutant in mutants:
        if outcomes[mutant] == "survived":
            place = f"{mutant.module}:{mutant.first}"
            print(f"{place} in {mutant.where}: {mutant.change}")
    return int(too_low)


if __name__ == "__main__":
    main()
