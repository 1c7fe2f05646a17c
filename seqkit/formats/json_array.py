"""JSON arrays: each element is an object as `seqkit.formats.jsonl` has them."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from seqkit.formats.json_text import is_array
from seqkit.formats.manifest import object_frames, object_rows
from seqkit.formats.objects import Convention, objects_format, plain_object

JSON = replace(
    objects_format(
        "json",
        "a JSON array of objects",
        "https://www.rfc-editor.org/rfc/rfc8259",
        Convention(plain_object),
        recognise=is_array,
        container="array",
    ),
    recognise=is_array,  # of a manifest, too
    frames=partial(object_frames, "array"),
    rows=partial(object_rows, "array"),
)
