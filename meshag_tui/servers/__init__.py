"""Database servers of our own, started from programs on this machine and gone with the process that started them."""
