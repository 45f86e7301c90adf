#include "ops/control/stack.h"

#include "ops/movement/movement.h"

#define STACK_FIRST_CAPACITY 4 /* elements, where their number is not known */

static bool is_written_in_place(const stack *stack) {
  return stack->type != NORMA_STRING && !(TYPE_BIT(stack->type) & TYPES_PACKED);
}

/* `length` elements along the new axis, batches in front. */
static shape stack_shape(const stack *stack, int64_t length) {
  shape result = {.rank = stack->element.rank + 1 + stack->batched};
  int64_t *dims = result.dims + stack->batched;
  if (stack->batched) result.dims[0] = stack->batches;
  for (int i = 0; i < stack->element.rank; i++) dims[i + (i >= stack->place)] = stack->element.dims[i];
  dims[stack->place] = length;
  return result;
}

static norma_status stack_begin(stack *stack, norma_element_type type, const shape *element) {
  run_context *context = stack->context;
  stack->begun = true;
  stack->type = type;
  stack->element = *element;
  if (element->rank + 1 + stack->batched > NORMA_MAX_RANK) {
    return run_fail(context, NORMA_ERROR_RUN, "output %d has more than %d dimensions", stack->output, NORMA_MAX_RANK);
  }
  if (!axis_normalize(stack->axis, element->rank + 1, &stack->place)) {
    return run_fail(context, NORMA_ERROR_RUN, "axis %d of output %d is outside a tensor of rank %d", stack->axis,
                    stack->output, element->rank + 1);
  }
  stack->outer = dims_product(element->dims, 0, stack->place);
  stack->inner_bytes = (size_t)dims_product(element->dims, stack->place, element->rank) * movement_bytes(type);
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- memory */

/* Room for `capacity` elements in the output; what was written stays. */
static norma_status stack_extend_output(stack *stack, int64_t capacity) {
  run_context *context = stack->context;
  value *output = context->outputs[stack->output], old = *output;
  const shape whole = stack_shape(stack, stack->batched ? stack->length : capacity);
  norma_tensor *tensor;
  *output = (value){.kind = NORMA_VALUE_NONE};
  norma_status status = run_allocate_output(context, stack->output, stack->type, &whole, &tensor);
  if (status == NORMA_OK) {
    size_t bytes = (size_t)(stack->outer * stack->capacity) * stack->inner_bytes;
    if (bytes > 0) memcpy(tensor->data, stack->rows, bytes);
    if (tensor->size_bytes > 0 && stack->batched) memset(tensor->data, 0, tensor->size_bytes);
    stack->rows = tensor->data;
  }
  value_clear(&old);
  return status;
}

/* The same for elements that wait. */
static norma_status stack_extend_rows(stack *stack, int64_t capacity) {
  run_context *context = stack->context;
  const size_t row = (size_t)stack->outer * stack->inner_bytes;
  size_t bytes, kept_bytes;
  void *rows, *kept = NULL;
  if (!size_multiply((size_t)capacity, row, &bytes) || !size_multiply((size_t)capacity, sizeof(value), &kept_bytes)) {
    return run_fail(context, NORMA_ERROR_BUDGET, "output %d is too large", stack->output);
  }
  TRY(run_allocate_temporary(context, bytes, &rows));
  if (stack->type == NORMA_STRING) {
    TRY(run_allocate_temporary(context, kept_bytes, &kept));
  } else if (!stack->codes) {
    void *codes;
    TRY(run_allocate_temporary(context, row, &codes));
    stack->codes = codes;
  }
  const size_t used = (size_t)stack->capacity * row, used_values = (size_t)stack->capacity * sizeof(value);
  if (used) memcpy(rows, stack->rows, used);
  if (bytes > used) memset((char *)rows + used, 0, bytes - used);
  if (kept && used_values) memcpy(kept, stack->kept, used_values);
  if (kept) memset((char *)kept + used_values, 0, kept_bytes - used_values);
  stack->rows = rows;
  stack->kept = kept;
  return NORMA_OK;
}

static norma_status stack_reserve(stack *stack, int64_t index) {
  if (index < stack->capacity) return NORMA_OK;
  int64_t capacity = stack->length;
  if (capacity == STACK_OPEN) {
    capacity = stack->capacity ? 2 * stack->capacity : STACK_FIRST_CAPACITY;
    if (capacity > stack->most) capacity = stack->most;
  } else if (stack->batched && __builtin_mul_overflow(capacity, stack->batches, &capacity)) {
    return run_fail(stack->context, NORMA_ERROR_BUDGET, "output %d is too large", stack->output);
  }
  TRY(is_written_in_place(stack) ? stack_extend_output(stack, capacity) : stack_extend_rows(stack, capacity));
  stack->capacity = capacity;
  return NORMA_OK;
}

/* --------------------------------------------------------------------------------------------------------- elements */

/* Parts of an element go between those of the others. */
static void stack_copy(const stack *stack, int64_t index, const char *source) {
  if (stack->inner_bytes == 0) return;
  for (int64_t o = 0; o < stack->outer; o++) {
    memcpy(stack->rows + (size_t)(o * stack->capacity + index) * stack->inner_bytes, source, stack->inner_bytes);
    source += stack->inner_bytes;
  }
}

static norma_status stack_check(stack *stack, const norma_tensor *tensor) {
  run_context *context = stack->context;
  if (!tensor) {
    return run_fail(context, NORMA_ERROR_RUN, "what the body gives for output %d is not a tensor", stack->output);
  }
  const shape element = shape_of_tensor(tensor);
  if (!stack->begun) return stack_begin(stack, tensor->type, &element);
  if (tensor->type == stack->type && shape_equal(&element, &stack->element)) return NORMA_OK;
  char found[200], first[200];
  return run_fail(context, NORMA_ERROR_RUN, "what the body gives for output %d is now %s %s, at first it was %s %s",
                  stack->output, norma_element_type_name(tensor->type), shape_text(&element, found, sizeof found),
                  norma_element_type_name(stack->type), shape_text(&stack->element, first, sizeof first));
}

norma_status stack_set(stack *stack, int64_t index, const value *element) {
  if (!stack->context->outputs[stack->output]) return NORMA_OK;
  const norma_tensor *tensor = norma_value_tensor(element);
  TRY(stack_check(stack, tensor));
  TRY(stack_reserve(stack, index));
  const char *source = tensor->data;
  if (TYPE_BIT(stack->type) & TYPES_PACKED) {
    TRY(movement_unpack(stack->context, stack->type, stack->codes, tensor->data, norma_tensor_count(tensor)));
    source = (const char *)stack->codes;
  } else if (stack->type == NORMA_STRING) {
    value_clear(&stack->kept[index]);
    value_share(&stack->kept[index], element);
  }
  stack_copy(stack, index, source);
  return NORMA_OK;
}

/* ----------------------------------------------------------------------------------------------------------- output */

norma_status stack_finish(stack *stack, int64_t length) {
  run_context *context = stack->context;
  if (!context->outputs[stack->output]) return NORMA_OK;
  const shape whole = stack_shape(stack, length);
  if (is_written_in_place(stack)) {
    norma_tensor *tensor = &context->outputs[stack->output]->tensor; /* which may have room for more */
    norma_tensor_init(tensor, stack->type, whole.rank, whole.dims, stack->rows);
    return NORMA_OK;
  }
  norma_tensor target;
  if (norma_tensor_init(&target, stack->type, whole.rank, whole.dims, stack->rows) != NORMA_OK) {
    return run_fail(context, NORMA_ERROR_BUDGET, "output %d is too large", stack->output);
  }
  return movement_finish(context, stack->output, &target);
}

norma_status stack_finish_empty(stack *stack, int64_t length, const value_info *element) {
  run_context *context = stack->context;
  if (!context->outputs[stack->output]) return NORMA_OK;
  if (element->kind != NORMA_VALUE_TENSOR || element->type == NORMA_UNDEFINED) {
    return run_fail(context, NORMA_ERROR_RUN, "no iteration tells the element type of output %d", stack->output);
  }
  shape known = element->shape;
  if (known.rank == RANK_UNKNOWN) known.rank = 0;
  for (int i = 0; i < known.rank; i++) {
    if (known.dims[i] == DIM_UNKNOWN) known.dims[i] = 0;
  }
  TRY(stack_begin(stack, element->type, &known));
  const shape whole = stack_shape(stack, length);
  norma_tensor *tensor;
  char *characters;
  if (element->type == NORMA_STRING) {
    return run_allocate_strings(context, stack->output, &whole, 0, &characters, &tensor);
  }
  TRY(run_allocate_output(context, stack->output, element->type, &whole, &tensor));
  if (tensor->size_bytes) memset(tensor->data, 0, tensor->size_bytes);
  return NORMA_OK;
}

void stack_release(stack *stack) {
  for (int64_t i = 0; stack->kept && i < stack->capacity; i++) value_clear(&stack->kept[i]);
  stack->kept = NULL;
}
