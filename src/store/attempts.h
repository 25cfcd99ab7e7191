/* Inside `store`: what a call's history says of its attempts. */
#ifndef STORE_ATTEMPTS_H
#define STORE_ATTEMPTS_H

#include "callgate/store_read.h"

/* Fills `earlier` of each of these records, whose organizations are orgs[]. */
enum err read_attempts(struct store *s, const int64_t *orgs, struct call_record **calls, size_t n,
                       struct errinfo *e) MUST_USE;

#endif
