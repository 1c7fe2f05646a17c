"""Label Studio: tasks with their annotations (JSON), or the annotations beside the data (JSON-MIN).

Its export in columns, CoNLL 2003, is read as columns.
"""

from __future__ import annotations

from typing import Any

from seqkit.errors import shown
from seqkit.formats.format import ReadOptions, Sample
from seqkit.formats.json_text import sample_objects
from seqkit.formats.objects import Convention, objects_format, plain_object
from seqkit.formats.spans import Fault

_ANNOTATIONS = ("annotations", "completions")
_OF_JSON_MIN = frozenset({"annotator", "annotation_id", "lead_time", "created_at", "updated_at"})
"""keys that Label Studio adds to the data in JSON-MIN"""


def _plain(value: Any, options: ReadOptions) -> dict[str, Any] | None:
    task = plain_object(value, options)
    key = next((key for key in _ANNOTATIONS if key in task), None)
    return _from_minimal(task, options) if key is None else _from_task(task, key, options)


def _from_task(task: dict[str, Any], key: str, options: ReadOptions) -> dict[str, Any] | None:
    given, data = task[key], task.get("data")
    if not isinstance(given, list) or not isinstance(data, dict):
        raise Fault(f'expected a task with an object "data" and a list "{key}", found {shown(task)}')
    kept = [each for each in given if isinstance(each, dict) and not _is_cancelled(each)]
    if len(kept) < len(given):
        options.left_out["annotations left out because they were cancelled"] += len(given) - len(kept)
    found = {name: each for name, each in data.items() if name not in ("text", "spans", "tokens", "label")}
    if not kept and options.allow_unlabelled:
        return found | {"text": data[_text_key(data, [], options)]}
    if not kept:
        options.left_out["tasks left out because nobody annotated them"] += 1
        return None
    if len(kept) > 1:
        options.left_out["tasks of which the first of several annotations was read"] += 1
    results = kept[0].get("result")
    if not isinstance(results, list) or not all(isinstance(each, dict) for each in results):
        raise Fault(f'expected a list of objects in "result", found {shown(results)}')
    names = [each.get("to_name") for each in results]
    found["text"] = data[_text_key(data, names, options)]
    spans, labels = [], []
    for each in results:
        kind, value = each.get("type"), each.get("value")
        if kind == "labels" and isinstance(value, dict):
            spans += _labelled(value, options)
        elif kind == "choices" and isinstance(value, dict) and isinstance(value.get("choices"), list):
            labels += value["choices"]
        else:
            options.left_out[f"annotations of type {shown(kind)} left out"] += 1
    return found | {"spans": spans} | ({"label": labels} if labels else {})


def _is_cancelled(annotation: dict[str, Any]) -> bool:
    return bool(annotation.get("was_cancelled") or annotation.get("skipped"))


def _from_minimal(task: dict[str, Any], options: ReadOptions) -> dict[str, Any]:
    """An object of JSON-MIN, whose keys are those of the data, and the names of the ways to annotate."""
    found = {name: each for name, each in task.items() if name not in ("spans", "tokens")}
    spans, labels = [], []
    for name, value in task.items():
        if _are_regions(value):
            spans += [span for each in value for span in _labelled(each, options)]
            del found[name]
        elif isinstance(value, dict) and isinstance(value.get("choices"), list):
            labels += value["choices"]
            del found[name]
    kept = {name: each for name, each in found.items() if name not in _OF_JSON_MIN}
    found["text"] = found[_text_key(kept, [], options)]
    if labels:
        found["label"] = labels
    return found | {"spans": spans}


def _are_regions(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(each, dict) and {"start", "end", "labels"} <= each.keys() for each in value)
    )


def _labelled(value: dict[str, Any], options: ReadOptions) -> list[dict[str, Any]]:
    """The spans of a region, one for each of its labels."""
    labels = value.get("labels")
    if not isinstance(labels, list):
        raise Fault(f'expected a list in "labels", found {shown(labels)}')
    if not labels:
        options.left_out["spans left out because they have no label"] += 1
    text = value.get("text")
    if isinstance(text, str):
        text = text.replace("\\n", "\n")  # so some versions write a line break in a span
    return [{"start": value.get("start"), "end": value.get("end"), "label": label, "text": text} for label in labels]


def _text_key(data: dict[str, Any], names: list[Any], options: ReadOptions) -> str:
    """The key of the text: the one the user named, or that the annotations are of, or the only one of a text."""
    texts = [key for key, value in data.items() if isinstance(value, str)]
    for key in (options.text, *(name for name in names if isinstance(name, str))):
        if key in texts:
            return key
    if len(texts) != 1:
        found = ", ".join(map(repr, texts)) or "none"
        raise Fault(f"expected the data of a task to have a text called 'text', or only one, found {found}")
    return texts[0]


def _recognise(sample: Sample) -> bool:
    found = sample_objects(sample)
    if not found:  # the first task may be longer than the first lines
        start = "\n".join(sample.lines)
        return start.lstrip().startswith(("[", "{")) and '"result"' in start and '"annotations"' in start
    return all(isinstance(each, dict) for each in found) and (
        all(isinstance(each.get("data"), dict) and any(key in each for key in _ANNOTATIONS) for each in found)
        or all({"annotator", "annotation_id"} <= each.keys() for each in found)
    )


LABEL_STUDIO = objects_format(
    "label_studio",
    "tasks of Label Studio with their annotations",
    "https://labelstud.io/guide/task_format",
    Convention(_plain, documents=True),
    _recognise,
)
