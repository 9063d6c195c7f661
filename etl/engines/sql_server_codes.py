"""Which errors of SQL Server may pass, which will not, and which are the fault of the data."""

from etl.resilience.transient import ErrorCodes

# Numbers after which SQL Server or its client may succeed on another attempt. Sources, both on
# learn.microsoft.com: [A] "Troubleshoot connectivity issues and other errors with Azure SQL
# Database and Azure SQL Managed Instance", list of transient fault error codes; [B]
# "SqlConfigurableRetryFactory", the transient errors of Microsoft's own client; [C] "Database
# engine events and errors", whose texts say that it passes: a failover, or memory to wait for.
# Listed there and left out on purpose, because on a server of one's own they mean a setting
# that is wrong, or damage: 0, 20, 207, 926, 4060, 18456, 42108 (4060 is tried again on Azure, see
# `odbc.refusal`). Driver timeouts (-2 in [B]) reach ODBC as the SQLSTATE HYT00.
_TRANSIENT = frozenset(
    {
        64,  # [B] the network name is no longer available
        233,  # [B] no process on the other end of the pipe
        615,  # [A] a stale database id in the login cache
        976,  # [C] a database of an availability group is not accessible at the moment
        983,  # [C] its replica is changing its role
        997,  # [B] overlapped I/O in progress during login
        1204,  # [B] no lock resource at this time
        1205,  # [B] deadlock victim
        3906,  # [C] the database is read-only: the other replica has become the primary one
        4221,  # [A] [B] replica not ready for login
        8645,  # [C] waited too long for memory to run the query
        8651,  # [C] not the least memory that the query needs
        10053,  # [B] connection aborted by this host
        10054,  # [B] connection reset by the server
        10060,  # [B] connection attempt timed out
        10928,  # [B] resource limit of the database reached
        10929,  # [B] server too busy
        40143,  # [B] service error, try again
        40197,  # [A] [B] service down for an upgrade or a failover
        40501,  # [A] [B] service busy
        40540,  # [B] service error, try again
        40613,  # [A] [B] database not available at the moment
        42109,  # [B] SQL pool warming up
        49918,  # [A] [B] not enough resources
        49919,  # [A] [B] too many create or update operations
        49920,  # [A] [B] too many operations
    }
)
# Numbers of the FreeTDS driver itself (its header include/sybdb.h). A server that is killed
# shows there as SQLSTATE 01000 with 20017, so the SQLSTATE alone is not enough.
_TRANSIENT_FREETDS = frozenset(
    {
        20003,  # SYBETIME: timed out
        20004,  # SYBEREAD: read failed
        20006,  # SYBEWRIT: write failed
        20009,  # SYBECONN: unable to connect
        20017,  # SYBESEOF: unexpected end of file from the server
        20047,  # SYBEDDNE: connection is dead
    }
)
# Trying these again only delays the message, and may lock the account.
_PERMANENT = frozenset(
    {
        20,  # the server does not support encryption; comes as 08001
        911,  # there is no such database, and 916: no access to it; come as 08004
        916,
        18456,  # login failed; FreeTDS gives it the SQLSTATE 42000
        -2146893019,  # SEC_E_UNTRUSTED_ROOT, a certificate nobody vouches for (Windows)
        -2146893022,  # SEC_E_WRONG_PRINCIPAL, a certificate for another name (Windows)
    }
)
# OpenSSL's words for the same two; Microsoft's driver gives them 08001 and no number but -1.
_UNTRUSTED_CERTIFICATE = "certificate verify failed"

CODES = ErrorCodes(
    transient_numbers=_TRANSIENT | _TRANSIENT_FREETDS,
    permanent_numbers=_PERMANENT,
    permanent_words=frozenset({_UNTRUSTED_CERTIFICATE}),
    lock_wait_numbers=frozenset({1222}),  # [B] lock request timed out
    # its text, for drivers that lose the number; and a relative's, which gives another number
    lock_wait_words=frozenset(
        {"Lock request time out period exceeded", "canceling statement due to lock timeout"}
    ),
    # What a trigger raises to refuse a row: RAISERROR and THROW number from 50,000 on. The end
    # keeps out relatives of SQL Server that give numbers of their own, in the millions, to others.
    data_numbers=range(50_000, 1_000_000),
)
