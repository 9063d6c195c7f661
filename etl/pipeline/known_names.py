"""By which names people's files call the columns of the built-in sources."""

import difflib
from collections.abc import Mapping, Sequence

from etl.schema.source_columns import COMPLETED, CUSTOMER_COLUMNS, PRODUCT_COLUMNS, SALES_COLUMNS
from etl.sources.csv_header import comparable

_NEAR = 0.86  # of two names that are one but for a slip

# Other names of a column, in the form in which names are compared; more come with every shop.
_OTHERS: Mapping[str, Mapping[str, str]] = {
    "customers": {
        "customer_id": "id custid customerno customernumber customercode clientid kundennummer "
        "kundennr kundenid",
        "first_name": "firstname givenname forename fname vorname",
        "last_name": "lastname surname familyname lname nachname name",
        "email": "mail emailaddress emailadresse",
        "phone": "phonenumber telephone tel mobile telefon telefonnummer",
        "address": "street streetaddress fulladdress adresse anschrift strasse stra\u00dfe",
        "segment": "customersegment customergroup customertype tier kundengruppe kategorie",
        "registration_date": "registered registeredat registrationdate signupdate createdat "
        "joindate registrierung registrierungsdatum registriertam kundeseit",
    },
    "products": {
        "product_id": "id sku itemid productno productcode articleno artikelnummer artikelnr",
        "name": "productname title bezeichnung artikelname",
        "category": "productcategory producttype kategorie warengruppe",
        "brand": "manufacturer vendor marke hersteller specificationsbrand",
        "model": "modell specificationsmodel",
        "price": "listprice unitprice saleprice preis verkaufspreis specificationsprice",
        "cost": "unitcost costprice purchaseprice einkaufspreis specificationscost",
        "quantity": "stock qty onhand stockquantity bestand lagerbestand inventoryquantity",
        "warehouse": "location lager lagerort inventorywarehouse",
    },
    "sales": {
        "transaction_id": "saleid salesid transactionno belegnummer belegnr orderid orderno",
        "customer_id": "custid customerno clientid kundennummer kundennr kundenid",
        "product_id": "sku itemid productno articleno artikelnummer artikelnr",
        "quantity": "qty units menge anzahl",
        "unit_price": "price priceperunit itemprice preis einzelpreis",
        "discount_amount": "discount rebate rabatt",
        "transaction_date": "date saledate orderdate soldat datum verkaufsdatum timestamp",
        "sales_rep_id": "salesrep rep repid seller verkaeufer verk\u00e4ufer",
        "status": "state salestatus orderstatus",
    },
}
_COLUMNS = {
    "customers": CUSTOMER_COLUMNS,
    "products": PRODUCT_COLUMNS,
    "sales": (*SALES_COLUMNS, "status"),
}
# Without these a file is no such source.
_NEEDED = {
    "customers": {"customer_id", "last_name", "email"},
    "products": {"product_id", "name", "price"},
    "sales": {"transaction_id", "customer_id", "product_id", "quantity", "unit_price",
              "transaction_date"},
}  # fmt: skip
_LEAST_SHARE = 0.5  # of the columns of a source
# What stands in columns that a file lacks.
_DEFAULTS = {"status": COMPLETED}


def columns_named(source: str, names: Sequence[str]) -> dict[str, str]:
    """Return by column of a built-in source the name that a file has for it.

    Example:
        >>> columns_named("customers", ["Kundennummer", "E-Mail", "Vornahme", "Ort"])
        {'email': 'E-Mail', 'customer_id': 'Kundennummer', 'first_name': 'Vornahme'}
    """
    free = {comparable(name): name for name in reversed(names)}
    found: dict[str, str] = {}
    for near in (_same, _other, _alike):
        for column in _COLUMNS[source]:
            match = near(source, column, list(free)) if column not in found else ""
            if match:
                found[column] = free.pop(match)
    return found


def _same(_source: str, column: str, free: Sequence[str]) -> str:
    return comparable(column) if comparable(column) in free else ""


def _other(source: str, column: str, free: Sequence[str]) -> str:
    return next((name for name in _OTHERS[source][column].split() if name in free), "")


def _alike(source: str, column: str, free: Sequence[str]) -> str:
    known = [comparable(column), *_OTHERS[source][column].split()]
    pairs = ((name, difflib.get_close_matches(name, known, 1, _NEAR)) for name in free)
    return next((name for name, near in pairs if near), "")


def likeness(source: str, found: Mapping[str, str]) -> float:
    """Return which share of the columns of a source was found; 0 where it cannot be the source.

    Example:
        >>> likeness("sales", {"transaction_id": "id", "quantity": "n"})
        0.0
    """
    share = len(found) / len(_COLUMNS[source])
    return share if _NEEDED[source] <= found.keys() and share >= _LEAST_SHARE else 0.0


def defaults_of(source: str, found: Mapping[str, str]) -> dict[str, str]:
    """Return what stands in the columns that a file lacks."""
    return {c: _DEFAULTS.get(c, "") for c in _COLUMNS[source] if c not in found}
