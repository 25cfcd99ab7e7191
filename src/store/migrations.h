/* The migrations as they were in sql/ when the program was built, in order of version,
 * without gaps. The array is written by cmake/embed_sql.cmake. */
#ifndef STORE_MIGRATIONS_H
#define STORE_MIGRATIONS_H

#include <stddef.h>

struct migration {
	int         version;    /* 1, 2, …: the number of sql/NNN_name.sql */
	const char *name;
	const char *sql;        /* the whole file                          */
};

extern const struct migration migrations[];
extern const size_t migration_count;

#endif
