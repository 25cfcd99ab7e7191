/* The steps of the model test. Each does one thing to the store and to the book, compares, and
 * says false when there was nothing to do. */
#ifndef TESTS_STORE_MODEL_STEPS_H
#define TESTS_STORE_MODEL_STEPS_H

#include <stdbool.h>

bool step_accept(void);
bool step_claim(void);
bool step_intent(void);
bool step_unclaim(void);
bool step_progress(void);
bool step_finish(void);
bool step_retry(void);
bool step_comes_due(void);
bool step_promote(void);
bool step_expire_by_age(void);
bool step_top_up(void);
bool step_crash(void);
bool step_bury(void);
bool step_come_back(void);
bool step_adopt(void);
bool step_cancel(void);
bool step_edit(void);
bool step_last_moment(void);
bool step_expire_due(void);
bool step_prune(void);
bool step_dry_run(void);

#endif
