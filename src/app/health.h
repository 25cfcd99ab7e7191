/* Inside `app`: where the gateway that listens so is asked for its health. */
#ifndef APP_HEALTH_H
#define APP_HEALTH_H

#include <stddef.h>

void health_url(const char *listen, char *out, size_t size);

#endif
