"""Columns as the tables declare them, in short."""

from functools import partial

from etl.schema.table import Column, Default, Kind

# The widest text that has a width; a wider column holds texts of any length.
WIDEST_TEXT = 4000
# NVARCHAR(50) keeps a clustered key at 100 bytes; SQL Server's limit for one is 900.
KEY_WIDTH = 50

text = partial(Column, kind=Kind.TEXT)
key = partial(Column, kind=Kind.TEXT, width=KEY_WIDTH, required=True, exact=True)
money = partial(Column, kind=Kind.DECIMAL, precision=18, scale=2)
flag = partial(Column, kind=Kind.BOOLEAN)
count = partial(Column, kind=Kind.INTEGER, required=True, default=Default.ZERO)
time = partial(Column, kind=Kind.TIMESTAMP)
number = partial(Column, kind=Kind.INTEGER, required=True)

RUN_ID = text("run_id", "run; sorts by start", width=30, required=True, exact=True)
TABLE_NAME = text("table_name", "warehouse table", width=50, required=True, exact=True)
