CREATE TABLE "#keys_of_sales_order_item" (
    "order_id" NVARCHAR(20) COLLATE Latin1_General_CI_AS NOT NULL,
    "line" INT NOT NULL,
    PRIMARY KEY ("order_id", "line")
);
