#include "ops/recurrent/recurrent.h"

#include "ops/work.h"

/* ------------------------------------------------------------------------------------------------------------- read */

/* The default of GRU-1 is a slip of the pen, "foward". */
static norma_status read_direction(const node *node, recurrent_state *state, norma_error *error) {
  const char *direction = attribute_string(node, "direction", "forward");
  state->directions = strcmp(direction, "bidirectional") == 0 ? 2 : 1;
  state->first_is_reverse = strcmp(direction, "reverse") == 0;
  bool is_known = state->directions == 2 || state->first_is_reverse || strcmp(direction, "forward") == 0 ||
                  strcmp(direction, "foward") == 0;
  if (is_known) return NORMA_OK;
  return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                       "direction is '%.40s', expected forward, reverse or bidirectional", direction);
}

norma_status recurrent_read(const node *node, const recurrent_form *form, recurrent_state *state, norma_error *error) {
  state->form = *form;
  TRY(read_direction(node, state, error));
  const attribute *clip = node_attribute(node, "clip");
  state->has_clip = clip != NULL;
  state->clip = attribute_float(node, "clip", 0);
  if (state->has_clip && !(state->clip >= 0)) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "clip is %g", (double)state->clip);
  }
  static const char *const flags[] = {"layout", "input_forget"};
  for (size_t i = 0; i < 2; i++) {
    const int64_t flag = attribute_int(node, flags[i], 0);
    if (flag == 0 || flag == 1) continue;
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "%s is %lld, which is neither 0 nor 1", flags[i],
                         (long long)flag);
  }
  state->batch_first = attribute_int(node, "layout", 0) == 1;
  state->input_forget = attribute_int(node, "input_forget", 0) == 1;
  state->linear_before_reset = attribute_int(node, "linear_before_reset", 0) != 0;
  state->hidden_size = attribute_int(node, "hidden_size", 0);
  if (node_attribute(node, "hidden_size") && state->hidden_size < 1) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "hidden_size is %lld", (long long)state->hidden_size);
  }
  return recurrent_read_functions(node, form, state, error);
}

/* ------------------------------------------------------------------------------------------------------------ infer */

/* What is known of the sizes, from all inputs. */
typedef struct recurrent_sizes {
  int64_t steps, batch, inputs, hidden;
} recurrent_sizes;

/* Dimension i of input `index` is factors[i] times *dims[i]; those that were not known are now. */
static norma_status merge_dims(infer_context *context, int index, const char *name, int rank, int64_t *const *dims,
                               const int64_t *factors) {
  const shape *given = infer_shape(context, index);
  char text[200];
  if (given->rank == RANK_UNKNOWN) return NORMA_OK;
  if (given->rank != rank) {
    return infer_fail(context, "%s has rank %d, expected %d", name, given->rank, rank);
  }
  for (int i = 0; i < rank; i++) {
    const int64_t size = given->dims[i], factor = factors[i];
    if (size == DIM_UNKNOWN) continue;
    bool fits = size % factor == 0;
    if (fits && *dims[i] == DIM_UNKNOWN) *dims[i] = size / factor;
    if (fits && *dims[i] == size / factor) continue;
    return infer_fail(context, "%s has shape %s: dimension %d does not fit the other inputs", name,
                      shape_text(given, text, sizeof text), i);
  }
  return NORMA_OK;
}

/* Scales and zero points of quantised weights: one for each direction, or for each of its gates' columns. */
static norma_status merge_parameters(infer_context *context, int64_t *hidden) {
  static const char *const names[] = {"W_scale", "W_zero_point", "R_scale", "R_zero_point"};
  const recurrent_state *state = context->state;
  int64_t directions = state->directions;
  for (int i = 0; i < 4; i++) {
    const shape *given = infer_shape(context, RECURRENT_W_SCALE + i);
    TRY(merge_dims(context, RECURRENT_W_SCALE + i, names[i], given->rank == 2 ? 2 : 1,
                   (int64_t *[]){&directions, hidden}, (int64_t[]){1, state->form.gates}));
    const shape *scale = infer_shape(context, RECURRENT_W_SCALE + (i & 2));
    if (i % 2 == 1 && given->rank > 0 && scale->rank > 0 && given->rank != scale->rank) {
      return infer_fail(context, "%s has rank %d, and its scale %d", names[i], given->rank, scale->rank);
    }
  }
  return NORMA_OK;
}

static norma_status merge_sizes(infer_context *context, recurrent_sizes *sizes) {
  const recurrent_state *state = context->state;
  int64_t directions = state->directions;
  int64_t *const steps = &sizes->steps, *const batch = &sizes->batch, *const inputs = &sizes->inputs;
  int64_t *const hidden = &sizes->hidden, *const count = &directions;
  const int64_t gates = state->form.gates;
  const bool flip = state->batch_first;
  if (state->is_quantized) {
    TRY(merge_dims(context, RECURRENT_R, "R", 3, (int64_t *[]){count, hidden, hidden}, (int64_t[]){1, 1, gates}));
    TRY(merge_dims(context, RECURRENT_W, "W", 3, (int64_t *[]){count, inputs, hidden}, (int64_t[]){1, 1, gates}));
    TRY(merge_parameters(context, hidden));
  } else {
    TRY(merge_dims(context, RECURRENT_R, "R", 3, (int64_t *[]){count, hidden, hidden}, (int64_t[]){1, gates, 1}));
    TRY(merge_dims(context, RECURRENT_W, "W", 3, (int64_t *[]){count, hidden, inputs}, (int64_t[]){1, gates, 1}));
  }
  TRY(merge_dims(context, RECURRENT_X, "X", 3, (int64_t *[]){flip ? batch : steps, flip ? steps : batch, inputs},
                 (int64_t[]){1, 1, 1}));
  TRY(merge_dims(context, RECURRENT_B, "B", 2, (int64_t *[]){count, hidden}, (int64_t[]){1, 2 * gates}));
  TRY(merge_dims(context, RECURRENT_LENGTHS, "sequence_lens", 1, (int64_t *[]){batch}, (int64_t[]){1}));
  int64_t *const initial[] = {flip ? batch : count, flip ? count : batch, hidden};
  TRY(merge_dims(context, RECURRENT_INITIAL_H, "initial_h", 3, initial, (int64_t[]){1, 1, 1}));
  if (!state->form.has_cell) return NORMA_OK;
  TRY(merge_dims(context, RECURRENT_INITIAL_C, "initial_c", 3, initial, (int64_t[]){1, 1, 1}));
  return merge_dims(context, RECURRENT_P, "P", 2, (int64_t *[]){count, hidden}, (int64_t[]){1, 3});
}

norma_status recurrent_infer(infer_context *context) {
  const recurrent_state *state = context->state;
  TRY(infer_types_since(context, TYPES_BFLOAT16, 22));
  recurrent_sizes sizes = {DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN, DIM_UNKNOWN};
  if (state->hidden_size > 0) sizes.hidden = state->hidden_size;
  TRY(merge_sizes(context, &sizes));
  const bool flip = state->batch_first;
  const int64_t directions = state->directions;
  const norma_element_type type = infer_type(context, RECURRENT_X);
  shape all = shape_make(4, flip ? (int64_t[]){sizes.batch, sizes.steps, directions, sizes.hidden}
                                 : (int64_t[]){sizes.steps, directions, sizes.batch, sizes.hidden});
  shape last = shape_make(3, flip ? (int64_t[]){sizes.batch, directions, sizes.hidden}
                                  : (int64_t[]){directions, sizes.batch, sizes.hidden});
  infer_output(context, 0, type, &all);
  infer_output(context, 1, type, &last);
  infer_output(context, 2, type, &last);
  return NORMA_OK;
}
