/* What a client may still do with a call it has posted: ask for its end, or change it while
 * it waits. Both say what really became of that; neither is done twice when it is said twice. */
#ifndef CALLGATE_STORE_LIFE_H
#define CALLGATE_STORE_LIFE_H

#include "callgate/store_calls.h"

/* ── its end ────────────────────────────────────────────────────────────────────── */

enum cancel_outcome {
	CANCEL_DONE = 0,        /* it waited, and has ended as canceled now            */
	CANCEL_BEFORE,          /* it had ended as canceled                            */
	CANCEL_REQUESTED,       /* it is in flight: whoever follows it will hang up    */
	CANCEL_TOO_LATE,        /* it had ended otherwise                              */
	CANCEL_NOT_FOUND,       /* no such call, or the caller may not see it          */
	CANCEL_KEY_UNKNOWN,
};

struct cancel {
	struct id           call_id;
	enum cancel_outcome outcome;    /* out                                         */
	enum call_state     state;      /* out; of a call that was found               */
	bool                claimed;    /* out: somebody was getting ready to dial it  */
};

#define CANCEL_MAX 500

/* Asks for the end of n calls, at most CANCEL_MAX, no call twice. What is not dialed yet
 * for certain ends at once: money released, destination free. What may have been dialed is
 * marked; the gateway that follows it asks the provider, and its end says what happened.
 * ERR_CONFLICT does not come: a call that moves meanwhile is looked at again. With
 * ERR_UNCERTAIN some may have been seen to, with any other error none was. */
enum err store_calls_cancel(struct store *s, const struct caller *caller, struct cancel *items, size_t n,
                            struct errinfo *e) MUST_USE;

/* ── changes ────────────────────────────────────────────────────────────────────── */

#define EDITS_MAX 15

enum edit_outcome {
	EDIT_DONE = 0,
	EDIT_SAME,              /* it is like that already: nothing was written        */
	EDIT_TOO_LATE,          /* claimed once already, or ended                      */
	EDIT_STALE,             /* changed since it was read                           */
	EDIT_LIMIT,             /* changed EDITS_MAX times                             */
	EDIT_EXPIRES_FIRST,     /* scheduled_ms is not before its own bound            */
	EDIT_NOT_FOUND,
	EDIT_KEY_UNKNOWN,
};

struct call_edit {
	/* in; strings are borrowed */
	struct id   call_id;
	bool        set_variables, set_metadata, set_scheduled, set_prio;
	const char *variables;          /* JSON text, or NULL: none                    */
	const char *metadata;           /* JSON text, or NULL: none                    */
	int64_t     scheduled_ms;       /* UTC; 0, or not later than now: at once      */
	int16_t     prio;
	int         edits;              /* only if it was changed so often; -1: however often */
	/* out */
	enum edit_outcome outcome;
	struct lane_key   lane;         /* when done: where it waits, or will          */
	bool              queued;       /* when done: it can be claimed there          */
};

/* Changes a call that waits and was not claimed yet, and writes the event. A call that is
 * scheduled anew gives its destination free until it is due; its bound moves along unless
 * the client had set it. `queue_ttl_s` as for admission. */
enum err store_call_edit(struct store *s, const struct caller *caller, struct call_edit *edit, int queue_ttl_s,
                         struct errinfo *e) MUST_USE;

#endif
