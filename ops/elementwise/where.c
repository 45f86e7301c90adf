/*
 * Where: condition ? X : Y, all three broadcast as NumPy does. 9; 16: bfloat16. Any element type but the packed ones.
 */
#include "ops/movement/movement.h"

/* Both are loaded and one is kept: conditions are rarely predictable. Strings and 16-byte numbers are aligned to 8. */
#define WHERE_ROW(bytes, type)                                                                                         \
  static void where_row_##bytes(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {          \
    const char *condition = pointers[1], *x = pointers[2], *y = pointers[3];                                           \
    (void)argument;                                                                                                    \
    for (int64_t i = 0; i < count; i++) {                                                                              \
      const type keep = (type)(0 - (type)(condition[i * steps[1]] != 0));                                              \
      const type *left = (const type *)(const void *)(x + i * steps[2]);                                               \
      const type *right = (const type *)(const void *)(y + i * steps[3]);                                              \
      type *chosen = (type *)(void *)(pointers[0] + i * bytes);                                                        \
      for (size_t k = 0; k < bytes / sizeof(type); k++) chosen[k] = (type)((left[k] & keep) | (right[k] & ~keep));     \
    }                                                                                                                  \
  }

WHERE_ROW(1, uint8_t)
WHERE_ROW(2, uint16_t)
WHERE_ROW(4, uint32_t)
WHERE_ROW(8, uint64_t)
WHERE_ROW(16, uint64_t)

static norma_status where_infer(infer_context *context) {
  TRY(infer_broadcast(context));
  if (context->output_count > 0) context->outputs[0].type = infer_type(context, 1);
  return NORMA_OK;
}

static norma_status where_compute(run_context *context) {
  norma_tensor target;
  if (!context->outputs[0]) return NORMA_OK;
  TRY(movement_target(context, 0, &target));
  const size_t bytes = movement_bytes(target.type);
  strided walk = {.rank = target.rank, .grain = 16384};
  memcpy(walk.dims, target.dims, sizeof target.dims);
  strided_add_broadcast(&walk, target.data, bytes, target.rank, target.dims);
  for (int i = 0; i < 3; i++) {
    const norma_tensor *input = run_input(context, i);
    strided_add_broadcast(&walk, input->data, i == 0 ? 1 : bytes, input->rank, input->dims);
  }
  strided_row *const row = bytes == 1   ? where_row_1
                           : bytes == 2 ? where_row_2
                           : bytes == 4 ? where_row_4
                           : bytes == 8 ? where_row_8
                                        : where_row_16;
  TRY(strided_run(context, &walk, row, NULL));
  return movement_finish(context, 0, &target);
}

const operator_descriptor operators_where[] = {
    {.name = "Where",
     .domain = "",
     .versions = {9, 16},
     .min_inputs = 3,
     .max_inputs = 3,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPE_BIT(NORMA_BOOL), INPUT(0), 0},
               {TYPES_FIXED_SIZE | TYPE_BIT(NORMA_STRING), INPUT(1) | INPUT(2), OUTPUT(0)}},
     .in_place = INPUT(1) | INPUT(2),
     .infer = where_infer,
     .compute = where_compute},
    {0},
};
