/* Inside `store`: between a connection and the statements on it. */
#ifndef STORE_CONNECT_H
#define STORE_CONNECT_H

#include "pg.h"

/* The first line of what the server said. */
enum err pg_words(struct errinfo *e, enum err err, const char *what, const char *message);

/* The connection is of no use any more. */
void pg_forget(struct store *s);

/* What the server answers to what was just sent, once it is done; NULL: lost. */
PGresult *pg_answer(struct store *s, int timeout_ms);

#endif
