/* A request to end work early, as callers hold it. */
#include "engine/execute/runtime.h"

struct norma_cancellation {
  memory *memory;
  memory own; /* where there is no runtime */
  atomic_bool requested;
};

norma_status norma_cancellation_create(norma_runtime *runtime, norma_cancellation **result, norma_error *error) {
  if (!result) return error_set(error, NORMA_ERROR_ARGUMENT, "a place for the cancellation is needed");
  memory own;
  memory_init(&own, NULL, 0);
  memory *from = runtime ? &runtime->memory : &own;
  norma_cancellation *created = memory_allocate_zeroed(from, sizeof *created);
  *result = created;
  if (!created) return memory_error(from, sizeof *created, error);
  created->own = own;
  created->memory = runtime ? &runtime->memory : &created->own;
  return NORMA_OK;
}

void norma_cancellation_destroy(norma_cancellation *cancellation) {
  if (!cancellation) return;
  memory own = cancellation->own; /* the account must outlive the block that holds it */
  memory_free(cancellation->memory == &cancellation->own ? &own : cancellation->memory, cancellation);
}

void norma_cancellation_request(norma_cancellation *cancellation) {
  if (cancellation) atomic_store(&cancellation->requested, true);
}

void norma_cancellation_reset(norma_cancellation *cancellation) {
  if (cancellation) atomic_store(&cancellation->requested, false);
}

bool norma_cancellation_is_requested(void *context) {
  norma_cancellation *cancellation = context;
  return cancellation && atomic_load_explicit(&cancellation->requested, memory_order_relaxed);
}
