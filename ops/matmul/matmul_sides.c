#include "ops/matmul/matmul_sides.h"

matmul_side matmul_side_of(const shape *operand, bool is_b) {
  matmul_side side = {.batch = shape_of_rank(0)};
  if (operand->rank == 1) {
    side.rows = is_b ? operand->dims[0] : 1;
    side.columns = is_b ? 1 : operand->dims[0];
    return side;
  }
  side.batch = shape_make(operand->rank - 2, operand->dims);
  side.rows = operand->dims[operand->rank - 2];
  side.columns = operand->dims[operand->rank - 1];
  return side;
}

norma_status infer_matmul_shape(infer_context *context, int a_index, int b_index, shape *y) {
  const shape *a = infer_shape(context, a_index), *b = infer_shape(context, b_index);
  char a_text[200], b_text[200];
  *y = shape_unknown();
  if (a->rank == 0 || b->rank == 0) return infer_fail(context, "neither A nor B may be a scalar");
  if (a->rank == RANK_UNKNOWN || b->rank == RANK_UNKNOWN) return NORMA_OK;
  const matmul_side left = matmul_side_of(a, false), right = matmul_side_of(b, true);
  const bool fits = left.columns == right.rows || left.columns == DIM_UNKNOWN || right.rows == DIM_UNKNOWN;
  if (!fits || !shape_broadcast(&left.batch, &right.batch, y))
    return infer_fail(context, "matrices of shape %s and %s cannot be multiplied", shape_text(a, a_text, sizeof a_text),
                      shape_text(b, b_text, sizeof b_text));
  if (a->rank > 1) y->dims[y->rank++] = left.rows;
  if (b->rank > 1) y->dims[y->rank++] = right.columns;
  return NORMA_OK;
}

int64_t matmul_batch_strides(const shape *of_operand, int batch_rank, int64_t *strides) {
  int64_t stride = 1;
  for (int i = 0; i < batch_rank; i++) {
    const int axis = of_operand->rank - 1 - i, of_y = batch_rank - 1 - i;
    const bool moves = axis >= 0 && of_operand->dims[axis] != 1;
    strides[of_y] = moves ? stride : 0;
    if (axis >= 0) stride *= of_operand->dims[axis];
  }
  return dims_product(of_operand->dims, 0, of_operand->rank);
}
