"""The toolkit the screens stand on: widgets that take values and post messages, and know no store and no engine."""
