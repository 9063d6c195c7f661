"""Records in the shapes that Shopify, WooCommerce and Stripe publish, with members nobody wants."""

from typing import Any


def money(amount: str) -> dict[str, Any]:
    shop = {"amount": amount, "currency_code": "USD"}
    return {"shop_money": shop, "presentment_money": shop}


def shopify_line(number: int, product: int | None, price: str, *discounts: str) -> dict[str, Any]:
    return {
        "id": number, "variant_id": 39072856, "title": "Nano", "quantity": 2, "sku": "N-1",
        "product_id": product, "price": price, "total_discount": "0.00",
        "price_set": money(price), "properties": [],
        "discount_allocations": [
            {"amount": each, "discount_application_index": 0, "amount_set": money(each)}
            for each in discounts
        ],
        "tax_lines": [{"title": "State Tax", "price": "3.98", "rate": 0.06}],
    }  # fmt: skip


def shopify_order(number: int, status: str, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    customer = {"id": 207119551, "email": "bob@example.com", "default_address": {"id": 1}}
    return {
        "id": number, "name": f"#{number}", "created_at": "2024-01-10T11:00:00-05:00",
        "updated_at": "2024-01-11T11:00:00-05:00", "financial_status": status,
        "total_price": "598.94", "currency": "USD", "user_id": None, "customer": customer,
        "line_items": list(lines), "discount_codes": [], **more,
    }  # fmt: skip


SHOPIFY_ORDERS = [
    shopify_order(
        1, "paid", shopify_line(11, 632910392, "199.00", "3.34", "1.66"),
        shopify_line(12, None, "10.00"),
    ),
    shopify_order(2, "partially_refunded", shopify_line(21, 632910392, "199.00"), customer=None),
    shopify_order(3, "pending", shopify_line(31, 632910392, "199.00")),
]  # fmt: skip

SHOPIFY_CUSTOMERS = [
    {
        "id": 207119551, "email": "Bob.Norman@example.com", "first_name": "bob",
        "last_name": "norman", "orders_count": 1, "state": "disabled", "tags": "premium",
        "created_at": "2023-06-01T22:00:00-05:00", "phone": "+16136120707",
        "default_address": {"address1": "Chestnut St 92", "city": "Louisville", "zip": "40202",
                            "country": "United States"},
    },
    {
        "id": 2, "email": None, "first_name": "Ann", "last_name": "Lee", "tags": "",
        "created_at": "2023-06-02T00:00:00Z", "phone": None,
    },
]  # fmt: skip

SHOPIFY_PRODUCTS = [
    {
        "id": 632910392, "title": "IPod Nano", "vendor": "Apple", "product_type": "electronics",
        "status": "active", "tags": "Emotive",
        "variants": [
            {"id": 1, "sku": "N-PINK", "price": "199.00", "inventory_quantity": 10},
            {"id": 2, "sku": "N-RED", "price": "210.00", "inventory_quantity": 20},
        ],
    },
]  # fmt: skip


def woo_line(number: int, product: int, price: float, quantity: int = 1) -> dict[str, Any]:
    return {
        "id": number, "name": "Woo Single", "product_id": product, "variation_id": 0,
        "quantity": quantity, "subtotal": "9.00", "total": "6.00", "taxes": [], "price": price,
        "sku": "",
    }  # fmt: skip


WOO_ORDERS = [
    {
        "id": 727, "number": "727", "status": "completed", "currency": "USD",
        "date_created": "2024-01-10T16:28:02", "date_created_gmt": "2024-01-10T19:28:02",
        "date_modified_gmt": "2024-01-10T19:28:08", "total": "29.35", "customer_id": 25,
        "billing": {"first_name": "John", "last_name": "Doe"},
        "line_items": [woo_line(315, 93, 3, 2), woo_line(316, 22, 12.5)],
    },
    {
        "id": 728, "number": "728", "status": "processing",
        "date_created_gmt": "2024-01-11T00:00:00", "customer_id": 0,
        "line_items": [woo_line(317, 93, 3)],
    },
]  # fmt: skip

WOO_CUSTOMERS = [
    {
        "id": 25, "date_created_gmt": "2023-03-21T19:09:28", "email": "john.doe@example.com",
        "first_name": "John", "last_name": "Doe", "role": "customer", "username": "john.doe",
        "billing": {"address_1": "969 Market", "address_2": "", "city": "San Francisco",
                    "postcode": "94103", "country": "US", "phone": "(555) 555-5555"},
        "is_paying_customer": True,
    }
]  # fmt: skip

WOO_PRODUCTS = [
    {
        "id": 93, "name": "Ship Your Idea", "type": "simple", "sku": "S-1", "price": "3.00",
        "regular_price": "3.50", "stock_quantity": None, "manage_stock": False,
        "categories": [{"id": 9, "name": "Clothing", "slug": "clothing"}],
    },
    {"id": 22, "name": "Album", "sku": "", "price": "12.50", "stock_quantity": 60,
     "categories": [{"id": 15, "name": "Music"}]},
]  # fmt: skip


def stripe_charge(number: str, amount: int, **more: Any) -> dict[str, Any]:
    return {
        "id": number, "object": "charge", "amount": amount, "amount_refunded": 0,
        "created": 1705593600, "currency": "usd", "customer": "cus_9s6XKzkNRiz8i3",
        "status": "succeeded", "paid": True, "metadata": {}, "livemode": False,
        "billing_details": {"address": None, "name": None}, **more,
    }  # fmt: skip


STRIPE_CHARGES = [
    stripe_charge("ch_1", 1099, metadata={"product_id": "P1"}),
    stripe_charge("ch_2", 500, currency="jpy", customer=None),
    stripe_charge("ch_3", 100, status="failed"),
]

STRIPE_CUSTOMERS = [
    {
        "id": "cus_9s6XKzkNRiz8i3", "object": "customer", "address": None, "balance": 0,
        "created": 1483565364, "email": "jenny@example.com", "name": "jenny m. rosen",
        "phone": None, "metadata": {"segment": "premium"},
    },
]  # fmt: skip
