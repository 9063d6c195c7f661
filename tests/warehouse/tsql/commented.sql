SELECT OBJECT_NAME(p.major_id), COALESCE(COL_NAME(p.major_id, p.minor_id), N'')
FROM sys.extended_properties AS p
WHERE p.class = 1 AND p.name = N'MS_Description'
    AND OBJECT_SCHEMA_NAME(p.major_id) IN (SCHEMA_NAME(), N'dbo');
