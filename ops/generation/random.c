/*
 * RandomUniform, RandomNormal          1; 22: bfloat16. A tensor of attribute `shape`
 * RandomUniformLike, RandomNormalLike  1; 22: bfloat16. A tensor of the input's shape, of its type unless `dtype` says
 *                                      another
 * Bernoulli                            15; 22: bfloat16. 1 with the probability that the input's element is, else 0
 * Multinomial                          7; 22: bfloat16. sample_size indices of classes for each row of unnormalised
 *                                      log-probabilities
 *
 * Numbers come from random_numbers.h, which says what a seed promises: uniform ones are low + u * (high - low), normal
 * ones mean + scale * n; an element of Bernoulli is 1 where u < p; Multinomial takes the first class whose cumulative
 * probability is above u. All are computed in double and rounded once.
 */
#include "ops/generation/random_numbers.h"

#include <inttypes.h>
#include <math.h>

enum random_distribution { RANDOM_UNIFORM, RANDOM_NORMAL, RANDOM_BERNOULLI, RANDOM_MULTINOMIAL };

typedef struct random_state {
  enum random_distribution distribution;
  random_seed seed;
  norma_element_type type; /* of the output; UNDEFINED: the input's */
  bool like;               /* the shape is the input's, else: */
  shape shape;
  double offset, factor; /* low and high - low, or mean and scale */
  int64_t samples;
} random_state;

/* ----------------------------------------------------------------------------------------------- attributes, shapes */

#define RANDOM_OUTPUTS (TYPES_FLOAT)
#define DRAWN_OUTPUTS  (TYPES_NUMERIC | TYPE_BIT(NORMA_BOOL))
#define CLASS_OUTPUTS  (TYPE_BIT(NORMA_INT32) | TYPE_BIT(NORMA_INT64))

static norma_status random_read_shape(const node *node, random_state *state, norma_error *error) {
  size_t count;
  const int64_t *dims = attribute_ints(node, "shape", &count);
  if (count > NORMA_MAX_RANK)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "shape has more than %d dimensions", NORMA_MAX_RANK);
  for (size_t i = 0; i < count; i++) {
    if (dims[i] < 0)
      return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "shape has the size %" PRId64, dims[i]);
  }
  state->shape = shape_make((int)count, dims);
  return NORMA_OK;
}

static norma_status random_read_type(const node *node, random_state *state, type_mask types, norma_error *error) {
  const bool is_typed = state->distribution == RANDOM_MULTINOMIAL || !state->like;
  const norma_element_type otherwise = state->distribution == RANDOM_MULTINOMIAL ? NORMA_INT32
                                       : is_typed                                ? NORMA_FLOAT
                                                                                 : NORMA_UNDEFINED;
  const int64_t type = attribute_int(node, "dtype", otherwise);
  state->type = (norma_element_type)type;
  if (type == NORMA_UNDEFINED && !is_typed) return NORMA_OK;
  if (type < 0 || type >= NORMA_ELEMENT_TYPE_COUNT || !(TYPE_BIT(type) & types))
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "dtype %" PRId64 " is none that can be drawn", type);
  return NORMA_OK;
}

static norma_status random_read(const node *node, void *opaque, norma_error *error) {
  random_state *state = opaque;
  const char *name = node->op->name;
  state->like = strcmp(name, "RandomUniform") != 0 && strcmp(name, "RandomNormal") != 0;
  state->distribution = strncmp(name, "RandomUniform", 13) == 0 ? RANDOM_UNIFORM : RANDOM_NORMAL;
  random_read_seed(node, &state->seed);
  if (state->distribution == RANDOM_UNIFORM) {
    const double low = (double)attribute_float(node, "low", 0);
    state->offset = low;
    state->factor = (double)attribute_float(node, "high", 1) - low;
  } else {
    state->offset = (double)attribute_float(node, "mean", 0);
    state->factor = (double)attribute_float(node, "scale", 1);
  }
  if (!state->like) TRY(random_read_shape(node, state, error));
  return random_read_type(node, state, RANDOM_OUTPUTS, error);
}

static norma_status bernoulli_read(const node *node, void *opaque, norma_error *error) {
  random_state *state = opaque;
  state->distribution = RANDOM_BERNOULLI;
  state->like = true;
  random_read_seed(node, &state->seed);
  return random_read_type(node, state, DRAWN_OUTPUTS, error);
}

static norma_status multinomial_read(const node *node, void *opaque, norma_error *error) {
  random_state *state = opaque;
  state->distribution = RANDOM_MULTINOMIAL;
  random_read_seed(node, &state->seed);
  state->samples = attribute_int(node, "sample_size", 1);
  if (state->samples < 0)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "sample_size is %" PRId64, state->samples);
  return random_read_type(node, state, CLASS_OUTPUTS, error);
}

static norma_status random_infer(infer_context *context) {
  const random_state *state = context->state;
  norma_element_type type = state->type;
  if (type == NORMA_UNDEFINED) type = infer_type(context, 0);
  if (type != NORMA_UNDEFINED &&
      !(TYPE_BIT(type) & (state->distribution == RANDOM_BERNOULLI ? DRAWN_OUTPUTS : RANDOM_OUTPUTS)))
    return infer_fail(context, "elements of type %s cannot be drawn: dtype is missing", norma_element_type_name(type));
  if (type == NORMA_BFLOAT16 && context->node->version < 22 && state->distribution != RANDOM_BERNOULLI)
    return infer_fail(context, "bfloat16 needs opset 22");
  infer_output(context, 0, type, state->like ? infer_shape(context, 0) : &state->shape);
  return NORMA_OK;
}

static norma_status multinomial_infer(infer_context *context) {
  const random_state *state = context->state;
  const shape *input = infer_shape(context, 0);
  shape result = shape_of_rank(2);
  if (input->rank != RANK_UNKNOWN && input->rank != 2)
    return infer_fail(context, "the input has rank %d, not 2", input->rank);
  if (input->rank == 2) result.dims[0] = input->dims[0];
  result.dims[1] = state->samples;
  infer_output(context, 0, state->type, &result);
  return NORMA_OK;
}

static norma_status multinomial_prepare(prepare_context *context) {
  const int64_t classes = prepare_shape(context, 0)->dims[1];
  if (!size_multiply((size_t)classes, sizeof(double), &context->scratch_bytes))
    return prepare_fail(context, NORMA_ERROR_BUDGET, "there are too many classes");
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

#define RANDOM_POLL 65536 /* elements between questions whether the run was cancelled */

static norma_status random_compute(run_context *context) {
  const random_state *state = context->state;
  const norma_tensor *output = run_output(context, 0);
  random_numbers numbers;
  if (!output) return NORMA_OK;
  random_begin(&numbers, &state->seed);
  const int64_t count = norma_tensor_count(output);
  for (int64_t i = 0; i < count; i++) {
    if (i % RANDOM_POLL == 0) TRY(run_poll(context));
    const double x = state->distribution == RANDOM_UNIFORM ? random_uniform(&numbers) : random_normal(&numbers);
    element_set_double(output->type, output->data, i, state->offset + x * state->factor);
  }
  return NORMA_OK;
}

static norma_status bernoulli_compute(run_context *context) {
  const random_state *state = context->state;
  const norma_tensor *input = run_input(context, 0), *output = run_output(context, 0);
  random_numbers numbers;
  if (!output) return NORMA_OK;
  random_begin(&numbers, &state->seed);
  const int64_t count = norma_tensor_count(output);
  for (int64_t i = 0; i < count; i++) {
    if (i % RANDOM_POLL == 0) TRY(run_poll(context));
    const double probability = element_get_double(input->type, input->data, i);
    if (!(probability >= 0 && probability <= 1))
      return run_fail(context, NORMA_ERROR_RUN, "element %" PRId64 " is %g, which is no probability", i, probability);
    element_set_double(output->type, output->data, i, random_uniform(&numbers) < probability);
  }
  return NORMA_OK;
}

/* cumulative[c]: the sum of the probabilities of classes 0 to c, times a common factor. false: there is none. */
static bool multinomial_accumulate(const norma_tensor *input, int64_t row, int64_t classes, double *cumulative) {
  double largest = -(double)INFINITY, sum = 0;
  for (int64_t c = 0; c < classes; c++) {
    cumulative[c] = element_get_double(input->type, input->data, row * classes + c);
    if (isnan(cumulative[c])) return false;
    largest = fmax(largest, cumulative[c]);
  }
  if (isinf(largest)) return false;
  for (int64_t c = 0; c < classes; c++) cumulative[c] = sum += exp(cumulative[c] - largest);
  return true;
}

/* The first class whose cumulative probability is above `limit`. */
static int64_t multinomial_find(const double *cumulative, int64_t classes, double limit) {
  int64_t first = 0, last = classes - 1;
  while (first < last) {
    const int64_t middle = first + (last - first) / 2;
    if (cumulative[middle] > limit)
      last = middle;
    else
      first = middle + 1;
  }
  return first;
}

static norma_status multinomial_compute(run_context *context) {
  const random_state *state = context->state;
  const norma_tensor *input = run_input(context, 0), *output = run_output(context, 0);
  const int64_t rows = input->dims[0], classes = input->dims[1];
  double *cumulative = context->scratch;
  random_numbers numbers;
  if (!output) return NORMA_OK;
  random_begin(&numbers, &state->seed);
  for (int64_t row = 0; row < rows && state->samples > 0; row++) {
    TRY(run_poll(context));
    if (classes == 0 || !multinomial_accumulate(input, row, classes, cumulative))
      return run_fail(context, NORMA_ERROR_RUN, "row %" PRId64 " holds no log-probabilities that could be drawn from",
                      row);
    for (int64_t i = 0; i < state->samples; i++) {
      if (i % RANDOM_POLL == RANDOM_POLL - 1) TRY(run_poll(context));
      const double limit = random_uniform(&numbers) * cumulative[classes - 1];
      element_set_int64(output->type, output->data, row * state->samples + i,
                        multinomial_find(cumulative, classes, limit));
    }
  }
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

#define RANDOM_DTYPE(since)                                                                                            \
  {"dtype", ATTRIBUTE_INT, since, OPERATOR_LATEST, false}, {                                                           \
    "seed", ATTRIBUTE_FLOAT, since, OPERATOR_LATEST, false                                                             \
  }
#define RANDOM_RANGE                                                                                                   \
  {"high", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false}, {                                                              \
    "low", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false                                                                  \
  }
#define RANDOM_MOMENTS                                                                                                 \
  {"mean", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false}, {                                                              \
    "scale", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false                                                                \
  }
#define RANDOM_SHAPE                                                                                                   \
  { "shape", ATTRIBUTE_INTS, 1, OPERATOR_LATEST, true }

static const operator_attribute random_uniform_attributes[] = {RANDOM_DTYPE(1), RANDOM_RANGE, RANDOM_SHAPE, {0}};
static const operator_attribute random_uniform_like_attributes[] = {RANDOM_DTYPE(1), RANDOM_RANGE, {0}};
static const operator_attribute random_normal_attributes[] = {RANDOM_DTYPE(1), RANDOM_MOMENTS, RANDOM_SHAPE, {0}};
static const operator_attribute random_normal_like_attributes[] = {RANDOM_DTYPE(1), RANDOM_MOMENTS, {0}};
static const operator_attribute bernoulli_attributes[] = {RANDOM_DTYPE(15), {0}};
static const operator_attribute multinomial_attributes[] = {
    RANDOM_DTYPE(7), {"sample_size", ATTRIBUTE_INT, 7, OPERATOR_LATEST, false}, {0}};

const operator_descriptor operators_random[] = {
    {.name = "RandomUniform",
     .domain = "",
     .versions = {1, 22},
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{RANDOM_OUTPUTS, 0, OUTPUT(0)}},
     .attributes = random_uniform_attributes,
     .flags = OPERATOR_RANDOM,
     .state_size = sizeof(random_state),
     .read = random_read,
     .infer = random_infer,
     .compute = random_compute},
    {.name = "RandomNormal",
     .domain = "",
     .versions = {1, 22},
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{RANDOM_OUTPUTS, 0, OUTPUT(0)}},
     .attributes = random_normal_attributes,
     .flags = OPERATOR_RANDOM,
     .state_size = sizeof(random_state),
     .read = random_read,
     .infer = random_infer,
     .compute = random_compute},
    {.name = "RandomUniformLike",
     .domain = "",
     .versions = {1, 22},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_ALL, INPUT(0), 0}, {RANDOM_OUTPUTS, 0, OUTPUT(0)}},
     .attributes = random_uniform_like_attributes,
     .flags = OPERATOR_RANDOM,
     .state_size = sizeof(random_state),
     .read = random_read,
     .infer = random_infer,
     .facts = {.dimension = fact_dimension_same},
     .compute = random_compute},
    {.name = "RandomNormalLike",
     .domain = "",
     .versions = {1, 22},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_ALL, INPUT(0), 0}, {RANDOM_OUTPUTS, 0, OUTPUT(0)}},
     .attributes = random_normal_like_attributes,
     .flags = OPERATOR_RANDOM,
     .state_size = sizeof(random_state),
     .read = random_read,
     .infer = random_infer,
     .facts = {.dimension = fact_dimension_same},
     .compute = random_compute},
    {.name = "Bernoulli",
     .domain = "",
     .versions = {15, 22},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_FLOAT, INPUT(0), 0}, {DRAWN_OUTPUTS, 0, OUTPUT(0)}},
     .attributes = bernoulli_attributes,
     .flags = OPERATOR_RANDOM,
     .state_size = sizeof(random_state),
     .read = bernoulli_read,
     .infer = random_infer,
     .facts = {.dimension = fact_dimension_same},
     .compute = bernoulli_compute},
    {.name = "Multinomial",
     .domain = "",
     .versions = {7, 22},
     .min_inputs = 1,
     .max_inputs = 1,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{TYPES_FLOAT, INPUT(0), 0}, {CLASS_OUTPUTS, 0, OUTPUT(0)}},
     .attributes = multinomial_attributes,
     .flags = OPERATOR_RANDOM,
     .state_size = sizeof(random_state),
     .read = multinomial_read,
     .infer = multinomial_infer,
     .prepare = multinomial_prepare,
     .facts = {.dimension = fact_dimension_batch},
     .compute = multinomial_compute},
    {0},
};
