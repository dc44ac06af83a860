"""The pages of results are what their scripts make from the stored runs."""

import importlib.util
import json
import pathlib
import re

import schemas

from keras_sepconv.bench.report import verdict

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def script(name, folder=DOCS / "figures"):
    path = folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"figures_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_pages_of_results_are_of_the_runs_in_the_repository():
    results = script("results")
    made = results.pages(results.load())
    assert len(made) == len(list((DOCS / "results").glob("*.md"))) + 1
    for path, text in made.items():
        assert text == (DOCS / path).read_text(), path


def test_the_runs_in_the_repository_are_as_the_schema_says():
    for path in sorted((DOCS / "results").glob("*.json")):
        schemas.check("bench", json.loads(path.read_text()))


def test_the_page_of_models_is_of_the_runs_in_the_repository():
    page = script("page", DOCS.parent / "tests" / "models")
    assert page.text() == page.PAGE.read_text()


def test_the_readme_has_the_numbers_of_the_runs():
    results = script("results")
    rows = re.findall(
        r"\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|",
        (DOCS.parent / "README.md").read_text(),
    )
    for backend in results.markdown.merged(results.load().values()):
        found = [
            results.summary.group(backend["cases"], "separable", kind)
            for kind in ("forward", "training")
        ]
        numbers = [n for group in found for n in (group.mean, group.worst)]
        assert tuple(verdict(n).removeprefix("loss ") for n in numbers) in rows


def test_the_pages_show_every_run_suite_and_figure():
    results = script("results")
    runs = results.load()
    text = (DOCS / "results.md").read_text()
    for name in runs:
        assert f"--json docs/results/{name}" in text
    backends = results.markdown.merged(runs.values())
    suites = {c["suite"] for backend in backends for c in backend["cases"]}
    assert {f"results/{suite}.md" for suite in suites} <= {*results.pages(runs)}
    text += (DOCS / "results/figures.md").read_text()
    names = {part.split(")")[0] for part in text.split("figures/")[1:]}
    names = {name for name in names if name.endswith(".svg")}
    assert len(names) == len(backends) + 1
    assert all((DOCS / "figures" / name).exists() for name in names)
