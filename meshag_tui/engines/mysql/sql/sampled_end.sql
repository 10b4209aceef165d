(SELECT {columns} FROM {table} ORDER BY {order} LIMIT {rows})
