/* Models whose contents have the sparse form, which the builder does not make. */
#ifndef TESTS_SUPPORT_SPARSE_CONTENTS_H
#define TESTS_SUPPORT_SPARSE_CONTENTS_H

#include <stddef.h>

/* The same model, in which the initializer `name`, a list of floats, is sparse, or the Constant node whose output it is
 * has a sparse_value. Zeros are left out. The bytes are for free(). */
void *make_sparse(const void *bytes, size_t size, const char *name, size_t *new_size);

#endif
