/*
 * A model made by tests/support/model_builder.h, loaded, with a session. What should succeed fails the test with the
 * library's message where it does not.
 */
#ifndef TESTS_SUPPORT_BUILT_MODEL_H
#define TESTS_SUPPORT_BUILT_MODEL_H

#include "tests/support/model_builder.h"

typedef struct built_model {
  norma_model *model;
  norma_session *session;
  norma_error error;
} built_model;

extern const norma_optimization built_levels[3]; /* -O 0, 1, 2 */
#define FOR_EACH_BUILT_LEVEL(level) for (int level = 0; level < 3; level++)

/* `runtime` may be NULL. On failure the model and session are NULL, or the session is. */
norma_status built_try_load(built_model *built, model_builder *builder, norma_optimization level,
                            norma_runtime *runtime);
built_model built_load(model_builder *builder, norma_optimization level);
void built_free(built_model *built);

/* Loading at all levels is refused with a message that holds `text`. Destroys the builder. */
void built_assert_refused(model_builder *builder, const char *text);

/* Binds borrowed data. */
void built_set(built_model *built, const char *name, norma_element_type type, int rank, const int64_t *dims,
               const void *data);
norma_status built_try_run(built_model *built);
void built_run(built_model *built);
/* A run that fails with this status and a message that holds `text`. */
void built_assert_run_fails(built_model *built, norma_status status, const char *text);

/* The output's tensor. */
const norma_tensor *built_output(const built_model *built, size_t index);
/* Type, shape and elements, which are equal or both NaN. */
void built_assert_tensor(const norma_value *value, norma_element_type type, int rank, const int64_t *dims,
                         const double *elements);
void built_assert_floats(const built_model *built, size_t index, int rank, const int64_t *dims, const double *elements);

#endif
