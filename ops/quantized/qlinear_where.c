/*
 * QLinearWhere 1 (com.microsoft): Z = condition ? X : Y of quantised tensors, all three broadcast as NumPy does. X and
 * Y are requantised, saturate(round((q - zero) * scale / z_scale) + z_zero), by tables of their 256 values.
 */
#include "ops/quantized/quantization.h"
#include "ops/strided.h"

enum qlinear_where_input { CONDITION, WHERE_X, X_SCALE, X_ZERO, WHERE_Y, Y_SCALE, Y_ZERO, Z_SCALE, Z_ZERO };

typedef struct qlinear_where_job {
  uint8_t tables[2][256]; /* of Y, of X */
} qlinear_where_job;

static norma_status qlinear_where_infer(infer_context *context) {
  shape result = *infer_shape(context, CONDITION);
  TRY(infer_singles(context,
                    INPUT(X_SCALE) | INPUT(X_ZERO) | INPUT(Y_SCALE) | INPUT(Y_ZERO) | INPUT(Z_SCALE) | INPUT(Z_ZERO)));
  for (int i = WHERE_X; i <= WHERE_Y; i += WHERE_Y - WHERE_X) {
    if (shape_broadcast(&result, infer_shape(context, i), &result)) continue;
    char a[200], b[200];
    return infer_fail(context, "shapes %s and %s cannot be broadcast", shape_text(&result, a, sizeof a),
                      shape_text(infer_shape(context, i), b, sizeof b));
  }
  infer_output(context, 0, infer_type(context, WHERE_X), &result);
  return NORMA_OK;
}

static void qlinear_where_row(void *argument, char *const *pointers, const int64_t *steps, int64_t count) {
  const qlinear_where_job *job = argument;
  const uint8_t *condition = (const uint8_t *)pointers[1], *x = (const uint8_t *)pointers[2],
                *y = (const uint8_t *)pointers[3];
  uint8_t *z = (uint8_t *)pointers[0];
  for (int64_t i = 0; i < count; i++) {
    const bool chosen = condition[i * steps[1]] != 0;
    z[i] = job->tables[chosen][chosen ? x[i * steps[2]] : y[i * steps[3]]];
  }
}

static norma_status qlinear_where_compute(run_context *context) {
  const norma_tensor *z = run_output(context, 0);
  const struct activation none = {.kind = UNARY_IDENTITY};
  const byte_scale result = byte_scale_of(context, z->type, Z_SCALE, Z_ZERO);
  qlinear_where_job job;
  byte_table_fill(context->kernels, byte_scale_of(context, z->type, X_SCALE, X_ZERO), result, &none, job.tables[1]);
  byte_table_fill(context->kernels, byte_scale_of(context, z->type, Y_SCALE, Y_ZERO), result, &none, job.tables[0]);
  strided walk = {.rank = z->rank};
  memcpy(walk.dims, z->dims, sizeof z->dims);
  strided_add_broadcast(&walk, z->data, 1, z->rank, z->dims);
  for (int i = CONDITION; i <= WHERE_Y; i++) {
    const norma_tensor *input = run_input(context, i);
    if (i == X_SCALE || i == X_ZERO) continue;
    strided_add_broadcast(&walk, input->data, 1, input->rank, input->dims);
  }
  return strided_run(context, &walk, qlinear_where_row, &job);
}

const operator_descriptor operators_qlinear_where[] = {
    {.domain = "com.microsoft",
     .name = "QLinearWhere",
     .versions = {1},
     .min_inputs = 9,
     .max_inputs = 9,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPE_BIT(NORMA_BOOL), INPUT(CONDITION), 0},
               {TYPES_8BIT, INPUT(WHERE_X) | INPUT(X_ZERO) | INPUT(WHERE_Y) | INPUT(Y_ZERO) | INPUT(Z_ZERO), OUTPUT(0)},
               {TYPE_BIT(NORMA_FLOAT), INPUT(X_SCALE) | INPUT(Y_SCALE) | INPUT(Z_SCALE), 0}},
     .infer = qlinear_where_infer,
     .compute = qlinear_where_compute},
    {0},
};
