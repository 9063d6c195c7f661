SELECT count(*) FROM "sales_fact" AS target
WHERE target."transaction_date" BETWEEN ? AND ?
    AND NOT EXISTS (SELECT 1 FROM "stage_sales_fact" AS staged WHERE staged."transaction_id" = target."transaction_id");
