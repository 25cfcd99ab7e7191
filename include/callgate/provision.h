/* A provisioning document, read and checked: a flat list of objects, in an order in which
 * each finds what it refers to. Values are already in the units they are stored in, as
 * text; what the document leaves out is absent here, and stays as it is in the database. */
#ifndef CALLGATE_PROVISION_H
#define CALLGATE_PROVISION_H

#include <stdbool.h>
#include <stddef.h>

#include "callgate/err.h"

enum provision_kind {
	PROVISION_ORGANIZATION = 0,
	PROVISION_USER,
	PROVISION_ACCOUNT,
	PROVISION_TOP_UP,       /* applied last of all, whatever its place */
	PROVISION_RATE,
	PROVISION_TRUNK,
	PROVISION_NUMBER,
	PROVISION_POOL,
	PROVISION_PROJECT,
	PROVISION_KIND_COUNT
};
const char *provision_kind_name(enum provision_kind k);         /* "organization" */

enum provision_field {
	FIELD_PUBLIC_ID = 0,    /* of an organization: a UUID                    */
	FIELD_ROLE,
	FIELD_CREDITS_MC,       /* opening balance                               */
	FIELD_DEFAULT,          /* of an account: its organization's default     */
	FIELD_AMOUNT_MC,
	FIELD_NOTE,
	FIELD_DRIVER,
	FIELD_PROVIDER_REF,
	FIELD_CONFIG,           /* a JSON object                                 */
	FIELD_ENABLED,
	FIELD_STATUS,
	FIELD_OUTBOUND,
	FIELD_TRUNK,            /* by name                                       */
	FIELD_TITLE,            /* a project's name                              */
	FIELD_AGENT,
	FIELD_ACCOUNT,          /* by name; null: the organization's default     */
	FIELD_RATE_MC,
	FIELD_INCREMENT_S,
	FIELD_MINIMUM_S,
	FIELD_HOLD_S,
	FIELD_RING_TIMEOUT_S,
	FIELD_MAX_DURATION_S,
	FIELD_WAIT_FOR_AGENT_S,
	FIELD_WEIGHT,
	FIELD_MAX_CONCURRENT,
	FIELD_CPS_MILLI,
	FIELD_BURST,
	FIELD_COUNT
};

struct provision_value {
	bool  given;
	char *text;             /* NULL: null, which unsets                      */
};

/* A list that is given is made exactly so; one that is not is left alone. */
struct provision_list {
	bool   given;
	char **items;
	size_t n;
};

struct provision_object {
	enum provision_kind    kind;
	char                  *pointer;         /* where it stands: "/organizations/0/trunks/1"  */
	char                  *key;             /* name, e-mail address, number or id            */
	size_t                 org;             /* index of its organization; its own if it is one */
	size_t                 parent;          /* index of what it stands in; its own if it is an organization */
	struct provision_value values[FIELD_COUNT];
	struct provision_list  members;         /* e-mail addresses, of a pool or a project      */
	struct provision_list  numbers;         /* E.164, of a pool                              */
	struct provision_list  prefixes;        /* of an organization: those of its rates        */
};

struct provision {
	struct provision_object *objects;
	size_t                   n;
};

#define PROVISION_MAX_BYTES (16 << 20)          /* of a document */

/* Reads a document. Every mistake is told with its JSON pointer ("" is the whole); after
 * any, ERR_INVALID and *out is empty. */
enum err provision_parse(const char *text, size_t len, struct provision *out,
                         void (*mistake)(void *arg, const char *pointer, const char *words), void *arg) MUST_USE;
void     provision_done(struct provision *p);

#endif
