#include "ops/movement/movement.h"

#include "ops/work.h"

static bool is_packed(norma_element_type type) {
  return (TYPE_BIT(type) & TYPES_PACKED) != 0;
}

size_t movement_bytes(norma_element_type type) {
  return is_packed(type) ? 1 : element_type_bytes(type);
}

/* Element `index` of `bits` bits; the first element lies in the lowest bits. */
static uint8_t packed_code(const uint8_t *data, int64_t index, int bits) {
  const uint64_t position = (uint64_t)index * (uint64_t)bits;
  const int shift = (int)(position % 8);
  unsigned code = (unsigned)data[position / 8] >> shift;
  if (shift + bits > 8) code |= (unsigned)data[position / 8 + 1] << (8 - shift);
  return (uint8_t)(code & ((1u << bits) - 1));
}

norma_status movement_pack(const run_context *context, norma_element_type type, void *data, const uint8_t *codes,
                           int64_t count) {
  const int bits = element_type_bits(type);
  uint8_t *bytes = data;
  const size_t size = ((size_t)count * (size_t)bits + 7) / 8;
  if (size) memset(bytes, 0, size);
  for (int64_t i = 0; i < count; i++) {
    TRY(work_poll(context, i));
    const uint64_t position = (uint64_t)i * (uint64_t)bits;
    const int shift = (int)(position % 8);
    const unsigned code = codes[i] & ((1u << bits) - 1);
    bytes[position / 8] |= (uint8_t)(code << shift);
    if (shift + bits > 8) bytes[position / 8 + 1] |= (uint8_t)(code >> (8 - shift));
  }
  return NORMA_OK;
}

norma_status movement_unpack(const run_context *context, norma_element_type type, uint8_t *codes, const void *data,
                             int64_t count) {
  const int bits = element_type_bits(type);
  for (int64_t i = 0; i < count; i++) {
    TRY(work_poll(context, i));
    codes[i] = packed_code(data, i, bits);
  }
  return NORMA_OK;
}

void movement_get(norma_element_type type, const void *data, int64_t index, void *item) {
  if (is_packed(type)) {
    *(uint8_t *)item = packed_code(data, index, element_type_bits(type));
  } else {
    const size_t bytes = element_type_bytes(type);
    memcpy(item, (const char *)data + (size_t)index * bytes, bytes);
  }
}

norma_status movement_source(run_context *context, const norma_tensor *tensor, const void **source) {
  *source = tensor->data;
  if (!is_packed(tensor->type)) return NORMA_OK;
  const int64_t count = norma_tensor_count(tensor);
  void *codes;
  TRY(run_allocate_temporary(context, (size_t)count, &codes));
  TRY(movement_unpack(context, tensor->type, codes, tensor->data, count));
  *source = codes;
  return NORMA_OK;
}

/* The shape of an output that compute itself has to make, as infer gives it now that all inputs are there. */
static norma_status infer_output_shape(run_context *context, int index, value_info *info) {
  const size_t in = (size_t)context->input_count, out = (size_t)context->output_count;
  void *block, *pointers;
  TRY(run_allocate_temporary(context, (in + out) * sizeof(value_info), &block));
  TRY(run_allocate_temporary(context, in * sizeof(value_info *), &pointers));
  value_info *infos = block;
  const value_info **inputs = pointers;
  for (size_t i = 0; i < in; i++) {
    inputs[i] = NULL;
    if (!context->inputs[i]) continue;
    infos[i] = value_info_of(context->inputs[i]);
    inputs[i] = &infos[i];
  }
  for (size_t i = 0; i < out; i++) infos[in + i] = (value_info){.shape = shape_unknown()};
  infer_context again = {.node = context->node,
                         .state = context->state,
                         .input_count = context->input_count,
                         .output_count = context->output_count,
                         .inputs = inputs,
                         .values = context->inputs,
                         .outputs = infos + in,
                         .failure = NORMA_ERROR_RUN,
                         .error = context->error};
  TRY(context->node->op->infer(&again));
  *info = infos[in + (size_t)index];
  return NORMA_OK;
}

norma_status movement_target(run_context *context, int index, norma_tensor *target) {
  const value *output = context->outputs[index];
  if (output->kind == NORMA_VALUE_TENSOR) {
    *target = output->tensor;
    if (!is_packed(target->type)) return NORMA_OK;
  } else {
    value_info info;
    TRY(infer_output_shape(context, index, &info));
    if (info.kind != NORMA_VALUE_TENSOR || !shape_is_known(&info.shape) ||
        norma_tensor_init(target, info.type, info.shape.rank, info.shape.dims, NULL) != NORMA_OK) {
      return run_fail(context, NORMA_ERROR_RUN, "output %d has no shape", index);
    }
  }
  size_t bytes;
  if (!size_multiply((size_t)norma_tensor_count(target), movement_bytes(target->type), &bytes)) {
    return run_fail(context, NORMA_ERROR_BUDGET, "output %d is too large", index);
  }
  return run_allocate_temporary(context, bytes, &target->data);
}

static norma_status finish_strings(run_context *context, int index, const norma_tensor *target) {
  const shape shape = shape_of_tensor(target);
  const int64_t count = norma_tensor_count(target);
  const norma_string *strings = target->data;
  size_t bytes = 0;
  for (int64_t i = 0; i < count; i++) {
    TRY(work_poll(context, i));
    if (!size_add(bytes, strings[i].size, &bytes)) {
      return run_fail(context, NORMA_ERROR_BUDGET, "the output's strings are too long");
    }
  }
  char *characters;
  norma_tensor *output;
  TRY(run_allocate_strings(context, index, &shape, bytes, &characters, &output));
  norma_string *copies = output->data;
  for (int64_t i = 0; i < count; i++) {
    TRY(work_poll(context, i));
    copies[i].data = strings[i].size ? characters : NULL;
    copies[i].size = strings[i].size;
    if (strings[i].size) memcpy(characters, strings[i].data, strings[i].size);
    characters += strings[i].size;
  }
  return NORMA_OK;
}

typedef struct copy_job {
  char *to;
  const char *from;
} copy_job;

static void copy_bytes_body(void *argument, int64_t begin, int64_t end, int worker) {
  const copy_job *job = argument;
  (void)worker;
  memcpy(job->to + begin, job->from + begin, (size_t)(end - begin));
}

norma_status movement_copy_bytes(run_context *context, void *to, const void *from, size_t bytes) {
  copy_job job = {to, from};
  if (to == from) return NORMA_OK;
  return run_parallel(context, (int64_t)bytes, 256 * 1024, copy_bytes_body, &job);
}

norma_status movement_finish(run_context *context, int index, const norma_tensor *target) {
  if (target->type == NORMA_STRING) return finish_strings(context, index, target);
  norma_tensor *output;
  const shape shape = shape_of_tensor(target);
  TRY(run_allocate_output(context, index, target->type, &shape, &output));
  if (!is_packed(target->type)) return movement_copy_bytes(context, output->data, target->data, output->size_bytes);
  return movement_pack(context, output->type, output->data, target->data, norma_tensor_count(output));
}

norma_status movement_same(run_context *context) {
  if (!context->outputs[0]) return NORMA_OK;
  if (context->inputs[0]->kind != NORMA_VALUE_TENSOR) return run_set_output(context, 0, context->inputs[0]);
  const norma_tensor *input = run_input(context, 0);
  norma_tensor output;
  if (context->outputs[0]->kind == NORMA_VALUE_TENSOR) { /* packed elements stay packed */
    output = context->outputs[0]->tensor;
  } else {
    TRY(movement_target(context, 0, &output));
  }
  if (norma_tensor_count(input) != norma_tensor_count(&output)) {
    return run_fail(context, NORMA_ERROR_RUN, "input and output differ in their number of elements");
  }
  if (context->outputs[0]->kind == NORMA_VALUE_TENSOR) {
    return movement_copy_bytes(context, output.data, input->data, input->size_bytes);
  }
  output.data = input->data;
  if (is_packed(output.type)) {
    const void *elements;
    TRY(movement_source(context, input, &elements));
    output.data = tensor_read_only(elements);
  }
  return movement_finish(context, 0, &output);
}

norma_status movement_strided(run_context *context, strided *walk, const norma_tensor *target, int64_t target_offset,
                              const void *source, int64_t source_offset) {
  const size_t bytes = movement_bytes(target->type);
  for (int i = 0; i < walk->rank; i++) {
    if (walk->dims[i] == 0) return NORMA_OK; /* offsets may lie outside */
  }
  walk->operands = 2;
  walk->element_bytes[0] = walk->element_bytes[1] = bytes;
  walk->data[0] = (char *)target->data + target_offset * (int64_t)bytes;
  walk->data[1] = (char *)tensor_read_only(source) + source_offset * (int64_t)bytes;
  return strided_copy(context, walk);
}
