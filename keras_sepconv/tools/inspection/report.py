"""Reports of what was changed in a model, and what was not."""

import collections
import dataclasses
from collections.abc import Iterable
from typing import Any, ClassVar, TypeAlias

from rich import box
from rich.table import Table

# The multiply-adds of the layers that run our operations, and of the model.
MultiplyAdds: TypeAlias = tuple[int | None, int | None]

# The number of layers that are named for one reason.
_NAMED = 3


@dataclasses.dataclass(frozen=True)
class Row:
    """What happened to one layer.

    Attributes:
        layer: Its name, after the names of the models around it.
        before: Its class.
        after: The class that replaced it; for a folded layer, the layer that it
            was folded into. `None` if it stays.
        reason: Why it stays.
    """

    layer: str
    before: str
    after: str | None = None
    reason: str | None = None


class _Report:
    """The common part of both reports. The subclasses have the fields."""

    model: str
    left: tuple[Row, ...]
    multiply_adds: MultiplyAdds

    @property
    def share(self) -> float | None:
        """The share of the multiply-adds that our operations compute."""
        fast, total = self.multiply_adds
        return fast / total if fast is not None and total else None

    def as_dict(self) -> dict[str, Any]:
        """Returns the report in plain types, for example for JSON."""
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
        model: The name of the model.
        converted: The layers that were replaced.
        left: The convolutions that were not replaced, with the reason.
        folded: The normalisations that were folded into the layer before them,
            and the paddings that were folded into the layer after them.
        unfolded: The normalisations that were not folded, with the reason.
        multiply_adds: The multiply-adds of the layers of this package and of
            the whole model, for one example. `None` if a size or a user's layer
            makes them unknown.
        notes: Other sentences for the user.
        copied: The layers with a depth multiplier: those that were replaced by
            copies of their input, and those that stay, with the reason.
        equalized: The convolutions whose output channels were equalized, with
            the convolution that reads them as `after`; and the depthwise ones
            that were not, with the reason.
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

    # The package of the new layers.
    _home: ClassVar[str] = "keras_sepconv"

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
            *((row, f"{self._home} {row.after}") for row in self.converted),
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


class RestorationReport(ConversionReport):
    """What `restore_model` did."""

    _home = "keras"


@dataclasses.dataclass(frozen=True)
class AccelerationReport(_Report):
    """Which layers of a model run our operations.

    Attributes:
        model: The name of the model.
        accelerated: The convolutions that run them, with their kind as `after`:
            separable, depthwise or pointwise.
        left: The convolutions that do not run them, with the reason.
        multiply_adds: The multiply-adds of the layers that run our operations
            and of the whole model, for one example. `None` if a size or a
            user's layer makes them unknown.
        notes: Other sentences for the user.
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


@dataclasses.dataclass(frozen=True)
class StreamingReport:
    """What a step model needs, and what it spares.

    Attributes:
        model: The name of the model that it was made from.
        chunk: How many steps it takes at a time.
        receptive_field: How many steps an output depends on; `None` if on all
            before.
        delay: How many steps a step waits for the last one of its chunk.
        state_bytes: The bytes of all states, for one signal.
        window: How many steps the whole model must read for the same output;
            `None` if unknown.
        multiply_adds: Those of the step model for one chunk, and those of the
            whole model for its window. `None` if unknown.
        notes: Other sentences for the user.
    """

    model: str
    chunk: int
    receptive_field: int | None
    delay: int
    state_bytes: int
    window: int | None
    multiply_adds: MultiplyAdds = (None, None)
    notes: tuple[str, ...] = ()

    @property
    def fewer(self) -> float | None:
        """How many times fewer multiply-adds the step model needs."""
        step, whole = self.multiply_adds
        return whole / step if whole is not None and step else None

    def as_dict(self) -> dict[str, Any]:
        """Returns the report in plain types, for example for JSON."""
        return {**dataclasses.asdict(self), "fewer": self.fewer}

    def __str__(self) -> str:
        """Returns the report in a few lines."""
        field = "all before"
        if self.receptive_field is not None:
            field = _steps(self.receptive_field)
        step, whole = (
            "unknown" if number is None else f"{number:,}"
            for number in self.multiply_adds
        )
        title = f"{self.model}: {_steps(self.chunk)} at a time"
        if self.fewer is not None:
            title += f", {self.fewer:.1f} times fewer multiply-adds"
        window = "" if self.window is None else f" of {_steps(self.window)}"
        return "\n".join(
            [
                f"{title}.",
                f"  receptive field: {field}",
                f"  delay: {_steps(self.delay)}",
                f"  state: {self.state_bytes:,} bytes",
                f"  multiply-adds: {step}, of the whole window{window} {whole}",
                *self.notes,
            ]
        )


def _steps(number: int) -> str:
    return "1 step" if number == 1 else f"{number:,} steps"


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
    table.add_column("was", overflow="fold")
    table.add_column("is now", overflow="fold")
    for row, now in changed:
        table.add_row(row.layer, row.before, now)
    for row in left:
        table.add_row(row.layer, row.before, f"unchanged: {row.reason}")
    return table
