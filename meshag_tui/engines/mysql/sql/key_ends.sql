SELECT MIN({key}), MAX({key}) FROM {table}
