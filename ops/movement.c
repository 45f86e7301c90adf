#include "ops/movement.h"

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

static void pack(uint8_t *data, size_t size, const uint8_t *codes, int64_t count, int bits) {
  if (size) memset(data, 0, size);
  for (int64_t i = 0; i < count; i++) {
    const uint64_t position = (uint64_t)i * (uint64_t)bits;
    const int shift = (int)(position % 8);
    const unsigned code = codes[i] & ((1u << bits) - 1);
    data[position / 8] |= (uint8_t)(code << shift);
    if (shift + bits > 8) data[position / 8 + 1] |= (uint8_t)(code >> (8 - shift));
  }
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
  const int bits = element_type_bits(tensor->type);
  for (int64_t i = 0; i < count; i++) ((uint8_t *)codes)[i] = packed_code(tensor->data, i, bits);
  *source = codes;
  return NORMA_OK;
}

norma_status movement_target(run_context *context, int index, void **target) {
  const norma_tensor *output = run_output(context, index);
  *target = output->data;
  if (!is_packed(output->type) && output->type != NORMA_STRING) return NORMA_OK;
  const size_t count = (size_t)norma_tensor_count(output);
  return run_allocate_temporary(context, count * movement_bytes(output->type), target);
}

static norma_status finish_strings(run_context *context, int index, const norma_string *strings) {
  const shape shape = shape_of_tensor(run_output(context, index));
  const int64_t count = dims_product(shape.dims, 0, shape.rank);
  size_t bytes = 0;
  for (int64_t i = 0; i < count; i++) {
    if (!size_add(bytes, strings[i].size, &bytes)) {
      return run_fail(context, NORMA_ERROR_BUDGET, "the output's strings are too long");
    }
  }
  char *characters;
  norma_tensor *output;
  TRY(run_allocate_strings(context, index, &shape, bytes, &characters, &output));
  norma_string *copies = output->data;
  for (int64_t i = 0; i < count; i++) {
    copies[i].data = strings[i].size ? characters : NULL;
    copies[i].size = strings[i].size;
    if (strings[i].size) memcpy(characters, strings[i].data, strings[i].size);
    characters += strings[i].size;
  }
  return NORMA_OK;
}

norma_status movement_finish(run_context *context, int index, const void *target) {
  norma_tensor *output = run_output(context, index);
  if (output->type == NORMA_STRING) return finish_strings(context, index, target);
  if (is_packed(output->type)) {
    pack(output->data, output->size_bytes, target, norma_tensor_count(output), element_type_bits(output->type));
  }
  return NORMA_OK;
}

norma_status movement_same(run_context *context) {
  if (!context->outputs[0]) return NORMA_OK;
  if (context->inputs[0]->kind != NORMA_VALUE_TENSOR) return run_set_output(context, 0, context->inputs[0]);
  const norma_tensor *input = run_input(context, 0), *output = run_output(context, 0);
  if (norma_tensor_count(input) != norma_tensor_count(output)) {
    return run_fail(context, NORMA_ERROR_RUN, "input and output differ in their number of elements");
  }
  if (input->data == output->data || input->size_bytes == 0) return NORMA_OK;
  if (input->type == NORMA_STRING) return movement_finish(context, 0, input->data);
  strided walk = {.rank = 1, .dims = {(int64_t)input->size_bytes}};
  strided_add_broadcast(&walk, output->data, 1, 1, walk.dims);
  strided_add_broadcast(&walk, input->data, 1, 1, walk.dims);
  return strided_copy(context, &walk);
}

norma_status movement_strided(run_context *context, strided *walk, int64_t source_offset) {
  const norma_tensor *input = run_input(context, 0), *output = run_output(context, 0);
  if (!output || norma_tensor_count(output) == 0) return NORMA_OK;
  const void *source;
  void *target;
  TRY(movement_source(context, input, &source));
  TRY(movement_target(context, 0, &target));
  walk->operands = 2;
  walk->element_bytes[0] = walk->element_bytes[1] = movement_bytes(input->type);
  walk->data[0] = target;
  walk->data[1] = (char *)(uintptr_t)source + source_offset * (int64_t)walk->element_bytes[1];
  TRY(strided_copy(context, walk));
  return movement_finish(context, 0, target);
}
