/*
 * A model made by tests/support/model_builder.h, loaded, with a session. What should succeed fails the test with the
 * library's message where it does not.
 */
#ifndef TESTS_SUPPORT_OPENED_MODEL_H
#define TESTS_SUPPORT_OPENED_MODEL_H

#include "tests/support/model_builder.h"

typedef struct opened_model {
  norma_model *model;
  norma_session *session;
  norma_error error;
} opened_model;

extern const norma_optimization tested_levels[3]; /* -O 0, 1, 2 */
#define FOR_EACH_LEVEL(level) for (int level = 0; level < 3; level++)

/* `runtime` may be NULL. On failure the model and session are NULL, or the session is. */
norma_status opened_try_load(opened_model *opened, model_builder *builder, norma_optimization level,
                             norma_runtime *runtime);
opened_model opened_load(model_builder *builder, norma_optimization level);
void opened_free(opened_model *opened);

/* Loading at all levels is refused with a message that holds `text`. Destroys the builder. */
void opened_assert_refused(model_builder *builder, const char *text);

/* Binds borrowed data. */
void opened_set(opened_model *opened, const char *name, norma_element_type type, int rank, const int64_t *dims,
                const void *data);
norma_status opened_try_run(opened_model *opened);
void opened_run(opened_model *opened);
/* A run that fails with this status and a message that holds `text`. */
void opened_assert_run_fails(opened_model *opened, norma_status status, const char *text);

/* The output's tensor. */
const norma_tensor *opened_output(const opened_model *opened, size_t index);
/* Type, shape and elements, which are equal or both NaN. */
void opened_assert_tensor(const norma_value *value, norma_element_type type, int rank, const int64_t *dims,
                          const double *elements);
void opened_assert_floats(const opened_model *opened, size_t index, int rank, const int64_t *dims,
                          const double *elements);

#endif
