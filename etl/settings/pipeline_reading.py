"""Reading `pipeline.toml`: every problem is found at once, and named with its line."""

import json
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from etl.errors import ConfigurationError
from etl.settings.pipeline_checks import (
    arrows,
    nearest,
    problems_of_check,
    problems_of_loads,
    problems_of_path,
    problems_of_source,
)
from etl.settings.pipeline_file import (
    BUILT_IN_LOADS,
    BuiltInSource,
    LoadOptions,
    OwnCheck,
    PipelineFile,
    ScoreWeights,
)
from etl.settings.toml_places import Place, line_of

M = TypeVar("M", bound=BaseModel)


class PipelineFileError(ConfigurationError):
    """The `pipeline.toml` at `path` cannot be used; `problems` has a line for each fault."""

    def __init__(self, path: Path, problems: Iterable[str]) -> None:
        self.path = path
        self.problems = tuple(dict.fromkeys(problems))
        lines = "".join(f"\n- {problem}" for problem in self.problems)
        super().__init__(f"{path} cannot be used:{lines}", next_step="correct these places")


def read_pipeline_file(path: Path, input_dir: Path | None = None) -> PipelineFile:
    r"""Read and check a `pipeline.toml`.

    Args:
        path: the file.
        input_dir: folder of the source files; None: they are not looked for.

    Returns:
        Its declarations, the loads in an order in which each comes after those it refers to.

    Raises:
        PipelineFileError: it cannot be read or used; each problem is named with its line.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "pipeline.toml")
        ...     _ = path.write_text('[sources.customers]\ndecimal = ","\n')
        ...     read_pipeline_file(path).source("customers").decimal
        ','
    """
    text = _text_of(path)
    try:
        given = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PipelineFileError(path, [f"it is no TOML: {error}"]) from None
    declared = _Declared(text)
    declared.check(given, input_dir)
    if declared.problems:
        raise PipelineFileError(path, declared.in_order())
    loads = _in_order_of_references(declared.loads)
    return PipelineFile(
        declared.sources, loads, path, tuple(text.splitlines()), declared.checks, declared.weights
    )


_PARTS = ("sources", "loads", "checks", "scores")
# Keys whose value is the name of a setting that holds a secret.
_NAMING = ("connection", "setting", "username_setting")


def settings_named_in(path: Path) -> set[str]:
    """Return the settings that a file names for its secrets, whatever else is wrong with it."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return set()  # reading it says what is wrong
    return set(_names_in({name: given.get(name) for name in ("sources", "loads")}))


def _names_in(part: Any) -> Iterator[str]:
    for name, value in part.items() if isinstance(part, Mapping) else ():
        if name in _NAMING and isinstance(value, str) and value:
            yield value
        yield from _names_in(value)


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PipelineFileError(path, [f"it cannot be read: {error.strerror}"]) from error
    except UnicodeDecodeError:
        raise PipelineFileError(path, ["it is no UTF-8 text"]) from None


class _Declared:
    """The declarations of a file as far as they can be read, and what is wrong with the others."""

    def __init__(self, text: str) -> None:
        self.sources: dict[str, BuiltInSource] = {}
        self.loads: dict[str, LoadOptions] = {}
        self.checks: dict[str, OwnCheck] = {}
        self.weights: dict[str, float] = {}
        self.problems: list[tuple[int, str]] = []
        self._lines = text.splitlines()

    def check(self, given: Mapping[str, Any], input_dir: Path | None) -> None:
        """Read the parts one by one, so that a fault in one does not hide those of the others."""
        for name in given.keys() - set(_PARTS):
            self._report((name,), f"unknown{nearest(name, _PARTS)}")
        self._read_sources(given)
        for name, part in self._tables(given, "loads"):
            load = self._part(("loads", name), LoadOptions, part)
            if load is not None:
                self.loads[name] = load
        self._read_checks(given)
        for place, words in problems_of_loads(self.loads):
            self._report(place, words)
        if input_dir is not None:
            self._check_paths(input_dir)

    def _read_checks(self, given: Mapping[str, Any]) -> None:
        for name, part in self._tables(given, "checks"):
            check = self._part(("checks", name), OwnCheck, part)
            if check is not None:
                self.checks[name] = check
                for place, words in problems_of_check(name, check):
                    self._report(("checks", name, *place), words)
        weights = self._part(("scores",), ScoreWeights, given.get("scores", {}))
        self.weights = weights.model_dump(exclude_none=True) if weights else {}

    def in_order(self) -> list[str]:
        """Return the problems in the order of the file."""
        return [text for _, text in sorted(self.problems)]

    def _read_sources(self, given: Mapping[str, Any]) -> None:
        for name, part in self._tables(given, "sources"):
            if name not in BUILT_IN_LOADS:
                hint = nearest(name, BUILT_IN_LOADS)
                self._report(("sources", name), f"unknown source{hint}; a table of your own is "
                             f"declared as [loads.{name}]")  # fmt: skip
            elif (source := self._part(("sources", name), BuiltInSource, part)) is not None:
                self.sources[name] = source
                for place, words in problems_of_source(name, source):
                    self._report(("sources", name, *place), words)

    def _check_paths(self, input_dir: Path) -> None:
        paths: dict[Place, str] = {("sources", n): s.path for n, s in self.sources.items()}
        paths |= {("loads", n, "source"): load.source.path for n, load in self.loads.items()}
        for place, pattern in paths.items():
            if pattern and (problem := problems_of_path(pattern, input_dir)):
                self._report((*place, "path"), problem)

    def _tables(self, given: Mapping[str, Any], name: str) -> Iterator[tuple[str, Any]]:
        part = given.get(name, {})
        if isinstance(part, Mapping):
            yield from part.items()
        else:
            self._report((name,), f"must be tables, such as [{name}.orders]")

    def _part(self, place: Place, kind: type[M], given: Any) -> M | None:
        try:
            return kind.model_validate(given)
        except ValidationError as error:
            for detail in error.errors():
                self._report((*place, *detail["loc"]), _in_words(kind, detail))
            return None

    def _report(self, place: Place, words: str) -> None:
        line = line_of(self._lines, place)
        dotted = ".".join(str(part) for part in place)
        self.problems.append((line, f"line {line}, {dotted}: {words}"))


# What pydantic misses, by the type of its error, as TOML writes it.
_WANTED = {
    "tuple_type": "a list: write [{given}]",
    "dict_type": 'a table, such as {{ name = "value" }}',
    "model_type": 'a table, such as {{ name = "value" }}',
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "string_type": 'a text: write "{given}"',
}


def _in_words(kind: type[BaseModel], detail: ErrorDetails) -> str:
    if detail["type"] == "extra_forbidden":
        fields = _fields_at(kind, detail["loc"][:-1])
        return f"unknown{nearest(str(detail['loc'][-1]), fields)}"
    if detail["type"] == "missing":
        return "missing"
    if detail["type"] == "literal_error":
        return f"{detail['input']!r} is none of {detail['ctx']['expected']}"
    given = repr(detail["input"])
    if wanted := _WANTED.get(detail["type"]):
        return f"{given} is not {wanted.format(given=json.dumps(detail['input'], default=str))}"
    return detail["msg"].removeprefix("Value error, ").replace("Input ", f"{given} ", 1)


def _fields_at(kind: type[BaseModel], place: Sequence[str | int]) -> list[str]:
    """The keys that are known at a place of a declaration."""
    for part in place:
        info = kind.model_fields.get(str(part))
        inside = info.annotation if info else None
        kinds = [k for k in (inside, *get_args(inside)) if isinstance(k, type)]
        kind = next((k for k in kinds if issubclass(k, BaseModel)), kind)
    return list(kind.model_fields)


def _in_order_of_references(loads: Mapping[str, LoadOptions]) -> dict[str, LoadOptions]:
    """The loads, each after those it refers to; otherwise in the order of the file."""
    others, ordered = arrows(loads), dict[str, LoadOptions]()

    def add(name: str) -> None:
        if name not in ordered:
            for other in sorted(others[name], key=list(loads).index):
                add(other)
            ordered[name] = loads[name]

    for name in loads:
        add(name)
    return ordered
