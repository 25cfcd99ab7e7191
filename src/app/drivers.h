/* Inside `app`: the provider drivers of this program, and how each is made. */
#ifndef APP_DRIVERS_H
#define APP_DRIVERS_H

#include "callgate/config.h"
#include "callgate/livekit.h"
#include "callgate/scheduler.h"

#define DRIVERS_MAX 4

/* Fills `out` and returns how many; `c` stays borrowed for as long as they are made. */
int drivers_list(struct config *c, struct scheduler_driver out[DRIVERS_MAX]);

/* Does that driver understand that config? ERR_INVALID and words if not. */
enum err drivers_check_trunk(const char *driver, const char *config, struct errinfo *e) MUST_USE;

struct livekit_config drivers_livekit(const struct config *c);

#endif
