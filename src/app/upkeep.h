/* Inside `app`: one thread with a connection of its own that keeps an eye on the database
 * (so that asking for readiness costs no SQL) and keeps the partitions. */
#ifndef APP_UPKEEP_H
#define APP_UPKEEP_H

#include <stdbool.h>

struct upkeep;

struct upkeep_status {
	bool database;          /* answered within the last seconds  */
	bool schema;            /* and is one we work with           */
	char text[160];         /* what is wrong, "" if nothing is   */
};

/* To be started when the database has just answered and its schema is ours. */
struct upkeep *upkeep_start(const char *database_url, int retention_days);
void           upkeep_status(struct upkeep *u, struct upkeep_status *out);
void           upkeep_stop(struct upkeep *u);

#endif
