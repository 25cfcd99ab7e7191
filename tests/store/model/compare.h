/* Everything that is stored against everything that the book knows: both are written as
 * lines of text, sorted, and must be the same lines. */
#ifndef TESTS_STORE_MODEL_COMPARE_H
#define TESTS_STORE_MODEL_COMPARE_H

#include "book.h"

/* False: they differ, and the first differences have been printed. */
bool compare_all(struct store *db, const struct book *b);

#endif
