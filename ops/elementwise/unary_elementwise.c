/*
 * Functions of one number, applied to each element: y = f(x).
 *
 * Of com.microsoft: Gelu, and QuickGelu = x * sigmoid(alpha * x).
 *
 * Opset 1 knew the attribute consumed_inputs, which means nothing; later versions add element types only, but for Selu,
 * whose defaults got more digits in 6. float runs through the kernel table; float16 and bfloat16 are computed in float
 * and rounded once; double runs through libm. Integers wrap around where the result is not representable (Abs and Neg
 * of the smallest number give it back).
 */
#include "ops/half.h"
#include "ops/operator.h"

#include <math.h>

typedef struct unary_function {
  const char *name;
  enum unary_kind kind;
  double (*f64)(double x, double a, double b);
  int64_t (*integer)(int64_t x, bool is_unsigned); /* NULL: through double */
} unary_function;

typedef struct unary_state {
  const unary_function *function;
  float a, b; /* the kernel's parameters */
} unary_state;

/* ---------------------------------------------------------------------------------------------- in double precision */

#define DEFINE_F64(name, expression)                                                                                   \
  static double name##_f64(double x, double a, double b) {                                                             \
    (void)a, (void)b;                                                                                                  \
    return expression;                                                                                                 \
  }

static double softplus_of(double x) {
  return fmax(x, 0) + log1p(exp(-fabs(x)));
}

static double limit(double x, double low, double high) {
  return x < low ? low : x > high ? high : x; /* NaN stays */
}

DEFINE_F64(relu, x < 0 ? 0 : x)
DEFINE_F64(leaky_relu, x < 0 ? a * x : x)
DEFINE_F64(elu, x < 0 ? a * expm1(x) : x)
DEFINE_F64(selu, x <= 0 ? b * (a * expm1(x)) : b * x)
DEFINE_F64(celu, x < 0 ? a * expm1(x / a) : x)
DEFINE_F64(sigmoid, x < 0 ? exp(x) / (1 + exp(x)) : 1 / (1 + exp(-x)))
DEFINE_F64(hard_sigmoid, limit((a * x) + b, 0, 1))
DEFINE_F64(hard_swish, limit(x / 6 + 0.5, 0, 1) * x)
DEFINE_F64(softplus, isnan(x) ? x : softplus_of(x))
DEFINE_F64(softsign, x / (1 + fabs(x)))
DEFINE_F64(mish, tanh(softplus_of(x)) * x)
DEFINE_F64(gelu_erf, 0.5 * x * (1 + erf(x * M_SQRT1_2)))
DEFINE_F64(gelu_tanh, 0.5 * x * (1 + tanh(M_2_SQRTPI * M_SQRT1_2 * (x + 0.044715 * x * x * x))))
DEFINE_F64(silu, x / (1 + exp(-a * x)))
DEFINE_F64(thresholded_relu, x > a ? x : isnan(x) ? x : 0)
DEFINE_F64(shrink, (x < -b) ? x + a : (x > b) ? x - a : isnan(x) ? x : 0)
DEFINE_F64(reciprocal, 1 / x)
DEFINE_F64(neg, -x)
DEFINE_F64(sign, x > 0 ? 1 : x < 0 ? -1 : isnan(x) ? x : 0)
DEFINE_F64(exp, exp(x))
DEFINE_F64(log, log(x))
DEFINE_F64(sqrt, sqrt(x))
DEFINE_F64(abs, fabs(x))
DEFINE_F64(floor, floor(x))
DEFINE_F64(ceil, ceil(x))
DEFINE_F64(round, rint(x))
DEFINE_F64(erf, erf(x))
DEFINE_F64(sin, sin(x))
DEFINE_F64(cos, cos(x))
DEFINE_F64(tan, tan(x))
DEFINE_F64(asin, asin(x))
DEFINE_F64(acos, acos(x))
DEFINE_F64(atan, atan(x))
DEFINE_F64(sinh, sinh(x))
DEFINE_F64(cosh, cosh(x))
DEFINE_F64(tanh, tanh(x))
DEFINE_F64(asinh, asinh(x))
DEFINE_F64(acosh, acosh(x))
DEFINE_F64(atanh, atanh(x))

static int64_t relu_integer(int64_t x, bool is_unsigned) {
  return x < 0 && !is_unsigned ? 0 : x;
}
static int64_t neg_integer(int64_t x, bool is_unsigned) {
  (void)is_unsigned;
  return (int64_t)(0 - (uint64_t)x);
}
static int64_t abs_integer(int64_t x, bool is_unsigned) {
  return x < 0 ? neg_integer(x, is_unsigned) : x;
}
static int64_t abs_or_same(int64_t x, bool is_unsigned) {
  return is_unsigned ? x : abs_integer(x, is_unsigned);
}
static int64_t sign_integer(int64_t x, bool is_unsigned) {
  return x == 0 ? 0 : x > 0 || is_unsigned ? 1 : -1;
}

static const unary_function unary_functions[] = {
    {"Relu", UNARY_RELU, relu_f64, relu_integer},
    {"LeakyRelu", UNARY_LEAKY_RELU, leaky_relu_f64, NULL},
    {"Elu", UNARY_ELU, elu_f64, NULL},
    {"Selu", UNARY_SELU, selu_f64, NULL},
    {"Celu", UNARY_CELU, celu_f64, NULL},
    {"Sigmoid", UNARY_SIGMOID, sigmoid_f64, NULL},
    {"HardSigmoid", UNARY_HARD_SIGMOID, hard_sigmoid_f64, NULL},
    {"HardSwish", UNARY_HARD_SWISH, hard_swish_f64, NULL},
    {"Softplus", UNARY_SOFTPLUS, softplus_f64, NULL},
    {"Softsign", UNARY_SOFTSIGN, softsign_f64, NULL},
    {"Mish", UNARY_MISH, mish_f64, NULL},
    {"Gelu", UNARY_GELU_ERF, gelu_erf_f64, NULL},
    {"Swish", UNARY_SILU, silu_f64, NULL},
    {"QuickGelu", UNARY_SILU, silu_f64, NULL},
    {"ThresholdedRelu", UNARY_THRESHOLDED_RELU, thresholded_relu_f64, NULL},
    {"Shrink", UNARY_SHRINK, shrink_f64, NULL},
    {"Tanh", UNARY_TANH, tanh_f64, NULL},
    {"Exp", UNARY_EXP, exp_f64, NULL},
    {"Log", UNARY_LOG, log_f64, NULL},
    {"Erf", UNARY_ERF, erf_f64, NULL},
    {"Sqrt", UNARY_SQRT, sqrt_f64, NULL},
    {"Reciprocal", UNARY_RECIPROCAL, reciprocal_f64, NULL},
    {"Abs", UNARY_ABS, abs_f64, abs_or_same},
    {"Neg", UNARY_NEG, neg_f64, neg_integer},
    {"Floor", UNARY_FLOOR, floor_f64, NULL},
    {"Ceil", UNARY_CEIL, ceil_f64, NULL},
    {"Round", UNARY_ROUND, round_f64, NULL},
    {"Sign", UNARY_SIGN, sign_f64, sign_integer},
    {"Sin", UNARY_SIN, sin_f64, NULL},
    {"Cos", UNARY_COS, cos_f64, NULL},
    {"Tan", UNARY_TAN, tan_f64, NULL},
    {"Asin", UNARY_ASIN, asin_f64, NULL},
    {"Acos", UNARY_ACOS, acos_f64, NULL},
    {"Atan", UNARY_ATAN, atan_f64, NULL},
    {"Sinh", UNARY_SINH, sinh_f64, NULL},
    {"Cosh", UNARY_COSH, cosh_f64, NULL},
    {"Asinh", UNARY_ASINH, asinh_f64, NULL},
    {"Acosh", UNARY_ACOSH, acosh_f64, NULL},
    {"Atanh", UNARY_ATANH, atanh_f64, NULL},
};
static const unary_function gelu_tanh = {"Gelu", UNARY_GELU_TANH, gelu_tanh_f64, NULL};

/* ------------------------------------------------------------------------------------------------------- attributes */

/* Which attribute is which parameter of the kernel, and its default. */
typedef struct unary_parameters {
  const char *name;
  int until; /* the last version with these defaults; OPERATOR_LATEST */
  const char *a_name, *b_name;
  float a, b;
} unary_parameters;

static const unary_parameters parameters[] = {
    {"LeakyRelu", OPERATOR_LATEST, "alpha", NULL, 0.01f, 0},
    {"Elu", OPERATOR_LATEST, "alpha", NULL, 1, 0},
    {"Selu", 5, "alpha", "gamma", 1.6732f, 1.0507f},
    {"Selu", OPERATOR_LATEST, "alpha", "gamma", 1.67326319217681884765625f, 1.05070102214813232421875f},
    {"Celu", OPERATOR_LATEST, "alpha", NULL, 1, 0},
    {"HardSigmoid", OPERATOR_LATEST, "alpha", "beta", 0.2f, 0.5f},
    {"Swish", OPERATOR_LATEST, "alpha", NULL, 1, 0},
    {"QuickGelu", OPERATOR_LATEST, "alpha", NULL, 1.702f, 0},
    {"ThresholdedRelu", OPERATOR_LATEST, "alpha", NULL, 1, 0},
    {"Shrink", OPERATOR_LATEST, "bias", "lambd", 0, 0.5f},
};

static norma_status unary_read(const node *node, void *state, norma_error *error) {
  unary_state *unary = state;
  for (size_t i = 0; i < sizeof unary_functions / sizeof *unary_functions; i++) {
    if (strcmp(unary_functions[i].name, node->op->name) == 0) unary->function = &unary_functions[i];
  }
  if (!unary->function) return error_at_node(error, NORMA_ERROR_INTERNAL, node, "has no function");
  const char *approximate = attribute_string(node, "approximate", "none");
  if (strcmp(approximate, "tanh") == 0) {
    unary->function = &gelu_tanh;
  } else if (strcmp(approximate, "none") != 0) {
    return error_at_node(error, NORMA_ERROR_INVALID_MODEL, node, "approximate is \"%s\", neither none nor tanh",
                         approximate);
  }
  for (size_t i = 0; i < sizeof parameters / sizeof *parameters; i++) {
    const unary_parameters *p = &parameters[i];
    if (strcmp(p->name, node->op->name) != 0) continue;
    if (p->until != OPERATOR_LATEST && node->version > p->until) continue;
    if (p->a_name) unary->a = attribute_float(node, p->a_name, p->a);
    if (p->b_name) unary->b = attribute_float(node, p->b_name, p->b);
    break;
  }
  return NORMA_OK;
}

static bool unary_form(const node *node, elementwise_form *form) {
  const unary_state *state = node->state;
  if (!state) return false;
  form->kind = ELEMENTWISE_UNARY;
  form->unary = (struct activation){state->function->kind, state->a, state->b};
  return true;
}

/* ---------------------------------------------------------------------------------------------------------- compute */

typedef struct unary_job {
  const unary_state *state;
  unary_f32_function *kernel;
  const struct kernel_table *kernels;
  norma_element_type type;
  const void *x;
  void *y;
} unary_job;

static void apply_f32(const unary_job *job, float *y, const float *x, int64_t count) {
  job->kernel(y, x, (size_t)count, job->state->a, job->state->b);
}

static void apply_half(const unary_job *job, uint16_t *y, const uint16_t *x, int64_t count) {
  float piece[HALF_PIECE];
  for (int64_t i = 0; i < count; i += HALF_PIECE) {
    const int64_t length = count - i < HALF_PIECE ? count - i : HALF_PIECE;
    half_to_float(job->kernels, job->type, piece, x + i, length);
    apply_f32(job, piece, piece, length);
    half_from_float(job->kernels, job->type, y + i, piece, length);
  }
}

static void unary_body(void *argument, int64_t begin, int64_t end, int worker) {
  const unary_job *job = argument;
  const unary_function *function = job->state->function;
  (void)worker;
  switch (job->type) {
  case NORMA_FLOAT:
    apply_f32(job, (float *)job->y + begin, (const float *)job->x + begin, end - begin);
    break;
  case NORMA_FLOAT16:
  case NORMA_BFLOAT16:
    apply_half(job, (uint16_t *)job->y + begin, (const uint16_t *)job->x + begin, end - begin);
    break;
  case NORMA_DOUBLE:
    for (int64_t i = begin; i < end; i++) {
      ((double *)job->y)[i] = function->f64(((const double *)job->x)[i], (double)job->state->a, (double)job->state->b);
    }
    break;
  default:
    if (function->integer) {
      const bool is_unsigned = (TYPE_BIT(job->type) & TYPES_UNSIGNED) != 0;
      for (int64_t i = begin; i < end; i++) {
        const int64_t x = element_get_int64(job->type, job->x, i);
        element_set_int64(job->type, job->y, i, function->integer(x, is_unsigned));
      }
    } else {
      for (int64_t i = begin; i < end; i++) {
        const double x = element_get_double(job->type, job->x, i);
        element_set_double(job->type, job->y, i, function->f64(x, (double)job->state->a, (double)job->state->b));
      }
    }
    break;
  }
}

static norma_status unary_compute(run_context *context) {
  const unary_state *state = context->state;
  const norma_tensor *input = run_input(context, 0), *output = run_output(context, 0);
  if (!output) return NORMA_OK;
  unary_job job = {.state = state,
                   .kernel = context->kernels->unary_f32[state->function->kind],
                   .kernels = context->kernels,
                   .type = input->type,
                   .x = input->data,
                   .y = output->data};
  return run_parallel(context, norma_tensor_count(input), 8192, unary_body, &job);
}

/* ------------------------------------------------------------------------------------------------------ descriptors */

static const operator_attribute common_attributes[] = {
    {"consumed_inputs", ATTRIBUTE_INTS, 1, 5, false},
    {0},
};
static const operator_attribute alpha_attributes[] = {
    {"consumed_inputs", ATTRIBUTE_INTS, 1, 5, false},
    {"alpha", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {0},
};
static const operator_attribute alpha_beta_attributes[] = {
    {"consumed_inputs", ATTRIBUTE_INTS, 1, 5, false},
    {"alpha", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"beta", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {0},
};
static const operator_attribute alpha_gamma_attributes[] = {
    {"consumed_inputs", ATTRIBUTE_INTS, 1, 5, false},
    {"alpha", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {"gamma", ATTRIBUTE_FLOAT, 1, OPERATOR_LATEST, false},
    {0},
};
static const operator_attribute shrink_attributes[] = {
    {"bias", ATTRIBUTE_FLOAT, 9, OPERATOR_LATEST, false},
    {"lambd", ATTRIBUTE_FLOAT, 9, OPERATOR_LATEST, false},
    {0},
};
static const operator_attribute gelu_attributes[] = {
    {"approximate", ATTRIBUTE_STRING, 20, OPERATOR_LATEST, false},
    {0},
};

#define UNARY(op, mask, list, ...) UNARY_OF("", op, mask, list, __VA_ARGS__)
#define UNARY_OF(of_domain, op, mask, list, ...)                                                                       \
  {                                                                                                                    \
    .name = op, .domain = of_domain, .versions = {__VA_ARGS__}, .min_inputs = 1, .max_inputs = 1, .min_outputs = 1,    \
    .max_outputs = 1, .types = {{mask, INPUT(0), OUTPUT(0)}}, .attributes = list, .in_place = INPUT(0),                \
    .state_size = sizeof(unary_state), .read = unary_read, .infer = infer_same, .facts = {.elementwise = unary_form},  \
    .compute = unary_compute,                                                                                          \
  }

const operator_descriptor operators_unary_elementwise[] = {
    UNARY("Relu", TYPES_FLOAT | TYPES_SIGNED, common_attributes, 1, 6, 13, 14),
    UNARY("LeakyRelu", TYPES_FLOAT, alpha_attributes, 1, 6, 16),
    UNARY("Elu", TYPES_FLOAT, alpha_attributes, 1, 6, 22),
    UNARY("Selu", TYPES_FLOAT, alpha_gamma_attributes, 1, 6, 22),
    UNARY("Celu", TYPES_FLOAT, alpha_attributes, 12, 28),
    UNARY("Sigmoid", TYPES_FLOAT, common_attributes, 1, 6, 13),
    UNARY("HardSigmoid", TYPES_FLOAT, alpha_beta_attributes, 1, 6, 22),
    UNARY("HardSwish", TYPES_FLOAT, NULL, 14, 22),
    UNARY("Softplus", TYPES_FLOAT, NULL, 1, 22),
    UNARY("Softsign", TYPES_FLOAT, NULL, 1, 22),
    UNARY("Mish", TYPES_FLOAT, NULL, 18, 22),
    UNARY("Gelu", TYPES_FLOAT, gelu_attributes, 20),
    UNARY("Swish", TYPES_FLOAT, alpha_attributes, 24),
    UNARY("ThresholdedRelu", TYPES_FLOAT, alpha_attributes, 10, 22),
    UNARY("Shrink", TYPES_NUMERIC, shrink_attributes, 9),
    UNARY("Tanh", TYPES_FLOAT, common_attributes, 1, 6, 13),
    UNARY("Exp", TYPES_FLOAT, common_attributes, 1, 6, 13),
    UNARY("Log", TYPES_FLOAT, common_attributes, 1, 6, 13),
    UNARY("Erf", TYPES_NUMERIC, NULL, 9, 13),
    UNARY("Sqrt", TYPES_FLOAT, common_attributes, 1, 6, 13),
    UNARY("Reciprocal", TYPES_FLOAT, common_attributes, 1, 6, 13),
    UNARY("Abs", TYPES_NUMERIC, common_attributes, 1, 6, 13),
    UNARY("Neg", TYPES_FLOAT | TYPES_SIGNED, common_attributes, 1, 6, 13),
    UNARY("Floor", TYPES_FLOAT, common_attributes, 1, 6, 13),
    UNARY("Ceil", TYPES_FLOAT, common_attributes, 1, 6, 13),
    UNARY("Round", TYPES_FLOAT, NULL, 11, 22),
    UNARY("Sign", TYPES_NUMERIC, NULL, 9, 13),
    UNARY("Sin", TYPES_FLOAT, NULL, 7, 22),
    UNARY("Cos", TYPES_FLOAT, NULL, 7, 22),
    UNARY("Tan", TYPES_FLOAT, NULL, 7, 22),
    UNARY("Asin", TYPES_FLOAT, NULL, 7, 22),
    UNARY("Acos", TYPES_FLOAT, NULL, 7, 22),
    UNARY("Atan", TYPES_FLOAT, NULL, 7, 22),
    UNARY("Sinh", TYPES_FLOAT, NULL, 9, 22),
    UNARY("Cosh", TYPES_FLOAT, NULL, 9, 22),
    UNARY("Asinh", TYPES_FLOAT, NULL, 9, 22),
    UNARY("Acosh", TYPES_FLOAT, NULL, 9, 22),
    UNARY("Atanh", TYPES_FLOAT, NULL, 9, 22),
    UNARY_OF("com.microsoft", "Gelu", TYPES_FLOAT, NULL, 1),
    UNARY_OF("com.microsoft", "QuickGelu", TYPES_FLOAT, alpha_attributes, 1),
    {0},
};
