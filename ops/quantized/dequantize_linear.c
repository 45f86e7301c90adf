/*
 * DequantizeLinear: y = (x - x_zero_point) * x_scale.
 *
 *   ai.onnx        10: one scale, 8 bits and int32; 13: scales along an axis; 19: half precision, floats of 8 bits; 21:
 *                  blocks, 16 and 4 bits; 23: float4, output_dtype; 24: scales of float8e8m0; 25: 2 bits; 28: floats of
 *                  6 bits
 *   com.microsoft  1: one scale or, with `axis`, scales along it; integers of 32, 16, 8 and 4 bits
 *
 * The difference is exact, the product is computed in float and rounded once more where y is of half precision.
 */
#include "ops/half.h"
#include "ops/quantized/quantization.h"
#include "ops/work.h"

#define DEQUANTIZE_PIECE 256  /* elements that are held in between, as float */
#define DEQUANTIZE_GRAIN 8192 /* a multiple of 8, so that no two pieces share a byte of packed elements */

typedef struct dequantize_state {
  quantization_attributes attributes;
  norma_element_type output; /* UNDEFINED: the scale's */
  quantization scales;       /* the plan's */
} dequantize_state;

static bool dequantize_is_microsoft(const node *node) {
  return node->domain[0] != 0;
}

static norma_status dequantize_read(const node *node, void *state, norma_error *error) {
  dequantize_state *dequantize = state;
  quantization_attributes *attributes = &dequantize->attributes;
  const int64_t output = attribute_int(node, "output_dtype", NORMA_UNDEFINED);
  attributes->axis = attribute_int(node, "axis", 1);
  attributes->block_size = attribute_int(node, "block_size", 0);
  attributes->is_per_tensor = dequantize_is_microsoft(node) ? !node_attribute(node, "axis") : node->version < 13;
  if (attributes->block_size < 0) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "block_size is negative");
  }
  if (output != NORMA_UNDEFINED && output != NORMA_FLOAT && output != NORMA_FLOAT16 && output != NORMA_BFLOAT16) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "output_dtype is %d, no float type", (int)output);
  }
  dequantize->output = (norma_element_type)output;
  return NORMA_OK;
}

/* ------------------------------------------------------------------------------------------------------------ types */

static type_mask dequantize_inputs(const node *node) {
  type_mask types = TYPES_8BIT | TYPE_BIT(NORMA_INT32);
  if (dequantize_is_microsoft(node)) return types | TYPES_16BIT | TYPES_4BIT;
  if (node->version >= 19) types |= TYPES_SCALED;
  if (node->version >= 21) types |= TYPES_16BIT | TYPES_4BIT;
  if (node->version >= 23) types |= TYPE_BIT(NORMA_FLOAT4E2M1);
  if (node->version >= 25) types |= TYPES_2BIT;
  if (node->version >= 28) types |= TYPES_6BIT;
  return types;
}

static type_mask dequantize_scales(const node *node) {
  type_mask types = TYPE_BIT(NORMA_FLOAT);
  if (dequantize_is_microsoft(node)) return types | TYPE_BIT(NORMA_FLOAT16);
  if (node->version >= 19) types |= TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16);
  if (node->version >= 24) types |= TYPES_E8M0;
  return types;
}

static norma_status dequantize_check_types(infer_context *context, norma_element_type y) {
  const norma_element_type x = infer_type(context, 0), scale = infer_type(context, 1);
  if (x != NORMA_UNDEFINED && !(TYPE_BIT(x) & dequantize_inputs(context->node))) {
    return infer_fail(context, "%s needs a later opset", norma_element_type_name(x));
  }
  if (scale != NORMA_UNDEFINED && !(TYPE_BIT(scale) & dequantize_scales(context->node))) {
    return infer_fail(context, "scales of %s need a later opset", norma_element_type_name(scale));
  }
  if (y == NORMA_FLOAT8E8M0) return infer_fail(context, "scales of float8e8m0 need output_dtype");
  return NORMA_OK;
}

static norma_status dequantize_infer(infer_context *context) {
  const dequantize_state *state = context->state;
  const shape *x = infer_shape(context, 0), *scale = infer_shape(context, 1);
  const norma_element_type y = state->output ? state->output : infer_type(context, 1);
  char message[QUANTIZATION_MESSAGE_SIZE];
  quantization scales;
  TRY(dequantize_check_types(context, y));
  if (infer_has_input(context, 2) && !quantization_fits_zero(scale, infer_shape(context, 2))) {
    return infer_fail(context, "the zero point has not the shape of the scale");
  }
  if (!quantization_resolve(&state->attributes, x, scale, &scales, message)) return infer_fail(context, "%s", message);
  infer_output(context, 0, y, x);
  return NORMA_OK;
}

static norma_status dequantize_prepare(prepare_context *context) {
  dequantize_state *state = context->state;
  char message[QUANTIZATION_MESSAGE_SIZE];
  if (!quantization_resolve(&state->attributes, prepare_shape(context, 0), prepare_shape(context, 1), &state->scales,
                            message))
    return prepare_fail(context, NORMA_ERROR_INTERNAL, "%s", message);
  context->kernel_name = state->scales.block ? "blocked" : state->scales.count > 1 ? "per axis" : "per tensor";
  return NORMA_OK;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct dequantize_job {
  const dequantize_state *state;
  const struct kernel_table *kernels;
  const norma_tensor *x, *scale, *zero; /* zero may be NULL */
  norma_tensor *y;
} dequantize_job;

static bool dequantize_from_integers(const dequantize_job *job) {
  return (TYPE_BIT(job->x->type) & (TYPES_INTEGER | TYPES_4BIT | TYPES_2BIT)) != 0;
}

/* x - zero as float, rounded where an int32 has more digits. */
static void dequantize_differences(const dequantize_job *job, int64_t first, const quantization_run *run, float *y) {
  const norma_element_type type = job->x->type;
  const bool integers = dequantize_from_integers(job);
  double zero = 0;
  for (int64_t i = 0; i < run->count; i++) {
    if (job->zero && (run->steps || i == 0)) zero = element_get_double(type, job->zero->data, run->scale + i);
    if (integers) {
      y[i] = (float)((double)element_get_int64(type, job->x->data, first + i) - zero);
    } else {
      const float x = (float)element_get_double(type, job->x->data, first + i);
      y[i] = zero == 0 ? x : x - (float)zero;
    }
  }
}

/* One run of 8-bit integers with one scale, into float. */
static bool dequantize_by_kernel(const dequantize_job *job, int64_t first, const quantization_run *run, float scale,
                                 float *y) {
  if (run->steps || !(TYPE_BIT(job->x->type) & TYPES_8BIT)) return false;
  const int32_t zero = job->zero ? (int32_t)element_get_int64(job->zero->type, job->zero->data, run->scale) : 0;
  job->kernels->dequantize_f32(y, (const uint8_t *)job->x->data + first, (size_t)run->count, scale, zero, job->x->type);
  return true;
}

static void dequantize_run(const dequantize_job *job, int64_t first, const quantization_run *run, float *y) {
  float scale[DEQUANTIZE_PIECE];
  for (int64_t i = 0; i < (run->steps ? run->count : 1); i++)
    scale[i] = (float)element_get_double(job->scale->type, job->scale->data, run->scale + i);
  if (dequantize_by_kernel(job, first, run, *scale, y)) return;
  dequantize_differences(job, first, run, y);
  if (run->steps) {
    job->kernels->binary_f32[BINARY_MUL](y, y, scale, (size_t)run->count);
  } else {
    job->kernels->binary_right_scalar_f32[BINARY_MUL](y, y, *scale, (size_t)run->count);
  }
}

static void dequantize_body(void *argument, int64_t begin, int64_t end, int worker) {
  const dequantize_job *job = argument;
  const size_t bytes = element_type_bytes(job->y->type);
  const bool is_whole = job->y->type == NORMA_FLOAT && (TYPE_BIT(job->x->type) & TYPES_8BIT);
  (void)worker;
  while (begin < end) {
    quantization_run run = quantization_run_at(&job->state->scales, begin, end - begin);
    char *y = (char *)job->y->data + (size_t)begin * bytes;
    if ((run.steps || !is_whole) && run.count > DEQUANTIZE_PIECE) run.count = DEQUANTIZE_PIECE;
    if (job->y->type == NORMA_FLOAT) {
      dequantize_run(job, begin, &run, (float *)(void *)y);
    } else {
      float piece[DEQUANTIZE_PIECE];
      dequantize_run(job, begin, &run, piece);
      half_from_float(job->kernels, job->y->type, y, piece, run.count);
    }
    begin += run.count;
  }
}

static norma_status dequantize_compute(run_context *context) {
  dequantize_job job = {context->state,        context->kernels,      run_input(context, 0),
                        run_input(context, 1), run_input(context, 2), run_output(context, 0)};
  if (!job.y) return NORMA_OK;
  return run_parallel(context, norma_tensor_count(job.x), DEQUANTIZE_GRAIN, dequantize_body, &job);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute dequantize_attributes[] = {
    {"axis", ATTRIBUTE_INT, 13, OPERATOR_LATEST, false},
    {"block_size", ATTRIBUTE_INT, 21, OPERATOR_LATEST, false},
    {"output_dtype", ATTRIBUTE_INT, 23, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute dequantize_microsoft_attributes[] = {
    {"axis", ATTRIBUTE_INT, 1, OPERATOR_LATEST, false},
    {0},
};

#define DEQUANTIZE_INPUTS                                                                                              \
  (TYPES_8BIT | TYPES_16BIT | TYPES_4BIT | TYPES_2BIT | TYPES_6BIT | TYPES_SCALED | TYPE_BIT(NORMA_INT32) |            \
   TYPE_BIT(NORMA_FLOAT4E2M1))
#define DEQUANTIZE_FLOATS (TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16) | TYPE_BIT(NORMA_BFLOAT16))

const operator_descriptor operators_dequantize_linear[] = {
    {.domain = "",
     .name = "DequantizeLinear",
     .versions = {10, 13, 19, 21, 23, 24, 25, 28},
     .min_inputs = 2,
     .max_inputs = 3,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{DEQUANTIZE_INPUTS, INPUT(0) | INPUT(2), 0},
               {DEQUANTIZE_FLOATS | TYPES_E8M0, INPUT(1), 0},
               {DEQUANTIZE_FLOATS, 0, OUTPUT(0)}},
     .attributes = dequantize_attributes,
     .state_size = sizeof(dequantize_state),
     .read = dequantize_read,
     .infer = dequantize_infer,
     .prepare = dequantize_prepare,
     .facts = {.dimension = fact_dimension_same, .block = quantization_block, .block_types = TYPES_8BIT},
     .compute = dequantize_compute},
    {.domain = "com.microsoft",
     .name = "DequantizeLinear",
     .versions = {1},
     .min_inputs = 2,
     .max_inputs = 3,
     .min_outputs = 1,
     .max_outputs = 1,
     .types = {{DEQUANTIZE_INPUTS, INPUT(0) | INPUT(2), 0},
               {TYPE_BIT(NORMA_FLOAT) | TYPE_BIT(NORMA_FLOAT16), INPUT(1), OUTPUT(0)}},
     .attributes = dequantize_microsoft_attributes,
     .state_size = sizeof(dequantize_state),
     .read = dequantize_read,
     .infer = dequantize_infer,
     .prepare = dequantize_prepare,
     .facts = {.dimension = fact_dimension_same, .block = quantization_block, .block_types = TYPES_8BIT},
     .compute = dequantize_compute},
    {0},
};
