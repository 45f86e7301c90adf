#include "ops/elementwise/binary.h"

void binary_broadcast_read(const node *node, binary_broadcast *broadcast) {
  broadcast->limited = node->version < 7;
  broadcast->enabled = attribute_int(node, "broadcast", 0) != 0;
  broadcast->has_axis = node_attribute(node, "axis") != NULL;
  broadcast->axis = attribute_int(node, "axis", 0);
}

bool binary_align(const binary_broadcast *broadcast, const shape *a, const shape *b, shape *aligned) {
  *aligned = *b;
  if (!broadcast || !broadcast->limited || a->rank == RANK_UNKNOWN || b->rank == RANK_UNKNOWN) return true;
  if (!broadcast->enabled || (!broadcast->has_axis && b->rank <= a->rank)) return b->rank <= a->rank;
  if (b->rank > a->rank) return false;
  const int64_t axis = broadcast->axis < 0 ? broadcast->axis + a->rank : broadcast->axis;
  if (shape_count(b) == 1) { /* one element fits anywhere */
    *aligned = shape_make(0, NULL);
    return true;
  }
  if (axis < 0 || axis > a->rank - b->rank) return false;
  aligned->rank = a->rank - (int)axis;
  for (int i = b->rank; i < aligned->rank; i++) aligned->dims[i] = 1;
  return true;
}

norma_status binary_infer_shape(infer_context *context, const binary_broadcast *broadcast, norma_element_type type) {
  const shape *a = infer_shape(context, 0), *b = infer_shape(context, 1);
  shape aligned, result;
  if (!binary_align(broadcast, a, b, &aligned) || !shape_broadcast(a, &aligned, &result) ||
      (broadcast && broadcast->limited && a->rank != RANK_UNKNOWN && result.rank != a->rank)) {
    char a_text[200], b_text[200];
    return infer_fail(context, "shapes %s and %s cannot be broadcast", shape_text(a, a_text, sizeof a_text),
                      shape_text(b, b_text, sizeof b_text));
  }
  infer_output(context, 0, type, &result);
  return NORMA_OK;
}

norma_status binary_run(run_context *context, const binary_broadcast *broadcast, const norma_tensor *a,
                        const norma_tensor *b, int64_t grain, strided_row *row, void *argument) {
  const norma_tensor *output = run_output(context, 0);
  if (!output) return NORMA_OK;
  const shape a_shape = shape_of_tensor(a), b_shape = shape_of_tensor(b), output_shape = shape_of_tensor(output);
  shape aligned, result;
  if (!binary_align(broadcast, &a_shape, &b_shape, &aligned) || !shape_broadcast(&a_shape, &aligned, &result) ||
      !shape_broadcast(&result, &output_shape, &result) || !shape_equal(&result, &output_shape)) {
    return run_fail(context, NORMA_ERROR_RUN, "the inputs' shapes do not fit the output's");
  }
  strided walk = {.rank = output->rank, .grain = grain};
  memcpy(walk.dims, output->dims, sizeof output->dims);
  strided_add_broadcast(&walk, output->data, element_type_bytes(output->type), output->rank, output->dims);
  strided_add_broadcast(&walk, a->data, element_type_bytes(a->type), a->rank, a->dims);
  strided_add_broadcast(&walk, b->data, element_type_bytes(b->type), aligned.rank, aligned.dims);
  return strided_run(context, &walk, row, argument);
}
