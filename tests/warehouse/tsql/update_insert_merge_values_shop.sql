UPDATE target SET "shop_id" = source."shop_id",
    "since" = source."since",
    "city" = source."city",
    "level" = source."level",
    "mail" = source."mail",
    "previous_mail" = source."previous_mail"
FROM "sales"."shop" AS target WITH (HOLDLOCK, UPDLOCK)
JOIN "#version_line" AS source ON target."version_id" = source."version_id"
WHERE (target."shop_id" <> source."shop_id" OR target."since" <> source."since" OR ((target."city" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."city" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."city" IS NULL AND source."city" IS NOT NULL) OR (target."city" IS NOT NULL AND source."city" IS NULL)) OR (target."level" <> source."level" OR (target."level" IS NULL AND source."level" IS NOT NULL) OR (target."level" IS NOT NULL AND source."level" IS NULL)) OR ((target."mail" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."mail" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."mail" IS NULL AND source."mail" IS NOT NULL) OR (target."mail" IS NOT NULL AND source."mail" IS NULL)) OR ((target."previous_mail" + N'.') COLLATE Latin1_General_100_BIN2 <> (source."previous_mail" + N'.') COLLATE Latin1_General_100_BIN2 OR (target."previous_mail" IS NULL AND source."previous_mail" IS NOT NULL) OR (target."previous_mail" IS NOT NULL AND source."previous_mail" IS NULL)));
