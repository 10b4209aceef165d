-- How many statements that change a structure the server has begun. MySQL shows these figures in no table.
SHOW GLOBAL STATUS WHERE Variable_name IN %(altering)s
