SELECT count(*) FROM "sales_fact" AS target
WHERE target."transaction_date" BETWEEN ? AND ?
    AND target."transaction_id" NOT IN (SELECT "record_key" FROM "rejected_sales_fact")
    AND NOT EXISTS (SELECT 1 FROM "stage_sales_fact" AS staged WHERE staged."transaction_id" = target."transaction_id");
