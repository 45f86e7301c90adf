/*
 * What RNN, GRU and LSTM have in common: attributes, shapes, packed weights, the walk over time.
 *
 * For one direction, with the rows of a batch below each other:
 *
 *   inputs[t]  = X[t] * W^T + bias                     for all t of a block of time at once
 *   gates      = inputs[t] + state * R^T               in phases, each of some gates
 *   state, ... = cell(gates, state, ...)               row by row: what the operators differ in
 *
 * A row takes part in the steps below its length; before and after them its state stays what it is and its output is
 * zero. The reverse direction walks from the last step to the first, so that each row begins at its own end.
 *
 * Quantised weights are transposed, W being inputs x gates. What they are multiplied with is rounded as
 * DynamicQuantizeLinear does: all of X, as far as sequences are long, to the 256 numbers that its range is cut into,
 * and the states of a step and direction to those of theirs. Products are exact sums of integers, scaled in float.
 *
 * Float is computed in float, half precision too, with states in float from first to last; double in double. But for
 * the ranges of quantised operators a row's result does not depend on the others: neither how rows are cut for workers
 * nor how time is cut in blocks shows in it.
 */
#ifndef OPS_RECURRENT_RECURRENT_H
#define OPS_RECURRENT_RECURRENT_H

#include "ops/operator.h"

#define RECURRENT_MOST_FUNCTIONS 3
#define RECURRENT_MOST_PHASES    2

enum recurrent_input {
  RECURRENT_X,
  RECURRENT_W,
  RECURRENT_R,
  RECURRENT_B,
  RECURRENT_LENGTHS,
  RECURRENT_INITIAL_H,
  RECURRENT_INITIAL_C,
  RECURRENT_P,
  RECURRENT_W_SCALE, /* this and what follows: of quantised weights */
  RECURRENT_W_ZERO,
  RECURRENT_R_SCALE,
  RECURRENT_R_ZERO
};

/* ------------------------------------------------------------------------------------------------------------ state */

/* The product of some gates. */
typedef struct recurrent_phase {
  int first_gate, gates;
  bool of_reset;    /* of the state as the reset gate left it, or as it was rounded (recurrent_cells.reset) */
  bool adds_inputs; /* else the cell adds them, and R's bias is added here */
  size_t packed_at; /* elements: within what is packed of R for one direction; set by prepare */
} recurrent_phase;

/* What is special of one operator. */
typedef struct recurrent_form {
  int gates, functions;
  bool has_cell; /* a second state */
  enum unary_kind defaults[RECURRENT_MOST_FUNCTIONS];
} recurrent_form;

typedef struct recurrent_state {
  recurrent_form form;
  int directions;
  bool first_is_reverse; /* direction 0; direction 1 always is */
  bool batch_first;      /* layout 1 */
  bool has_clip;
  float clip;
  bool input_forget, linear_before_reset;
  bool is_quantized;   /* W and R are integers of 8 bits; set before recurrent_read */
  int64_t hidden_size; /* 0: not given */
  struct activation functions[2][RECURRENT_MOST_FUNCTIONS]; /* by direction */
  recurrent_phase phases[RECURRENT_MOST_PHASES];
  int phase_count;

  /* The plan's. */
  norma_element_type type;
  bool in_double;
  size_t real_bytes; /* of what is computed in */
  int64_t steps, batch, inputs, hidden;
  int64_t width;       /* gates * hidden */
  int64_t block_steps; /* steps whose inputs are multiplied together */
  int64_t unit_rows;   /* rows that a worker walks through time with */
  int64_t units;       /* of all directions */
  bool splits_steps;   /* all workers share each step instead */
  int workers;
  const void *packed_w, *packed_r, *bias, *peepholes; /* NULL: made in each run, at the offsets below */
  size_t packed_w_size, packed_r_size;                /* elements, of one direction */
  size_t w_at, r_at, bias_at, peepholes_at;           /* in scratch, as all that follow */
  size_t x_at, inputs_at, gates_at, h_at, c_at, reset_at, spare_at;
  size_t ranges_at, parameters_at; /* of quantised weights */
  bool copies_x;                   /* rows of X lie in another order or type than they are needed in */
} recurrent_state;

/* Reads what all have; the form comes from the operator, and phases are to be set afterwards. */
norma_status recurrent_read(const node *node, const recurrent_form *form, recurrent_state *state, norma_error *error);
norma_status recurrent_infer(infer_context *context);
norma_status recurrent_prepare(prepare_context *context);

/* Activation functions by their names in the definition, with alpha and beta from the lists. */
norma_status recurrent_read_functions(const node *node, const recurrent_form *form, recurrent_state *state,
                                      norma_error *error);

/* ------------------------------------------------------------------------------------------------------------ cells */

/* What a cell works on. Arrays have a row of `hidden` elements for each direction and row of the batch; those of gates
 * and inputs one of `width`. */
typedef struct recurrent_cells {
  const recurrent_state *state;
  const struct kernel_table *kernels;
  char *inputs, *gates, *h, *c, *reset, *spare;
  const char *recurrent_bias; /* of phases that do not add the inputs: directions x hidden */
  const char *peepholes;      /* directions x 3 * hidden; NULL: none */
} recurrent_cells;

/* One row of a cell. */
typedef struct recurrent_row {
  const recurrent_cells *cells;
  int direction;
  void *gates; /* products of all phases up to this one */
  const void *inputs;
  void *h, *c, *reset, *spare;
  const void *peepholes;
} recurrent_row;

/* What follows the product of phase `phase`, for one row. The last phase leaves the new state in h and c. */
typedef void recurrent_cell(const recurrent_row *row, int phase);

norma_status recurrent_run(run_context *context, recurrent_cell *cell);

/* Functions of arrays of float or double, as the state computes. y may be any of the operands. */
void recurrent_multiply(const recurrent_row *row, void *y, const void *x, const void *z, int64_t n);
void recurrent_add(const recurrent_row *row, void *y, const void *x, const void *z, int64_t n);
void recurrent_one_minus(const recurrent_row *row, void *y, const void *x, int64_t n);
/* y = function(x), x being clipped first where the node wants that. `index`: of the direction's functions. */
void recurrent_activate(const recurrent_row *row, int index, void *y, const void *x, int64_t n);

/* Element `index` of an array of float or double. */
static inline void *recurrent_at(const recurrent_row *row, void *array, int64_t index) {
  return (char *)array + (size_t)index * row->cells->state->real_bytes;
}
static inline const void *recurrent_seen_at(const recurrent_row *row, const void *array, int64_t index) {
  return (const char *)array + (size_t)index * row->cells->state->real_bytes;
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

/* Versions: 1; 7: no output_sequence; 14: layout; 22: bfloat16. The arguments add what only one operator has. */
#define RECURRENT_ATTRIBUTES                                                                                           \
  {"activation_alpha", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},                                                   \
      {"activation_beta", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},                                                \
      {"activations", ATTRIBUTE_STRINGS, 1, OPERATOR_LATEST, false},                                                   \
      {"clip", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},                                                            \
      {"direction", ATTRIBUTE_STRING, 1, OPERATOR_LATEST, false},                                                      \
      {"hidden_size", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},                                                       \
      {"layout", ATTRIBUTE_INT, 14, OPERATOR_LATEST, false}, {                                                         \
    "output_sequence", ATTRIBUTE_INT, 1, 6, false                                                                      \
  }
#define RECURRENT_TYPES(inputs, outputs)                                                                               \
  {                                                                                                                    \
    {TYPES_FLOAT,                                                                                                      \
     INPUT(RECURRENT_X) | INPUT(RECURRENT_W) | INPUT(RECURRENT_R) | INPUT(RECURRENT_B) | INPUT(RECURRENT_INITIAL_H) |  \
         (inputs),                                                                                                     \
     OUTPUT(0) | OUTPUT(1) | (outputs)},                                                                               \
    {                                                                                                                  \
      TYPE_BIT(NORMA_INT32), INPUT(RECURRENT_LENGTHS), 0                                                               \
    }                                                                                                                  \
  }
#define RECURRENT_FACTS(inputs)                                                                                        \
  {                                                                                                                    \
    .packs = INPUT(RECURRENT_W) | INPUT(RECURRENT_R) | INPUT(RECURRENT_B) | (inputs),                                  \
    .packs_alone = INPUT(RECURRENT_W) | INPUT(RECURRENT_R) | INPUT(RECURRENT_B) | (inputs),                            \
    .weights = INPUT(RECURRENT_W) | INPUT(RECURRENT_R)                                                                 \
  }

#endif
