"""Runs tests on mutants, each in a fork of one process.

Importing a framework takes seconds, so this process imports it once. For each
mutant it forks a child, which imports the changed package from a copy of the
repository.
"""

import gc
import hashlib
import importlib
import json
import os
import pathlib
import random
import signal
import sys
import time
import traceback

import coverage
import hypothesis  # noqa: F401
import keras
import numpy as np  # noqa: F401
import pytest

# The time for the tests of one mutant; tests that take longer are left out.
SECONDS = 30
FRAMEWORKS = ("jax", "tensorflow", "torch")
OPTIONS = (
    *("-q", "-p", "_hypothesis_pytestplugin", "-p", "no:cacheprovider"),
    # It was imported before.
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
)


class Recorder:
    """Runs tests in random order; records their times and their lines."""

    def __init__(self, folder):
        self.cov = coverage.Coverage(
            data_file=None,
            source=[f"{folder}/keras_sepconv"],
            config_file=False,
        )
        self.tests = {}

    def pytest_collection_modifyitems(self, items):
        random.Random(0).shuffle(items)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.cov.switch_context(item.nodeid)
        start = time.perf_counter()
        try:
            return (yield)
        finally:
            seconds = time.perf_counter() - start
            self.tests.setdefault(item.nodeid, seconds)

    def pytest_runtest_logreport(self, report):
        if not report.passed:
            self.tests[report.nodeid] = None


class Chosen:
    """Runs the chosen tests in their order."""

    def __init__(self, names):
        self.places = {name: place for place, name in enumerate(names)}

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items):
        items[:] = [item for item in items if item.nodeid in self.places]
        items.sort(key=lambda item: self.places[item.nodeid])


def trace(folder, file, result):
    """Writes the lines and the time of each test of a file."""
    if keras.backend.backend() == "tensorflow":
        _do_not_convert("keras_sepconv")
    recorder = Recorder(folder)
    recorder.cov.start()
    code = pytest.main([*OPTIONS, file], [recorder])
    recorder.cov.stop()
    data = recorder.cov.get_data()
    names = list(recorder.tests)
    lines = {}
    for path in data.measured_files():
        module = str(pathlib.Path(path).relative_to(folder))
        lines[module] = {
            line: [names.index(name) for name in contexts if name]
            for line, contexts in data.contexts_by_lineno(path).items()
        }
    if not names or not lines:
        return 1
    seconds = list(recorder.tests.values())
    imported = [name for name in FRAMEWORKS if name in sys.modules]
    found = {
        "names": names,
        "seconds": seconds,
        "lines": lines,
        "frameworks": imported,
    }
    pathlib.Path(result).write_text(json.dumps(found))
    return 0 if code in (0, 1) else code


def _do_not_convert(package):
    """Lets `tf.function` run the functions of a package themselves.

    It would run copies of them, whose lines are those of other files.
    """
    from tensorflow.python.autograph.core import config

    rule = config.DoNotConvert(package)
    config.CONVERSION_RULES = (rule, *config.CONVERSION_RULES)


def attack(folder, mutant, names):
    """Runs tests on a changed module; returns pytest's exit code."""
    path = pathlib.Path(folder, mutant["module"])
    path.write_text(mutant["source"])
    cached = importlib.util.cache_from_source(path)
    pathlib.Path(cached).unlink(missing_ok=True)
    sys.dont_write_bytecode = True
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    files = dict.fromkeys(name.split("::")[0] for name in names)
    return int(pytest.main([*OPTIONS, "-x", *files], [Chosen(names)]))


def choose(mutant, traces):
    """Returns the tests that run a mutant's lines, quick ones first.

    What is outside of functions runs at import and may concern every test, also
    one that runs no line of the module.
    """
    found, most = {}, SECONDS
    ranges = [(mutant["first"], mutant["last"]), *mutant["scopes"]]
    for first, last in ranges if mutant["scopes"] else ():
        for traced in traces:
            lines = traced["lines"].get(mutant["module"], {})
            for line, tests in lines.items():
                if first <= int(line) <= last:
                    for test in tests:
                        found[traced["names"][test]] = traced["seconds"][test]
        if found:
            break
    else:
        most = 4 * SECONDS
        for traced in traces:
            found |= dict(zip(traced["names"], traced["seconds"], strict=True))
    found = {name: s for name, s in found.items() if s is not None}
    # First one case of each test, then the next case of each.
    turns, order = {}, {}
    for name, seconds in sorted(found.items(), key=lambda item: item[1]):
        function = name.split("[")[0]
        turns[function] = turns.get(function, 0) + 1
        order[name] = turns[function] * (seconds + 0.05)
    chosen, total = [], 0.0
    for name in sorted(order, key=order.get):
        if not chosen or total + found[name] <= most:
            chosen.append(name)
            total += found[name]
    return chosen, total


def in_children(jobs, folders):
    """Runs jobs in parallel, each in its folder; yields names and exit codes.

    A job is a name, a limit in seconds, and a function of the folder. An exit
    code of `None` means that the time was over.
    """
    jobs, free, running = iter(jobs), list(folders), {}
    while True:
        while free and (job := next(jobs, None)) is not None:
            folder = free.pop()
            running[_fork(job[2], folder)] = job, folder, time.time() + job[1]
        if not running:
            return
        time.sleep(0.02)
        for pid, (job, folder, deadline) in list(running.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            late = not done and time.time() > deadline
            if late:
                os.killpg(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            if done or late:
                free.append(running.pop(pid)[1])
                code = None if late else os.waitstatus_to_exitcode(status)
                yield job[0], code, folder


def _fork(function, folder):
    pid = os.fork()
    if pid:
        return pid
    code = 99
    try:
        os.setsid()
        log = os.open(f"{folder}/log", os.O_CREAT | os.O_TRUNC | os.O_WRONLY)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.chdir(folder)
        sys.path.insert(0, folder)
        code = function(folder)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def traces_of(files, folders, kept):
    """Returns the trace of each file, from an earlier run if there is one."""
    kept.mkdir(parents=True, exist_ok=True)
    paths = {file: kept / _trace_name(file) for file in files}
    missing = [file for file in files if not paths[file].exists()]
    jobs = [
        (file, 1800, lambda folder, f=file: trace(folder, f, paths[f]))
        for file in missing
    ]
    for file, code, folder in in_children(jobs, folders):
        if code != 0:
            log = pathlib.Path(folder, "log").read_text()[-3000:]
            raise SystemExit(f"{file} cannot be traced ({code}):\n{log}")
    return {file: json.loads(paths[file].read_text()) for file in files}


def _trace_name(file):
    state = hashlib.sha256(keras.backend.backend().encode())
    tests = pathlib.Path("tests")
    paths = [
        *pathlib.Path("keras_sepconv").rglob("*.py"),
        *(path for path in tests.glob("*.py") if "test_" not in path.name),
        *(tests / "mutants" / "warm.py", pathlib.Path(file.split("::")[0])),
    ]
    for path in sorted(paths):
        state.update(path.read_bytes())
    state.update(file.encode())
    return f"{pathlib.Path(file).stem}-{state.hexdigest()[:16]}.json"


def main():
    """Reads mutants from standard input, and writes the result of each."""
    kept, *folders = sys.argv[1:]
    mutants = json.load(sys.stdin)
    modules = {mutant["module"] for mutant in mutants}
    originals = {name: pathlib.Path(name).read_bytes() for name in modules}
    files = list(dict.fromkeys(f for m in mutants for f in m["files"]))
    traces = traces_of(files, folders, pathlib.Path(kept))
    for name in {name for t in traces.values() for name in t["frameworks"]}:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    failing = [
        name
        for traced in traces.values()
        for name, s in zip(traced["names"], traced["seconds"], strict=True)
        if s is None
    ]
    print(json.dumps({"failing": failing}), flush=True)
    jobs = []
    for number, mutant in enumerate(mutants):
        names, seconds = choose(mutant, [traces[f] for f in mutant["files"]])
        jobs.append(
            (
                (number, len(names)),
                20 + 4 * seconds,
                lambda folder, m=mutant, n=names: attack(folder, m, n),
            )
        )
    for (number, tests), code, folder in in_children(jobs, folders):
        mutant = mutants[number]
        module = mutant["module"]
        pathlib.Path(folder, module).write_bytes(originals[module])
        result = {"number": number, "code": code, "tests": tests}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
