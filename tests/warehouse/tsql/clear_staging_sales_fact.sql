DELETE FROM "stage_sales_fact";
