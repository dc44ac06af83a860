"""What a conversion did to a model, and what it left alone."""

import collections
import dataclasses
import io
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table


def console(**options: Any) -> Console:
    """Returns where to print; what names contain is not markup.

    Args:
        **options: As `rich.console.Console` takes them.
    """
    return Console(markup=False, emoji=False, highlight=False, **options)


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


@dataclasses.dataclass(frozen=True)
class ConversionReport:
    """What a conversion did.

    Attributes:
        model: The model's name.
        converted: The layers that were replaced.
        left: Those that could not be, with the reason.
        folded: The normalisations that went into the layer before them, and
            the zeros that went into the one after.
        unfolded: The normalisations that could not, with the reason.
        multiply_adds: Those of a prediction for one example, estimated before
            and after; `None` where a size is unknown.
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
    multiply_adds: tuple[int | None, int | None] = (None, None)
    notes: tuple[str, ...] = ()
    copied: tuple[Row, ...] = ()
    equalized: tuple[Row, ...] = ()

    def __str__(self) -> str:
        """Returns the report as a table and a few sentences."""
        text = io.StringIO()
        self.print(console(file=text, width=80))
        return text.getvalue().rstrip()

    def print(self, console: Console) -> None:
        """Prints the report."""
        table = Table(box=box.SIMPLE, title=self._title(), title_justify="left")
        table.add_column("layer", overflow="fold")
        table.add_column("was")
        table.add_column("is now", overflow="fold")
        for row in self.converted:
            table.add_row(row.layer, row.before, f"keras_sepconv {row.after}")
        for row in self.folded:
            table.add_row(row.layer, row.before, f"folded into {row.after}")
        for row in self.copied:
            found = row.after or f"no copies: {row.reason}"
            table.add_row(row.layer, row.before, found)
        for row in self.equalized:
            found = f"equalized with {row.after}"
            if row.after is None:
                found = f"not equalized: {row.reason}"
            table.add_row(row.layer, row.before, found)
        for row in (*self.left, *self.unfolded):
            table.add_row(row.layer, row.before, f"unchanged: {row.reason}")
        console.print(table if table.row_count else self._title())
        before, after = self.multiply_adds
        if before is not None:
            text = f"Multiply-adds for one example, estimated: {before:,}"
            if after != before and after is not None:
                text += f", now {after:,}"
            console.print(f"{text}.")
        for note in self.notes:
            console.print(note)

    def as_dict(self) -> dict[str, Any]:
        """Returns the report in plain types, as for JSON."""
        return dataclasses.asdict(self)

    def _title(self) -> str:
        left = len(self.left) + len(self.unfolded)
        folded = f", {len(self.folded)} folded" if self.folded else ""
        return (
            f"{self.model}: {len(self.converted)} converted{folded}, "
            f"{left} left as they are"
        )


@dataclasses.dataclass(frozen=True)
class AccelerationReport:
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
    multiply_adds: tuple[int | None, int | None] = (None, None)
    notes: tuple[str, ...] = ()

    @property
    def share(self) -> float | None:
        """The part of the multiply-adds that runs our operations."""
        fast, total = self.multiply_adds
        return fast / total if fast is not None and total else None

    def __str__(self) -> str:
        """Returns the report in a few lines."""
        fast = len(self.accelerated)
        lines = [
            f"{self.model}: {fast} of {fast + len(self.left)} convolutions run "
            f"fast{self._shared()}."
        ]
        kinds = collections.Counter(
            f"{row.after} {row.before}" for row in self.accelerated
        )
        lines += [f"  {number} {kind}" for kind, number in kinds.items()]
        left: dict[tuple[str, str | None], list[str]] = {}
        for row in self.left:
            left.setdefault((row.before, row.reason), []).append(row.layer)
        for (kind, reason), names in left.items():
            some = ", ".join(names[:_NAMED])
            more = ", ..." if len(names) > _NAMED else ""
            lines.append(f"  {len(names)} {kind} left, {reason}: {some}{more}")
        return "\n".join([*lines, *self.notes])

    def _shared(self) -> str:
        if self.share is None:
            return ""
        return f", {100 * self.share:.1f} % of the multiply-adds"

    def as_dict(self) -> dict[str, Any]:
        """Returns the report in plain types, as for JSON."""
        return {**dataclasses.asdict(self), "share": self.share}
