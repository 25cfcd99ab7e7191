/* Inside `store`: a transaction of several statements. A connection mends itself between
 * statements (pg.h), and a statement that then ran on the new one would commit alone; so
 * while a transaction is open no new connection is made, and what follows a loss fails. */
#ifndef STORE_TX_H
#define STORE_TX_H

#include "pg.h"

enum err tx_begin(struct store *s, struct errinfo *e) MUST_USE;
enum err tx_commit(struct store *s, struct errinfo *e) MUST_USE;
void     tx_rollback(struct store *s);          /* also after any failure within */

#endif
