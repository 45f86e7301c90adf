/* StringConcat 20: Z = X followed by Y, string by string, with broadcasting. */
#include "ops/strided.h"

/* Three passes over the elements: their sizes, where each begins, and the characters. */
static void concat_sizes_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  (void)argument;
  for (int64_t i = 0; i < count; i++) {
    const norma_string *x = (const norma_string *)(pointers[1] + i * steps[1]);
    const norma_string *y = (const norma_string *)(pointers[2] + i * steps[2]);
    size_t *size = (size_t *)(pointers[0] + i * steps[0]);
    if (!size_add(x->size, y->size, size)) *size = SIZE_MAX;
  }
}

static void concat_characters_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  (void)argument;
  for (int64_t i = 0; i < count; i++) {
    const norma_string *x = (const norma_string *)(pointers[1] + i * steps[1]);
    const norma_string *y = (const norma_string *)(pointers[2] + i * steps[2]);
    char **place = (char **)(pointers[0] + i * steps[0]);
    if (x->size) memcpy(*place, x->data, x->size);
    if (y->size) memcpy(*place + x->size, y->data, y->size);
  }
}

static norma_status concat_walk(run_context *context, const shape *result, const void *target, size_t element_bytes,
                                strided_row *row) {
  const norma_tensor *x = run_input(context, 0), *y = run_input(context, 1);
  strided walk = {.rank = result->rank, .grain = 1024};
  memcpy(walk.dims, result->dims, (size_t)result->rank * sizeof *walk.dims);
  strided_add_broadcast(&walk, target, element_bytes, result->rank, result->dims);
  strided_add_broadcast(&walk, x->data, sizeof(norma_string), x->rank, x->dims);
  strided_add_broadcast(&walk, y->data, sizeof(norma_string), y->rank, y->dims);
  return strided_run(context, &walk, row, NULL);
}

static norma_status string_concat_compute(run_context *context) {
  const norma_tensor *x = run_input(context, 0), *y = run_input(context, 1);
  const shape x_shape = shape_of_tensor(x), y_shape = shape_of_tensor(y);
  shape result;
  norma_tensor *z;
  char *characters;
  void *block;
  size_t bytes = 0;
  if (!context->outputs[0]) return NORMA_OK;
  if (!shape_broadcast(&x_shape, &y_shape, &result)) return run_fail(context, NORMA_ERROR_RUN, "shapes do not fit");
  const int64_t count = shape_count(&result);
  if (count < 0 || !size_multiply((size_t)count, sizeof(size_t), &bytes))
    return run_fail(context, NORMA_ERROR_BUDGET, "the output is too large");
  TRY(run_allocate_temporary(context, bytes, &block));
  const size_t *sizes = block;
  TRY(concat_walk(context, &result, block, sizeof(size_t), concat_sizes_row));
  bytes = 0;
  for (int64_t i = 0; i < count; i++) {
    if (!size_add(bytes, sizes[i], &bytes)) return run_fail(context, NORMA_ERROR_BUDGET, "the output is too long");
  }
  TRY(run_allocate_strings(context, 0, &result, bytes, &characters, &z));
  norma_string *strings = z->data;
  char **places = block; /* where each string begins takes the place of its size */
  for (int64_t i = 0; i < count; i++) {
    const size_t size = sizes[i];
    strings[i] = (norma_string){size ? characters : NULL, size};
    places[i] = characters;
    characters += size;
  }
  return concat_walk(context, &result, block, sizeof(char *), concat_characters_row);
}

const operator_descriptor operators_string_concat[] = {
    {
        .domain = "",
        .name = "StringConcat",
        .versions = {20},
        .min_inputs = 2,
        .max_inputs = 2,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPE_BIT(NORMA_STRING), INPUT(0) | INPUT(1), OUTPUT(0)}},
        .infer = infer_broadcast,
        .compute = string_concat_compute,
    },
    {0},
};
