-- What one variable is for the whole server now. {variables} is a view that every user may read.
SELECT VARIABLE_VALUE FROM {variables} WHERE VARIABLE_NAME = %s
