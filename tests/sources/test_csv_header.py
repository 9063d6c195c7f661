"""The header of a CSV file is found where the evidence is clear, and reported where it is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from etl.errors import ValidationError
from etl.sources.csv_header import Header, HeaderOptions, comparable, find_header

COLUMNS = ("customer_id", "first_name", "email")


def found(*lines: str, options: HeaderOptions | None = None) -> Header:
    return find_header(lines, COLUMNS, options)


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_one_that_yields_the_names(delimiter: str) -> None:
    header = found(delimiter.join(COLUMNS), delimiter.join(["C1", "Ann, or; so", "a|b\tc"]))
    assert (header.line, header.delimiter) == (0, delimiter)
    assert dict(header.positions) == {name: place for place, name in enumerate(COLUMNS)}


@pytest.mark.parametrize(
    "names",
    [
        "Customer ID,First Name,E-mail",
        "CUSTOMER_ID,FIRST_NAME,EMAIL",
        "customerId,firstName,e_mail",
        " customer id , first\u00a0name ,\u200bemail",
        '"customer_id","first_name","email"',
    ],
)
def test_names_are_compared_without_case_blanks_and_marks(names: str) -> None:
    assert set(found(names).positions) == set(COLUMNS)


def test_other_columns_are_extra_in_any_order() -> None:
    header = found("email,loyalty points,customer_id,first_name")
    assert header.extra == ("loyalty points",)
    assert dict(header.positions) == {"email": 0, "customer_id": 2, "first_name": 3}


def test_lines_above_the_header_are_skipped_and_reported() -> None:
    header = found(
        "Customer export,,", "Generated 20/01/2024", ",,", "customer_id,first_name,email"
    )
    assert header.line == 3
    assert header.findings == ("3 lines above the header",)


def test_the_separator_line_of_excel_decides() -> None:
    header = found("sep=^", "customer_id^first_name^email")
    assert (header.line, header.delimiter) == (1, "^")


def test_a_header_may_have_a_line_break_in_quotes() -> None:
    header = found('customer_id,email,first_name,"a note', 'over two lines"', "C1,a@b.org,Ann,-")
    assert (header.line, header.lines) == (0, 2)


def test_names_that_are_declared_count() -> None:
    options = HeaderOptions(rename={"Kundennummer": "customer_id", "Vorname": "first_name"})
    header = found("KUNDENNUMMER;vorname;E-Mail", options=options)
    assert dict(header.positions) == {"customer_id": 0, "first_name": 1, "email": 2}


def test_an_optional_column_may_be_missing() -> None:
    header = found("customer_id,email", options=HeaderOptions(optional=frozenset({"first_name"})))
    assert "first_name" not in header.positions


def test_settings_leave_nothing_to_be_found() -> None:
    lines = ("customer_id,first_name,email", "customer_id;first_name;email")
    assert found(*lines, options=HeaderOptions(skip_rows=1)).delimiter == ";"
    assert found(*lines, options=HeaderOptions(delimiter=";")).line == 1
    with pytest.raises(ValidationError):
        found(*lines, options=HeaderOptions(delimiter=",", skip_rows=1))


def test_a_renamed_column_is_named_with_the_setting_that_maps_it() -> None:
    with pytest.raises(ValidationError) as caught:
        found("customer_id,first_names,e_mail_address")
    assert "lacks 'first_name', 'email'" in str(caught.value)
    assert '"first_names" = "first_name"' in caught.value.next_step


def test_a_column_that_stands_there_twice_is_refused() -> None:
    with pytest.raises(ValidationError, match="names 'email' more than once"):
        found("customer_id,first_name,email,E-Mail")


@pytest.mark.parametrize("lines", [(), ("",), (",,,", "  ")])
def test_without_a_header_the_wanted_names_are_reported(lines: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError, match="no header was found; wanted 'customer_id'"):
        found(*lines)


@given(
    st.permutations(COLUMNS),
    st.sampled_from([",", ";", "\t", "|"]),
    st.lists(st.text("abc ,;|", max_size=9), max_size=5),
)
def test_any_order_below_any_title_is_found(
    names: list[str], delimiter: str, above: list[str]
) -> None:
    header = found(*above, delimiter.join(names), delimiter.join("xyz"))
    assert (header.line, header.delimiter) == (len(above), delimiter)
    assert [header.names[header.positions[name]] for name in COLUMNS] == list(COLUMNS)


@given(st.text(max_size=20))
def test_a_comparable_name_is_comparable(name: str) -> None:
    assert comparable(comparable(name)) == comparable(name)
