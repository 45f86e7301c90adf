/*
 * QuantizeLinear: y = saturate(round(x / y_scale) + y_zero_point), halves to even.
 *
 *   ai.onnx        10: one scale, 8 bits; 13: scales along an axis; 19: half precision, floats of 8 bits (saturate);
 *                  21: blocks, 16 and 4 bits, output_dtype; 23: float4, precision, scales of other types than x; 24:
 *                  scales of float8e8m0;
 *                  25: 2 bits; 28: floats of 6 bits
 *   com.microsoft  1: one scale or, with `axis`, scales along it; integers of 16, 8 and 4 bits
 *
 * The division is done in the type of y_scale or, where it is given, in `precision`; integers divide exactly (and with
 * precision int32 only whole numbers are divided). Without a
 * zero point y is of output_dtype, and else uint8. Floats of fewer bits take the quotient as it is, rounded to them
 * once. NaN becomes the lowest integer.
 */
#include "ops/half.h"
#include "ops/blocked.h"
#include "ops/quantized/quantization.h"
#include "ops/small_float.h"
#include "ops/work.h"

#define QUANTIZE_PIECE 256  /* elements that are held in between, as float */
#define QUANTIZE_GRAIN 8192 /* a multiple of 8, so that no two pieces share a byte of packed elements */

typedef struct quantize_state {
  quantization_attributes attributes;
  norma_element_type output, precision; /* UNDEFINED: not given */
  bool saturate;
  quantization scales; /* the plan's */
} quantize_state;

/* ------------------------------------------------------------------------------------------------ attributes, types */

static bool quantize_is_microsoft(const node *node) {
  return node->domain[0] != 0;
}

static norma_status quantize_read_type(const node *node, const char *name, norma_element_type *type,
                                       norma_error *error) {
  const int64_t number = attribute_int(node, name, NORMA_UNDEFINED);
  if (number < 0 || number >= NORMA_ELEMENT_TYPE_COUNT) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "attribute %s is no element type", name);
  }
  *type = (norma_element_type)number;
  return NORMA_OK;
}

static norma_status quantize_read(const node *node, void *state, norma_error *error) {
  quantize_state *quantize = state;
  quantization_attributes *attributes = &quantize->attributes;
  attributes->axis = attribute_int(node, "axis", 1);
  attributes->block_size = attribute_int(node, "block_size", 0);
  attributes->is_per_tensor = quantize_is_microsoft(node) ? !node_attribute(node, "axis") : node->version < 13;
  quantize->saturate = attribute_int(node, "saturate", 1) != 0;
  if (attributes->block_size < 0) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "block_size is negative");
  }
  TRY(quantize_read_type(node, "output_dtype", &quantize->output, error));
  return quantize_read_type(node, "precision", &quantize->precision, error);
}

static type_mask quantize_outputs(const node *node) {
  type_mask types = TYPES_8BIT;
  if (quantize_is_microsoft(node)) return types | TYPES_16BIT | TYPES_4BIT;
  if (node->version >= 19) types |= TYPES_SCALED;
  if (node->version >= 21) types |= TYPES_16BIT | TYPES_4BIT;
  if (node->version >= 23) types |= TYPE_BIT(NORMA_FLOAT4E2M1);
  if (node->version >= 25) types |= TYPES_2BIT;
  if (node->version >= 28) types |= TYPES_6BIT;
  return types;
}

/* What the definition in force allows for x (or, with `is_scale`, for its scale, x being of type x_type). */
static type_mask quantize_inputs(const node *node, bool is_scale, norma_element_type x_type) {
  const type_mask old = TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_INT32);
  const type_mask half = TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16);
  if (quantize_is_microsoft(node)) {
    return is_scale ? TYPE_BIT(x_type) : TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16);
  }
  if (node->version < 19) return is_scale ? TYPE_BIT(NORMA_FLOAT) : old;
  if (is_scale && node->version < 23) return TYPE_BIT(x_type);
  return old | half | (is_scale && node->version >= 24 ? TYPES_E8M0 : 0);
}

static norma_status quantize_check_types(infer_context *context, norma_element_type y) {
  const quantize_state *state = context->state;
  const norma_element_type x = infer_type(context, 0), scale = infer_type(context, 1), zero = infer_type(context, 2);
  const type_mask floats = TYPES_FLOAT & ~TYPE_BIT(NORMA_DOUBLE);
  if (x != NORMA_UNDEFINED && !(TYPE_BIT(x) & quantize_inputs(context->node, false, x))) {
    return infer_fail(context, "%s needs a later opset", norma_element_type_name(x));
  }
  if (x != NORMA_UNDEFINED && scale != NORMA_UNDEFINED &&
      !(TYPE_BIT(scale) & quantize_inputs(context->node, true, x))) {
    return infer_fail(context, "an input of %s cannot have a scale of %s", norma_element_type_name(x),
                      norma_element_type_name(scale));
  }
  if (y != NORMA_UNDEFINED && !(TYPE_BIT(y) & quantize_outputs(context->node))) {
    return infer_fail(context, "cannot quantise to %s", norma_element_type_name(y));
  }
  if (state->output != NORMA_UNDEFINED && zero != NORMA_UNDEFINED && state->output != zero) {
    return infer_fail(context, "output_dtype is %s, the zero point's type %s", norma_element_type_name(state->output),
                      norma_element_type_name(zero));
  }
  if (state->precision != NORMA_UNDEFINED && !(TYPE_BIT(state->precision) & (floats | TYPE_BIT(NORMA_INT32)))) {
    return infer_fail(context, "cannot divide in %s", norma_element_type_name(state->precision));
  }
  return NORMA_OK;
}

static norma_status quantize_infer(infer_context *context) {
  const quantize_state *state = context->state;
  const shape *x = infer_shape(context, 0), *scale = infer_shape(context, 1);
  char message[QUANTIZATION_MESSAGE_SIZE];
  quantization scales;
  norma_element_type y = state->output;
  if (infer_has_input(context, 2)) {
    y = infer_type(context, 2);
    if (!quantization_fits_zero(scale, infer_shape(context, 2)))
      return infer_fail(context, "the zero point has not the shape of the scale");
  } else if (y == NORMA_UNDEFINED) {
    y = NORMA_UINT8;
  }
  TRY(quantize_check_types(context, y));
  if (!quantization_resolve(&state->attributes, x, scale, &scales, message)) return infer_fail(context, "%s", message);
  infer_output(context, 0, y, x);
  return NORMA_OK;
}

static norma_status quantize_prepare(prepare_context *context) {
  quantize_state *state = context->state;
  char message[QUANTIZATION_MESSAGE_SIZE];
  if (!quantization_resolve(&state->attributes, prepare_shape(context, 0), prepare_shape(context, 1), &state->scales,
                            message))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "%s", message);
  if (state->precision == NORMA_UNDEFINED) {
    const norma_element_type scale = prepare_type(context, 1);
    state->precision = scale == NORMA_INT32 ? NORMA_DOUBLE : scale;
  }
  if (state->precision == NORMA_FLOAT8E8M0) state->precision = NORMA_FLOAT;
  context->kernel_name = state->scales.block ? "blocked" : state->scales.count > 1 ? "per axis" : "per tensor";
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct quantize_job {
  const quantize_state *state;
  const struct kernel_table *kernels;
  const norma_tensor *x, *scale, *zero; /* zero may be NULL */
  norma_tensor *y;
} quantize_job;

static bool quantize_to_integers(const quantize_job *job) {
  return (TYPE_BIT(job->y->type) & (TYPES_8BIT | TYPES_16BIT | TYPES_4BIT | TYPES_2BIT)) != 0;
}

/* Elements as float, rounded to the precision of the division. */
static void quantize_load(const quantize_job *job, const norma_tensor *tensor, int64_t first, int64_t count,
                          float *values) {
  const norma_element_type precision = job->state->precision;
  const size_t bytes = element_type_bytes(tensor->type);
  const void *from = (const char *)tensor->data + (size_t)first * bytes;
  if (tensor->type == NORMA_FLOAT || is_half(tensor->type)) {
    float_from(job->kernels, tensor->type, values, from, count);
  } else {
    for (int64_t i = 0; i < count; i++) values[i] = (float)element_get_double(tensor->type, tensor->data, first + i);
  }
  if (is_half(precision) && tensor->type != precision) {
    uint16_t rounded[QUANTIZE_PIECE];
    half_from_float(job->kernels, precision, rounded, values, count);
    half_to_float(job->kernels, precision, values, rounded, count);
  }
}

/* Quotients in float or half precision. */
static void quantize_divide(const quantize_job *job, int64_t first, const quantization_run *run, float *ratio) {
  const norma_element_type precision = job->state->precision;
  float scale[QUANTIZE_PIECE];
  quantize_load(job, job->x, first, run->count, ratio);
  quantize_load(job, job->scale, run->scale, run->steps ? run->count : 1, scale);
  if (run->steps) {
    job->kernels->binary_f32[BINARY_DIV](ratio, ratio, scale, (size_t)run->count);
  } else {
    job->kernels->binary_right_scalar_f32[BINARY_DIV](ratio, ratio, *scale, (size_t)run->count);
  }
  if (is_half(precision)) {
    uint16_t rounded[QUANTIZE_PIECE];
    half_from_float(job->kernels, precision, rounded, ratio, run->count);
    half_to_float(job->kernels, precision, ratio, rounded, run->count);
  }
}

/* Quotients by integers: those that are to be integers are rounded here, before they lose digits. Precision INT32 takes
 * whole numbers alone. */
static void quantize_divide_exactly(const quantize_job *job, int64_t first, const quantization_run *run, float *ratio) {
  const bool rounds = quantize_to_integers(job), truncates = job->state->precision == NORMA_INT32;
  for (int64_t i = 0; i < run->count; i++) {
    double x = element_get_double(job->x->type, job->x->data, first + i);
    double scale = element_get_double(job->scale->type, job->scale->data, run->scale + (run->steps ? i : 0));
    if (truncates) x = trunc(x), scale = trunc(scale);
    ratio[i] = (float)(rounds ? rint(x / scale) : x / scale);
  }
}

static double quantize_zero_at(const quantize_job *job, const quantization_run *run, int64_t i) {
  if (!job->zero) return 0;
  return element_get_double(job->zero->type, job->zero->data, run->scale + (run->steps ? i : 0));
}

static void quantize_store_integers(const quantize_job *job, int64_t first, const quantization_run *run, float *ratio) {
  const norma_element_type type = job->y->type;
  const float low = (float)quantized_lowest(type), high = (float)quantized_highest(type);
  float zero = (float)quantize_zero_at(job, run, 0);
  job->kernels->unary_f32[UNARY_ROUND](ratio, ratio, (size_t)run->count, 0, 0);
  for (int64_t i = 0; i < run->count; i++) {
    if (run->steps) zero = (float)quantize_zero_at(job, run, i);
    const float sum = ratio[i] + zero;
    const int32_t number = (int32_t)(sum > low ? sum < high ? sum : high : low);
    switch (type) {
    case NORMA_UINT8:
    case NORMA_INT8:
      ((uint8_t *)job->y->data)[first + i] = (uint8_t)number;
      break;
    case NORMA_UINT16:
    case NORMA_INT16:
      ((uint16_t *)job->y->data)[first + i] = (uint16_t)number;
      break;
    default:
      element_set_int64(type, job->y->data, first + i, number);
    }
  }
}

static void quantize_store_floats(const quantize_job *job, int64_t first, const quantization_run *run,
                                  const float *ratio) {
  const norma_element_type type = job->y->type;
  for (int64_t i = 0; i < run->count; i++) {
    const double zero = quantize_zero_at(job, run, i);
    const double value = zero == 0 ? (double)ratio[i] : (double)ratio[i] + zero;
    const unsigned code = job->state->saturate ? 0 : small_float_overflow(type, value);
    element_set_double(type, job->y->data, first + i, value);
    if (code) ((uint8_t *)job->y->data)[first + i] = (uint8_t)code;
  }
}

/* Whether a run is what the kernel computes: one float scale, 8 bits. */
static bool quantize_has_kernel(const quantize_job *job, const quantization_run *run) {
  return !run->steps && job->x->type == NORMA_FLOAT && job->state->precision == NORMA_FLOAT &&
         (TYPE_BIT(job->y->type) & TYPES_8BIT);
}

static void quantize_body(void *argument, int64_t begin, int64_t end, int worker) {
  const quantize_job *job = argument;
  float ratio[QUANTIZE_PIECE];
  (void)worker;
  while (begin < end) {
    quantization_run run = quantization_run_at(&job->state->scales, begin, end - begin);
    if (quantize_has_kernel(job, &run)) {
      const float scale = (float)element_get_double(job->scale->type, job->scale->data, run.scale);
      const int32_t zero = (int32_t)quantize_zero_at(job, &run, 0);
      job->kernels->quantize_f32((uint8_t *)job->y->data + begin, (const float *)job->x->data + begin,
                                 (size_t)run.count, scale, zero, job->y->type);
      begin += run.count;
      continue;
    }
    if (run.count > QUANTIZE_PIECE) run.count = QUANTIZE_PIECE;
    if (job->state->precision == NORMA_INT32 || job->state->precision == NORMA_DOUBLE) {
      quantize_divide_exactly(job, begin, &run, ratio);
    } else {
      quantize_divide(job, begin, &run, ratio);
    }
    if (quantize_to_integers(job)) {
      quantize_store_integers(job, begin, &run, ratio);
    } else {
      quantize_store_floats(job, begin, &run, ratio);
    }
    begin += run.count;
  }
}

static norma_status quantize_compute(run_context *context) {
  quantize_job job = {context->state,        context->kernels,      run_input(context, 0),
                      run_input(context, 1), run_input(context, 2), run_output(context, 0)};
  if (!job.y) return NORMA_OK;
  return run_parallel(context, norma_tensor_count(job.x), QUANTIZE_GRAIN, quantize_body, &job);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute quantize_attributes[] = {
    {"axis", ATTRIBUTE_INT, 13, OPERATOR_LATEST, false},
    {"saturate", ATTRIBUTE_INT, 19, OPERATOR_LATEST, false},
    {"block_size", ATTRIBUTE_INT, 21, OPERATOR_LATEST, false},
    {"output_dtype", ATTRIBUTE_INT, 21, OPERATOR_LATEST, false},
    {"precision", ATTRIBUTE_INT, 23, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute quantize_microsoft_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

#define QUANTIZE_INPUTS                                                                                                \
  (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16) | TYPE_BIT(NORMA_INT32))
#define QUANTIZE_OUTPUTS                                                                                               \
  (TYPES_8BIT | TYPES_16BIT | TYPES_4BIT | TYPES_2BIT | TYPES_6BIT | TYPES_SCALED | TYPE_BIT(NORMA_FLOAT4E2M1))

const operator_descriptor operators_quantize_linear[] = {
    {.domain = "",
     .name = "QuantizeLinear",
     .versions = {10, 13, 19, 21, 23, 24, 25, 28},
     .min_inputs = 2,
     .max_inputs = 3,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{QUANTIZE_INPUTS, INPUT(0), 0},
               {QUANTIZE_INPUTS | TYPES_E8M0, INPUT(1), 0},
               {QUANTIZE_OUTPUTS, INPUT(2), OUTPUT(0)}},
     .attributes = quantize_attributes,
     .state_size = sizeof(quantize_state),
     .read = quantize_read,
     .infer = quantize_infer,
     .prepare = quantize_prepare,
     .facts = {.dimension = fact_dimension_same, .block = quantization_block, .block_types = TYPES_BLOCKED},
     .compute = quantize_compute},
    {.domain = "com.microsoft",
     .name = "QuantizeLinear",
     .versions = {1},
     .min_inputs = 2,
     .max_inputs = 3,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{QUANTIZE_INPUTS, INPUT(0) | INPUT(1), 0}, {QUANTIZE_OUTPUTS, INPUT(2), OUTPUT(0)}},
     .attributes = quantize_microsoft_attributes,
     .state_size = sizeof(quantize_state),
     .read = quantize_read,
     .infer = quantize_infer,
     .prepare = quantize_prepare,
     .facts = {.dimension = fact_dimension_same, .block = quantization_block, .block_types = TYPES_BLOCKED},
     .compute = quantize_compute},
    {0},
};
