/*
 * What norma.mjs calls of the library: norma.h without its structs, since JavaScript sees numbers and memory alone.
 * Strings that come in are UTF-8, ended by 0; sizes of dimensions go out as double. A `binding_model` is a model with
 * its runtime and session. Functions that can fail take a norma_error and return NULL, or false.
 */
#include "norma.h"

#include <emscripten/emscripten.h>
#include <stdlib.h>
#include <string.h>

#define EXPORTED EMSCRIPTEN_KEEPALIVE

typedef struct binding_model {
  norma_runtime *runtime;
  norma_model *model;
  norma_session *session;
} binding_model;

/* ----------------------------------------------------------------------------------------------------------- errors */

EXPORTED norma_error *binding_error_create(void) {
  return calloc(1, sizeof(norma_error));
}

EXPORTED int binding_error_status(const norma_error *error) {
  return (int)error->status;
}

EXPORTED const char *binding_error_status_text(const norma_error *error) {
  return norma_status_text(error->status);
}

EXPORTED const char *binding_error_message(const norma_error *error) {
  return error->message;
}

EXPORTED const char *binding_version(void) {
  return norma_version();
}

/* ------------------------------------------------------------------------------------------------------------ model */

EXPORTED void binding_close(binding_model *made) {
  if (!made) return;
  norma_session_destroy(made->session);
  norma_model_destroy(made->model);
  norma_runtime_destroy(made->runtime);
  free(made);
}

/* What a memory of 32-bit addresses can hold. The library's own default is what there is now, before it grows. */
#define BINDING_MOST_MEMORY 0xFFFF0000u

/* `level` as norma_optimization; `max_memory` 0: all that there can be. */
EXPORTED binding_model *binding_open(const void *data, size_t size, int level, bool exact, double max_memory,
                                     norma_error *error) {
  binding_model *made = calloc(1, sizeof *made);
  if (!made) return NULL;
  const norma_runtime_options options = {.struct_size = sizeof options,
                                         .threads = 1,
                                         .max_memory_bytes = max_memory > 0 && max_memory < BINDING_MOST_MEMORY
                                                                 ? (size_t)max_memory
                                                                 : BINDING_MOST_MEMORY};
  const norma_session_options session = {.struct_size = sizeof session, .profile = true};
  bool good = norma_runtime_create(&options, &made->runtime, error) == NORMA_OK;
  const norma_load_options load = {
      .struct_size = sizeof load, .runtime = made->runtime, .optimization = (norma_optimization)level, .exact = exact};
  good = good && norma_model_load_memory(data, size, &load, &made->model, error) == NORMA_OK &&
         norma_session_create(made->model, &session, &made->session, error) == NORMA_OK;
  if (good) return made;
  binding_close(made);
  return NULL;
}

EXPORTED int binding_slot_count(const binding_model *made, bool of_outputs) {
  return (int)(of_outputs ? norma_model_output_count(made->model) : norma_model_input_count(made->model));
}

static norma_value_info slot(const binding_model *made, bool is_output, int index) {
  norma_value_info info = {0};
  (is_output ? norma_model_output : norma_model_input)(made->model, (size_t)index, &info);
  return info;
}

EXPORTED const char *binding_slot_name(const binding_model *made, bool is_output, int index) {
  return slot(made, is_output, index).name;
}

EXPORTED int binding_slot_kind(const binding_model *made, bool is_output, int index) {
  return (int)slot(made, is_output, index).kind;
}

EXPORTED int binding_slot_type(const binding_model *made, bool is_output, int index) {
  return (int)slot(made, is_output, index).type;
}

EXPORTED int binding_slot_rank(const binding_model *made, bool is_output, int index) {
  return slot(made, is_output, index).rank;
}

EXPORTED double binding_slot_dim(const binding_model *made, bool is_output, int index, int axis) {
  return (double)slot(made, is_output, index).dims[axis];
}

EXPORTED const char *binding_slot_dim_name(const binding_model *made, bool is_output, int index, int axis) {
  return slot(made, is_output, index).dim_names[axis];
}

EXPORTED bool binding_slot_is_optional(const binding_model *made, bool is_output, int index) {
  return slot(made, is_output, index).optional;
}

/* ------------------------------------------------------------------------------------------------------------- runs */

EXPORTED bool binding_set_input(binding_model *made, const char *name, const norma_value *value, norma_error *error) {
  return norma_session_set_input_value(made->session, name, value, error) == NORMA_OK;
}

EXPORTED void binding_clear_inputs(binding_model *made) {
  norma_session_clear_inputs(made->session);
}

EXPORTED bool binding_run(binding_model *made, double timeout, norma_error *error) {
  const norma_run_options options = {.struct_size = sizeof options, .timeout = timeout};
  return norma_session_run_with(made->session, &options, error) == NORMA_OK;
}

EXPORTED const norma_value *binding_output(const binding_model *made, int index) {
  return norma_session_output(made->session, (size_t)index);
}

/* Steps of the plan of the last run, with their mean time over the runs since the model was opened or the profile
 * reset: a browser's clock is too coarse for one. */
EXPORTED void binding_steps_reset(binding_model *made) {
  norma_session_profile_reset(made->session);
}

EXPORTED int binding_step_count(const binding_model *made) {
  return (int)norma_session_profile_count(made->session);
}

static norma_profile_entry step(const binding_model *made, int index) {
  norma_profile_entry entry = {0};
  norma_session_profile(made->session, (size_t)index, &entry);
  return entry;
}

EXPORTED const char *binding_step_node(const binding_model *made, int index) {
  return step(made, index).node;
}

EXPORTED const char *binding_step_operator(const binding_model *made, int index) {
  return step(made, index).op_type;
}

EXPORTED double binding_step_nanoseconds(const binding_model *made, int index) {
  const norma_profile_entry entry = step(made, index);
  return entry.runs ? (double)entry.total_ns / (double)entry.runs : 0;
}

EXPORTED double binding_memory_used(const binding_model *made) {
  return (double)norma_runtime_memory_used(made->runtime);
}

/* ----------------------------------------------------------------------------------------------------------- values */

static bool take_dims(int rank, const double *from, int64_t *dims) {
  if (rank < 0 || rank > NORMA_MAX_RANK) return false;
  for (int i = 0; i < rank; i++) dims[i] = (int64_t)from[i];
  return true;
}

/* The bytes that a tensor takes; -1 where there is no such tensor. */
EXPORTED double binding_tensor_bytes(int type, int rank, const double *from) {
  int64_t dims[NORMA_MAX_RANK];
  size_t bytes;
  if (!take_dims(rank, from, dims)) return -1;
  return norma_tensor_size((norma_element_type)type, rank, dims, &bytes) == NORMA_OK ? (double)bytes : -1;
}

/* A tensor of anything but strings. Its memory, whose contents come from the caller, is binding_value_data. */
EXPORTED norma_value *binding_tensor(binding_model *made, int type, int rank, const double *from, norma_error *error) {
  int64_t dims[NORMA_MAX_RANK];
  norma_value *value = NULL;
  if (!take_dims(rank, from, dims)) return NULL;
  norma_value_allocate_tensor(made->runtime, (norma_element_type)type, rank, dims, &value, error);
  return value;
}

/* A tensor of strings, whose bytes stand one behind the other. */
EXPORTED norma_value *binding_strings(binding_model *made, int rank, const double *from, const char *bytes,
                                      const uint32_t *sizes, size_t count, norma_error *error) {
  int64_t dims[NORMA_MAX_RANK];
  norma_value *value = NULL;
  if (!take_dims(rank, from, dims)) return NULL;
  norma_string *strings = malloc((count ? count : 1) * sizeof *strings);
  if (!strings) return NULL;
  for (size_t i = 0; i < count; bytes += sizes[i++]) strings[i] = (norma_string){bytes, sizes[i]};
  norma_value_create_strings(made->runtime, rank, dims, strings, &value, error);
  free(strings);
  return value;
}

/* `elements` are copied or shared, and stay the caller's. */
EXPORTED norma_value *binding_sequence(binding_model *made, const norma_value *const *elements, size_t count,
                                       norma_error *error) {
  norma_value *value = NULL;
  norma_value_create_sequence(made->runtime, elements, count, &value, error);
  return value;
}

EXPORTED norma_value *binding_optional(binding_model *made, const norma_value *element, norma_error *error) {
  norma_value *value = NULL;
  norma_value_create_optional(made->runtime, element, &value, error);
  return value;
}

EXPORTED norma_value *binding_map(binding_model *made, const norma_value *keys, const norma_value *values,
                                  norma_error *error) {
  norma_value *value = NULL;
  norma_value_create_map(made->runtime, keys, values, &value, error);
  return value;
}

/* The value in a .pb file; `kind` as norma_value_kind. */
EXPORTED norma_value *binding_read(binding_model *made, const void *data, size_t size, int kind, norma_error *error) {
  norma_value *value = NULL;
  norma_value_read(made->runtime, data, size, (norma_value_kind)kind, &value, error);
  return value;
}

EXPORTED void binding_value_destroy(norma_value *value) {
  norma_value_destroy(value);
}

EXPORTED int binding_value_kind(const norma_value *value) {
  return value ? (int)norma_value_get_kind(value) : NORMA_VALUE_NONE;
}

EXPORTED int binding_value_count(const norma_value *value) {
  return (int)norma_value_count(value);
}

EXPORTED const norma_value *binding_value_element(const norma_value *value, int index) {
  return norma_value_element(value, (size_t)index);
}

EXPORTED int binding_value_type(const norma_value *value) {
  return (int)norma_value_tensor(value)->type;
}

EXPORTED int binding_value_rank(const norma_value *value) {
  return norma_value_tensor(value)->rank;
}

EXPORTED double binding_value_dim(const norma_value *value, int axis) {
  return (double)norma_value_tensor(value)->dims[axis];
}

EXPORTED void *binding_value_data(const norma_value *value) {
  return norma_value_tensor(value)->data;
}

EXPORTED const char *binding_value_string(const norma_value *value, int index) {
  return ((const norma_string *)norma_value_tensor(value)->data)[index].data;
}

EXPORTED int binding_value_string_size(const norma_value *value, int index) {
  return (int)((const norma_string *)norma_value_tensor(value)->data)[index].size;
}
