/* Telephone numbers as ITU-T E.164 (11/2010) has them: '+', then 2 to 15 digits, the
 * first not 0. The recommendation fixes no minimum; a policy may. Nothing is ever
 * stripped silently: "+1 (415) 555-0100" is refused, with the form that would do. */
#ifndef CALLGATE_E164_H
#define CALLGATE_E164_H

#include <stdbool.h>

#include "callgate/err.h"

#define E164_SIZE 17            /* '+', 15 digits, NUL */

bool e164_ok(const char *s);

/* OK, or ERR_INVALID with words that say what is wrong and, where stripping visual
 * separators would mend it, the canonical form. */
enum err e164_check(const char *s, struct errinfo *e);

/* Numbers that are never assigned and force an outcome in the simulator: the NANP
 * fiction range +1 NPA 555 0100…0199 and Ofcom's drama ranges +447700900000…900999
 * and +441632960000…960999. Returns the last four digits as a number (e.g. 101 for
 * "+12025550101"), or -1 when the number is not reserved. */
int e164_reserved_suffix(const char *s);

#endif
