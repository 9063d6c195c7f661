"""Raw records for tests: mostly plausible, often dirty, keys drawn from small pools.

`customers()`, `products()` and `sales()` draw lists of records as a source would hand them over;
`names()`, `phones()`, `emails()`, `dates()` and `numbers()` draw single values. What stands in a
CSV file is never None. Most values come from pools of cases that have gone wrong somewhere; free
text is mixed in.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TypeVar

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

T = TypeVar("T")
Texts = SearchStrategy[str]
Records = SearchStrategy[list[dict[str, str]]]
ProductRecords = SearchStrategy[list[dict[str, str | None]]]

# Everything that Python calls white space and a line of a file can hold in a quoted field.
SPACES = (" ", "  ", "\t", "\x0b", "\x1f", "\x85", "\u00a0", "\u2003", "\u2028", "\u3000", " \t ")
NOT_SPACES = ("\u200b", "\ufeff", "\u180e", "\u2060")  # look like nothing, but are not trimmed

# A letter below has two capitals, none, one of another length, or a form for titles.
ODD_LETTERS = (
    "\u00df",  # sharp s, capital SS
    "\u1e9e",  # capital sharp s
    "\u0130",  # I with dot, small form of two code points
    "\u0131",  # dotless i
    "\u01c6",  # dz with caron, title form of its own
    "\ufb01",  # ligature fi
    "\u0149",  # n after apostrophe, capital of two code points
    "\u03a3",  # sigma
    "\u03c2",  # final sigma
    "\u017f",  # long s
    "\u212a",  # Kelvin sign, small form is a plain k
    "\u00aa",  # ordinal, a letter without capital
    "e\u0301",  # combining accent
    "\u0345",  # combining iota
    "\U00010428",  # Deseret, beyond 16 bits
    "\U0001f600",  # emoji: two UTF-16 units
    "\u00b2",  # superscript two: a digit to some
    "\u0661",  # Arabic one: a decimal to most
    "\u6f22",
)

NAMES = (
    "John", "JOHN SMITH", "jane   doe", " Ann\tMarie ", "o'neil", "O'NEIL", "o\u2019brien",
    "men's", "MEN\u2019S", "rock'n'roll", "d'a'b", "'t hooft", "o' neil", "o''n", "x's2",
    "james' s", "o'\u00df", "o'\u0130", "o'\u03c3", "o'e\u0301", "l'\u00e9t\u00e9", "\u00aa'a",
    "van-der-berg", "jean-luc d.", "mcdonald", "iii", "NA", "Null", "nan", "None", "null",
    "stra\u00dfe", "\u0130stanbul", "a\u0130b", "\u039f\u0394\u039f\u03a3 \u039f\u0394\u039f\u03a3",
    "\u01c6ep", "\ufb01ona", "\u0149am", "\u00e9mile", "e\u0301mile zola", "\u6f22\u5b57",
    "\U0001f600 smith", "2nd", "a1b", "x_y", "a\u200bb", "-", "'", "\"quoted\"", "a,b",
)  # fmt: skip
EMAILS = (
    "john.smith@email.com", "JANE@EMAIL.COM", " Ann@Email.Co.Uk ", "o'neil+tag@a-b.example",
    "a@b.cd", "{x}|y~z@q.info", "1@2.ab", "a@xn--bcher-kva.example", "a@b.c", "a@b", "a@.com",
    "a@-b.com", "a@b-.com", "a@b--c.com", "a@b_c.com", "a@b..com", ".a@b.com", "a.@b.com",
    "a..b@c.com", "a@b.com.", "a b@c.com", "a@@b.com", "@b.com", "a@", "a@b.c1", "a,b@c.com",
    "(a)@b.com", "\"a\"@b.com", "\u00e9@b.com", "a@\u00fc.com", "\u212aate@b.com",
    "a@boo\u212a.com", "\u0130@b.com", "a@b.\u017fe", "N/A", "none", "a@b.com\u200b", "a@b.com,",
)  # fmt: skip
PHONES = (
    "555-1234", "5551234", "(555) 123-4567", "555.123.4567", "5551234567", "+1 555 123 4567",
    "1-555-123-4567", "15551234567", "25551234567", "0015551234567", "123456", "12345678",
    "555123456", "+44 20 7946 0958", "555-1234 x5", "ext. 7", "call me", "N/A", "0", "-",
    " 555\u20111234 ", "\u0665\u0665\u0665\u0661\u0662\u0663\u0664", "\uff15551234",
    "\u00b25551234", "555-123-4567\u00a0", "1555123", "1 555 123",
)  # fmt: skip
DATES = (
    "2024-01-15", " 2024-01-15 ", "1/5/2024", "01/15/2024", "1/15/2024", "12/31/2024", "2/29/2024",
    "15 Jan 2024", "5 january 2024", "05 JAN 2024", "1 May 2024", "Jan 15, 2024", "JANUARY 5, 2024",
    "may 05, 2024", "2024-02-29", "0001-01-01", "9999-12-31", "2024-01-15T10:30",
    "2024-01-15 10:30:00", "2024-01-15  10:30:00", "2024-01-15\u00a010:30", "2024-01-15T10:30:59.5",
    "2024-01-15T23:59:59.9999999", "2024-01-15T00:00:00.1234567890Z", "2024-01-15T10:30Z",
    "2024-01-15T10:30:00 Z", "2024-01-15T10:30:00+02:00", "2024-01-15T10:30:00-0530",
    "2024-01-15T10:30:00 +14", "1/15/2024 10:30", "Jan 15, 2024 10:30:00", "15 Jan 2024T10:30",
)  # fmt: skip
NO_DATES = (
    "", "  ", "NA", "Null", "2024-1-15", "2024-01-5", "24-01-15", "02024-01-15", "2024/01/15",
    "13/13/2024", "2024-13-01", "2024-00-10", "2024-01-00", "2023-02-29",
    "2/30/2024", "0000-01-01", "10000-01-01", "1/5/24", "1-5-2024", "15-Jan-2024",
    "Jan 15 2024", "Jan 15,2024", "Jan. 15, 2024", "Sept 5, 2024", "15 Foo 2024", "15  Jan 2024",
    "Jan 32, 2024", "15 Jan, 2024", "2024-01-15T", "2024-01-15T10", "2024-01-15T24:00",
    "2024-01-15T10:60", "2024-01-15T10:30:60", "2024-01-15T1:30", "2024-01-15T10:30:00.",
    "2024-01-15T10:30:00,5", "2024-01-15t10:30", "2024-01-15T10:30z", "2024-01-15Z",
    "2024-01-15+02:00", "2024-01-15T10:30:00  Z", "2024-01-15T10:30+2", "2024-01-15T10:30+02:0",
    "2024-01-15 10:30 AM", "2024-01-15T10:30 UTC", "T10:30", "10:30", "1705312200", "yesterday",
    "\u0662\u0660\u0662\u0664-01-15", "2024-01-15x", "x2024-01-15", "2024-01-15 2024-01-15",
    "-2024-01-15", "2024 -01-15", "15 \u017fep 2024",
)  # fmt: skip
NUMBERS = (
    "199.99", "200", "200.00", "199.994", "199.995", "199.9949999999999999999999999999999", "49.99",
    "49.994", "49.995", "50", "0", "0.00", "-0", "-0.004", "+0", "0.005", "0.0049999", "1.005",
    "2.675", "1.115", "12.345", "99.995", "100", "499.994", "499.995", "500", "1", "2", "9", "10",
    "49", "101", "2.0", "3.000", "2e1", "2E+1", "20e-1", "1.5e1", "5.", ".5", "+5", " 7 ",
    "\u00a07\t", "007", "1e-3", "1e-99999", "0e99999", "1e0", "9999999999.99", "9999999999.994",
    "2147483647", "0.1", "33.33", "66.67",
)  # fmt: skip
NO_NUMBERS = (
    "-1", "-0.005", "-0.01", "-5e0", "-2147483648", "-2147483649", "9999999999.995", "10000000000",
    "99999999999999.99", "9999999999999999.994", "9999999999999999.995", "1e16", "1e400", "1e99999",
    "2147483648", "2147483647.5", "2.5", "1e-1", "NaN", "nan", "-NaN", "sNaN", "Infinity",
    "-Infinity", "inf", "1,000", "1.000,50", "$5", "5 USD", "1_000", "1 000", "--1", "+-1", "1e",
    "e5", "1e1.5", "1.2.3", ".", "+", "-", "0x10", "0b1", "1/2", "50%", "abc", "true", "null", "NA",
    "\u0661\u0662", "\uff11\uff12", "\u00bd", "\u00b2", "\u22125", "1\u200b", "1e 5", "+ 5",
)  # fmt: skip
# One, two or five of these, less a cent or not, lie about the bounds of the tiers.
SALE_PRICES = (
    "100", "100.01", "99.99", "99.995", "50", "50.005", "500", "499.99", "499.995", "250",
    "249.995", "250.005", "20", "33.335", "12.50", "0.50", "0.005", "0", "1e2", "9999999999.99",
)  # fmt: skip
SEGMENTS = (
    "Premium", "premium", " PREMIUM ", "Standard", "standard", "STANDARD", "Basic", "gold member",
    "Gold   Member", "", "premium plus", "Premium  ", "pre mium", "NA", "vip's", "\u017ftandard",
    "prem\u0130um", "\u01c6",
)  # fmt: skip
CATEGORIES = (
    "Electronics", "tech", "TECHNOLOGY", "Clothing", "apparel", "Fashion", "books", " Literature ",
    "reading", "home & garden", "HOME  &   GARDEN", "Tech  ", "te ch", "men's shoes", "book",
    "boo\u212as", "\u00dfport", "", "NA",
)  # fmt: skip
ADDRESSES = ("123 Main St", "456 Oak Ave, Apt 7", '12 "The Elms"', "1 Main St\nApt 4", " x ", "")
CUSTOMER_IDS = ("C1", "C2", "C3", "C4", " C2 ", "c1", "C3\u3000")
PRODUCT_IDS = ("P1", "P2", "P3", "P4", "P2\t", "p1", "\u00a0P3")
SALE_IDS = ("T1", "T2", "T3", "T4", "T5", "T6", "T7", "T8", "T9", "t1", " T2", "T10")
SALES_REPS = ("R1", "R2", "r1", " R1 ", "", "Z\u00fc", "\U0001f600")
STATUSES = ("pending", "Completed", "", "cancelled", "completed.", "COMPLETED", "not completed")
FIRST_DAY = date(2024, 1, 1)


def _mostly(usual: Texts, unusual: Texts, share: int = 8) -> Texts:
    """One draw in `share` from `unusual`; examples shrink towards the usual."""
    return st.integers(1, share).flatmap(lambda draw: unusual if draw == share else usual)


def _pool(values: Sequence[str]) -> Texts:
    return st.sampled_from(values)


def _free_text(most: int = 12) -> Texts:
    """Text that UTF-8 and a quoted field can hold: no surrogates, no NUL, no line ends.

    Unassigned code points are left out: libraries know them or not, according to their age.
    """
    letters = st.characters(exclude_categories=["Cs", "Cn"], exclude_characters="\0\r\n")
    return st.text(letters, max_size=most)


def odd_text() -> Texts:
    """Letters with odd capitals, apostrophes and spaces in any order."""
    pieces = (*ODD_LETTERS, *SPACES, *NOT_SPACES, "'", "\u2019", "-", ".", "a", "B", "s", "7")
    return st.lists(st.sampled_from(pieces), max_size=8).map("".join)


def blank() -> Texts:
    """What counts as missing."""
    return _pool(("", *SPACES))


def _around(values: Texts) -> Texts:
    """The value, now and then with white space before and after it."""
    edge = st.sampled_from(("", "", "", "", *SPACES))
    return st.tuples(edge, values, edge).map("".join)


def _cased(values: Texts) -> Texts:
    ways = st.sampled_from((str, str, str.upper, str.lower, str.swapcase))
    return st.builds(lambda text, way: way(text), values, ways)


def long_text(width: int) -> Texts:
    """Text about as long as a column of `width` UTF-16 units is wide, on either side of it."""
    units = st.sampled_from(("x", "\u00df", "x y", "\u6f22", "\U0001f600", "x  "))
    lengths = st.integers(width - 2, width + 2)
    return st.builds(lambda unit, size: (unit * size)[: size // _units(unit)], units, lengths)


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2 // len(text)


def nul_text() -> Texts:
    """Text with the one character that PostgreSQL and SQL Server refuse."""
    return _pool(("\0", "a\0b", "John\0", "\0\0", "12\0", "2024-01-15\0"))


def surrogate_text() -> Texts:
    """Half of a pair: only an escape in a JSON file can say it."""
    return _pool(("\ud800", "a\udfffb", "\ude00\ud83d"))


def names() -> Texts:
    """Names of people, and what stands in their place."""
    return _around(_cased(st.one_of(_pool(NAMES), odd_text(), _free_text())))


def emails() -> Texts:
    """Addresses, nearly addresses and other text."""
    return _around(_cased(st.one_of(_pool(EMAILS), _pool(EMAILS), _built_emails(), _free_text())))


def _built_emails() -> Texts:
    parts = st.lists(_pool(("a", "b1", "-", ".", "_", "+", "@", "com", "\u00e9", "'")), max_size=7)
    return parts.map(lambda drawn: "".join(("x", *drawn, ".com")))


def phones() -> Texts:
    """Every length of number in every dress."""
    usual = st.one_of(_pool(PHONES), _pool(PHONES[:8]), _built_phones())
    return _around(_mostly(usual, _free_text()))


def _built_phones() -> Texts:
    pieces = (*"0123456789", "1", "555", "123", "4567", "-", " ", "(", ")", "+", ".", "x", "\u0661")
    return st.lists(st.sampled_from(pieces), max_size=9).map("".join)


def dates() -> Texts:
    """Dates and timestamps in every form that is read, and many that are not."""
    return st.one_of(_around(_pool(DATES)), _pool(NO_DATES), sale_dates(), _free_text())


def sale_dates() -> Texts:
    """A moment of the first five days of January 2024, in one of the forms that are read."""
    days = st.integers(0, 4).map(lambda number: FIRST_DAY + timedelta(days=number))
    times = _pool(
        ("", "", " 00:00", "T00:00:00", " 12:00:00", "T12:00", " 12:00:00.000000", "T12:00:00Z",
         " 12:00:00.0000009", "T12:00:00.000001", "T23:59:59.999999", " 23:59:59.9999999 +02:00")
    )  # fmt: skip
    forms = _pool(("%Y-%m-%d", "%Y-%m-%d", "%m/%d/%Y", "%d %b %Y", "%B %d, %Y"))
    return st.builds(lambda day, form, time: day.strftime(form) + time, days, forms, times)


def numbers() -> Texts:
    """Numbers of every scale, sign and spelling, and what is no number."""
    return st.one_of(_pool(NUMBERS), _pool(NO_NUMBERS), _built_numbers(), _free_text(6))


def _built_numbers() -> Texts:
    decimals = st.decimals(-10_000, 10_000, places=3).map(str)
    whole = st.integers(-(2**33), 2**33).map(str)
    sixty_digits = st.decimals(0, 1000, places=60).map(str)
    exponents = st.builds("{}e{}".format, st.integers(-99, 9999), st.integers(-30, 30))
    return st.one_of(decimals, whole, sixty_digits, exponents)


def amounts() -> Texts:
    """Prices, most of them about the bounds of a tier or at the half of a cent."""
    cents = st.decimals(0, 700, places=2).map(str)
    return _mostly(st.one_of(_pool(NUMBERS), cents), st.one_of(numbers(), blank()))


def _keys(values: Sequence[str]) -> Texts:
    return _mostly(_pool(values), st.one_of(blank(), long_text(50), nul_text()), share=25)


def _dirty(usual: Texts, width: int) -> Texts:
    """Mostly the usual values; else missing, odd, of about the column's width, or with a NUL."""
    unusual = st.one_of(blank(), odd_text(), _free_text(), long_text(width))
    return _mostly(_mostly(usual, unusual), nul_text(), share=60)


def _lists(records: SearchStrategy[T]) -> SearchStrategy[list[T]]:
    """Up to 25 records; every other list long enough that keys repeat."""
    return st.lists(records, max_size=25) | st.lists(records, min_size=6, max_size=25)


def customers() -> Records:
    """Up to 25 records of the customers file."""
    return _lists(customer())


def customer() -> SearchStrategy[dict[str, str]]:
    """One record of the customers file."""
    columns = {
        "customer_id": _keys(CUSTOMER_IDS),
        "first_name": _dirty(names(), 100),
        "last_name": _dirty(names(), 100),
        "email": _dirty(_mostly(_cased(_pool(EMAILS[:8])), emails(), share=3), 320),
        "phone": _dirty(phones(), 50),
        "address": _dirty(_pool(ADDRESSES), 500),
        "segment": _dirty(_cased(_pool(SEGMENTS)), 100),
        "registration_date": _mostly(_pool(DATES), dates(), share=3),
    }
    return st.fixed_dictionaries(columns)


def products(*, surrogates: bool = False) -> ProductRecords:
    """Up to 25 flattened records of the products file; None and absent keys are JSON's missing.

    Args:
        surrogates: whether texts may hold half of a surrogate pair, which only JSON can carry.
    """
    return _lists(product(surrogates=surrogates))


def product(*, surrogates: bool = False) -> SearchStrategy[dict[str, str | None]]:
    """One flattened record of the products file."""
    return _product(_bad_or_long(surrogates))


def _bad_or_long(surrogates: bool) -> Texts:
    bad = st.one_of(nul_text(), surrogate_text()) if surrogates else nul_text()
    return st.one_of(blank(), long_text(100), long_text(200), long_text(400), bad)


def _product(unusual: Texts) -> SearchStrategy[dict[str, str | None]]:
    words = _mostly(st.one_of(_pool(NAMES), _cased(_pool(CATEGORIES)), odd_text()), unusual, 20)
    stock = _mostly(st.integers(0, 120).map(str), st.one_of(numbers(), blank()))
    columns = {
        "name": words,
        "category": _mostly(_around(_cased(_pool(CATEGORIES))), words),
        "brand": words,
        "model": words,
        "price": amounts(),
        "cost": _mostly(_pool(NUMBERS[:20]), st.one_of(numbers(), blank()), share=5),
        "quantity": stock,
        "warehouse": _mostly(_pool(("WH-001", " WH-002", "wh-001")), words),
    }
    keys = {"product_id": _keys(PRODUCT_IDS)}
    nullable = {name: values | st.none() for name, values in columns.items()}
    whole: SearchStrategy[dict[str, str | None]] = st.fixed_dictionaries({**keys, **columns})
    partial = st.fixed_dictionaries({**keys}, optional=nullable)
    return st.integers(1, 5).flatmap(lambda draw: partial if draw == 5 else whole)


def sales() -> Records:
    """Up to 25 records of the sales file, with its `status` column."""
    return _lists(sale())


def unique_sales() -> Records:
    """The same, but no two records share a transaction_id that can be loaded."""
    return st.builds(_with_ids_of_their_own, sales(), st.permutations(range(1, 26)))


def _with_ids_of_their_own(
    drawn: list[dict[str, str]], numbers: Sequence[int]
) -> list[dict[str, str]]:
    """A number before each id that is there, so that the order of ids is none of the file's."""
    return [
        {
            **record,
            "transaction_id": record["transaction_id"] and f"{number}{record['transaction_id']}",
        }
        for record, number in zip(drawn, numbers, strict=False)
    ]


def sale() -> SearchStrategy[dict[str, str]]:
    """One record of the sales file."""
    usual = {
        "transaction_id": _keys(SALE_IDS),
        "customer_id": _keys((*CUSTOMER_IDS, "C8", "C9")),
        "product_id": _keys((*PRODUCT_IDS, "P8", "P9")),
        "quantity": _mostly(
            _pool(("1", "2", "3", "5", "1.0", "2e0", "-1", "-2")), numbers(), share=15
        ),
        "unit_price": _mostly(_pool(SALE_PRICES), amounts()),
        "discount_amount": _mostly(_pool(("", "0", "0.01", "0.005", "1", "10.00")), amounts()),
        "transaction_date": _mostly(sale_dates(), dates(), share=15),
        "sales_rep_id": _dirty(_pool(SALES_REPS), 50),
        "status": _mostly(_pool(("completed", "completed", " completed\t")), _pool(STATUSES)),
    }
    return st.fixed_dictionaries(usual)
