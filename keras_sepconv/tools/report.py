"""What a change did to a model, and what it left alone."""

import collections
import dataclasses
from collections.abc import Iterable
from typing import Any, TypeAlias

from rich import box
from rich.console import Console
from rich.table import Table


def console(**options: Any) -> Console:
    """Returns where to print; what names contain is not markup.

    Args:
        **options: As `rich.console.Console` takes them.
    """
    return Console(markup=False, emoji=False, highlight=False, **options)


# Those of the layers that run our operations, and of the whole model.
MultiplyAdds: TypeAlias = tuple[int | None, int | None]

# So many layers are named for one reason.
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Row:
    """What became of one layer.

    Attributes:
        layer: Its name, after the names of the models around it.
        before: Its class.
        after: The class that took its place; for what was folded, the layer it
            went into. `None` if it stays.
        reason: Why it stays.
    """

    layer: str
    before: str
    after: str | None = None
    reason: str | None = None


class _Report:
    """What both reports say. Their fields are those of the subclass."""

    model: str
    left: tuple[Row, ...]
    multiply_adds: MultiplyAdds

    @property
    def share(self) -> float | None:
        """The part of the multiply-adds that runs our operations."""
        fast, total = self.multiply_adds
        return fast / total if fast is not None and total else None

    def as_dict(self) -> dict[str, Any]:
        """Returns the report in plain types, as for JSON."""
        fields: Any = self
        return {**dataclasses.asdict(fields), "share": self.share}

    def _title(self, number: int, verb: str) -> str:
        share = ""
        if self.share is not None:
            share = f", {100 * self.share:.1f} % of the multiply-adds"
        every = number + len(self.left)
        return f"{self.model}: {number} of {every} convolutions {verb}{share}."


@dataclasses.dataclass(frozen=True)
class ConversionReport(_Report):
    """What a conversion did.

    Attributes:
        model: The model's name.
        converted: The layers that were replaced.
        left: The convolutions that were not, with the reason.
        folded: The normalisations that went into the layer before them, and
            the zeros that went into the one after.
        unfolded: The normalisations that could not, with the reason.
        multiply_adds: Those of one example: of the layers of this package, and
            of the whole model; `None` where a size or a layer of someone's own
            leaves them unknown.
        notes: Whatever else a user should know, in sentences.
        copied: The layers with a depth multiplier: those that are written with
            copies of their input, and those that stay, with the reason.
        equalized: The convolutions whose channels were made alike in range,
            each with the one that reads them as `after`; and the depthwise
            ones that were not, with the reason.
    """

    model: str
    converted: tuple[Row, ...]
    left: tuple[Row, ...] = ()
    folded: tuple[Row, ...] = ()
    unfolded: tuple[Row, ...] = ()
    multiply_adds: MultiplyAdds = (None, None)
    notes: tuple[str, ...] = ()
    copied: tuple[Row, ...] = ()
    equalized: tuple[Row, ...] = ()

    def __str__(self) -> str:
        """Returns the report in a few lines."""
        title = self._title(len(self.converted), "converted")
        lines = [
            *_counted(row.before for row in self.converted),
            *_counted(f"{row.before} folded" for row in self.folded),
            *_counted(
                f"{row.before} written with copies"
                for row in self.copied
                if row.after
            ),
            *_counted(
                f"{row.before} equalized" for row in self.equalized if row.after
            ),
            *_unchanged((*self.left, *self.unfolded)),
        ]
        return "\n".join([title, *lines, *self.notes])

    def table(self) -> Table:
        """Returns a row for each layer, to be printed by rich."""
        rows = [
            *((row, f"keras_sepconv {row.after}") for row in self.converted),
            *((row, f"folded into {row.after}") for row in self.folded),
            *(
                (row, row.after or f"no copies: {row.reason}")
                for row in self.copied
            ),
            *(
                (row, f"equalized with {row.after}")
                if row.after
                else (row, f"not equalized: {row.reason}")
                for row in self.equalized
            ),
        ]
        return _table(rows, (*self.left, *self.unfolded))


@dataclasses.dataclass(frozen=True)
class AccelerationReport(_Report):
    """Which layers of a model run our operations.

    Attributes:
        model: The model's name.
        accelerated: The convolutions that do, each with its kind as `after`:
            separable, depthwise or pointwise.
        left: The convolutions that do not, with the reason.
        multiply_adds: Those of one example: of the layers that run our
            operations, and of the whole model; `None` where a size or a layer
            of someone's own leaves them unknown.
        notes: Whatever else a user should know, in sentences.
    """

    model: str
    accelerated: tuple[Row, ...]
    left: tuple[Row, ...] = ()
    multiply_adds: MultiplyAdds = (None, None)
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Returns the report in a few lines."""
        title = self._title(len(self.accelerated), "run fast")
        lines = [
            *_counted(f"{row.after} {row.before}" for row in self.accelerated),
            *_unchanged(self.left),
        ]
        return "\n".join([title, *lines, *self.notes])

    def table(self) -> Table:
        """Returns a row for each layer, to be printed by rich."""
        rows = [(row, f"{row.after}, fast") for row in self.accelerated]
        return _table(rows, self.left)


def _counted(kinds: Iterable[str]) -> list[str]:
    return [
        f"  {number} {kind}"
        for kind, number in collections.Counter(kinds).items()
    ]


def _unchanged(rows: Iterable[Row]) -> list[str]:
    """Returns a line for each class and reason, with some of the names."""
    names: dict[str, list[str]] = {}
    for row in rows:
        what = f"{row.before} left, {row.reason}"
        names.setdefault(what, []).append(row.layer)
    return [
        f"  {len(found)} {what}: {', '.join(found[:_NAMED])}"
        + (", ..." if len(found) > _NAMED else "")
        for what, found in names.items()
    ]


def _table(changed: Iterable[tuple[Row, str]], left: Iterable[Row]) -> Table:
    table = Table(box=box.SIMPLE)
    table.add_column("layer", overflow="fold")
    table.add_column("was")
    table.add_column("is now", overflow="fold")
    for row, now in changed:
        table.add_row(row.layer, row.before, now)
    for row in left:
        table.add_row(row.layer, row.before, f"unchanged: {row.reason}")
    return table
