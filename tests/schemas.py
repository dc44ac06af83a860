"""Checks the JSON of the commands against the schema in the documentation."""

import json
from typing import Any

import jsonschema
from pages import DOCS

SCHEMA = json.loads((DOCS / "output.schema.json").read_text())


def check(command: str, output: Any) -> None:
    """Raises a `jsonschema.ValidationError` if the schema does not fit."""
    one = {"anyOf": [{"$ref": f"#/$defs/{command}"}]}
    jsonschema.validate(output, {**SCHEMA, **one})
