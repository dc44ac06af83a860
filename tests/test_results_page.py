"""The pages of results are what their scripts make of the runs beside them."""

import importlib.util
import pathlib
import re

from keras_sepconv.bench.report import verdict

DOCS = pathlib.Path(__file__).parents[1] / "docs"


def script(name, folder=DOCS / "figures"):
    path = folder / f"{name}.py"
    spec = importlib.util.spec_from_file_location(f"figures_{name}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_results_is_of_the_runs_in_the_repository():
    results = script("results")
    text = results.page(results.load())
    assert text == (DOCS / "results.md").read_text()


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


def test_the_page_shows_every_run_and_figure():
    results = script("results")
    runs = results.load()
    text = (DOCS / "results.md").read_text()
    for name in runs:
        assert f"--json docs/results/{name}" in text
    names = {part.split(")")[0] for part in text.split("](figures/")[1:]}
    assert len(names) > len(runs) / 2
    assert all((DOCS / "figures" / name).exists() for name in names)
