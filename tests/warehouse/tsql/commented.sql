SELECT o.name, COALESCE(c.name, N'')
FROM sys.extended_properties AS p JOIN sys.objects AS o ON o.object_id = p.major_id
LEFT JOIN sys.columns AS c ON c.object_id = p.major_id AND c.column_id = p.minor_id
WHERE p.class = 1 AND p.name = N'MS_Description'
    AND SCHEMA_NAME(o.schema_id) IN (SCHEMA_NAME(), N'dbo');
