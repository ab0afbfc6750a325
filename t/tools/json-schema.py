#!/usr/bin/python3
"""Holds JSON texts against a JSON Schema.

json-schema.py SCHEMA < texts, one a line. For each line one line comes back: "ok", or where it is wrong
and why. A schema that is none ends the program with 1.
"""
import json
import sys

import jsonschema


def no_twins(pairs):
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise ValueError("a member is there twice")
    return dict(pairs)


def verdict(validator, line):
    try:
        text = json.loads(line, object_pairs_hook=no_twins)
    except ValueError as e:
        return "not JSON: %s" % e
    errors = sorted(validator.iter_errors(text), key=lambda e: e.json_path)
    return "; ".join("%s: %s" % (e.json_path, e.message) for e in errors)[:1000] or "ok"


def main():
    with open(sys.argv[1], encoding="utf-8") as f:
        schema = json.load(f)
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    for line in sys.stdin:
        print(verdict(kind(schema), line).replace("\n", " "), flush=True)


main()
