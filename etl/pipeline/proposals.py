"""What `pipeline.toml` could say of files, by a look at them: mapping, types, key, references."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from etl.errors import ConfigurationError, ETLError
from etl.pipeline.known_names import columns_named, defaults_of, likeness
from etl.rules.columns import clean_text
from etl.rules.found_types import LOOKS_LIKE_KEY, TypeFinder
from etl.rules.texts import has_decimal_comma
from etl.schema.columns import KEY_WIDTH
from etl.schema.table import Column, Kind
from etl.settings.pipeline_checks import NAME_WIDTH
from etl.sources.any_file import any_file
from etl.sources.csv_header import comparable, listed
from etl.sources.products import PRODUCT_PATHS

BUILT_IN = ("customers", "products", "sales")
_KEY_OF = {"customers": "customer_id", "products": "product_id"}
_TABLE_OF = {"customers": "customer_dim", "products": "product_dim"}
_KEY_KINDS = (Kind.TEXT, Kind.INTEGER, Kind.BIGINT)
_TAKEN = {"run_id", "batch", "rank", "source_row", "is_new", "is_live"}


@dataclass(frozen=True)
class Looked:
    """A file, and what was seen in it.

    Attributes:
        path: relative to INPUT_DIR.
        names: as the file writes them.
        options: of its source, as `pipeline.toml` has them.
        texts: all of it, columns of text by these names.
    """

    path: str
    names: tuple[str, ...]
    options: Mapping[str, Any]
    texts: pa.Table


@dataclass(frozen=True)
class Proposal:
    """What is proposed for one file.

    Attributes:
        part: `sources` or `loads`.
        name: there.
        keys: what it says, in the order in which it is written.
        reason: in a sentence.
    """

    part: str
    name: str
    keys: Mapping[str, Any]
    reason: str


def look(path: Path, folder: Path) -> Looked:
    """Look at a whole file.

    Args:
        path: the file.
        folder: INPUT_DIR.

    Raises:
        ConfigurationError: it cannot be read.
    """
    relative = path.relative_to(folder).as_posix()
    try:
        found = any_file(path)
        blocks = [block.records.select(found.columns) for block in found.blocks()]
    except ETLError as error:
        raise ConfigurationError(f"{path} cannot be looked at: {error}") from error
    schema = pa.schema([(column, pa.string()) for column in found.columns])
    texts = pa.Table.from_batches(blocks, schema).rename_columns(list(found.names))
    return Looked(relative, found.names, found.options, texts)


def propose(files: Sequence[Looked]) -> list[Proposal]:
    """Return what is proposed for files; built-in sources that have none are switched off."""
    taken = dict(_recognised(files))
    found = [_built_in(source, taken[source]) for source in BUILT_IN if source in taken]
    own = [looked for looked in files if looked not in taken.values()]
    loads = list(_named(own, set(BUILT_IN)))
    drafts = [_draft(name, looked) for name, looked in loads]
    found += [_own(draft, drafts, taken) for draft in drafts]
    off = [source for source in BUILT_IN if source not in taken]
    return found + [
        Proposal("sources", source, {"enabled": False}, f"no file of {source} was given")
        for source in off
    ]


# --- built-in sources --------------------------------------------------------------------


def _recognised(files: Sequence[Looked]) -> Iterator[tuple[str, Looked]]:
    left = list(files)
    for source in ("sales", "products", "customers"):  # the most particular first
        scores = {f.path: likeness(source, columns_named(source, f.names)) for f in left}
        best = max(left, key=lambda looked: scores[looked.path], default=None)
        if best is not None and scores[best.path]:
            left.remove(best)
            yield source, best


def _built_in(source: str, looked: Looked) -> Proposal:
    found = columns_named(source, looked.names)
    renamed = {
        name: column for column, name in found.items()
        if comparable(name) != comparable(column) and not _is_nested(name, column)
    }  # fmt: skip
    keys: dict[str, Any] = {
        "path": looked.path, **looked.options, "decimal": _decimal(looked, found.values()),
        "rename": renamed, "defaults": defaults_of(source, found),
    }  # fmt: skip
    unused = [name for name in looked.names if name not in found.values()]
    left = f"; not loaded: {listed(unused)}" if unused else ""
    lacking = [column for column in keys["defaults"] if column != "status"]
    without = f", but for {', '.join(lacking)}" if lacking else ""
    reason = f"{looked.path} has the columns of {source}{without}{left}"
    return Proposal("sources", source, keys, reason)


def _is_nested(name: str, column: str) -> bool:
    """Whether a member stands where the products of the program have it."""
    outer = PRODUCT_PATHS.get(column)
    return outer is not None and name == f"{outer}.{column}"


def _decimal(looked: Looked, names: Iterable[str]) -> str:
    """A comma, where numbers have one; empty for the point."""
    columns = [clean_text(looked.texts[name].combine_chunks()) for name in names]
    commas = [has_decimal_comma(column).true_count for column in columns]
    return "," if any(commas) else ""


# --- tables of one's own -----------------------------------------------------------------


@dataclass(frozen=True)
class _Draft:
    name: str
    looked: Looked
    named: Mapping[str, str]
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    decimal: str = ""


def _named(files: Sequence[Looked], taken: set[str]) -> Iterator[tuple[str, Looked]]:
    for looked in files:
        stem = re.sub(r"\..*", "", Path(looked.path).name)
        base = snake_case(re.sub(r"[\d\W_]+$", "", stem)) or "records"
        name, number = base[:NAME_WIDTH], 2
        while name in taken:
            name, number = f"{base[: NAME_WIDTH - 2]}_{number}", number + 1
        taken.add(name)
        yield name, looked


def snake_case(name: str) -> str:
    """Return a name as columns are called.

    Example:
        >>> [snake_case(name) for name in ("Order No.", "orderId", "customer.id", "2nd")]
        ['order_no', 'order_id', 'customer_id', '_2nd']
    """
    parted = re.sub(r"(?<=[a-z\d])(?=[A-Z])", "_", name.strip())
    words = re.sub(r"\W+", "_", parted).strip("_").lower()
    return f"_{words}" if words[:1].isdigit() else words


def _draft(name: str, looked: Looked) -> _Draft:
    named: dict[str, str] = {}
    for given in looked.names:
        column = snake_case(given) or f"column_{len(named) + 1}"
        while column in named or column in _TAKEN:
            column = f"{column}_"
        named[column] = given
    decimal = _decimal(looked, looked.names)
    finder = TypeFinder(list(named), decimal=decimal or ".")
    texts = looked.texts.rename_columns(list(named)).combine_chunks()
    for block in texts.to_batches():
        finder.look(block)
    columns = finder.columns()
    key = _key(name, columns, texts)
    return _Draft(name, looked, named, columns, key, decimal)


def _key(name: str, columns: Sequence[Column], texts: pa.Table) -> tuple[str, ...]:
    """The first column, or two, that tell the records apart and look like it; none: no such."""
    usable = [c.name for c in columns if c.kind in _KEY_KINDS and c.width <= KEY_WIDTH]
    usable = [c for c in usable if not clean_text(texts[c].combine_chunks()).null_count]
    singular = name.removesuffix("s")
    rank = {f"{singular}_id": 0, f"{singular}_no": 0, f"{singular}_nr": 0, "id": 1}
    keys = sorted((c for c in usable if LOOKS_LIKE_KEY.search(c)),
                  key=lambda c: (rank.get(c, 2), usable.index(c)))  # fmt: skip
    pairs = [(a, b) for n, a in enumerate(keys) for b in keys[n + 1 :]]
    candidates = [*((c,) for c in keys), *pairs, *((c,) for c in usable[:1])]
    return next((key for key in candidates if _tells_apart(key, texts)), ())


def _tells_apart(key: Sequence[str], texts: pa.Table) -> bool:
    if not texts.num_rows:
        return False
    cleaned = pa.table({c: clean_text(texts[c].combine_chunks()) for c in key})
    return bool(cleaned.group_by(list(key)).aggregate([]).num_rows == texts.num_rows)


def _own(draft: _Draft, drafts: Sequence[_Draft], taken: Mapping[str, Looked]) -> Proposal:
    references = dict(_references(draft, drafts, taken))
    types = {c.name: type_words(_fitting(c, references, drafts)) for c in draft.columns}
    renamed = {given: column for column, given in draft.named.items()
               if comparable(given) != comparable(column)}  # fmt: skip
    source = {"path": draft.looked.path, **draft.looked.options, "decimal": draft.decimal,
              "rename": renamed}  # fmt: skip
    merged = {"key": list(draft.key)} if draft.key else {"mode": "append"}
    keys = {"table": draft.name, **merged, "source": source, "columns": types,
            "references": references}  # fmt: skip
    known = f"identified by {', '.join(draft.key)}" if draft.key else "without a key: each is added"
    return Proposal("loads", draft.name, keys, f"{draft.looked.path}: a table of its own, {known}")


def _references(
    draft: _Draft, drafts: Sequence[_Draft], taken: Mapping[str, Looked]
) -> Iterator[tuple[str, str]]:
    parents = {column: _TABLE_OF[source] for source, column in _KEY_OF.items() if source in taken}
    parents |= {other.key[0]: other.name for other in drafts
                if len(other.key) == 1 and other is not draft and other.key[0] != "id"}  # fmt: skip
    for column in draft.columns:
        if column.name in parents and draft.key != (column.name,):
            yield column.name, parents[column.name]


def _fitting(column: Column, references: Mapping[str, str], drafts: Sequence[_Draft]) -> Column:
    """The column in the type of the key that it names."""
    parent = references.get(column.name)
    if parent in _TABLE_OF.values():
        return replace(column, kind=Kind.TEXT, width=KEY_WIDTH)
    others = {d.name: c for d in drafts for c in d.columns if d.key == (c.name,)}
    return others.get(parent or "", column)


def type_words(column: Column) -> str:
    """Return the type of a column as it is declared.

    Example:
        >>> type_words(Column("total", "", Kind.DECIMAL, precision=18, scale=2))
        'decimal(18, 2)'
    """
    if column.kind is Kind.TEXT:
        return f"text({column.width})"
    if column.kind is Kind.DECIMAL:
        return f"decimal({column.precision}, {column.scale})"
    return str(column.kind.value)


# --- as TOML -----------------------------------------------------------------------------


def as_toml(proposals: Sequence[Proposal]) -> str:
    """Return proposals as the text of a `pipeline.toml`."""
    parts = ["# Proposed by init, from a look at the files. docs/your-own-tables.md and "
             "docs/your-files.md\n# explain each key.\n"]  # fmt: skip
    for each in proposals:
        lines = [f"# {each.reason}", f"[{each.part}.{each.name}]", *_lines(each.keys)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _lines(keys: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in keys.items():
        if isinstance(value, Mapping) and not prefix and name in ("source", "columns"):
            yield from _lines(value, f"{name}.")
        elif value not in ("", {}, []) or prefix == "columns.":
            yield f"{prefix}{name} = {_toml(value)}"


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        pairs = ", ".join(f"{_quoted(name)} = {_toml(v)}" for name, v in value.items())
        return f"{{ {pairs} }}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value).lower() if isinstance(value, bool) else _quoted(str(value))


def _quoted(text: str) -> str:
    escaped = "".join(c if c.isprintable() and c not in '"\\' else f"\\U{ord(c):08X}" for c in text)
    return f'"{escaped}"'
