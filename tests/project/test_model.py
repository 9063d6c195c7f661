"""The examples that the rules were agreed on, and what must hold for all inputs."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from model import (
    COLUMNS,
    Counts,
    Record,
    Rejected,
    Row,
    Settings,
    SourceRow,
    Warehouse,
    clean_customer,
    clean_email,
    clean_name,
    clean_phone,
    clean_product,
    clean_sale,
    inventory_status,
    margin,
    price_category,
    read_number,
    read_products,
    read_sales,
    read_timestamp,
    round_half_away,
    standard_category,
    utf16_units,
    value_tier,
)
from record_strategies import customers, products, sales

NORMAL = Settings()
JANUARY = (datetime(2024, 1, 1), datetime(2024, 1, 31, 23, 59, 59, 999999))


def customer(**changes: str | None) -> Record:
    whole = {
        "customer_id": "C1",
        "first_name": "john",
        "last_name": "o'neil",
        "email": "John@Email.com",
        "phone": "(555) 123-4567",
        "address": "123 Main St",
        "segment": "Standard",
        "registration_date": "2024-01-15",
    }
    return {**whole, **changes}


def product(**changes: str | None) -> Record:
    whole = {
        "product_id": "P1",
        "name": "Headphones",
        "category": "tech",
        "brand": "TechCorp",
        "model": "WH-1000",
        "price": "199.99",
        "cost": "60",
        "quantity": "150",
        "warehouse": "WH-001",
    }
    return {**whole, **changes}


def sale(**changes: str | None) -> Record:
    whole = {
        "transaction_id": "T1",
        "customer_id": "C1",
        "product_id": "P1",
        "quantity": "2",
        "unit_price": "100.00",
        "discount_amount": "10.00",
        "transaction_date": "2024-01-15 10:30:00",
        "sales_rep_id": "R1",
        "status": "completed",
    }
    return {**whole, **changes}


def cleaned(row: Row | Rejected) -> Row:
    assert not isinstance(row, Rejected), row
    return row


def rows(*records: Record) -> list[SourceRow]:
    return list(enumerate(records, start=2))


def moment(*parts: int) -> datetime:
    return datetime(*parts)  # type: ignore[arg-type]


# --- single values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("JOHN SMITH", "John Smith"),
        ("jane   doe", "Jane Doe"),
        ("\u3000ann\t\u00a0marie\x1f", "Ann Marie"),
        ("o'neil", "O'Neil"),
        ("o\u2019neil", "O\u2019Neil"),
        ("men's", "Men's"),
        ("MEN'S", "Men's"),
        ("MEN\u2019S WEAR", "Men\u2019s Wear"),
        ("rock'n'roll", "Rock'n'Roll"),
        ("x's2", "X's2"),
        ("' s", "' S"),
        ("'s", "'S"),
        ("2's", "2'S"),
        ("van-der-berg", "Van-Der-Berg"),
        ("stra\u00dfe", "Stra\u00dfe"),
        ("\u01c6ep", "\u01c5ep"),
        ("\u03bf\u03b4\u03bf\u03c3".upper(), "\u039f\u03b4\u03bf\u03c2"),
        ("NA", "Na"),
        ("Null", "Null"),
        (" \t ", None),
        (None, None),
        ("a\u200b", "A\u200b"),
    ],
)
def test_a_name_is_trimmed_collapsed_and_in_title_case(
    given_name: str | None, expected: str | None
) -> None:
    assert clean_name(given_name) == expected


@pytest.mark.parametrize(
    ("text", "area_code", "expected"),
    [
        ("5551234", None, ("555-1234", False)),
        ("555-1234", None, ("555-1234", False)),
        ("555-1234", "212", ("(212) 555-1234", True)),
        ("(555) 123-4567", None, ("(555) 123-4567", True)),
        ("555.123.4567", "212", ("(555) 123-4567", True)),
        ("+1 555 123 4567", None, ("(555) 123-4567", True)),
        ("25551234567", None, ("25551234567", False)),
        (" +44 20 7946 0958 ", None, ("+44 20 7946 0958", True)),
        ("+44 20 79", None, ("+44 20 79", False)),
        ("555-123-4567 x9", None, ("(555) 123-4567 ext 9", True)),
        (" call me ", "212", ("call me", False)),
        ("\u0661" * 7, "212", ("\u0661" * 7, False)),
        ("\u00a0", "212", (None, False)),
        (None, "212", (None, False)),
    ],
)  # fmt: skip
def test_a_phone_number_is_formatted_where_its_digits_allow_it(
    text: str | None, area_code: str | None, expected: tuple[str | None, bool]
) -> None:
    assert clean_phone(text, area_code) == expected


@pytest.mark.parametrize(
    "text",
    ["a@b.cd", " JOHN.Smith@Email.COM ", "o'neil+x@a-b.co.uk", "a@b--c.com", "1@2.ab",
     "\u212a@b.com"],
)  # fmt: skip
def test_an_address_of_the_usual_form_is_valid(text: str) -> None:
    assert clean_email(text) == (text.strip().lower(), True)


@pytest.mark.parametrize(
    "text",
    ["a@b", "a@b.c", "a@-b.com", "a@b-.com", "a@b_c.com", ".a@b.com", "a..b@c.com", "a.@b.com",
     "a b@c.com", "a@@b.com", "a@b.com.", "a@b.c1", "\u00e9@b.com", "a@\u00fc.com",
     "a@b.com\u200b"],
)  # fmt: skip
def test_any_other_address_is_kept_but_not_valid(text: str) -> None:
    assert clean_email(text) == (text, False)


def test_a_missing_address_is_not_valid() -> None:
    assert clean_email(" ") == clean_email(None) == (None, False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-05", moment(2024, 1, 5)),
        (" 2024-02-29\t", moment(2024, 2, 29)),
        ("1/5/2024", moment(2024, 1, 5)),
        ("01/05/2024", moment(2024, 1, 5)),
        ("12/31/2024", moment(2024, 12, 31)),
        ("5 Jan 2024", moment(2024, 1, 5)),
        ("05 JANUARY 2024", moment(2024, 1, 5)),
        ("Jan 5, 2024", moment(2024, 1, 5)),
        ("september 05, 2024", moment(2024, 9, 5)),
        ("0001-01-01", moment(1, 1, 1)),
        ("9999-12-31", moment(9999, 12, 31)),
        ("2024-01-05T10:30", moment(2024, 1, 5, 10, 30)),
        ("2024-01-05 \u00a010:30:59", moment(2024, 1, 5, 10, 30, 59)),
        ("2024-01-05T10:30:59.5", moment(2024, 1, 5, 10, 30, 59, 500000)),
        ("2024-01-05T23:59:59.9999999", moment(2024, 1, 5, 23, 59, 59, 999999)),
        ("2024-01-05T23:30:00Z", moment(2024, 1, 5, 23, 30)),
        ("2024-01-05T23:30:00.25+02:00", moment(2024, 1, 5, 21, 30, 0, 250000)),
        ("2024-01-05T23:30 -0530", moment(2024, 1, 6, 5, 0)),
        ("1/5/2024 23:30 +02", moment(2024, 1, 5, 21, 30)),
        ("2024-01-05T10:30:00  Z", moment(2024, 1, 5, 10, 30)),
        ("Jan 5, 2024 10:30", moment(2024, 1, 5, 10, 30)),
        ("Jan 5, 2024, 10:30", moment(2024, 1, 5, 10, 30)),
        ("Jan  5 2024 12:30AM", moment(2024, 1, 5, 0, 30)),
        ("2024-01-05 10:30\u202fPM", moment(2024, 1, 5, 22, 30)),
        ("2024-01-05T1:30", moment(2024, 1, 5, 1, 30)),
        ("2024-1-05", moment(2024, 1, 5)),
        ("20240105", moment(2024, 1, 5)),
        ("5-Jan-2024", moment(2024, 1, 5)),
        ("05.01.2024", moment(2024, 1, 5)),
    ],
)
def test_a_date_is_read_in_every_agreed_form(text: str, expected: datetime) -> None:
    assert read_timestamp(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "NA", "2024-1-005", "24-01-05", "2024015", "13/01/2024", "1.13.2024", "1/5/24",
     "2023-02-29", "0000-01-01", "10000-01-01", "Jan 5", "Sept 5, 2024", "5 Foo 2024",
     "5--Jan-2024", "2024-01-05T", "2024-01-05T24:00", "2024-01-05T10:60", "2024-01-05T10:30:60",
     "2024-01-05T10:30:00,5", "2024-01-05Z", "2024-01-05 13:30 PM", "2024-01-05 0:30 AM",
     "0001-01-01T00:00+01:00", "\u0662\u0660\u0662\u0664-01-05", "2024-01-05x", "5 \u017fep 2024"],
)  # fmt: skip
def test_any_other_date_is_unreadable(text: str) -> None:
    assert read_timestamp(text) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (" +1.50 ", Decimal("1.50")),
        ("5.", Decimal(5)),
        (".5", Decimal("0.5")),
        ("1E+2", Decimal(100)),
        ("-20e-1", Decimal(-2)),
        ("0e99999999999999999999", Decimal(0)),
        ("9" * 40, Decimal("9" * 40)),
    ],
)
def test_a_number_is_read_exactly(text: str, expected: Decimal) -> None:
    assert read_number(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", ".", "NaN", "Infinity", "inf", "$5", "1,000", "1_000", "1 000", "--1", "1e", "e5", "0x10",
     "1.2.3", "\u0661", "\uff11", "\u00bd", "true", "NA", "1\u200b"],
)  # fmt: skip
def test_nothing_else_is_a_number(text: str) -> None:
    assert read_number(text) is None


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("1.005", "1.01"),
        ("-1.005", "-1.01"),
        ("2.675", "2.68"),
        ("0.0049999", "0.00"),
        ("-0.004", "0.00"),
        ("1e-9000", "0.00"),
        ("9" * 40 + ".995", "1" + "0" * 40 + ".00"),
    ],
)
def test_a_half_is_rounded_away_from_zero(number: str, expected: str) -> None:
    assert str(round_half_away(Decimal(number), 2)) == expected


def test_width_is_counted_as_sql_server_counts() -> None:
    assert [utf16_units(text) for text in ("abc", "\u6f22", "\U0001f600", "e\u0301")] == [
        3,
        1,
        2,
        2,
    ]


# --- customers -----------------------------------------------------------------------------------


def test_a_customer_is_cleaned_in_every_column() -> None:
    record = customer(
        customer_id=" C1 ", phone="555-1234", address=" 1  Elm ", segment=" gold  MEMBER "
    )
    assert clean_customer(record, NORMAL) == {
        "customer_id": "C1",
        "name": "John O'Neil",
        "first_name": "John",
        "last_name": "O'Neil",
        "email": "john@email.com",
        "email_valid": True,
        "phone": "555-1234",
        "phone_valid": False,
        "address": "1  Elm",
        "segment": "Gold Member",
        "source_segment": "gold  MEMBER",
        "registration_date": date(2024, 1, 15),
        "is_inferred": False,
    }


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"segment": "PREMIUM "}, "Premium Plus"),
        ({"segment": "premium", "phone": "call me"}, "Premium Plus"),
        ({"segment": "premium", "phone": ""}, "Premium"),
        ({"segment": "premium", "email": "no address"}, "Premium Plus"),
        ({"segment": "premium", "email": ""}, "Incomplete Profile"),
        ({"segment": ""}, "Incomplete Profile"),
        ({"first_name": " "}, "Incomplete Profile"),
        ({"last_name": None}, "Incomplete Profile"),
        ({"segment": " STANDARD"}, "Standard Plus"),
        ({"phone": "n/a"}, "Standard Plus"),
        ({"email": "no address"}, "Standard"),
        ({"phone": ""}, "Standard"),
        ({"address": " "}, "Standard"),
        ({"registration_date": "yesterday"}, "Standard"),
        ({"segment": "premium plus"}, "Premium Plus"),
        ({"segment": "vip's"}, "Vip's"),
    ],
)
def test_a_segment_is_earned_by_the_profile(changes: dict[str, str | None], expected: str) -> None:
    assert cleaned(clean_customer(customer(**changes), NORMAL))["segment"] == expected


def test_an_unreadable_registration_date_is_dropped_and_the_customer_kept() -> None:
    row = cleaned(clean_customer(customer(registration_date="2024-13-01"), NORMAL))
    assert row["registration_date"] is None


def test_of_a_registration_the_day_counts() -> None:
    row = cleaned(clean_customer(customer(registration_date="1/5/2024 23:59 -08:00"), NORMAL))
    assert row["registration_date"] == date(2024, 1, 5)


def test_columns_that_are_not_there_are_missing() -> None:
    row = cleaned(clean_customer({"customer_id": "C1"}, NORMAL))
    assert {column for column, value in row.items() if value is not None} == {
        "customer_id", "email_valid", "phone_valid", "segment", "is_inferred"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("first", "last", "name"), [("ann", "", "Ann"), ("", "lee", "Lee"), ("", "", None)]
)
def test_half_a_name_is_the_name(first: str, last: str, name: str | None) -> None:
    row = cleaned(clean_customer(customer(first_name=first, last_name=last), NORMAL))
    assert row["name"] == name


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"customer_id": "\u3000"}, Rejected("missing", "customer_id")),
        ({"customer_id": "x" * 51}, Rejected("out_of_range", "customer_id")),
        ({"address": "x" * 501}, Rejected("out_of_range", "address")),
        ({"address": "\U0001f600" * 251}, Rejected("out_of_range", "address")),
        ({"first_name": "\u00df" + "x" * 99}, Rejected("out_of_range", "first_name")),
        ({"phone": "x" * 51}, Rejected("out_of_range", "phone")),
        ({"email": "x" * 321}, Rejected("out_of_range", "email")),
        ({"segment": "x" * 101}, Rejected("out_of_range", "segment")),
        ({"registration_date": "2024-01-01\0"}, Rejected("bad_text", "registration_date")),
        ({"last_name": "a\ud800"}, Rejected("bad_text", "last_name")),
        ({"customer_id": "", "segment": "\0"}, Rejected("bad_text", "segment")),
    ],
)
def test_a_customer_that_no_server_can_hold_is_rejected(
    changes: dict[str, str | None], expected: Rejected
) -> None:
    assert clean_customer(customer(**changes), NORMAL) == expected


def test_the_width_is_that_of_the_cleaned_value() -> None:
    record = customer(
        address=" " * 400 + "x" * 500, last_name="a" + " " * 400 + "b", phone="5" * 7 + "-" * 90
    )
    row = cleaned(clean_customer(record, NORMAL))
    assert (len(row["address"]), row["last_name"], row["phone"]) == (500, "A B", "555-5555")


# --- products ------------------------------------------------------------------------------------


def test_a_product_is_cleaned_in_every_column() -> None:
    assert clean_product(product(name=" Head  phones "), NORMAL) == {
        "product_id": "P1",
        "name": "Head  phones",
        "category": "Electronics",
        "source_category": "tech",
        "brand": "TechCorp",
        "model": "WH-1000",
        "price": Decimal("199.99"),
        "cost": Decimal("60.00"),
        "price_category": "Mid-Range",
        "quantity": 150,
        "inventory_status": "Well Stocked",
        "warehouse": "WH-001",
        "is_inferred": False,
    }


@pytest.mark.parametrize(
    ("price", "expected"),
    [("200", "Premium"), ("199.995", "Premium"), ("199.994", "Mid-Range"), ("50", "Mid-Range"),
     ("49.995", "Mid-Range"), ("49.994", "Budget"), ("-0.004", "Budget"), ("", "Unknown")],
)  # fmt: skip
def test_a_price_is_rounded_before_it_is_classified(price: str, expected: str) -> None:
    assert cleaned(clean_product(product(price=price), NORMAL))["price_category"] == expected


def test_price_bounds_are_half_open() -> None:
    prices = ("49.99", "50", "199.99", "200")
    categories = [price_category(Decimal(price)) for price in prices]
    assert categories == ["Budget", "Mid-Range", "Mid-Range", "Premium"]


def test_stock_bounds() -> None:
    assert [inventory_status(units) for units in (None, 0, 9, 10, 49, 50, 100, 101)] == [
        "Unknown", "Critical Stock", "Critical Stock", "Low Stock", "Low Stock", "Moderate Stock",
        "Moderate Stock", "Well Stocked",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given_category", "expected"),
    [("TECHNOLOGY", "Electronics"), (" fashion ", "Apparel"), ("Clothing", "Apparel"),
     ("literature", "Books"), ("Reading", "Books"), ("home  &  garden", "Home & Garden"),
     ("men's shoes", "Men's Shoes"), (None, None)],
)  # fmt: skip
def test_a_category_is_mapped_or_kept_in_title_case(
    given_category: str | None, expected: str | None
) -> None:
    assert standard_category(given_category) == expected


def test_the_source_category_stays_as_given() -> None:
    row = cleaned(clean_product(product(category=" home  GOODS "), NORMAL))
    assert (row["source_category"], row["category"]) == ("home  GOODS", "Home Goods")


def test_a_ratio_stands_in_for_a_missing_cost_only() -> None:
    with_ratio = Settings(default_cost_ratio=Decimal("0.5"))
    costs = [
        cleaned(clean_product(product(price=price, cost=cost), with_ratio))["cost"]
        for price, cost in (("0.01", ""), ("10", "7"), (None, None))
    ]
    assert costs == [Decimal("0.01"), Decimal(7), None]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"product_id": None}, Rejected("missing", "product_id")),
        ({"price": "-0.005"}, Rejected("rule", "price")),
        ({"price": "NaN"}, Rejected("unreadable", "price")),
        ({"price": "9999999999.995"}, Rejected("out_of_range", "price")),
        ({"price": "1e99999999999999999999"}, Rejected("out_of_range", "price")),
        ({"cost": "-1"}, Rejected("rule", "cost")),
        ({"quantity": "-1"}, Rejected("rule", "quantity")),
        ({"quantity": "2.5"}, Rejected("unreadable", "quantity")),
        ({"quantity": "2147483648"}, Rejected("out_of_range", "quantity")),
        ({"quantity": "1e9999"}, Rejected("out_of_range", "quantity")),
        ({"category": "x" * 99 + "\u00df"}, None),
        ({"category": "\u00df" + "x" * 99}, Rejected("out_of_range", "category")),
        ({"brand": "\ud800"}, Rejected("bad_text", "brand")),
    ],
)
def test_a_product_against_the_rules_is_rejected(
    changes: dict[str, str | None], expected: Rejected | None
) -> None:
    result = clean_product(product(**changes), NORMAL)
    assert (result if isinstance(result, Rejected) else None) == expected


def test_a_whole_number_may_be_written_with_a_point_or_an_exponent() -> None:
    quantities = [
        cleaned(clean_product(product(quantity=text), NORMAL))["quantity"]
        for text in ("2", "2.0", "2e1", "20e-1", "2147483647", "-0", "")
    ]
    assert quantities == [2, 2, 20, 2, 2147483647, 0, None]


# --- sales ---------------------------------------------------------------------------------------


def test_a_sale_is_cleaned_in_every_column() -> None:
    assert clean_sale(sale(sales_rep_id=" "), NORMAL) == {
        "transaction_id": "T1",
        "customer_id": "C1",
        "product_id": "P1",
        "quantity": 2,
        "unit_price": Decimal("100.00"),
        "discount_amount": Decimal("10.00"),
        "transaction_date": moment(2024, 1, 15, 10, 30),
        "sales_rep_id": None,
        "total_amount": Decimal("190.00"),
        "commission": Decimal("5.70"),
        "value_tier": "Medium Value",
    }


def test_tier_bounds_are_half_open() -> None:
    totals = ("99.99", "100", "499.99", "500")
    tiers = [value_tier(Decimal(total)) for total in totals]
    assert tiers == ["Low Value", "Medium Value", "Medium Value", "High Value"]


def test_an_empty_discount_is_nothing_and_a_full_one_is_allowed() -> None:
    totals = [
        cleaned(clean_sale(sale(discount_amount=discount), NORMAL))["total_amount"]
        for discount in ("", None, "200.00", "200.004")
    ]
    assert totals == [Decimal(200), Decimal(200), Decimal(0), Decimal(0)]


def test_the_unit_price_is_rounded_before_it_is_multiplied() -> None:
    row = cleaned(clean_sale(sale(quantity="3", unit_price="33.335", discount_amount=""), NORMAL))
    assert row["total_amount"] == Decimal("100.02")


def test_commission_is_rounded_half_away_from_zero() -> None:
    row = cleaned(clean_sale(sale(quantity="1", unit_price="0.50", discount_amount="0"), NORMAL))
    assert row["commission"] == Decimal("0.02")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"transaction_id": ""}, Rejected("missing", "transaction_id")),
        ({"customer_id": " "}, Rejected("missing", "customer_id")),
        ({"product_id": None}, Rejected("missing", "product_id")),
        ({"quantity": ""}, Rejected("missing", "quantity")),
        ({"unit_price": ""}, Rejected("missing", "unit_price")),
        ({"transaction_date": ""}, Rejected("missing", "transaction_date")),
        ({"quantity": "0"}, Rejected("rule", "quantity")),
        ({"quantity": "1.5"}, Rejected("unreadable", "quantity")),
        ({"unit_price": "-0.01"}, Rejected("return", "unit_price")),
        ({"quantity": "-1"}, Rejected("return", "quantity")),
        ({"quantity": "-1", "unit_price": "-1"}, Rejected("rule", "unit_price")),
        ({"unit_price": "$5"}, Rejected("unreadable", "unit_price")),
        ({"discount_amount": "-1"}, Rejected("rule", "discount_amount")),
        ({"discount_amount": "200.005"}, Rejected("rule", "discount_amount")),
        ({"discount_amount": "1e16"}, Rejected("out_of_range", "discount_amount")),
        ({"transaction_date": "01.15.2024"}, Rejected("unreadable", "transaction_date")),
        ({"sales_rep_id": "x" * 51}, Rejected("out_of_range", "sales_rep_id")),
        ({"quantity": "2e9", "unit_price": "1e8"}, Rejected("out_of_range", "total_amount")),
        ({"customer_id": "C\0"}, Rejected("bad_text", "customer_id")),
    ],
)  # fmt: skip
def test_a_sale_against_the_rules_is_rejected(
    changes: dict[str, str | None], expected: Rejected
) -> None:
    assert clean_sale(sale(**changes), NORMAL) == expected


def test_a_commission_must_fit_its_column() -> None:
    record = sale(quantity="1000000", unit_price="9999999999", discount_amount="")
    assert clean_sale(record, Settings(commission_rate=Decimal(2))) == Rejected(
        "out_of_range", "commission"
    )


def test_only_completed_sales_of_the_window_are_read() -> None:
    records = rows(
        sale(transaction_id="first", transaction_date="2024-01-01"),
        sale(transaction_id="last", transaction_date="2024-01-31T23:59:59.9999999"),
        sale(transaction_id="trimmed", status=" completed "),
        sale(transaction_id="late", transaction_date="2024-02-01"),
        sale(transaction_id="open", status="pending"),
        sale(transaction_id="shouted", status=" COMPLETED\t"),
        sale(transaction_id="unreadable", transaction_date="soon"),
        sale(transaction_id="no date, not completed", transaction_date="", status=""),
    )  # fmt: skip
    read = read_sales(records, NORMAL, JANUARY)
    assert (read.read, sorted(read.accepted)) == (5, ["first", "last", "shouted", "trimmed"])
    assert read.rejected_keys == {"unreadable"}


def test_a_sale_without_a_status_column_is_completed() -> None:
    record = {column: value for column, value in sale().items() if column != "status"}
    assert read_sales(rows(record), NORMAL).read == 1


# --- duplicates ----------------------------------------------------------------------------------


def test_of_one_key_the_last_accepted_record_wins() -> None:
    first, second = product(brand="first"), product(product_id=" P1 ", brand="second")
    read = read_products(rows(first, second, product(price="x")), NORMAL)
    assert (read.accepted["P1"]["brand"], read.duplicates) == ("second", [2])
    assert read.rejected == [(4, Rejected("unreadable", "price"))]


def test_keys_differ_by_case() -> None:
    records = rows(product(), product(product_id="p1"))
    assert sorted(read_products(records, NORMAL).accepted) == ["P1", "p1"]


@pytest.mark.parametrize(
    ("winner", "loser"),
    [
        ({"transaction_date": "2024-01-16", "customer_id": "A"}, {"customer_id": "Z"}),
        ({"customer_id": "a"}, {"customer_id": "B", "quantity": "9"}),
        ({"quantity": "10"}, {"quantity": "9"}),
        ({"sales_rep_id": "A"}, {"sales_rep_id": ""}),
    ],
)
def test_of_one_sale_the_latest_record_wins_wherever_it_stands(
    winner: dict[str, str | None], loser: dict[str, str | None]
) -> None:
    expected = clean_sale(sale(**winner), NORMAL)
    for records in ((sale(**winner), sale(**loser)), (sale(**loser), sale(**winner))):
        assert read_sales(rows(*records), NORMAL).accepted == {"T1": expected}


# --- the warehouse -------------------------------------------------------------------------------


def loaded(*sale_records: Record) -> Warehouse:
    """A warehouse with one customer, one product and these sales."""
    warehouse = Warehouse()
    warehouse.run(rows(customer()), rows(product()), rows(*sale_records), NORMAL)
    return warehouse


def statuses(warehouse: Warehouse) -> dict[str, str]:
    return {key: row["customer_status"] for key, row in warehouse.tables["sales_fact"].items()}


def test_every_table_has_all_its_columns() -> None:
    warehouse = loaded(sale(customer_id="C9"))
    for table, columns in COLUMNS.items():
        for row in warehouse.final_tables()[table]:
            assert tuple(row) == columns


def test_a_second_load_of_the_same_changes_nothing() -> None:
    warehouse = loaded(sale())
    again = warehouse.run(rows(customer()), rows(product()), rows(sale()), NORMAL)
    assert set(map(str, again.values())) == {str(Counts(read=1, unchanged=1))}


def test_an_update_tells_which_columns_differed() -> None:
    warehouse = loaded()
    counts = warehouse.load_customers(rows(customer(phone="", segment="premium")), NORMAL)
    changes = {"phone": 1, "phone_valid": 1, "segment": 1, "source_segment": 1}
    assert counts == Counts(read=1, updated=1, column_changes=changes)


def test_profit_follows_the_cost_of_the_product() -> None:
    warehouse = loaded(sale())
    fact = warehouse.tables["sales_fact"]["T1"]
    assert (fact["profit_amount"], fact["profit_margin"]) == (Decimal("70.00"), Decimal("0.3684"))
    warehouse.load_products(rows(product(cost="100")), NORMAL)
    fact = warehouse.tables["sales_fact"]["T1"]
    assert (fact["profit_amount"], fact["profit_margin"]) == (Decimal("-10.00"), Decimal("-0.0526"))
    assert warehouse.counts["product_dim"].column_changes == {"cost": 1}
    assert warehouse.counts["sales_fact"] == Counts(restated=1)


def test_profit_is_empty_while_the_cost_is_unknown() -> None:
    warehouse = loaded(sale())
    warehouse.load_products(rows(product(cost="")), NORMAL)
    fact = warehouse.tables["sales_fact"]["T1"]
    assert (fact["profit_amount"], fact["profit_margin"]) == (None, None)


def test_a_sale_of_nothing_has_a_profit_but_no_margin() -> None:
    fact = loaded(sale(discount_amount="200")).tables["sales_fact"]["T1"]
    assert (fact["profit_amount"], fact["profit_margin"]) == (Decimal("-120.00"), None)


@pytest.mark.parametrize(
    ("amount", "total", "expected"),
    [("0.01", "200", "0.0001"), ("-0.01", "200", "-0.0001"), ("-99999.99994", "1", "-99999.9999"),
     ("99999.99995", "1", None), ("1", "0", None)],
)  # fmt: skip
def test_a_margin_is_rounded_to_four_places_and_empty_beyond_its_column(
    amount: str, total: str, expected: str | None
) -> None:
    assert margin(Decimal(amount), Decimal(total)) == (expected and Decimal(expected))


def test_a_late_sale_turns_a_first_one_into_a_repeat() -> None:
    warehouse = loaded(sale(transaction_id="T2"), sale(transaction_id="T3"))
    assert statuses(warehouse) == {"T2": "First-time", "T3": "Repeat"}
    counts = warehouse.load_sales(rows(sale(transaction_date="2024-01-14")), NORMAL)
    assert statuses(warehouse) == {"T1": "First-time", "T2": "Repeat", "T3": "Repeat"}
    assert counts == Counts(read=1, inserted=1, restated=1, vanished=2)


def test_the_earliest_sale_is_the_first_whatever_its_id() -> None:
    warehouse = loaded(sale(), sale(transaction_id="T9", transaction_date="2024-01-14"))
    assert statuses(warehouse) == {"T1": "Repeat", "T9": "First-time"}


def test_an_updated_sale_is_not_counted_as_restated_too() -> None:
    warehouse = loaded(sale())
    counts = warehouse.load_sales(rows(sale(quantity="3")), NORMAL)
    assert warehouse.tables["sales_fact"]["T1"]["profit_amount"] == Decimal("110.00")
    assert (counts.updated, counts.restated) == (1, 0)


def test_of_sales_at_one_moment_the_lowest_id_is_the_first() -> None:
    warehouse = loaded(*(sale(transaction_id=key) for key in ("T2", "T10", "t1")))
    assert statuses(warehouse) == {"T10": "First-time", "T2": "Repeat", "t1": "Repeat"}


def test_a_sale_moved_to_another_customer_makes_the_next_one_the_first() -> None:
    warehouse = loaded(sale(), sale(transaction_id="T2", transaction_date="2024-01-16"))
    counts = warehouse.load_sales(rows(sale(customer_id="C2")), NORMAL)
    assert statuses(warehouse) == {"T1": "First-time", "T2": "First-time"}
    assert (counts.updated, counts.restated) == (1, 1)
    assert counts.column_changes == {"customer_id": 1}


def test_a_sale_may_name_what_nobody_knows_yet() -> None:
    warehouse = loaded(sale(customer_id="C9", product_id="P9"))
    inferred = warehouse.tables["customer_dim"]["C9"]
    assert {key: value for key, value in inferred.items() if value is not None} == {
        "customer_id": "C9", "is_inferred": True
    }  # fmt: skip
    assert [counts.inferred for counts in warehouse.counts.values()] == [1, 1, 0]


def test_a_placeholder_is_completed_when_its_record_arrives() -> None:
    warehouse = loaded(sale(customer_id="C9"))
    counts = warehouse.load_customers(rows(customer(customer_id="C9"), customer()), NORMAL)
    assert (counts.updated, counts.unchanged, counts.inserted) == (1, 1, 0)
    assert counts.column_changes["is_inferred"] == 1
    assert not warehouse.tables["customer_dim"]["C9"]["is_inferred"]


def test_a_placeholder_that_no_sale_names_any_more_is_removed() -> None:
    warehouse = loaded(sale(customer_id="C9"))
    warehouse.load_sales(rows(sale()), NORMAL)
    assert sorted(warehouse.tables["customer_dim"]) == ["C1"]
    assert warehouse.counts["customer_dim"] == Counts(removed=1)


def test_what_a_source_no_longer_has_stays_and_is_counted() -> None:
    warehouse = loaded(
        sale(), sale(transaction_id="T2", transaction_date="2024-02-01", customer_id="C9")
    )
    counts = warehouse.run([], [], [], NORMAL, JANUARY)
    assert [count.vanished for count in counts.values()] == [1, 1, 1]
    assert [len(table) for table in warehouse.tables.values()] == [2, 1, 2]


def test_a_row_whose_record_is_rejected_has_not_vanished_but_leaves_with_a_full_refresh() -> None:
    warehouse = loaded()
    bad = rows(customer(address="\0"))
    assert warehouse.load_customers(bad, NORMAL) == Counts(read=1, rejected=1)
    assert len(warehouse.tables["customer_dim"]) == 1
    counts = warehouse.load_customers(bad, NORMAL, full_refresh=True)
    assert counts == Counts(read=1, rejected=1, removed=1)


def test_a_full_refresh_removes_what_was_not_read() -> None:
    warehouse = loaded(sale())
    counts = warehouse.run([], [], [], NORMAL, full_refresh=True)
    assert set(map(str, counts.values())) == {str(Counts(vanished=1, removed=1))}
    assert not any(warehouse.tables.values())


def test_on_a_full_refresh_what_is_still_named_becomes_a_placeholder_again() -> None:
    warehouse = loaded(sale())
    counts = warehouse.run([], [], rows(sale()), NORMAL, full_refresh=True)
    assert counts["customer_dim"] == counts["product_dim"] == Counts(vanished=1, restated=1)
    assert counts["sales_fact"] == Counts(read=1, unchanged=1, restated=1)
    assert warehouse.tables["customer_dim"]["C1"]["is_inferred"]
    assert warehouse.tables["sales_fact"]["T1"]["profit_amount"] is None


def test_a_source_that_failed_is_left_alone() -> None:
    warehouse = loaded(sale())
    counts = warehouse.run(None, None, None, NORMAL, full_refresh=True)
    assert set(map(str, counts.values())) == {str(Counts())}
    assert [len(table) for table in warehouse.tables.values()] == [1, 1, 1]


# --- for all inputs ------------------------------------------------------------------------------

quickly = hypothesis_settings(max_examples=30, deadline=None)


@quickly
@given(customers(), products(surrogates=True), sales(), st.booleans(), st.booleans())
def test_every_record_is_accounted_for(
    customer_records: list[Record],
    product_records: list[Record],
    sale_records: list[Record],
    full_refresh: bool,
    in_january: bool,
) -> None:
    warehouse = loaded(sale())
    window = JANUARY if in_january else None
    sources = (rows(*customer_records), rows(*product_records), rows(*sale_records))
    for counts in warehouse.run(*sources, NORMAL, window, full_refresh).values():
        written = counts.inserted + counts.updated + counts.unchanged
        assert counts.read == written + counts.rejected + counts.duplicate


@quickly
@given(customers(), products(), sales())
def test_references_hold_and_every_customer_has_one_first_sale(
    customer_records: list[Record], product_records: list[Record], sale_records: list[Record]
) -> None:
    warehouse = Warehouse()
    sources = (rows(*customer_records), rows(*product_records), rows(*sale_records))
    warehouse.run(*sources, NORMAL)
    facts = warehouse.tables["sales_fact"].values()
    buyers = [fact["customer_id"] for fact in facts]
    firsts = [fact["customer_id"] for fact in facts if fact["customer_status"] == "First-time"]
    assert set(buyers) <= warehouse.tables["customer_dim"].keys()
    assert {fact["product_id"] for fact in facts} <= warehouse.tables["product_dim"].keys()
    assert sorted(firsts) == sorted(set(buyers))


@quickly
@given(customers(), products(), sales(), st.permutations(range(1, 32)))
def test_days_loaded_in_any_order_end_like_one_full_refresh(
    customer_records: list[Record],
    product_records: list[Record],
    sale_records: list[Record],
    days: list[int],
) -> None:
    unique = {(record["transaction_id"] or "").strip(): record for record in sale_records}
    dimensions = (rows(*customer_records), rows(*product_records))
    january = [record for record in rows(*unique.values()) if _in_january(record[1])]
    by_day, at_once = Warehouse(), Warehouse()
    for day in days:
        window = (moment(2024, 1, day), moment(2024, 1, day, 23, 59, 59, 999999))
        by_day.run(None, None, january, NORMAL, window)
    by_day.run(*dimensions, None, NORMAL)
    at_once.run(*dimensions, january, NORMAL, full_refresh=True)
    assert by_day.final_tables() == at_once.final_tables()


def _in_january(record: Record) -> bool:
    when = read_timestamp(record["transaction_date"])
    return when is None or JANUARY[0] <= when <= JANUARY[1]
