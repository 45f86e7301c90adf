/* The public face of moments: checks of arguments around engine/edit/moments.h. */
#include "engine/base/struct_size.h"
#include "engine/edit/moments.h"
#include "engine/edit/moments_state.h"

struct norma_moments {
  norma_runtime *runtime;
  moments moments;
  interruption interruption; /* of its limits */
};

norma_status norma_moments_create(norma_runtime *runtime, int64_t channels, norma_moments **result,
                                  norma_error *error) {
  if (!runtime || !result || channels < 1) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a runtime, at least one channel and a place are needed");
  }
  norma_moments *created = memory_allocate_zeroed(&runtime->memory, sizeof *created);
  *result = created;
  if (!created) return memory_error(&runtime->memory, sizeof *created, error);
  created->runtime = runtime;
  moments_init(&created->moments, &runtime->memory, channels);
  created->moments.interruption = &created->interruption;
  return NORMA_OK;
}

void norma_moments_destroy(norma_moments *moments) {
  if (!moments) return;
  memory *memory = moments->moments.memory;
  moments_free(&moments->moments);
  memory_free(memory, moments);
}

norma_status norma_moments_set_limits(norma_moments *moments, const norma_limits *given, norma_error *error) {
  norma_limits limits;
  if (!moments) return error_set(error, NORMA_ERROR_ARGUMENT, "moments are needed");
  TRY(options_take(&limits, sizeof limits, given, "norma_limits", error));
  atomic_store(&moments->interruption.cancelled, false);
  interruption_begin(&moments->interruption, "gathering", limits.timeout, limits.is_cancelled, limits.cancel_context);
  return NORMA_OK;
}

norma_status norma_moments_add(norma_moments *moments, const norma_tensor *tensor, norma_error *error) {
  if (!moments || !tensor) return error_set(error, NORMA_ERROR_ARGUMENT, "moments and a tensor are needed");
  int64_t rows = tensor->rank > 0 ? tensor->dims[0] : 0;
  return moments_add(&moments->moments, moments->runtime, tensor, rows, error);
}

norma_status norma_moments_merge(norma_moments *moments, const norma_moments *other, norma_error *error) {
  if (!moments || !other || moments == other || moments->moments.channels != other->moments.channels) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "moments of as many channels are needed");
  }
  return moments_merge(&moments->moments, &other->moments, error);
}

norma_status norma_moments_read(const norma_moments *moments, double *count, double *mean, double *variance,
                                norma_error *error) {
  if (!moments || !count || !mean || !variance) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "moments and places for the results are needed");
  }
  const double total = moments_total(&moments->moments, mean, variance);
  for (int64_t c = 0; total > 0 && c < moments->moments.channels; c++) variance[c] /= total;
  *count = total;
  return NORMA_OK;
}

norma_status norma_moments_total(const norma_moments *moments, double *count, double *mean, double *squares,
                                 norma_error *error) {
  if (!moments || !count || !mean || !squares) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "moments and places for the results are needed");
  }
  *count = moments_total(&moments->moments, mean, squares);
  return NORMA_OK;
}

void norma_moments_reset(norma_moments *moments) {
  if (moments) moments_reset(&moments->moments);
}

int64_t norma_moments_channels(const norma_moments *moments) {
  return moments ? moments->moments.channels : 0;
}

void norma_moments_join(double *count, double *mean, double *squares, double other_count, double other_mean,
                        double other_squares) {
  moments_join(*count, mean, squares, other_count, other_mean, other_squares);
  *count += other_count;
}

double norma_moments_drift(double stored_mean, double stored_variance, double mean) {
  return moments_mean_drift(stored_mean, stored_variance, mean);
}

double norma_moments_divergence(double mean, double variance, double other_mean, double other_variance) {
  return moments_divergence(mean, variance, other_mean, other_variance);
}

norma_status norma_moments_export(const norma_moments *moments, norma_write write, void *context, norma_error *error) {
  if (!moments || !write) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "moments and a function that takes the bytes are needed");
  }
  return moments_write_state(&moments->moments, write, context, error);
}

norma_status norma_moments_import(norma_moments *moments, const void *data, size_t size, size_t *used,
                                  norma_error *error) {
  if (!moments || !used || (!data && size > 0)) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "moments, bytes and a place for their number are needed");
  }
  return moments_read_state(&moments->moments, data, size, used, error);
}
