/* What `callgate doctor` finds, told as it goes by whichever room looks. */
#ifndef CALLGATE_FINDING_H
#define CALLGATE_FINDING_H

enum finding_level {
	FINDING_OK,
	FINDING_SKIP,   /* could not be looked at, for a reason that is no fault */
	FINDING_WARN,
	FINDING_FAIL
};

struct finding_listener {
	void *arg;
	void (*found)(void *arg, enum finding_level level, const char *check, const char *text);
};

#endif
