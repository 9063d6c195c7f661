"""Journal entries with text that wants to be more than text, and entries that are damaged."""

from collections.abc import Callable
from typing import Any

from sample_journal import sample_journal

HOSTILE_TEXTS = (
    "<script>alert(1)</script>",
    "\"'><img src=x onerror=alert(1)>",
    "</title></style></svg><iframe src=https://evil.example/></iframe>",
    "<!-- ]]> &lt;b&gt; &amp; {{7*7}} ${x} javascript:alert(1)",
    "\x00\x1b[31m\u202egpj.exe\u2066 \ud800 half a pair",
    "שלום עולם مرحبا بالعالم",
    "🧨👩‍👩‍👧‍👦🇩🇪 e\u0301\u0301\u0301\u0301\u0301\u0301\u0301\u0301",  # as odd as it looks
    "W" * 5000,
    "a very long sentence with many words " * 200,
    "line one\nline two\r\n\tline three\u2028line four",
)

DAMAGE: tuple[Any, ...] = (
    None, "", "text", 0, -1, 10**400, float("nan"), float("inf"), True, [], {}, [None], [[]],
    {"": None}, {"a": "b"}, "2024-13-45", "9999-12-31T23:59:59-23:00", b"bytes",
)  # fmt: skip


def with_every_text(change: Callable[[str], str], value: Any) -> Any:
    """The value with each text in it changed, also the keys that are names from outside."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, list):
        return [with_every_text(change, item) for item in value]
    if isinstance(value, dict):
        return {key: with_every_text(change, item) for key, item in value.items()}
    return value


def hostile_entry(text: str, *, status: str = "attention") -> dict[str, Any]:
    """An entry in which all that comes from outside is the text; its status and times are kept."""
    entry = sample_journal(6, last="attention")[-1]
    kept = {name: entry[name] for name in ("started_at", "finished_at")}
    mixed = with_every_text(lambda _: text, entry)
    for name in ("tables", "column_changes"):
        mixed[name] = {f"{text}{table}": value for table, value in mixed[name].items()}
    for number, traced in enumerate(mixed["lineage"]):
        traced["target"] = list(mixed["tables"])[number]
    quality, stages = mixed["quality"], mixed["metrics"]["stages"]
    quality["scores"] = {f"{text}{name}": score for name, score in quality["scores"].items()}
    mixed["metrics"]["stages"] = {f"{text}{name}": stage for name, stage in stages.items()}
    return {**mixed, **kept, "status": status, "error": text}


def damaged_entries() -> list[Any]:
    """An entry in which each part in turn, at any depth, is something else."""
    whole = sample_journal(2, last="attention")[-1]
    return [*DAMAGE, *(_with(whole, path, junk) for path in _paths(whole) for junk in DAMAGE)]


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The ways to every part; of a list the first item stands for all."""
    if isinstance(value, dict):
        return [p for key in value for p in ((*path, key), *_paths(value[key], (*path, key)))]
    if isinstance(value, list) and value:
        return [(*path, 0), *_paths(value[0], (*path, 0))]
    return []


def _with(value: Any, path: tuple[Any, ...], junk: Any) -> Any:
    if not path:
        return junk
    first, *rest = path
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[first] = _with(value[first], tuple(rest), junk)
    return copy
