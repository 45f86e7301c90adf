/*
 * LSTM: one layer of long short-term memory (ai.onnx), and DynamicQuantizeLSTM 1 (com.microsoft), whose W and R are
 * integers of 8 bits, and which rounds what they are multiplied with to 8 bits.
 *
 *   it = f(Xt * Wi^T + Ht-1 * Ri^T + Pi o Ct-1 + Wbi + Rbi)
 *   ft = f(Xt * Wf^T + Ht-1 * Rf^T + Pf o Ct-1 + Wbf + Rbf)     input_forget = 1: 1 - it
 *   ct = g(Xt * Wc^T + Ht-1 * Rc^T + Wbc + Rbc)
 *   Ct = ft o Ct-1 + it o ct
 *   ot = f(Xt * Wo^T + Ht-1 * Ro^T + Po o Ct + Wbo + Rbo)
 *   Ht = ot o h(Ct)
 *
 * Gates lie in the order i, o, f, c, peepholes in the order i, o, f. Attributes, layouts and the walk over time stand
 * in ops/recurrent/recurrent.h.
 */
#include "ops/quantized/quantization.h"
#include "ops/recurrent/recurrent.h"

static norma_status lstm_read(const node *node, void *opaque, norma_error *error) {
  static const recurrent_form form = {
      .gates = 4, .functions = 3, .has_cell = true, .defaults = {UNARY_SIGMOID, UNARY_TANH, UNARY_TANH}};
  recurrent_state *state = opaque;
  state->phase_count = 1;
  state->phases[0] = (recurrent_phase){.gates = 4, .adds_inputs = true};
  return recurrent_read(node, &form, state, error);
}

static norma_status dynamic_quantize_lstm_read(const node *node, void *opaque, norma_error *error) {
  recurrent_state *state = opaque;
  state->is_quantized = true;
  TRY(lstm_read(node, state, error));
  state->phases[0].of_reset = true;
  return NORMA_OK;
}

/* gate += peephole o c */
static void lstm_add_peephole(const recurrent_row *row, void *gate, int peephole) {
  const int64_t n = row->cells->state->hidden;
  if (!row->peepholes) return;
  recurrent_multiply(row, row->spare, recurrent_seen_at(row, row->peepholes, peephole * n), row->c, n);
  recurrent_add(row, gate, gate, row->spare, n);
}

static void lstm_cell(const recurrent_row *row, int phase) {
  const recurrent_state *state = row->cells->state;
  const int64_t n = state->hidden;
  void *i = row->gates, *o = recurrent_at(row, row->gates, n), *f = recurrent_at(row, row->gates, 2 * n);
  void *c = recurrent_at(row, row->gates, 3 * n);
  (void)phase;
  lstm_add_peephole(row, i, 0);
  recurrent_activate(row, 0, i, i, n);
  if (state->input_forget) {
    recurrent_one_minus(row, f, i, n);
  } else {
    lstm_add_peephole(row, f, 2);
    recurrent_activate(row, 0, f, f, n);
  }
  recurrent_activate(row, 1, c, c, n);
  recurrent_multiply(row, c, c, i, n);
  recurrent_multiply(row, row->c, row->c, f, n);
  recurrent_add(row, row->c, row->c, c, n);
  lstm_add_peephole(row, o, 1);
  recurrent_activate(row, 0, o, o, n);
  recurrent_activate(row, 2, row->spare, row->c, n);
  recurrent_multiply(row, row->h, o, row->spare, n);
}

static norma_status lstm_compute(run_context *context) {
  return recurrent_run(context, lstm_cell);
}

static const operator_attribute lstm_attributes[] = {
    RECURRENT_ATTRIBUTES,
    {"input_forget", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute dynamic_quantize_lstm_attributes[] = {
    {"activation_alpha", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"activation_beta", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"activations", ATTRIBUTE_STRINGS, 1, OPERATOR_LATEST, false},
    {"clip", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"direction", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},
    {"hidden_size", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {"input_forget", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_lstm[] = {
    {
        .domain = "",
        .name = "LSTM",
        .versions = {1, 7, 14, 22},
        .min_inputs = 3,
        .max_inputs = 8,
        .min_outputs = 0,
        .max_outputs = 3,
        .types = RECURRENT_TYPES(INPUT(RECURRENT_INITIAL_C) | INPUT(RECURRENT_P), OUTPUT(2)),
        .attributes = lstm_attributes,
        .facts = RECURRENT_FACTS(INPUT(RECURRENT_P)),
        .state_size = sizeof(recurrent_state),
        .read = lstm_read,
        .infer = recurrent_infer,
        .prepare = recurrent_prepare,
        .compute = lstm_compute,
    },
    {
        .domain = "com.microsoft",
        .name = "DynamicQuantizeLSTM",
        .versions = {1},
        .min_inputs = 12,
        .max_inputs = 12,
        .absent_inputs = INPUT(RECURRENT_B) | INPUT(RECURRENT_LENGTHS) | INPUT(RECURRENT_INITIAL_H) |
                         INPUT(RECURRENT_INITIAL_C) | INPUT(RECURRENT_P),
        .min_outputs = 0,
        .max_outputs = 3,
        .types = {{TYPE_BIT(NORMA_FLOAT),
                   INPUT(RECURRENT_X) | INPUT(RECURRENT_B) | INPUT(RECURRENT_INITIAL_H) | INPUT(RECURRENT_INITIAL_C) |
                       INPUT(RECURRENT_P) | INPUT(RECURRENT_W_SCALE) | INPUT(RECURRENT_R_SCALE),
                   OUTPUT(0) | OUTPUT(1) | OUTPUT(2)},
                  {TYPES_8BIT, INPUT(RECURRENT_W) | INPUT(RECURRENT_W_ZERO), 0},
                  {TYPES_8BIT, INPUT(RECURRENT_R) | INPUT(RECURRENT_R_ZERO), 0},
                  {TYPE_BIT(NORMA_INT32), INPUT(RECURRENT_LENGTHS), 0}},
        .attributes = dynamic_quantize_lstm_attributes,
        .facts = {.packs = INPUT(RECURRENT_W) | INPUT(RECURRENT_R) | INPUT(RECURRENT_B) | INPUT(RECURRENT_P)},
        .state_size = sizeof(recurrent_state),
        .read = dynamic_quantize_lstm_read,
        .infer = recurrent_infer,
        .prepare = recurrent_prepare,
        .compute = lstm_compute,
    },
    {0},
};
