"""Draws docs/figures/map.svg: which part of the package imports which.

    python docs/figures/map.py

The parts and the arrows come from the imports in `keras_sepconv`. An arrow that
follows from two others is left out.
"""

import ast
import pathlib

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "keras_sepconv"
TARGET = ROOT / "docs" / "figures" / "map.svg"
# These are in no picture: the package's own names and its version.
LEFT_OUT = ("__init__", "_version")
# In pixels.
WIDTH, HEIGHT, ACROSS, DOWN, MARGIN = 124, 44, 20, 46, 16
STYLE = """
text { font: 13px sans-serif; text-anchor: middle; fill: #1a1a1a }
.small { font-size: 11px; fill: #555 }
rect { fill: #eef3fb; stroke: #084594 }
path { fill: none; stroke: #777; marker-end: url(#head) }
.head { fill: #777; stroke: none; marker-end: none }
.paper { fill: white; stroke: none }
"""


def part_of(path: pathlib.Path) -> str:
    """Returns the part that a file belongs to: a folder, or the file alone.

    The folders in `tools` are parts.
    """
    inside = path.relative_to(PACKAGE).with_suffix("").parts
    folders = inside[:-1][: 2 if inside[0] == "tools" else 1]
    return "/".join(folders or inside)


def imported(path: pathlib.Path) -> set[pathlib.Path]:
    """Returns the files of the package that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    files = set()
    for name in names:
        steps = name.split(".")
        # `from package.module import name`: the last step may be no file.
        for size in (len(steps), len(steps) - 1):
            place = ROOT.joinpath(*steps[:size])
            found = [place.with_suffix(".py"), place / "__init__.py"]
            found = [file for file in found if file.exists()]
            if steps[0] == PACKAGE.name and found:
                files |= set(found)
                break
    return files


def parts_and_arrows() -> tuple[dict[str, int], set[tuple[str, str]]]:
    """Returns the number of lines of each part, and who imports whom."""
    lines: dict[str, int] = {}
    arrows = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        part = part_of(path)
        text = path.read_text()
        if part in LEFT_OUT:
            continue
        lines[part] = lines.get(part, 0) + len(text.splitlines())
        arrows |= {(part, part_of(file)) for file in imported(path)}
    return lines, {
        (one, other)
        for one, other in arrows
        if one != other and other not in LEFT_OUT
    }


def below(part: str, arrows: set[tuple[str, str]]) -> set[str]:
    """Returns all that a part imports, directly or not."""
    found: set[str] = set()
    left = [part]
    while left:
        at = left.pop()
        new = {other for one, other in arrows if one == at} - found
        found |= new
        left += new
    return found


def reduced(arrows: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Leaves out the arrows that follow from others."""
    return {
        (one, other)
        for one, other in arrows
        if not any(
            first == one and middle != other and other in below(middle, arrows)
            for first, middle in arrows
        )
    }


def rows_of(parts, arrows) -> list[list[str]]:
    """Returns rows: a part is in the row below the lowest that imports it."""
    circle = [part for part in parts if part in below(part, arrows)]
    if circle:
        raise ValueError(f"these parts import each other: {circle}")
    depths: dict[str, int] = {}

    def depth(part: str) -> int:
        if part not in depths:
            above = [depth(a) for a, b in arrows if b == part]
            depths[part] = 1 + max(above, default=-1)
        return depths[part]

    deepest = max(map(depth, parts))
    # What nobody imports stands just above what it imports.
    for part in parts:
        if all(other != part for _, other in arrows):
            under = [depth(b) for a, b in arrows if a == part]
            depths[part] = min(under, default=1) - 1
    rows: list[list[str]] = [[] for _ in range(1 + deepest)]
    for part in sorted(parts):
        rows[depths[part]].append(part)
    return rows


def drawing() -> str:
    """Returns the picture."""
    lines, arrows = parts_and_arrows()
    arrows = reduced(arrows)
    rows = rows_of(lines, arrows)
    broadest = max(map(len, rows))
    width = broadest * (WIDTH + ACROSS) - ACROSS + 2 * MARGIN
    height = len(rows) * (HEIGHT + DOWN) - DOWN + 2 * MARGIN
    places = {}
    for number, row in enumerate(rows):
        free = width - len(row) * (WIDTH + ACROSS) + ACROSS
        for column, part in enumerate(row):
            x = free / 2 + column * (WIDTH + ACROSS)
            places[part] = x, MARGIN + number * (HEIGHT + DOWN)
    shapes = [f'<rect class="paper" width="{width}" height="{height}"/>']
    for one, other in sorted(arrows):
        (x, y), (to_x, to_y) = places[one], places[other]
        x, to_x, y = x + WIDTH / 2, to_x + WIDTH / 2, y + HEIGHT
        bend = f"C{x:g} {y + DOWN:g} {to_x:g} {to_y - DOWN:g} {to_x:g} {to_y:g}"
        shapes.append(f'<path d="M{x:g} {y:g} {bend}"/>')
    box = f'width="{WIDTH}" height="{HEIGHT}" rx="5"'
    for part, (x, y) in places.items():
        middle = x + WIDTH / 2
        size = f"about {max(round(lines[part], -2), 100):,} lines"
        shapes += [
            f'<rect x="{x:g}" y="{y:g}" {box}/>',
            f'<text x="{middle:g}" y="{y + 19:g}">{part}</text>',
            f'<text class="small" x="{middle:g}" y="{y + 35:g}">{size}</text>',
        ]
    head = (
        '<marker id="head" viewBox="0 0 6 6" refX="6" refY="3" '
        'markerWidth="7" markerHeight="7" orient="auto">'
        '<path class="head" d="M0 0L6 3L0 6z"/>'
        "</marker>"
    )
    start = (
        f'<svg xmlns="http://www.w3.org/2000/svg" '
        f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">'
    )
    parts = [start, f"<style>{STYLE}</style>", f"<defs>{head}</defs>", *shapes]
    return "\n".join([*parts, "</svg>", ""])


if __name__ == "__main__":
    TARGET.write_text(drawing())
