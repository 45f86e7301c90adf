/*
 * QLinearLeakyRelu, QLinearSigmoid 1 (com.microsoft): Y = saturate(round(f((X - X_zero) * X_scale) / Y_scale) + Y_zero)
 *
 *   QLinearLeakyRelu   f(x) = x < 0 ? alpha * x : x, alpha being 0.01 unless given
 *   QLinearSigmoid     f(x) = 1 / (1 + exp(-x))
 *
 * QuantizedActivation, an inner operator, takes any activation; X and Y may differ in type.
 *
 * A number of 8 bits has 256 values: f is computed for all of them, then looked up.
 */
#include "ops/blocked.h"
#include "ops/quantized/quantization.h"

#define QLINEAR_ACTIVATION_GRAIN 65536

enum qlinear_activation_input { FROM_SCALE = 1, FROM_ZERO, TO_SCALE, TO_ZERO };

typedef struct qlinear_activation_job {
  const struct kernel_table *kernels;
  const uint8_t *x;
  uint8_t *y;
  uint8_t table[256];
} qlinear_activation_job;

static norma_status qlinear_leaky_relu_read(const node *node, void *state, norma_error *error) {
  (void)error;
  *(struct activation *)state =
      (struct activation){.kind = UNARY_LEAKY_RELU, .a = attribute_float(node, "alpha", 0.01f)};
  return NORMA_OK;
}

static norma_status qlinear_sigmoid_read(const node *node, void *state, norma_error *error) {
  (void)node, (void)error;
  *(struct activation *)state = (struct activation){.kind = UNARY_SIGMOID};
  return NORMA_OK;
}

static norma_status quantized_activation_read(const node *node, void *state, norma_error *error) {
  const int64_t kind = attribute_int(node, "kind", UNARY_IDENTITY);
  if (kind < 0 || kind >= UNARY_KIND_COUNT)
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "kind is no activation");
  *(struct activation *)state = (struct activation){
      .kind = (enum unary_kind)kind, .a = attribute_float(node, "a", 0), .b = attribute_float(node, "b", 0)};
  return NORMA_OK;
}

static norma_status qlinear_activation_infer(infer_context *context) {
  TRY(infer_singles(context, INPUT(FROM_SCALE) | INPUT(FROM_ZERO) | INPUT(TO_SCALE) | INPUT(TO_ZERO)));
  infer_output(context, 0, infer_type(context, infer_has_input(context, TO_ZERO) ? TO_ZERO : 0),
               infer_shape(context, 0));
  return NORMA_OK;
}

static void qlinear_activation_body(void *argument, int64_t begin, int64_t end, int worker) {
  const qlinear_activation_job *job = argument;
  (void)worker;
  job->kernels->lookup_8bit(job->y + begin, job->x + begin, (size_t)(end - begin), job->table);
}

static norma_status qlinear_activation_compute(run_context *context) {
  const norma_tensor *x = run_input(context, 0), *y = run_output(context, 0);
  qlinear_activation_job job = {.kernels = context->kernels, .x = x->data, .y = y->data};
  byte_table_fill(context->kernels, byte_scale_of(context, x->type, FROM_SCALE, FROM_ZERO),
                  byte_scale_of(context, y->type, TO_SCALE, TO_ZERO), context->state, job.table);
  return run_parallel(context, norma_tensor_count(x), QLINEAR_ACTIVATION_GRAIN, qlinear_activation_body, &job);
}

static bool qlinear_activation_block(const node *node, block_form *form) {
  form->uses[0] = BLOCK_FOLLOW;
  return node_follows_block(node);
}

static const operator_attribute qlinear_leaky_relu_attributes[] = {
    {"alpha", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {0},
};

static const operator_attribute quantized_activation_attributes[] = {
    {"kind", ATTRIBUTE_INT, 1, OPERATOR_LATEST, true},
    {"a", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"b", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {0},
};

#define QLINEAR_ACTIVATION                                                                                             \
  .versions = {1}, .min_inputs = 4, .max_inputs = 5, .absent_inputs = INPUT(FROM_ZERO), .min_outputs = 1,              \
  .max_outputs = 1, .in_place = INPUT(0), .state_size = sizeof(struct activation), .infer = qlinear_activation_infer,  \
  .facts = {.dimension = fact_dimension_same, .block = qlinear_activation_block, .block_types = TYPES_8BIT},           \
  .compute = qlinear_activation_compute
#define QLINEAR_ACTIVATION_TYPES                                                                                       \
  {                                                                                                                    \
    {TYPES_8BIT, INPUT(0) | INPUT(FROM_ZERO) | INPUT(TO_ZERO), OUTPUT(0)}, {                                           \
      TYPE_BIT(NORMA_FLOAT), INPUT(FROM_SCALE) | INPUT(TO_SCALE), 0                                                    \
    }                                                                                                                  \
  }

const operator_descriptor operators_qlinear_activation[] = {
    {QLINEAR_ACTIVATION, .domain = "com.microsoft", .name = "QLinearLeakyRelu", .types = QLINEAR_ACTIVATION_TYPES,
     .attributes = qlinear_leaky_relu_attributes, .read = qlinear_leaky_relu_read},
    {QLINEAR_ACTIVATION, .domain = "com.microsoft", .name = "QLinearSigmoid", .types = QLINEAR_ACTIVATION_TYPES,
     .read = qlinear_sigmoid_read},
    {QLINEAR_ACTIVATION, .domain = OPERATOR_INNER_DOMAIN, .name = "QuantizedActivation",
     .types = {{TYPES_8BIT, INPUT(0) | INPUT(FROM_ZERO), 0},
               {TYPES_8BIT, INPUT(TO_ZERO), OUTPUT(0)},
               {TYPE_BIT(NORMA_FLOAT), INPUT(FROM_SCALE) | INPUT(TO_SCALE), 0}},
     .attributes = quantized_activation_attributes, .read = quantized_activation_read},
    {0},
};
