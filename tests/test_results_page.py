"""The pages of results are what their scripts make from the stored runs."""

import copy
import json
import re

import pytest
import schemas
from runs import ROOT, case_result, invented, script

from keras_sepconv.bench.cases import CASES
from keras_sepconv.bench.report import verdict

DOCS = ROOT / "docs"


@pytest.fixture
def result():
    return invented()


@pytest.fixture
def tables():
    return script("docs/figures/tables.py")


def test_the_pages_of_results_are_of_the_runs_in_the_repository():
    results = script("docs/figures/results.py")
    made = results.pages(results.load())
    assert len(made) == len(list((DOCS / "results").glob("*.md"))) + 1
    for path, text in made.items():
        assert text == (DOCS / path).read_text(), path


def test_the_runs_in_the_repository_are_as_the_schema_says():
    for path in sorted((DOCS / "results").glob("*.json")):
        schemas.check("bench", json.loads(path.read_text()))


def test_the_page_of_models_is_of_the_runs_in_the_repository():
    page = script("tests/models/page.py")
    assert page.text() == page.PAGE.read_text()


def test_the_readme_has_the_numbers_of_the_runs():
    results = script("docs/figures/results.py")
    rows = re.findall(
        r"\| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|",
        (ROOT / "README.md").read_text(),
    )
    for backend in results.tables.merged(results.load().values()):
        found = [
            results.results.group(backend["cases"], "separable", kind)
            for kind in ("forward", "training")
        ]
        numbers = [n for group in found for n in (group.mean, group.worst)]
        assert tuple(verdict(n).removeprefix("loss ") for n in numbers) in rows


def test_the_pages_show_every_run_suite_and_figure():
    results = script("docs/figures/results.py")
    runs = results.load()
    text = (DOCS / "results.md").read_text()
    for name in runs:
        assert f"--json docs/results/{name}" in text
    backends = results.tables.merged(runs.values())
    suites = {c["suite"] for backend in backends for c in backend["cases"]}
    assert {f"results/{suite}.md" for suite in suites} <= {*results.pages(runs)}
    text += (DOCS / "results/figures.md").read_text()
    names = {part.split(")")[0] for part in text.split("figures/")[1:]}
    names = {name for name in names if name.endswith(".svg")}
    assert len(names) == len(backends) + 1
    assert all((DOCS / "figures" / name).exists() for name in names)


def test_other_costs(result, tables):
    ratios = tables.cost_ratios(result["backends"][0]["cases"])
    assert min(ratios["memory, training"]) == (1.5, min(c.name for c in CASES))
    assert ratios["compile time, forward"][0][0] == 1


def cells(text, start):
    """Returns a row of the only Markdown table that has it."""
    (row,) = re.findall(rf"^\| {re.escape(start)} \|.*$", text, re.M)
    return [cell.strip() for cell in row.strip("|").split("|")]


def only(result, *suites):
    """Returns the result of some suites, and of the first two cases."""
    (backend,) = result["backends"]
    kept = [c for c in backend["cases"] if c["suite"] in suites]
    return {**result, "backends": [{**backend, "cases": kept}]}


def test_markdown_hides_nothing(result, tables):
    text = tables.document([result])
    measurements = 2 * (len(CASES) - 1)
    assert f"faster in 2 of {measurements} measurements" in text
    losses = text[text.index("## Losses") : text.index("## Suite")]
    assert re.findall(
        r"\| (\w+) \| jax \| ([a-z ]+) \| loss 0.99 \|", losses
    ) == [
        (CASES[0].name, "forward"),
        (CASES[0].name, "training step"),
    ]
    assert f"FAILED, jax, {CASES[1].name}: value is 2" in text
    tables = text[text.index("## Suite") :]
    for case in CASES:
        rows = re.findall(rf"^\| {case.name} \| (.*) \|$", tables, re.M)
        said = [row.split(" | ") for row in rows]
        assert {shape for _, shape in said} == {case.description}
        assert [cell for cell, _ in said] == (
            ["FAILED"] * 4
            if case is CASES[1]
            else [
                "loss 0.99 / loss 0.99" if case is CASES[0] else "20.0 / 20.0",
                "2.00 / 2.00",
                "2.00 / 2.00",
                "1.00 / 1.00",
            ]
        )
    mean = cells(text, "separable")
    assert mean[1] == "19"
    assert mean[3] == f"loss 0.99 ({CASES[0].name})"
    assert "P, 2 cores, 4 threads, Linux, Python 3.11; today" in text
    assert "flax not installed" in text
    assert {line.count("|") for line in text.splitlines() if "|" in line} == {
        4,
        6,
        7,
    }


def test_markdown_puts_runs_together(result, tables):
    whole = case_result(CASES[0], 3.0)
    whole |= {"name": "net_b8", "suite": tables.NETWORKS}
    whole["measurements"]["training"]["milliseconds"] = {"ours": [1.0] * 3}
    times = {"stock": [6.0] * 3, "ours": [2.0] * 3, "inference": [1.5] * 3}
    whole["measurements"]["forward"]["milliseconds"] = times
    networks = copy.deepcopy(only(result))
    networks["backends"][0]["cases"] = [whole]
    other = copy.deepcopy(only(result, "volume"))
    other["backends"][0]["backend"] = "torch"
    text = tables.document([only(result, "volume"), networks, other])
    volume = text[text.index("## Suite `volume`") :]
    assert "| case | jax | torch | shape |" in volume
    assert text.count("## Suite") == 1
    predicting = text[text.index("Predicting, stock/inference") :]
    assert cells(predicting, "net_b8")[1:-1] == ["4.00"]
    assert "openvino" not in text
    with pytest.raises(ValueError, match=r"jax has the case \w+ twice"):
        tables.document([result, result])
