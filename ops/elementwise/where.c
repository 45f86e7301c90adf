/*
 * Where: condition ? X : Y, all three broadcast as NumPy does. 9; 16: bfloat16. Any element type but the packed ones.
 */
#include "ops/array_rows.h"
#include "ops/movement/movement.h"

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
  select_row_job job = {context->kernels, bytes};
  TRY(strided_run(context, &walk, array_select_row, &job));
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
