#include "ops/movement/indices.h"

#include <stdatomic.h>

typedef struct index_check {
  const struct kernel_table *kernels;
  const norma_tensor *indices;
  int64_t size;
  const int64_t *tuple_sizes; /* NULL: none */
  int64_t tuple;
  atomic_bool outside;
} index_check;

static int64_t index_limit(const index_check *check, int64_t i) {
  return check->tuple_sizes ? check->tuple_sizes[i % check->tuple] : check->size;
}

static bool index_fits(const index_check *check, int64_t i) {
  const int64_t index = tensor_get_int64(check->indices, i), size = index_limit(check, i);
  return index >= -size && index < size;
}

bool indices_fit(const struct kernel_table *kernels, norma_element_type type, const void *indices, int64_t size,
                 int64_t count) {
  return type == NORMA_INT64 ? kernels->arrays->indices_fit_i64(indices, size, (size_t)count)
                             : kernels->arrays->indices_fit_i32(indices, size, (size_t)count);
}

/* index_fits for a range. */
#define TUPLES_FIT(type)                                                                                               \
  static bool tuples_fit_##type(const index_check *check, int64_t begin, int64_t end) {                                \
    const type *index = check->indices->data;                                                                          \
    bool fits = true;                                                                                                  \
    for (int64_t i = begin, k = begin % check->tuple; i < end; i++) {                                                  \
      const int64_t size = check->tuple_sizes[k];                                                                      \
      fits &= index[i] >= -size && index[i] < size;                                                                    \
      if (++k == check->tuple) k = 0;                                                                                  \
    }                                                                                                                  \
    return fits;                                                                                                       \
  }
TUPLES_FIT(int32_t)
TUPLES_FIT(int64_t)

static bool tuples_fit(const index_check *check, int64_t begin, int64_t end) {
  const bool wide = check->indices->type == NORMA_INT64;
  return wide ? tuples_fit_int64_t(check, begin, end) : tuples_fit_int32_t(check, begin, end);
}

static void index_check_body(void *argument, int64_t begin, int64_t end, int worker) {
  index_check *check = argument;
  const norma_tensor *indices = check->indices;
  bool fits = true;
  (void)worker;
  if (check->tuple_sizes) {
    fits = tuples_fit(check, begin, end);
  } else {
    const char *first = (const char *)indices->data + (size_t)begin * element_type_bytes(indices->type);
    fits = indices_fit(check->kernels, indices->type, first, check->size, end - begin);
  }
  if (!fits) atomic_store_explicit(&check->outside, true, memory_order_relaxed);
}

static norma_status indices_run_check(run_context *context, index_check *check) {
  const int64_t count = norma_tensor_count(check->indices);
  TRY(run_parallel(context, count, 16384, index_check_body, check));
  if (!atomic_load_explicit(&check->outside, memory_order_relaxed)) return NORMA_OK;
  int64_t i = 0;
  while (i + 1 < count && index_fits(check, i)) i++;
  return run_fail(context, NORMA_ERROR_RUN, "index %lld is outside an axis of %lld",
                  (long long)tensor_get_int64(check->indices, i), (long long)index_limit(check, i));
}

norma_status indices_check(run_context *context, const norma_tensor *indices, int64_t size) {
  index_check check = {.kernels = context->kernels, .indices = indices, .size = size};
  return indices_run_check(context, &check);
}

norma_status indices_check_tuples(run_context *context, const norma_tensor *indices, const int64_t *tuple_sizes,
                                  int64_t tuple) {
  index_check check = {.kernels = context->kernels, .indices = indices, .tuple_sizes = tuple_sizes, .tuple = tuple};
  return indices_run_check(context, &check);
}
