/*
 * Dropout: sets elements to zero at random in training; otherwise the input itself.
 *
 * 1: is_test, consumed_inputs; 6: no consumed_inputs; 7: no is_test, inference only; 10: the mask is bool; 12: ratio
 * and training_mode are inputs, attribute seed; 13, 22: more types. The mask is true where an element stays.
 *
 * Versions 1 and 6 train where is_test is not set; models of that time were run for inference all the same, so is
 * this operator up to version 11. Training draws uniform numbers from random_numbers.h, which says what a seed
 * promises.
 */
#include "engine/graph/query.h"
#include "ops/generation/random_numbers.h"
#include "ops/movement/movement.h"
#include "ops/work.h"

typedef struct dropout_state {
  random_seed seed;
} dropout_state;

static norma_status dropout_read(const node *node, void *state, norma_error *error) {
  dropout_state *dropout = state;
  TRY(read_inputs_since(node, 1, 12, error));
  random_read_seed(node, &dropout->seed);
  return NORMA_OK;
}

static norma_status dropout_infer(infer_context *context) {
  TRY(infer_same(context));
  infer_output(context, 1, context->node->version < 10 ? infer_type(context, 0) : NORMA_BOOL, infer_shape(context, 0));
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

static norma_status dropout_train(run_context *context, double ratio) {
  const dropout_state *state = context->state;
  const norma_tensor *input = run_input(context, 0), *output = run_output(context, 0), *mask = run_output(context, 1);
  const double scale = 1 / (1 - ratio);
  random_numbers numbers;
  random_begin(&numbers, &state->seed);
  const int64_t count = norma_tensor_count(input);
  for (int64_t i = 0; i < count; i++) {
    if (i % 65536 == 0) TRY(run_poll(context));
    const bool stays = random_uniform(&numbers) >= ratio;
    const double x = element_get_double(input->type, input->data, i);
    if (output) element_set_double(output->type, output->data, i, stays ? x * scale : 0 * x);
    if (mask) element_set_int64(mask->type, mask->data, i, stays);
  }
  return NORMA_OK;
}

static norma_status dropout_compute(run_context *context) {
  const norma_tensor *ratio_tensor = run_input(context, 1), *training = run_input(context, 2);
  const norma_tensor *mask = run_output(context, 1);
  double ratio = 0.5;
  if (context->node->version >= 12 && training && norma_tensor_count(training) == 1 &&
      element_get_int64(training->type, training->data, 0)) {
    if (ratio_tensor && norma_tensor_count(ratio_tensor) == 1) {
      ratio = element_get_double(ratio_tensor->type, ratio_tensor->data, 0);
    }
    if (!(ratio >= 0 && ratio < 1)) return run_fail(context, NORMA_ERROR_RUN, "ratio is %g, not in [0, 1)", ratio);
    if (ratio > 0) return dropout_train(context, ratio);
  }
  TRY(movement_same(context));
  if (mask) {
    const int64_t count = norma_tensor_count(mask);
    for (int64_t i = 0; i < count; i++) element_set_int64(mask->type, mask->data, i, 1);
  }
  return NORMA_OK;
}

static const operator_attribute dropout_attributes[] = {
    {"consumed_inputs", ATTRIBUTE_INTS, 1, 5, false},
    {"is_test", ATTRIBUTE_INT, 1, 6, false},
    {"ratio", ATTRIBUTE_FLOAT, 1, 11, false},
    {"seed", ATTRIBUTE_INT, 12, OPERATOR_LATEST, false},
    {0},
};

#define DROPOUT_TYPES (TYPES_FLOAT | (TYPES_FLOAT8 & ~TYPE_BIT(NORMA_FLOAT8E8M0)))

/* ------------------------------------------------------------------------------------------------------------ facts */

/* Before version 7 is_test says so, from 12 on input 2. */
static bool dropout_training(const node *node, training_form *form) {
  *form = (training_form){.is_known = true, .outputs = 1};
  if (node->opset < 7) {
    form->attribute = "is_test";
    form->inference = 1;
    form->trains = attribute_int(node, "is_test", 0) == 0;
  } else if (node->opset >= 12 && node_has_input(node, 2)) {
    norma_tensor mode;
    form->mode_input = 2;
    form->is_known = fact_held(node->inputs[2], &mode) && mode.type == NORMA_BOOL && norma_tensor_count(&mode) == 1;
    form->trains = form->is_known && tensor_get_int64(&mode, 0) != 0;
  }
  return true;
}

static bool drops_nothing(const node *node) {
  training_form form;
  return dropout_training(node, &form) && form.is_known && !form.trains;
}

const operator_descriptor operators_dropout[] = {
    {.name = "Dropout",
     .domain = "",
     .versions = {1, 6, 7, 10, 12, 13, 22},
     .min_inputs = 1,
     .max_inputs = 3,
     .min_outputs = 1,
     .max_outputs = 2,
     .types = {{DROPOUT_TYPES, INPUT(0), OUTPUT(0)}, {DROPOUT_TYPES, INPUT(1), 0}, {TYPE_BIT(NORMA_BOOL), INPUT(2), 0}},
     .attributes = dropout_attributes,
     .flags = OPERATOR_RANDOM,
     .in_place = INPUT(0),
     .state_size = sizeof(dropout_state),
     .read = dropout_read,
     .infer = dropout_infer,
     .facts = {.is_identity = drops_nothing, .dimension = fact_dimension_same, .training = dropout_training},
     .compute = dropout_compute},
    {0},
};
