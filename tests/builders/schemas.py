"""What `--json` writes, held against the published schemas."""

import json
from importlib import resources

import jsonschema

SCHEMAS = resources.files("xcompat") / "schemas"


def closed(schema):
    """Return a schema that takes no field which it does not name."""
    if isinstance(schema, list):
        return [closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    told = {name: closed(value) for name, value in schema.items()}
    return {**told, "additionalProperties": False} if "required" in schema else told


def check(name, told):
    schema = json.loads((SCHEMAS / f"{name}.json").read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(closed(schema)).validate(told)
