SELECT {columns} FROM {table} {order} LIMIT {rows}
