"""What a command printed as JSON, as programs read it."""

import json


def sections_of(data):
    """All sections, also those within others."""
    for section in data["sections"]:
        yield section
        yield from sections_of(section)


def table_of(text, key):
    """The rows of all tables of this name, each with what its section is about."""
    sections = sections_of(json.loads(text))
    return [section["about"] | row for section in sections for row in section["tables"].get(key, [])]
