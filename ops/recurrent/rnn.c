/*
 * RNN: one layer of the plain kind (ai.onnx).
 *
 *   Ht = f(Xt * W^T + Ht-1 * R^T + Wb + Rb)
 *
 * Attributes, layouts and the walk over time stand in ops/recurrent/recurrent.h.
 */
#include "ops/recurrent/recurrent.h"

static norma_status rnn_read(const node *node, void *opaque, norma_error *error) {
  static const recurrent_form form = {.gates = 1, .functions = 1, .defaults = {UNARY_TANH}};
  recurrent_state *state = opaque;
  state->phase_count = 1;
  state->phases[0] = (recurrent_phase){.gates = 1, .adds_inputs = true};
  return recurrent_read(node, &form, state, error);
}

static void rnn_cell(const recurrent_row *row, int phase) {
  (void)phase;
  recurrent_activate(row, 0, row->h, row->gates, row->cells->state->hidden);
}

static norma_status rnn_compute(run_context *context) {
  return recurrent_run(context, rnn_cell);
}

static const operator_attribute rnn_attributes[] = {
    RECURRENT_ATTRIBUTES,
    {0},
};

const operator_descriptor operators_rnn[] = {
    {
        .domain = "",
        .name = "RNN",
        .versions = {1, 7, 14, 22},
        .min_inputs = 3,
        .max_inputs = 6,
        .min_outputs = 0,
        .max_outputs = 2,
        .types = RECURRENT_TYPES(0, 0),
        .attributes = rnn_attributes,
        .facts = RECURRENT_FACTS(0),
        .state_size = sizeof(recurrent_state),
        .read = rnn_read,
        .infer = recurrent_infer,
        .prepare = recurrent_prepare,
        .compute = rnn_compute,
    },
    {0},
};
