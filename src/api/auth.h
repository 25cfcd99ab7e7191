/* The developer key of a request, as far as it can be judged without the database. */
#ifndef API_AUTH_H
#define API_AUTH_H

#include <stdint.h>

#include "callgate/digest.h"
#include "callgate/http.h"
#include "callgate/key.h"
#include "callgate/store_calls.h"
#include "errors.h"

#define ANY_KEY     (~0u)
#define KEY_BIT(k)  (1u << (k))

/* API_OK and the key, or why not. `kinds` has a bit for each kind that the route takes. */
enum api_error auth_key(const struct http_request *rq, unsigned kinds, struct caller *out);

#endif
