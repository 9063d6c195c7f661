"""Write the sample sources: customers.csv, products.json and sales_transactions.csv.

    python scripts/make_sample_data.py
    python scripts/make_sample_data.py --out /tmp/big --customers 1000000 --sales 3000000

Everybody and everything in it is invented. The same seed and sizes give the same bytes on every
platform. Larger sizes repeat the dirt in the same proportion, and no size needs more memory.

The data is as dirty as real exports are. Ids below are those of the default sizes; where none is
given there are many, just scroll. What is not marked as rejected is loaded, as clean as it gets.

customers.csv (160 records)        | how many | look at
-----------------------------------|----------|---------------------------------------------------
byte order mark, CRLF line ends    | the file | its first three bytes
blank line, not a record           |        1 | above C090
without customer_id: rejected      |        3 | below C037 and C088; one line of nothing but commas
malformed, too few fields: rejected|        2 | C024, C112
malformed, too many: rejected      |        1 | C067, a comma in an address without quotes
quote never closed: rejected       |        1 | C080; C081 to C084 must not go down with it
phone longer than its column: rej. |        1 | second C071; so the first one stays
same customer_id again, newer      |        4 | C006, C013, C042, C150
names in mixed case                |  over 70 | upper, lower and swapped
names with superfluous spaces      |  over 30 | C015, C059, C101; a no-break space: C126
names that look like "no value"    |        2 | C020 is called Null, C103 is called NA
a part of the name missing         |        2 | C073, C135
e-mail without @, with two, missing|  4, 3, 4 | C009 C046 C093 C134, C030 C076 C119, C016 C055 ...
e-mail in upper case, with spaces  | about 30 |
phone in seven kinds, and empty    |      all | 5551234, 555-1234, (555) 123-4567, 555.123.4567,
                                   |          | +1 555 123 4567, 1-555-123-4567, extension or short
segment in many spellings, or empty|      all | Premium, PREMIUM, "premium ", standard, Basic, VIP
address with commas                |  over 40 | in quotes
address with quotation marks       |        4 | C011, C053, C108, C140
address over several lines         |        3 | C021, C116 (LF), C064 (CRLF)
address missing                    |        3 | C034, C078, C121
date in four formats               |      all | 2023-05-17, 05/17/2023, 17 May 2023, May 17, 2023
date unreadable                    |        6 | C027 C106 soon, C058 C124 30 Feb, C035 C087 month 31
date missing                       |        3 | C049, C095, C146
spaces around the customer_id      |        2 | C044, C131

products.json (72 items)           | how many | look at
-----------------------------------|----------|---------------------------------------------------
without product_id: rejected       |        1 | below P033
a text where an object should be   |        1 | below P047; rejected
negative price, negative quantity  |     1, 1 | P027, P059; rejected
price n/a: rejected                |        1 | P041
same product_id again              |        1 | P021
price as text                      |        2 | P003, P054
without price, without inventory   |     1, 1 | P010, P023
without cost                       | about 1/7| specifications.cost is left out
category in nine synonyms, any case|      all | TECH, technology, Apparel, FASHION, reading ...
category outside the taxonomy      |        3 | P031, P046, P069
category missing                   |        1 | P062
price at a bound of its category   |        6 | P009 P024 200 and 199.99, P038 P053 50 and 49.99,
                                   |          | P039 P068 half a cent below 200 and 50
quantity at a bound of its status  |        6 | P004 P005 100 and 101, P016 P017 50 and 49,
                                   |          | P025 P026 10 and 9; none at all: P037

sales_transactions.csv (420)       | how many | look at
-----------------------------------|----------|---------------------------------------------------
pending, cancelled, returned       | about 1/5| not loaded, whatever else is wrong with them
status with spaces around          |        4 | T00013, T00148, T00276, T00396
quantity 0: rejected               |        2 | T00031, T00302
quantity no whole number: rejected |        3 | T00065, T00186, T00351
negative price: rejected           |        2 | T00072, T00331
price with a currency sign: rej.   |        1 | T00176
discount above the amount: rejected|        2 | T00111, T00246
date unreadable: rejected          |        2 | T00125, T00345; pending ones: T00201, T00403
without customer_id: rejected      |        2 | T00056, T00311
same transaction_id again          |        3 | T00081 all equal, T00151 later, T00263 by discount
customer unknown: loaded           |        5 | ids of an older shop, beginning with L
product unknown: loaded            |        4 | ids of an older shop, beginning with OLD
discount left empty                |  over 50 | counts as 0
quantity with a decimal point      |        2 | T00060, T00254: "2.0"
price finer than a cent            |        3 | T00049, T00221: 10.005; T00271: 99.995
amount at a bound of its tier      |        7 | 100: T00023 T00102 T00271, 500: T00209 T00318,
                                   |          | a cent below: T00037, T00230
amount 0 by discount               |        1 | T00361
spaces around the customer_id      |        2 | T00121, T00294
date formats                       |      all | blank or T, to the second or microsecond, with Z or
                                   |          | an offset, 01/20/2024 14:05, 20 Jan 2024 14:05
edges of 20 January, the sale day  |        4 | first and last tick: T00295 T00413, next: T00296,
                                   |          | in UTC already the 21st: T00289
exported late                      |        2 | T00301, T00382
"""

import argparse
import csv
import json
import random
from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

CUSTOMERS, PRODUCTS, SALES, SEED = 160, 72, 420, 20240120
DEFAULT_OUT = Path(__file__).resolve().parent.parent / "data" / "input"

_T = TypeVar("_T")


class Customer(NamedTuple):
    """A line of customers.csv, every value as the text that stands there."""

    customer_id: str
    first_name: str
    last_name: str
    email: str
    phone: str
    address: str
    segment: str
    registration_date: str


class Product(NamedTuple):
    """An item of products.json, flat; None is left out of the file."""

    product_id: str | None
    name: str
    category: str | None
    brand: str
    model: str
    price: float | str | None
    cost: float | None
    quantity: int | None
    warehouse: str | None


class Sale(NamedTuple):
    """A line of sales_transactions.csv, every value as the text that stands there."""

    transaction_id: str
    customer_id: str
    product_id: str
    quantity: str
    unit_price: str
    discount_amount: str
    transaction_date: str
    sales_rep_id: str
    status: str


class Sizes(NamedTuple):
    """How many records each file gets."""

    customers: int = CUSTOMERS
    products: int = PRODUCTS
    sales: int = SALES


# ----------------------------------------------------------------------------- chance


def _generator(seed: int, stream: int) -> random.Random:
    # Of all its methods only random() is promised to stay the same from version to version.
    # A stream for each file: the size of one does not change the others.
    return random.Random(seed * 3 + stream)  # noqa: S311  # sample data, not a secret


def _below(rng: random.Random, limit: int) -> int:
    return int(rng.random() * limit)


def _pick(rng: random.Random, choices: Sequence[_T]) -> _T:
    return choices[_below(rng, len(choices))]


def _position(number: int, period: int) -> int:
    """Where in the plan of dirt the record stands; the plan starts over when it is used up."""
    return (number - 1) % period + 1


def _money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


# ----------------------------------------------------------------------------- customers

# fmt: off
_FIRST_NAMES = (
    "Agnieszka", "Amina", "Ana María", "Aoife", "Arjun", "Åsa", "Ayşe", "Björn", "Chidi", "Chloé",
    "Elif", "Fatima", "François", "Giulia", "Grace", "Haruto", "Ingrid", "Jane", "Jean-Luc", "John",
    "José", "Jürgen", "Kwame", "Leila", "Łukasz", "Mary Ann", "Matteo", "Min-jun", "Ngọc", "Niamh",
    "Noa", "Omar", "Priya", "Siobhán", "Søren", "Tom", "Yuki", "Zoë", "伟", "美咲", "Ελένη", "Юлия",
)
_LAST_NAMES = (
    "Cohen", "D'Angelo", "de la Cruz", "Doe", "Dubois", "Dvořák", "García", "Haddad", "Horváth",
    "Kaya", "Kim", "Kowalska", "Lindström", "MacDonald", "McAllister", "Mensah", "Müller", "Nguyễn",
    "Nowak", "Núñez", "O'Neil", "O\u2019Neil", "Ó Murchú", "Okafor", "Peeters", "Popescu", "Rossi",
    "Sharma", "Silva", "Smith", "Sørensen", "St. Clair", "Tanaka", "van-der-berg", "Virtanen",
    "Yılmaz", "李", "王", "佐藤", "Παππά", "Жукова",  # noqa: RUF001  # the dotless i is meant
)
_STREETS = (
    "Main St", "Oak Ave", "Elm Street", "Station Road", "Rosewood Close", "Hill Road", "Lindenweg",
    "Bahnhofstraße", "Rue des Lilas", "Calle Mayor", "Via Verdi", "Harbour Lane", "Mill Court",
)
_CITIES = ("Springfield", "Riverton", "Neustadt", "Villeneuve", "San Marco", "Eastport", "Fairview")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_SPELT_IN_ASCII = {
    "伟": "wei", "美咲": "misaki", "Ελένη": "eleni", "Юлия": "yuliya",
    "李": "li", "王": "wang", "佐藤": "sato", "Παππά": "pappa", "Жукова": "zhukova",
}
_WITHOUT_ACCENTS = str.maketrans(
    "áäåãçéëíñóöøúüşğıłřụọễÁÅÓŁ-", "aaaaceeinooouusgilruoeAAOL.", " .'\u2019"
)
# fmt: on

_DOMAINS = ("example.com", "example.org", "example.net")
_PHONES = (
    *("({area}) {exchange}-{line}",) * 4,
    *("{area}{line}", "{area}-{line}", "{area}.{exchange}.{line}", "+1 {area} {exchange} {line}"),
    *("1-{area}-{exchange}-{line}", "{area}-{exchange}-{line} ext. {extension}"),
    *("{area}-{extension}", ""),
)
_ADDRESSES = (
    *("{number} {street}",) * 5,
    *("{number} {street}, {city}", "{number} {street}, Apt {flat}", "{street} {number}, {city}"),
)
_SEGMENTS = (
    *("Premium", "Premium", "PREMIUM", "premium ", "Standard", "Standard", "standard", "standard"),
    *("STANDARD", "Basic", "basic", "VIP", ""),
)
_DATES = (
    *("{year}-{month:02d}-{day:02d}",) * 6,
    *("{month:02d}/{day:02d}/{year}", "{day:02d} {name} {year}", "{name} {day:02d}, {year}"),
)
_FIRST_REGISTRATION, _REGISTRATION_DAYS = date(2019, 1, 1), 1845  # up to 2024-01-19
_NAME_WEAR: tuple[Callable[[str], str], ...] = (
    *(str,) * 12,
    *(str.upper, str.upper, str.lower, str.lower, str.swapcase, "  {}".format, "{} ".format),
)
_EMAIL_WEAR: tuple[Callable[[str], str], ...] = (*(str,) * 8, str.upper, " {} ".format)


def _ascii(name: str) -> str:
    return _SPELT_IN_ASCII.get(name, name.translate(_WITHOUT_ACCENTS)).lower()


def _email(rng: random.Random, first: str, last: str, number: int) -> str:
    address = f"{_ascii(first)}.{_ascii(last)}{number}@{_pick(rng, _DOMAINS)}"
    return _pick(rng, _EMAIL_WEAR)(address)


def _phone(rng: random.Random) -> str:
    return _pick(rng, _PHONES).format(
        area=555,
        exchange=100 + _below(rng, 900),
        line=f"{_below(rng, 10_000):04d}",
        extension=10 + _below(rng, 90),
    )


def _address(rng: random.Random) -> str:
    return _pick(rng, _ADDRESSES).format(
        number=1 + _below(rng, 250),
        street=_pick(rng, _STREETS),
        city=_pick(rng, _CITIES),
        flat=1 + _below(rng, 40),
    )


def _registration_date(rng: random.Random) -> str:
    day = _FIRST_REGISTRATION + timedelta(days=_below(rng, _REGISTRATION_DAYS))
    # not strftime: its month names follow the locale
    name = _MONTHS[day.month - 1]
    return _pick(rng, _DATES).format(year=day.year, month=day.month, day=day.day, name=name)


def _customer_id(number: int) -> str:
    return f"C{number:03d}"


def _any_customer(rng: random.Random, number: int) -> Customer:
    first, last = _pick(rng, _FIRST_NAMES), _pick(rng, _LAST_NAMES)
    return Customer(
        _customer_id(number),
        _pick(rng, _NAME_WEAR)(first),
        _pick(rng, _NAME_WEAR)(last),
        _email(rng, first, last, number),
        _phone(rng),
        _address(rng),
        _pick(rng, _SEGMENTS),
        _registration_date(rng),
    )


_CustomerEdit = Callable[[Customer], Customer]


def _customer(**values: str) -> _CustomerEdit:
    return lambda customer: customer._replace(**values)


def _customer_text(field: str, old: str, new: str) -> _CustomerEdit:
    return lambda c: c._replace(**{field: getattr(c, field).strip().replace(old, new)})


def _spaced_customer_id(customer: Customer) -> Customer:
    return customer._replace(customer_id=f" {customer.customer_id}  ")


# Without a comma or a quote, so that the line can be spoilt in exactly one way.
_UNQUOTED = _customer(
    phone="(555) 123-4567", address="27 Station Road", registration_date="2023-05-17"
)  # fmt: skip
_NEWER = {"registration_date": "2024-01-18"}

# By position in the file, which is also the number in the id.
_SAME_CUSTOMER = {61: 13, 98: 42, 129: 6, 151: 150, 156: 71}
_CUSTOMER_EDITS: dict[int, _CustomerEdit] = {
    38: _customer(customer_id=""),
    89: _customer(customer_id="   "),
    142: lambda _: Customer(*[""] * len(Customer._fields)),
    **dict.fromkeys((61, 98, 129, 151), _customer(**_NEWER)),
    156: _customer(phone="555-0142 before noon, 555-0187 later, never on Fridays", **_NEWER),
    **dict.fromkeys((24, 67, 80, 81, 82, 83, 112), _UNQUOTED),
    # Read as the end of the open quote above it, the address makes one field too many.
    84: _customer(address="40 Oak Ave, Springfield"),
    9: _customer_text("email", "@", "."),
    46: _customer_text("email", "@", " at "),
    93: _customer_text("email", "@", ""),
    134: _customer_text("email", "@", "#"),
    30: _customer_text("email", "@", "@@"),
    76: _customer_text("email", "@", "@home@"),
    119: _customer_text("email", "@", "@work@"),
    **dict.fromkeys((16, 55, 100), _customer(email="")),
    138: _customer(email="  "),
    15: _customer(first_name="mary   ann", email="mary.ann15@example.com"),
    59: _customer(last_name="DE  LA   CRUZ", email="d.l.cruz59@example.org"),
    101: _customer(first_name=" Jean  Paul ", last_name="  o'neil", email="jpo@example.com"),
    126: _customer(last_name="Okafor\u00a0", email="okafor126@example.com"),
    20: _customer(last_name="Null", email="null20@example.net"),
    103: _customer(last_name="NA", email="na103@example.com"),
    73: _customer(first_name=""),
    135: _customer(last_name=" "),
    11: _customer(address='14 Hill Road "The Gables"'),
    53: _customer(address='"Rose Cottage", Mill Court'),
    108: _customer(address='3 Harbour Lane, c/o "Auntie"'),
    140: _customer(address='The "Old" Mill'),
    21: _customer(address="Flat 3\n12 Rosewood Close\nRiverton"),
    64: _customer(address="c/o Reception\r\n5 Lindenweg, Neustadt"),
    116: _customer(address="18 Via Verdi\nSan Marco"),
    **dict.fromkeys((34, 78, 121), _customer(address="")),
    **dict.fromkeys((27, 106), _customer(registration_date="soon")),
    **dict.fromkeys((58, 124), _customer(registration_date="2024-02-30")),
    **dict.fromkeys((35, 87), _customer(registration_date="2023-31-12")),
    **dict.fromkeys((49, 95, 146), _customer(registration_date="")),
    **dict.fromkeys((44, 131), _spaced_customer_id),
}
_OPEN_QUOTE = 80
_SPOILT_LINES: dict[int, Callable[[Customer], str]] = {
    24: lambda customer: ",".join(customer[:5]),
    112: lambda customer: ",".join(customer[:-1]),
    67: lambda customer: ",".join(customer._replace(address="9 Birch Lane, Floor 2")),
    _OPEN_QUOTE: lambda customer: ",".join(customer._replace(address='"12 Elm Street')),
}
_BLANK_LINE_ABOVE = 90
# Positions whose own id is in no record that can be loaded.
_NO_CUSTOMER = {38, 89, 142, *_SAME_CUSTOMER, *_SPOILT_LINES}


def _moved(earlier: Customer, later: Customer) -> Customer:
    """The same person, exported again after a move."""
    return earlier._replace(phone=later.phone, address=later.address, segment=later.segment)


def _customers(count: int, seed: int) -> Iterator[tuple[int, Customer]]:
    rng = _generator(seed, 0)
    seen: dict[int, Customer] = {}  # only those that come again, so it stays small
    for number in range(1, count + 1):
        position = _position(number, CUSTOMERS)
        customer = _any_customer(rng, number)
        if position in _SAME_CUSTOMER:
            customer = _moved(seen[_SAME_CUSTOMER[position]], customer)
        if position in _CUSTOMER_EDITS:
            customer = _CUSTOMER_EDITS[position](customer)
        if position in _SAME_CUSTOMER.values():
            seen[position] = customer
        yield position, customer


def _unedited(record: _T) -> _T:
    return record


def write_customers(
    path: Path,
    sizes: Sizes,
    seed: int,
    *,
    edit: _CustomerEdit = _unedited,
    open_quotes: bool = True,
) -> None:
    """Write customers.csv: UTF-8 with a byte order mark, CRLF line ends.

    Args:
        path: the file; one that is there is replaced.
        sizes: how many records.
        seed: the same seed gives the same records.
        edit: what is done with each record before it is written.
        open_quotes: whether some quotes are never closed.
    """
    spoilt = {p: line for p, line in _SPOILT_LINES.items() if open_quotes or p != _OPEN_QUOTE}
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\r\n")
        writer.writerow(Customer._fields)
        for position, customer in _customers(sizes.customers, seed):
            if position == _BLANK_LINE_ABOVE:
                file.write("\r\n")
            if position in spoilt:
                file.write(spoilt[position](edit(customer)) + "\r\n")
            else:
                writer.writerow(edit(customer))


# ----------------------------------------------------------------------------- products

_GOODS = (  # what, group of synonyms, price in whole dollars
    *(("Wireless Headphones", 0, 180), ("Desk Lamp", 0, 35), ("Tablet", 0, 420)),
    *(("USB-C Charger", 0, 20), ("Travel Speaker", 0, 75), ("Action Camera", 0, 240)),
    *(("Rain Jacket", 1, 110), ("Wool Scarf", 1, 28), ("Linen Shirt", 1, 46)),
    *(("Winter Coat", 1, 215), ("Running Socks", 1, 9)),
    *(("Pocket Atlas", 2, 17), ("Cookbook", 2, 32), ("Crime Novel", 2, 12)),
    *(("Illustrated Encyclopaedia", 2, 140),),
)
_SYNONYMS = (
    ("Electronics", "Tech", "Technology"),
    ("Clothing", "Apparel", "Fashion"),
    ("Books", "Literature", "Reading"),
)
_BRANDS = ("Zibblefox", "Quillamar", "Norvantle", "Brindlewick", "Ostrellow", "Tambérlo", "千雲堂")
_CASES: tuple[Callable[[str], str], ...] = (str, str, str.upper, str.lower, str.swapcase)

# Prices in cents at the bounds of the price categories, by position.
_BOUND_PRICES = {9: 20_000, 24: 19_999, 39: 20_000, 38: 5_000, 53: 4_999, 68: 5_000, 3: 1_999}


def _price_cents(number: int) -> int:
    """The list price; computed from the number alone, so that sales can ask without a table."""
    position = _position(number, PRODUCTS)
    if position in _BOUND_PRICES:
        return _BOUND_PRICES[position]
    dollars = _GOODS[number % len(_GOODS)][2]
    return dollars * (100 + number % 11) + 99 - dollars * (100 + number % 11) % 100


def _product_id(number: int) -> str:
    return f"P{number:03d}"


def _cost(rng: random.Random, number: int) -> float | None:
    cost = _price_cents(number) * (45 + _below(rng, 35)) // 100
    return None if number % 7 == 0 else cost / 100


def _any_product(rng: random.Random, number: int) -> Product:
    what, group, _ = _GOODS[number % len(_GOODS)]
    brand = _pick(rng, _BRANDS)
    return Product(
        _product_id(number),
        f"{brand} {what}",
        _pick(rng, _CASES)(_pick(rng, _SYNONYMS[group])),
        brand,
        f"{what[:2].upper()}-{1000 + number}",
        _price_cents(number) / 100,
        _cost(rng, number),
        _below(rng, 180),
        f"WH-{1 + _below(rng, 4):03d}",
    )


_ProductEdit = Callable[[Product], Product]


def _product(**values: object) -> _ProductEdit:
    return lambda product: product._replace(**values)  # type: ignore[arg-type]  # any field


# 45 apart: three times round the goods, so the same kind of thing.
_SAME_PRODUCT = {66: 21}
_PRODUCT_AS_TEXT = 48
_PRODUCT_EDITS: dict[int, _ProductEdit] = {
    34: _product(product_id=None),
    27: _product(price=-19.99),
    59: _product(quantity=-5),
    41: _product(price="n/a"),
    3: _product(price="19.99"),
    54: lambda product: product._replace(price=f" {product.price} "),
    10: _product(price=None),
    23: _product(quantity=None, warehouse=None),
    31: _product(category="home  & living"),
    46: _product(category="Furniture"),
    69: _product(category="men's  WEAR"),
    62: _product(category=None),
    39: _product(price=199.995),
    68: _product(price=49.995),
    4: _product(quantity=100),
    5: _product(quantity=101),
    16: _product(quantity=50),
    17: _product(quantity=49),
    25: _product(quantity=10),
    26: _product(quantity=9),
    37: _product(quantity=0),
}
_NO_PRODUCT = {34, 27, 59, 41, _PRODUCT_AS_TEXT, *_SAME_PRODUCT}


def _given(**values: object) -> dict[str, object]:
    return {key: value for key, value in values.items() if value is not None and value != {}}


def _nested(product: Product) -> dict[str, object]:
    return _given(
        product_id=product.product_id,
        name=product.name,
        category=product.category,
        specifications=_given(
            brand=product.brand, model=product.model, price=product.price, cost=product.cost
        ),
        inventory=_given(quantity=product.quantity, warehouse=product.warehouse),
    )


def _repriced(earlier: Product, later: Product) -> Product:
    """The same product, exported again with another price and stock."""
    return earlier._replace(price=later.price, cost=later.cost, quantity=later.quantity)


def _products(count: int, seed: int, edit: _ProductEdit) -> Iterator[dict[str, object] | str]:
    rng = _generator(seed, 1)
    seen: dict[int, Product] = {}  # only those that come again, so it stays small
    for number in range(1, count + 1):
        position = _position(number, PRODUCTS)
        product = _any_product(rng, number)
        if position in _SAME_PRODUCT:
            product = _repriced(seen[_SAME_PRODUCT[position]], product)
        if position in _PRODUCT_EDITS:
            product = _PRODUCT_EDITS[position](product)
        if position in _SAME_PRODUCT.values():
            seen[position] = product
        yield (
            f"{product.name}: see below" if position == _PRODUCT_AS_TEXT else _nested(edit(product))
        )


def write_products(path: Path, sizes: Sizes, seed: int, *, edit: _ProductEdit = _unedited) -> None:
    """Write products.json: UTF-8, one item a line, the metadata behind the items.

    Args:
        path: the file; one that is there is replaced.
        sizes: how many items.
        seed: the same seed gives the same items.
        edit: what is done with each item before it is written.
    """
    metadata = {"extract_date": "2024-01-31", "version": "1.2"}
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write('{\n  "products": [')
        for index, item in enumerate(_products(sizes.products, seed, edit)):
            file.write(",\n    " if index else "\n    ")
            file.write(json.dumps(item, ensure_ascii=False))
        file.write(f'\n  ],\n  "metadata": {json.dumps(metadata)}\n}}\n')


# ----------------------------------------------------------------------------- sales

# The days of January in the order of the file; the 20th sells as much as six others.
_DAYS = (*range(1, 20), *(20,) * 6, *range(21, 32))
_TIMES = (
    *("2024-01-{day:02d} {hour:02d}:{minute:02d}:{second:02d}",) * 16,
    "2024-01-{day:02d} {hour:02d}:{minute:02d}:{second:02d}.{micro:06d}",
    "2024-01-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}",
    "2024-01-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}.{micro:06d}Z",
    "2024-01-{day:02d} {hour:02d}:{minute:02d}:{second:02d}+02:00",
    "01/{day:02d}/2024 {hour:02d}:{minute:02d}",
    "{day:02d} Jan 2024 {hour:02d}:{minute:02d}",
)
_STATUSES = (*("completed",) * 16, "pending", "pending", "cancelled", "returned")
_QUANTITIES = (1, 1, 1, 1, 2, 2, 3, 4, 5)
_DISCOUNT_PERCENT = (0, 0, 0, 0, 0, 5, 10, 15)
_NO_DISCOUNT = ("", "0.00", "0.00", "0")
_REPRESENTATIVES = ("", *(f"R{number:02d}" for number in range(1, 13)))
_SHARE_OF_LIST_PRICE = (*(100,) * 9, 90)


def _existing(number: int, count: int, missing: set[int], period: int) -> int:
    """The number itself, or the next one that has a record; number 1 always has."""
    while _position(number, period) in missing:
        number = number % count + 1
    return number


def _time_of_sale(rng: random.Random, day: int) -> str:
    return _pick(rng, _TIMES).format(
        day=day,
        hour=7 + _below(rng, 15),
        minute=_below(rng, 60),
        second=_below(rng, 60),
        micro=_below(rng, 1_000_000),
    )


def _discount(rng: random.Random, gross_cents: int) -> str:
    percent = _pick(rng, _DISCOUNT_PERCENT)
    return _money(gross_cents * percent // 100) if percent else _pick(rng, _NO_DISCOUNT)


def _any_sale(rng: random.Random, number: int, sizes: Sizes) -> Sale:
    customer = 1 + _below(rng, sizes.customers)
    product = _existing(1 + _below(rng, sizes.products), sizes.products, _NO_PRODUCT, PRODUCTS)
    quantity = _pick(rng, _QUANTITIES)
    price = _price_cents(product) * _pick(rng, _SHARE_OF_LIST_PRICE) // 100
    return Sale(
        f"T{number:05d}",
        _customer_id(_existing(customer, sizes.customers, _NO_CUSTOMER, CUSTOMERS)),
        _product_id(product),
        str(quantity),
        _money(price),
        _discount(rng, quantity * price),
        _time_of_sale(rng, _DAYS[(number - 1) * len(_DAYS) // sizes.sales]),
        _pick(rng, _REPRESENTATIVES),
        _pick(rng, _STATUSES),
    )


_SaleEdit = Callable[[Sale], Sale]


def _sale(**values: str) -> _SaleEdit:
    return lambda sale: sale._replace(**values)


def _sold(**values: str) -> _SaleEdit:
    return _sale(status="completed", **values)


def _amount(quantity: str, unit_price: str, discount_amount: str = "0.00") -> _SaleEdit:
    return _sold(quantity=quantity, unit_price=unit_price, discount_amount=discount_amount)


def _counted(quantity: str) -> _SaleEdit:
    return _sold(quantity=quantity, discount_amount="0.00")


def _spaced_customer(sale: Sale) -> Sale:
    return sale._replace(customer_id=f" {sale.customer_id} ", status="completed")


# Both of a pair on the same day: runs of single days then end as one run over all of them.
_SAME_SALE = {82: 81, 153: 151, 266: 263}
_SALE_EDITS: dict[int, _SaleEdit] = {
    81: _sold(),
    151: _sold(quantity="1", discount_amount="", transaction_date="2024-01-13 09:15:00"),
    153: _sold(transaction_date="2024-01-13 18:40:00", quantity="2"),
    263: _counted("1"),
    266: _sold(discount_amount="2.50"),
    18: _sold(customer_id="L0007"),
    **dict.fromkeys((97, 159), _sold(customer_id="L0042")),
    234: _sold(customer_id="L0113"),
    372: _sold(customer_id="L0200"),
    46: _sold(product_id="OLD-11"),
    **dict.fromkeys((143, 261), _sold(product_id="OLD-27")),
    389: _sold(product_id="OLD-35"),
    **dict.fromkeys((31, 302), _counted("0")),
    **dict.fromkeys((72, 331), _amount("1", "-12.99")),
    111: _amount("1", "28.99", "29.00"),
    246: _amount("2", "17.99", "350.00"),
    65: _counted("two"),
    186: _counted("1.5"),
    351: _counted("n/a"),
    176: _amount("1", "$24.50"),
    125: _sold(transaction_date="2024-13-05 10:00:00"),
    345: _sold(transaction_date="yesterday"),
    201: _sale(transaction_date="2024-01-32 09:30:00", status="pending"),
    403: _sale(transaction_date="soon", status="pending"),
    56: _sold(customer_id=""),
    311: _sold(customer_id="  "),
    23: _amount("4", "25.00"),
    102: _amount("1", "100.00", ""),
    209: _amount("5", "100.00"),
    318: _amount("2", "255.00", "10.00"),
    37: _amount("1", "99.99"),
    230: _amount("1", "499.99"),
    271: _amount("1", "99.995"),
    49: _amount("3", "10.005"),
    221: _amount("1", "10.005"),
    361: _amount("2", "15.00", "30.00"),
    **dict.fromkeys((60, 254), _counted("2.0")),
    **dict.fromkeys((13, 148, 276, 396), _sale(status=" completed ")),
    **dict.fromkeys((121, 294), _spaced_customer),
    295: _sold(transaction_date="2024-01-20 00:00:00"),
    413: _sold(transaction_date="2024-01-20 23:59:59.999999"),
    296: _sold(transaction_date="2024-01-21 00:00:00"),
    289: _sold(transaction_date="2024-01-20T23:30:00-05:00"),
    301: _sold(transaction_date="2024-01-03 11:20:00"),
    382: _sold(transaction_date="2024-01-09 16:45:00"),
}


def _sales(sizes: Sizes, seed: int) -> Iterator[Sale]:
    rng = _generator(seed, 2)
    seen: dict[int, Sale] = {}  # only those that come again, so it stays small
    for number in range(1, sizes.sales + 1):
        position = _position(number, SALES)
        sale = _any_sale(rng, number, sizes)
        if position in _SAME_SALE:
            sale = seen[_SAME_SALE[position]]
        if position in _SALE_EDITS:
            sale = _SALE_EDITS[position](sale)
        if position in _SAME_SALE.values():
            seen[position] = sale
        yield sale


def write_sales(path: Path, sizes: Sizes, seed: int, *, edit: _SaleEdit = _unedited) -> None:
    """Write sales_transactions.csv: UTF-8 without a byte order mark, LF line ends.

    Args:
        path: the file; one that is there is replaced.
        sizes: how many sales, and of how many customers and products.
        seed: the same seed gives the same sales.
        edit: what is done with each sale before it is written.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(Sale._fields)
        writer.writerows(map(edit, _sales(sizes, seed)))


# ----------------------------------------------------------------------------- command line


def _at_least_one(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Write sample sources for the pipeline.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder (data/input)")
    for name, default in Sizes()._asdict().items():
        parser.add_argument(f"--{name}", type=_at_least_one, default=default, metavar="N",
                            help=f"records, dirty ones included ({default})")  # fmt: skip
    parser.add_argument("--seed", type=int, default=SEED, help=f"another one, other data ({SEED})")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> None:
    """Write the three files.

    Args:
        argv: the arguments; those of the command line when None.
    """
    given = _arguments(argv)
    sizes = Sizes(given.customers, given.products, given.sales)
    given.out.mkdir(parents=True, exist_ok=True)
    write_customers(given.out / "customers.csv", sizes, given.seed)
    write_products(given.out / "products.json", sizes, given.seed)
    write_sales(given.out / "sales_transactions.csv", sizes, given.seed)
    print(
        f"{given.out}: {sizes.customers} customers, {sizes.products} products, {sizes.sales} sales"
    )


if __name__ == "__main__":
    main()
