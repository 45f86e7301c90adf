#include "ops/matmul/matmul_sides.h"

matmul_side matmul_side_ordered(const shape *operand, bool is_b, matmul_order order) {
  matmul_side side = {.batch = shape_of_rank(0)};
  if (operand->rank == 1) {
    side.rows = is_b ? operand->dims[0] : 1;
    side.columns = is_b ? 1 : operand->dims[0];
    return side;
  }
  side.order = (matmul_order){order.transposed, order.interleaved && operand->rank > 2};
  side.batch = shape_make(operand->rank - 2, operand->dims + side.order.interleaved);
  const int64_t last = operand->dims[operand->rank - 1];
  const int64_t other = operand->dims[side.order.interleaved ? 0 : operand->rank - 2];
  side.rows = order.transposed ? last : other;
  side.columns = order.transposed ? other : last;
  return side;
}

matmul_side matmul_side_of(const shape *operand, bool is_b) {
  return matmul_side_ordered(operand, is_b, (matmul_order){false, false});
}

norma_status infer_matmul_shape_ordered(infer_context *context, int a_index, int b_index, const matmul_order orders[2],
                                        shape *y) {
  const shape *a = infer_shape(context, a_index), *b = infer_shape(context, b_index);
  char a_text[200], b_text[200];
  *y = shape_unknown();
  if (a->rank == 0 || b->rank == 0) return infer_fail(context, "neither A nor B may be a scalar");
  if (a->rank == RANK_UNKNOWN || b->rank == RANK_UNKNOWN) return NORMA_OK;
  const matmul_side left = matmul_side_ordered(a, false, orders[0]), right = matmul_side_ordered(b, true, orders[1]);
  const bool fits = left.columns == right.rows || left.columns == DIM_UNKNOWN || right.rows == DIM_UNKNOWN;
  if (!fits || !shape_broadcast(&left.batch, &right.batch, y))
    return infer_fail(context, "matrices of shape %s and %s cannot be multiplied", shape_text(a, a_text, sizeof a_text),
                      shape_text(b, b_text, sizeof b_text));
  if (a->rank > 1) y->dims[y->rank++] = left.rows;
  if (b->rank > 1) y->dims[y->rank++] = right.columns;
  return NORMA_OK;
}

norma_status infer_matmul_shape(infer_context *context, int a, int b, shape *y) {
  return infer_matmul_shape_ordered(context, a, b, (const matmul_order[2]){{false, false}}, y);
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
