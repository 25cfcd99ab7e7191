/* Inside `provider`: the half of the livekit driver's table that listens; see provider.h. */
#ifndef PROVIDER_LIVEKIT_NOTICE_H
#define PROVIDER_LIVEKIT_NOTICE_H

#include "callgate/provider.h"

enum err livekit_check(struct provider *p, const char *authorization, const char *body, size_t len,
                       struct provider_notice *out, struct errinfo *e);
void     livekit_hear(struct provider *p, const struct dial_request *rq, const char *sender, const char *body,
                      size_t len);

#endif
