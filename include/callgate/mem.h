/* Memory and ownership. Whoever made a thing frees it. A failed allocation ends
 * the process: everything that matters is in PostgreSQL, and a gateway that
 * limps without memory helps nobody. */
#ifndef CALLGATE_MEM_H
#define CALLGATE_MEM_H

#include <stddef.h>

#define ARRAY_LEN(a) (sizeof(a) / sizeof *(a))

/* CLEANUP(buf_done) struct buf b = …;   runs buf_done(&b) at the end of the scope.
 * TAKE(p) hands a pointer out of its scope and leaves NULL behind. */
#define CLEANUP(fn) __attribute__((cleanup(fn)))
#define TAKE(p) __extension__({ __typeof__(p) take_ = (p); (p) = NULL; take_; })

__attribute__((malloc, returns_nonnull)) void *xmalloc(size_t size);
__attribute__((malloc, returns_nonnull)) void *xcalloc(size_t n, size_t size);
__attribute__((returns_nonnull)) void *xrealloc(void *p, size_t n, size_t size); /* n * size, checked */
__attribute__((malloc, returns_nonnull)) char *xstrdup(const char *s);
__attribute__((malloc, returns_nonnull)) char *xstrndup(const char *s, size_t n);

void freep(void *pointer_to_pointer);   /* for CLEANUP(freep) char *s */

#endif
