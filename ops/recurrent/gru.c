/*
 * GRU: one layer of gated recurrent units (ai.onnx).
 *
 *   zt = f(Xt * Wz^T + Ht-1 * Rz^T + Wbz + Rbz)
 *   rt = f(Xt * Wr^T + Ht-1 * Rr^T + Wbr + Rbr)
 *   ht = g(Xt * Wh^T + (rt o Ht-1) * Rh^T + Rbh + Wbh)       linear_before_reset = 0
 *   ht = g(Xt * Wh^T + rt o (Ht-1 * Rh^T + Rbh) + Wbh)       else
 *   Ht = (1 - zt) o ht + zt o Ht-1
 *
 * Gates lie in the order z, r, h. Version 3: linear_before_reset. Attributes, layouts and the walk over time stand in
 * ops/recurrent/recurrent.h.
 */
#include "ops/recurrent/recurrent.h"

static norma_status gru_read(const node *node, void *opaque, norma_error *error) {
  static const recurrent_form form = {.gates = 3, .functions = 2, .defaults = {UNARY_SIGMOID, UNARY_TANH}};
  recurrent_state *state = opaque;
  TRY(recurrent_read(node, &form, state, error));
  state->phase_count = 2;
  state->phases[0] = (recurrent_phase){.gates = 2, .adds_inputs = true};
  state->phases[1] = (recurrent_phase){
      .first_gate = 2, .gates = 1, .of_reset = !state->linear_before_reset, .adds_inputs = !state->linear_before_reset};
  return NORMA_OK;
}

static void gru_cell(const recurrent_row *row, int phase) {
  const recurrent_state *state = row->cells->state;
  const int64_t n = state->hidden;
  void *z = row->gates, *r = recurrent_at(row, row->gates, n), *h = recurrent_at(row, row->gates, 2 * n);
  if (phase == 0) {
    recurrent_activate(row, 0, z, z, 2 * n);
    if (!state->linear_before_reset) recurrent_multiply(row, row->reset, r, row->h, n);
    return;
  }
  if (state->linear_before_reset) {
    recurrent_multiply(row, h, h, r, n);
    recurrent_add(row, h, h, recurrent_seen_at(row, row->inputs, 2 * n), n);
  }
  recurrent_activate(row, 1, h, h, n);
  recurrent_multiply(row, row->h, row->h, z, n);
  recurrent_one_minus(row, z, z, n);
  recurrent_multiply(row, h, h, z, n);
  recurrent_add(row, row->h, h, row->h, n);
}

static norma_status gru_compute(run_context *context) {
  return recurrent_run(context, gru_cell);
}

static const operator_attribute gru_attributes[] = {
    RECURRENT_ATTRIBUTES,
    {"linear_before_reset", ATTRIBUTE_INT, 3, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_gru[] = {
    {
        .domain = "",
        .name = "GRU",
        .versions = {1, 3, 7, 14, 22},
        .min_inputs = 3,
        .max_inputs = 6,
        .min_outputs = 0,
        .max_outputs = 2,
        .types = RECURRENT_TYPES(0, 0),
        .attributes = gru_attributes,
        .facts = RECURRENT_FACTS(0),
        .state_size = sizeof(recurrent_state),
        .read = gru_read,
        .infer = recurrent_infer,
        .prepare = recurrent_prepare,
        .compute = gru_compute,
    },
    {0},
};
