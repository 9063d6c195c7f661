"""The rules for customers: from the columns of the source to those of `customer_dim`."""

from collections.abc import Callable, Mapping, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from etl.rules import columns as field_rules
from etl.rules import values as value_rules
from etl.rules.blocks import LoadBlock
from etl.rules.business import (
    CUSTOMER_TEXTS,
    DEFAULT_RULES,
    INCOMPLETE_PROFILE,
    PREMIUM,
    PREMIUM_PLUS,
    STANDARD,
    STANDARD_PLUS,
    Rules,
    comparable,
    prepared_texts,
    refuse_e_notation,
    unreadable,
)
from etl.rules.checks import Checks
from etl.rules.dates import read_dates
from etl.schema.source_columns import CUSTOMER_COLUMNS
from etl.schema.star import CUSTOMER_DIM


def transform_customers(block: pa.RecordBatch, rules: Rules = DEFAULT_RULES) -> LoadBlock:
    """Clean and check a block of customers.

    Args:
        block: `source_row` and `CUSTOMER_COLUMNS`.
        rules: what the business has set.

    Example:
        >>> from etl.rules.records import block_from_records
        >>> record = {"customer_id": "C1", "first_name": "jane", "last_name": "o'neil",
        ...           "email": "J@B.org", "segment": "premium", "phone": "4255550100"}
        >>> block, _ = block_from_records([record], CUSTOMER_COLUMNS)
        >>> customer = transform_customers(block).accepted.to_pylist()[0]
        >>> customer["name"], customer["phone"], customer["segment"]
        ("Jane O'Neil", '(425) 555-0100', 'Premium Plus')
    """
    texts = prepared_texts(block, CUSTOMER_TEXTS, rules)
    checks = Checks(block, CUSTOMER_COLUMNS, texts.records.column("customer_id"))
    block = texts.records
    values = _customer_values(block, rules)
    checks.missing({"customer_id": pc.is_null(values["customer_id"])})
    refuse_e_notation(checks, block, CUSTOMER_TEXTS.keys)
    checks.bad_text()
    checks.columns_fit(CUSTOMER_DIM, values, {})
    registered = values["registration_date"]
    notes = {
        "invalid_emails": pc.and_not(pc.is_valid(values["email"]), values["email_valid"]),
        "invalid_phones": pc.and_not(pc.is_valid(values["phone"]), values["phone_valid"]),
        "unreadable_registration_dates": unreadable(block.column("registration_date"), registered),
    }
    return checks.result(CUSTOMER_DIM, values, notes).noting(texts.notes)


def _customer_values(block: pa.RecordBatch, rules: Rules) -> dict[str, pa.Array]:
    values = {
        "customer_id": field_rules.clean_text(block.column("customer_id")),
        "first_name": field_rules.clean_name(block.column("first_name")),
        "last_name": field_rules.clean_name(block.column("last_name")),
        "email": field_rules.clean_email(block.column("email")),
        "address": field_rules.clean_text(block.column("address")),
        "source_segment": field_rules.clean_text(block.column("segment")),
        "registration_date": read_dates(block.column("registration_date"), rules.dates),
        "is_inferred": field_rules.no_rows(block.num_rows),
    }
    values["name"] = _full_name(values["first_name"], values["last_name"])
    values["email_valid"] = field_rules.email_is_valid(values["email"])
    values["phone"], values["phone_valid"] = field_rules.clean_phone(
        block.column("phone"), rules.default_area_code
    )
    values["segment"] = _enhanced_segment(values)
    return values


def _full_name(first: pa.Array, last: pa.Array) -> pa.Array:
    # null_handling="skip" would drop the rows in which both are null (Arrow 26)
    return pc.coalesce(pc.binary_join_element_wise(first, last, " "), first, last)


def _enhanced_segment(values: Mapping[str, pa.Array]) -> pa.Array:
    """The first of these that holds: incomplete, premium with phone, complete standard, as given.

    A complete name is both of its parts. A phone number counts as provided also when it is not a
    full one, an e-mail address must be valid to complete a profile.
    """
    source, phone = values["source_segment"], pc.is_valid(values["phone"])
    segment = field_rules.by_distinct(source, comparable, pa.string())
    incomplete = _any_null([values["first_name"], values["last_name"], values["email"], source])
    complete = pc.and_not(
        pc.and_(phone, values["email_valid"]),
        _any_null([values["address"], values["registration_date"]]),
    )
    cases = pc.make_struct(
        incomplete,
        pc.and_(pc.equal(segment, PREMIUM), phone),
        pc.and_(pc.equal(segment, STANDARD), complete),
    )
    as_given = field_rules.by_distinct(source, value_rules.name_of, pa.string())
    return pc.case_when(cases, INCOMPLETE_PROFILE, PREMIUM_PLUS, STANDARD_PLUS, as_given)


def _any_null(columns: Sequence[pa.Array]) -> pa.Array:
    missing = pc.is_null(columns[0])
    for column in columns[1:]:
        missing = pc.or_(missing, pc.is_null(column))
    return missing


# --- one name for two --------------------------------------------------------------------

# Written small before a last name, of which they are a part; and what follows one.
_PARTICLES = frozenset((
    "al", "bin", "da", "das", "de", "del", "della", "den", "der", "di", "do", "dos", "du", "el",
    "ibn", "la", "le", "ten", "ter", "van", "von", "zu", "zum",
))  # fmt: skip
_SUFFIXES = frozenset(("jr", "jr.", "sr", "sr.", "ii", "iii", "iv"))


def split_names(block: pa.RecordBatch) -> pa.RecordBatch:
    """Fill first and last name from `name` where a record has neither.

    Args:
        block: with the columns `first_name`, `last_name` and `name`.

    Returns:
        The block without `name`.
    """
    parts = {n: field_rules.clean_name(block.column(n)) for n in ("first_name", "last_name")}
    alone = pc.and_(*(pc.is_null(part) for part in parts.values()))
    name = pc.if_else(alone, field_rules.clean_text(block.column("name")), None)
    for index, column in enumerate(parts):
        found = field_rules.by_distinct(name, _part(index), pa.string())
        values = pc.if_else(alone, found, field_rules.as_text_column(block.column(column)))
        block = block.set_column(block.schema.get_field_index(column), column, values)
    return block.drop_columns(["name"])


def _part(index: int) -> Callable[[str], str | None]:
    return lambda name: _parts_of(name)[index]


def _parts_of(name: str) -> tuple[str | None, str | None]:
    """First and last name: at the comma, or before the last word and what belongs to it.

    Example:
        >>> _parts_of("Ludwig van Beethoven"), _parts_of("King, Martin Luther")
        (('Ludwig', 'van Beethoven'), ('Martin Luther', 'King'))
        >>> _parts_of("Ann"), _parts_of("Sammy Davis Jr.")
        (('Ann', None), ('Sammy', 'Davis Jr.'))
    """
    last, comma, first = (part.strip() for part in name.partition(","))
    if comma and first.lower() not in _SUFFIXES:
        return first or None, last or None
    words = name.split()
    start = max(len(words) - 1, 1)
    if start > 1 and words[start].lower() in _SUFFIXES:
        start -= 1
    while start > 1 and words[start - 1].lower() in _PARTICLES:
        start -= 1
    return " ".join(words[:start]), " ".join(words[start:]) or None
