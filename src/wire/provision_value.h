/* Inside `wire`: what a member of a provisioning document may be, and reading one. */
#ifndef WIRE_PROVISION_VALUE_H
#define WIRE_PROVISION_VALUE_H

#include <jansson.h>
#include <stdint.h>

#include "callgate/provision.h"

#define POINTER_MAX_BYTES 1024

enum shape {
	TEXT,           /* `max` bytes at most */
	SYMBOL,         /* letters, digits and "._-" */
	EMAIL, NUMBER, PREFIX, UUID, CHOICE, INTEGER, BOOLEAN, OBJECT,
	RATE,           /* a number with three decimals, stored in thousandths */
	MONEY,          /* a decimal as a string, stored in milli-cents */
	EMAILS, NUMBERS,
	CHILDREN,       /* objects of the kind in `field` */
};

enum { KEY = -1 };      /* a `field`: what the object is called */

struct member {
	const char *name;
	enum shape  shape;
	int         field;
	bool        nullable;
	int64_t     min, max;
	const char *choices;    /* " owner admin member " */
};

struct parser {
	struct provision *out;
	size_t            room;         /* objects allocated */
	void            (*mistake)(void *arg, const char *pointer, const char *words);
	void             *arg;
	bool              failed;
};

/* Where we are: "/organizations/0/trunks/1". What is longer is cut; no document of ours
 * nests that deep. */
struct place {
	char pointer[POINTER_MAX_BYTES];
};

/* Tells a mistake at its place. */
__attribute__((format(printf, 3, 4)))
void provision_tell(struct parser *p, const struct place *at, const char *fmt, ...);

/* The value as text in the units in which it is stored, malloc'ed; NULL after telling what is
 * wrong with it. Not for CHILDREN, nor for the list that EMAILS and NUMBERS are items of. */
char *provision_read_value(struct parser *p, const struct member *m, const json_t *j, const struct place *at);

#endif
