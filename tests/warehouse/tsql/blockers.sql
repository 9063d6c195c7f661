SELECT DISTINCT s.session_id, s.login_name, s.host_name,
    OBJECT_NAME(l.resource_associated_entity_id), t.text
FROM sys.dm_tran_locks AS l
JOIN sys.dm_exec_sessions AS s ON s.session_id = l.request_session_id
LEFT JOIN sys.dm_exec_connections AS c ON c.session_id = s.session_id
OUTER APPLY sys.dm_exec_sql_text(c.most_recent_sql_handle) AS t
WHERE l.resource_type = 'OBJECT' AND l.resource_database_id = DB_ID()
    AND l.request_status = 'GRANT' AND l.request_mode <> 'Sch-S' AND s.session_id <> @@SPID;
