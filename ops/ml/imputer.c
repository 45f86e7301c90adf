/*
 * Imputer 1 (ai.onnx.ml): elements that equal one value become another; all others stay.
 *
 * Of float and double the attributes are imputed_value_floats and replaced_value_float, of int32 and int64
 * imputed_value_int64s and replaced_value_int64. Where replaced_value_float is NaN, it is NaN that is replaced. There
 * is one imputed value for all elements, or one for each along the last axis.
 */
#include "ops/ml/features.h"

#include <inttypes.h>
#include <math.h>

#define IMPUTER_GRAIN 16384 /* elements of one piece */

typedef struct imputer_state {
  size_t float_count, int_count;
  const float *floats; /* imputed values; of the node's attributes */
  const int64_t *ints;
  float replaced_float;
  int64_t replaced_int;
} imputer_state;

static norma_status imputer_read(const node *node, void *opaque, norma_error *error) {
  imputer_state *state = opaque;
  state->floats = attribute_floats(node, "imputed_value_floats", &state->float_count);
  state->ints = attribute_ints(node, "imputed_value_int64s", &state->int_count);
  state->replaced_float = attribute_float(node, "replaced_value_float", 0);
  state->replaced_int = attribute_int(node, "replaced_value_int64", 0);
  if ((state->float_count > 0) == (state->int_count > 0))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node,
                         "needs one of imputed_value_floats and imputed_value_int64s");
  return NORMA_OK;
}

static bool imputer_is_of_floats(norma_element_type type) {
  return type == NORMA_FLOAT || type == NORMA_DOUBLE;
}

static norma_status imputer_infer(infer_context *context) {
  const imputer_state *state = context->state;
  const norma_element_type type = infer_type(context, 0);
  const shape *x = infer_shape(context, 0);
  const size_t count = state->float_count + state->int_count;
  if (type != NORMA_UNDEFINED && imputer_is_of_floats(type) != (state->float_count > 0))
    return infer_fail(context, "has no imputed values of type %s", norma_element_type_name(type));
  for (size_t i = 0; type == NORMA_INT32 && i < count; i++) {
    if (state->ints[i] < INT32_MIN || state->ints[i] > INT32_MAX)
      return infer_fail(context, "imputed value %" PRId64 " is no int32", state->ints[i]);
  }
  const int64_t features = x->rank > 0 ? x->dims[x->rank - 1] : x->rank == 0 ? 1 : DIM_UNKNOWN;
  if (count != 1 && features != DIM_UNKNOWN && (int64_t)count != features)
    return infer_fail(context, "has %zu imputed values for %" PRId64 " features", count, features);
  return infer_same(context);
}

typedef struct imputer_work {
  const imputer_state *state;
  norma_element_type type;
  const void *x;
  void *y;
} imputer_work;

#define IMPUTE(type, values, count, is_replaced)                                                                       \
  do {                                                                                                                 \
    size_t feature = (size_t)begin % (count);                                                                          \
    for (int64_t i = begin; i < end; i++) {                                                                            \
      const type x = ((const type *)work->x)[i];                                                                       \
      ((type *)work->y)[i] = (is_replaced) ? (type)(values)[feature] : x;                                              \
      if (++feature == (count)) feature = 0;                                                                           \
    }                                                                                                                  \
  } while (0)

static void imputer_body(void *argument, int64_t begin, int64_t end, int worker) {
  const imputer_work *work = argument;
  const imputer_state *state = work->state;
  const bool replaces_nan = isnan(state->replaced_float);
  (void)worker;
  if (work->type == NORMA_FLOAT && replaces_nan)
    IMPUTE(float, state->floats, state->float_count, isnan(x));
  else if (work->type == NORMA_FLOAT)
    IMPUTE(float, state->floats, state->float_count, x == state->replaced_float);
  else if (work->type == NORMA_DOUBLE && replaces_nan)
    IMPUTE(double, state->floats, state->float_count, isnan(x));
  else if (work->type == NORMA_DOUBLE)
    IMPUTE(double, state->floats, state->float_count, x == (double)state->replaced_float);
  else if (work->type == NORMA_INT64)
    IMPUTE(int64_t, state->ints, state->int_count, x == state->replaced_int);
  else
    IMPUTE(int32_t, state->ints, state->int_count, x == state->replaced_int);
}

static norma_status imputer_compute(run_context *context) {
  const norma_tensor *x = run_input(context, 0);
  if (!context->outputs[0]) return NORMA_OK;
  imputer_work work = {context->state, x->type, x->data, run_output(context, 0)->data};
  return run_parallel(context, norma_tensor_count(x), IMPUTER_GRAIN, imputer_body, &work);
}

static const operator_attribute imputer_attributes[] = {
    {"imputed_value_floats", ATTRIBUTE_FLOATS, 1, OPERATOR_LATEST, false},
    {"imputed_value_int64s", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, false},
    {"replaced_value_float", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"replaced_value_int64", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

const operator_descriptor operators_imputer[] = {
    {
        .domain = "ai.onnx.ml",
        .name = "Imputer",
        .versions = {1},
        .min_inputs = 1,
        .max_inputs = 1,
        .min_outputs = 1,
        .max_outputs = 1,
        .types = {{TYPES_FEATURES, INPUT(0), OUTPUT(0)}},
        .attributes = imputer_attributes,
        .in_place = INPUT(0),
        .state_size = sizeof(imputer_state),
        .read = imputer_read,
        .infer = imputer_infer,
        .facts = {.dimension = fact_dimension_same},
        .compute = imputer_compute,
    },
    {0},
};
