/* What a client may still say about a call that it has posted. */
#ifndef CALLGATE_WIRE_LIFE_H
#define CALLGATE_WIRE_LIFE_H

#include "callgate/store_life.h"
#include "callgate/wire.h"

/* The body of PATCH /v1/calls/{id}: what is to change of a call that waits. OK, or
 * ERR_INVALID with at least one problem: something has to be in it, and nothing else. `out`
 * has the half of an edit that says what (not which call); wire_edit_done() either way. */
enum err wire_edit_read(const char *body, size_t len, int64_t now_ms, struct call_edit *out,
                        struct wire_problems *problems) MUST_USE;
void     wire_edit_done(struct call_edit *x);

#endif
