(SELECT {columns} FROM {table} WHERE {key} >= {start} ORDER BY {key} LIMIT {rows})
