SELECT (SELECT count(*) FROM "stage_product_dim"), (SELECT count(*) FROM (SELECT DISTINCT "product_id" FROM "stage_product_dim") AS keys);
