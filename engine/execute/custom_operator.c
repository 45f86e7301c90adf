/* Operators registered from outside: the public struct behind the contract of ops/operator.h. */
#include "engine/execute/runtime.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct custom_operator {
  operator_descriptor op; /* its `custom` points here */
  norma_custom_operator public;
  struct custom_operator *next;
} custom_operator;

/* `failed`: a call has set the error, which then says more than the status that comes back. */
struct norma_infer_context {
  infer_context *inner;
  bool failed;
};

struct norma_run_context {
  run_context *inner;
  bool failed;
};

/* Whether a caller's shape can be one; `least` is the smallest size that a dimension may have. */
static bool dims_are_valid(int rank, const int64_t *dims, int64_t least) {
  if (rank > NORMA_MAX_RANK || (rank > 0 && !dims)) return false;
  for (int i = 0; i < rank; i++) {
    if (dims[i] < least) return false;
  }
  return true;
}

static const custom_operator *custom_of(const node *node) {
  return node->op->custom;
}

static norma_status custom_infer(infer_context *context) {
  norma_infer_context outer = {context, false};
  const norma_custom_operator *public = &custom_of(context->node)->public;
  norma_status status = public->infer(&outer, public->user);
  if (status == NORMA_OK) return NORMA_OK;
  if (outer.failed) return context->failure;
  return error_at_node(context->error, context->failure, context->node, "its operator refuses these inputs (%s)",
                       norma_status_text(status));
}

/* What is said to be done must be there: others read it. */
static norma_status check_made_outputs(run_context *context) {
  for (int i = 0; i < context->output_count; i++) {
    if (context->outputs[i] && context->outputs[i]->kind == NORMA_VALUE_NONE) {
      return run_fail(context, NORMA_ERROR_RUN, "its operator made no output %d", i);
    }
  }
  return NORMA_OK;
}

static norma_status custom_compute(run_context *context) {
  norma_run_context outer = {context, false};
  const norma_custom_operator *public = &custom_of(context->node)->public;
  norma_status status = public->compute(&outer, public->user);
  if (outer.failed) return context->error->status; /* whatever came back */
  if (status == NORMA_OK) {
    TRY(run_poll(context)); /* it may have returned early */
    return check_made_outputs(context);
  }
  return run_fail(context, status, "its operator failed: %s", norma_status_text(status));
}

static norma_status check_custom(const norma_custom_operator *custom, norma_error *error) {
  if (!custom->domain || !custom->name || !custom->infer || !custom->compute) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "a custom operator needs domain, name, infer and compute");
  }
  if (!custom->domain[0] || !custom->name[0] || strcmp(custom->domain, "ai.onnx") == 0 ||
      strcmp(custom->domain, "ai.onnx.ml") == 0) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "custom operator '%s' needs a domain of its own, not '%s'",
                     custom->name, custom->domain);
  }
  if (custom->since_version < 1 || custom->min_inputs < 0 || custom->max_inputs < custom->min_inputs ||
      custom->min_outputs < 0 || custom->max_outputs < custom->min_outputs) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "custom operator '%s' has a version or arity that cannot be",
                     custom->name);
  }
  return NORMA_OK;
}

/* The caller's struct, which may be an older and shorter one. */
static norma_status read_custom(const norma_custom_operator *given, norma_custom_operator *custom, norma_error *error) {
  const size_t least = offsetof(norma_custom_operator, user) + sizeof custom->user;
  memset(custom, 0, sizeof *custom);
  if (given->struct_size < least || given->struct_size > sizeof *custom) {
    return error_set(error, NORMA_ERROR_ARGUMENT, "norma_custom_operator.struct_size is %zu, expected %zu to %zu",
                     given->struct_size, least, sizeof *custom);
  }
  memcpy(custom, given, given->struct_size);
  return check_custom(custom, error);
}

norma_status norma_runtime_register(norma_runtime *runtime, const norma_custom_operator *given, norma_error *error) {
  if (!runtime || !given) return error_set(error, NORMA_ERROR_ARGUMENT, "norma_runtime_register needs both arguments");
  norma_custom_operator custom;
  TRY(read_custom(given, &custom, error));
  const size_t domain = strlen(custom.domain) + 1, name = strlen(custom.name) + 1;
  custom_operator *entry = memory_allocate_zeroed(&runtime->memory, sizeof *entry + domain + name);
  if (!entry) return memory_error(&runtime->memory, sizeof *entry + domain + name, error);
  char *text = (char *)(entry + 1);
  entry->public = custom;
  entry->op.domain = memcpy(text, custom.domain, domain);
  entry->op.name = memcpy(text + domain, custom.name, name);
  entry->op.versions[0] = custom.since_version;
  entry->op.min_inputs = custom.min_inputs;
  entry->op.max_inputs = custom.max_inputs;
  entry->op.min_outputs = custom.min_outputs;
  entry->op.max_outputs = custom.max_outputs;
  entry->op.infer = custom_infer;
  entry->op.compute = custom_compute;
  entry->op.flags = OPERATOR_RANDOM; /* nothing is known of it: never folded */
  entry->op.custom = entry;
  norma_status status = operator_registry_add(runtime->operators, &entry->op, error);
  if (status != NORMA_OK) {
    memory_free(&runtime->memory, entry);
    return status;
  }
  pthread_mutex_lock(&runtime->lock);
  entry->next = runtime->customs;
  runtime->customs = entry;
  pthread_mutex_unlock(&runtime->lock);
  return NORMA_OK;
}

void custom_operators_free(norma_runtime *runtime) {
  while (runtime->customs) {
    custom_operator *next = runtime->customs->next;
    memory_free(&runtime->memory, runtime->customs);
    runtime->customs = next;
  }
}

/* ------------------------------------------------------------------------------------------------------------ infer */

bool norma_infer_input(const norma_infer_context *context, int index, norma_element_type *type, int *rank,
                       int64_t dims[NORMA_MAX_RANK]) {
  if (index < 0 || !infer_has_input(context->inner, index)) return false;
  const value_info *info = context->inner->inputs[index];
  if (info->kind != NORMA_VALUE_TENSOR) return false;
  *type = info->type;
  *rank = info->shape.rank;
  for (int i = 0; i < info->shape.rank; i++) dims[i] = info->shape.dims[i];
  return true;
}

const norma_tensor *norma_infer_input_value(const norma_infer_context *context, int index) {
  return index < 0 ? NULL : infer_value(context->inner, index);
}

norma_status norma_infer_set_output(norma_infer_context *context, int index, norma_element_type type, int rank,
                                    const int64_t *dims) {
  if (index < 0 || index >= context->inner->output_count || !dims_are_valid(rank, dims, DIM_UNKNOWN) ||
      !element_type_exists(type)) {
    return NORMA_ERROR_ARGUMENT;
  }
  shape shape = rank < 0 ? shape_unknown() : shape_make(rank, dims);
  infer_output(context->inner, index, type, &shape);
  return NORMA_OK;
}

const norma_node *norma_infer_node(const norma_infer_context *context) {
  return (const norma_node *)context->inner->node;
}

norma_status norma_infer_fail(norma_infer_context *context, const char *format, ...) {
  char text[sizeof context->inner->error->message];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  context->failed = true;
  return infer_fail(context->inner, "%s", text);
}

int64_t norma_infer_attribute_int(const norma_infer_context *context, const char *name, int64_t otherwise) {
  return attribute_int(context->inner->node, name, otherwise);
}

float norma_infer_attribute_float(const norma_infer_context *context, const char *name, float otherwise) {
  return attribute_float(context->inner->node, name, otherwise);
}

const char *norma_infer_attribute_string(const norma_infer_context *context, const char *name, const char *otherwise) {
  return attribute_string(context->inner->node, name, otherwise);
}

/* -------------------------------------------------------------------------------------------------------------- run */

const norma_tensor *norma_run_input(const norma_run_context *context, int index) {
  if (index < 0 || index >= context->inner->input_count) return NULL;
  return norma_value_tensor(context->inner->inputs[index]);
}

norma_tensor *norma_run_output(norma_run_context *context, int index) {
  norma_tensor *tensor = index < 0 ? NULL : run_output(context->inner, index);
  return tensor && tensor->type != NORMA_UNDEFINED ? tensor : NULL;
}

norma_tensor *norma_run_allocate_output(norma_run_context *context, int index, norma_element_type type, int rank,
                                        const int64_t *dims) {
  if (index < 0 || index >= context->inner->output_count || !context->inner->outputs[index] || rank < 0 ||
      !dims_are_valid(rank, dims, 0)) {
    return NULL;
  }
  shape shape = shape_make(rank, dims);
  norma_tensor *tensor;
  norma_status status = run_allocate_output(context->inner, index, type, &shape, &tensor);
  if (status != NORMA_OK) context->failed = true;
  return tensor;
}

int64_t norma_run_attribute_int(const norma_run_context *context, const char *name, int64_t otherwise) {
  return attribute_int(context->inner->node, name, otherwise);
}

float norma_run_attribute_float(const norma_run_context *context, const char *name, float otherwise) {
  return attribute_float(context->inner->node, name, otherwise);
}

const char *norma_run_attribute_string(const norma_run_context *context, const char *name, const char *otherwise) {
  return attribute_string(context->inner->node, name, otherwise);
}

const norma_node *norma_run_node(const norma_run_context *context) {
  return (const norma_node *)context->inner->node;
}

const norma_value *norma_run_input_value(const norma_run_context *context, int index) {
  return index < 0 || index >= context->inner->input_count ? NULL : context->inner->inputs[index];
}

norma_status norma_run_set_output(norma_run_context *context, int index, const norma_value *value) {
  run_context *inner = context->inner;
  if (index < 0 || index >= inner->output_count || !inner->outputs[index] || !value ||
      value->kind == NORMA_VALUE_NONE) {
    return norma_run_fail(context, "output %d cannot be set: it is not wanted, or there is no value for it", index);
  }
  norma_status status = run_set_output(inner, index, value);
  if (status != NORMA_OK) context->failed = true;
  return status;
}

void *norma_run_allocate(norma_run_context *context, size_t bytes) {
  void *block = NULL;
  if (run_allocate_temporary(context->inner, bytes, &block) != NORMA_OK) context->failed = true;
  return block;
}

norma_status norma_run_parallel(norma_run_context *context, int64_t count, int64_t grain, norma_run_body body,
                                void *argument) {
  norma_status status = run_parallel(context->inner, count, grain, body, argument);
  if (status != NORMA_OK) context->failed = true;
  return status;
}

int norma_run_threads(const norma_run_context *context) {
  return context->inner->executor->workers;
}

norma_status norma_run_fail(norma_run_context *context, const char *format, ...) {
  char text[sizeof context->inner->error->message];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  context->failed = true;
  return run_fail(context->inner, NORMA_ERROR_RUN, "%s", text);
}

bool norma_run_cancelled(const norma_run_context *context) {
  return run_cancelled(context->inner);
}
