/* The functions of single elements that kernels compute: by kind, so that graph, passes and kernels speak of the same
 * ones.
 */
#ifndef ENGINE_BASE_ACTIVATION_H
#define ENGINE_BASE_ACTIVATION_H

/* ---- Unary functions --------------------------------------------------------------------------------------------
 * X(enum name, function name, formula). `a` and `b` are the two parameters; functions without them ignore them.
 * Measured errors stand in ops/kernels/unary.h. NaN in gives NaN out everywhere, clip included. */
#define UNARY_KINDS(X)                                                                                                 \
  X(IDENTITY, identity, "x")                                                                                           \
  X(RELU, relu, "max(x, 0)")                                                                                           \
  X(CLIP, clip, "min(max(x, a), b)")                                                                                   \
  X(LEAKY_RELU, leaky_relu, "x < 0 ? a*x : x")                                                                         \
  X(ELU, elu, "x < 0 ? a*(exp(x)-1) : x")                                                                              \
  X(SELU, selu, "x <= 0 ? b*(a*exp(x)-a) : b*x")                                                                       \
  X(CELU, celu, "max(x, 0) + min(0, a*(exp(x/a)-1))")                                                                  \
  X(SIGMOID, sigmoid, "1 / (1 + exp(-x))")                                                                             \
  X(HARD_SIGMOID, hard_sigmoid, "max(0, min(1, a*x + b))")                                                             \
  X(HARD_SWISH, hard_swish, "x * max(0, min(1, x/6 + 0.5))")                                                           \
  X(SOFTPLUS, softplus, "log(1 + exp(x))")                                                                             \
  X(SOFTSIGN, softsign, "x / (1 + |x|)")                                                                               \
  X(MISH, mish, "x * tanh(softplus(x))")                                                                               \
  X(GELU_ERF, gelu_erf, "x/2 * (1 + erf(x / sqrt(2)))")                                                                \
  X(GELU_TANH, gelu_tanh, "x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3)))")                                         \
  X(SILU, silu, "x * sigmoid(a*x); a = 1 for SiLU, 1.702 for QuickGelu, Swish's alpha")                                \
  X(TANH, tanh, "tanh(x)")                                                                                             \
  X(SCALED_TANH, scaled_tanh, "a * tanh(b*x)")                                                                         \
  X(THRESHOLDED_RELU, thresholded_relu, "x > a ? x : 0")                                                               \
  X(SHRINK, shrink, "x < -b ? x + a : x > b ? x - a : 0; a is the bias, b is lambd")                                   \
  X(EXP, exp, "exp(x)")                                                                                                \
  X(LOG, log, "natural logarithm; -inf at 0, NaN below")                                                               \
  X(ERF, erf, "erf(x)")                                                                                                \
  X(SQRT, sqrt, "correctly rounded square root")                                                                       \
  X(RECIPROCAL, reciprocal, "1 / x, correctly rounded")                                                                \
  X(ABS, abs, "|x|")                                                                                                   \
  X(NEG, neg, "-x")                                                                                                    \
  X(SQUARE, square, "x * x")                                                                                           \
  X(FLOOR, floor, "floor(x)")                                                                                          \
  X(CEIL, ceil, "ceil(x)")                                                                                             \
  X(ROUND, round, "to the nearest integer, halves to even")                                                            \
  X(SIGN, sign, "-1, 0 or 1; NaN stays NaN")                                                                           \
  X(SIN, sin, "sin(x)")                                                                                                \
  X(COS, cos, "cos(x)")                                                                                                \
  X(TAN, tan, "tan(x)")                                                                                                \
  X(ASIN, asin, "asin(x)")                                                                                             \
  X(ACOS, acos, "acos(x)")                                                                                             \
  X(ATAN, atan, "atan(x)")                                                                                             \
  X(SINH, sinh, "sinh(x)")                                                                                             \
  X(COSH, cosh, "cosh(x)")                                                                                             \
  X(ASINH, asinh, "asinh(x)")                                                                                          \
  X(ACOSH, acosh, "acosh(x)")                                                                                          \
  X(ATANH, atanh, "atanh(x)")                                                                                          \
  X(AFFINE, affine, "a*x + b by one fused multiply-add where the table has it")

enum unary_kind {
#define UNARY_ENUM(NAME, function, formula) UNARY_##NAME,
  UNARY_KINDS(UNARY_ENUM)
#undef UNARY_ENUM
      UNARY_KIND_COUNT
};

/* A unary function with its parameters, applied to each element that a kernel is about to store. All zeros: none. */
struct activation {
  enum unary_kind kind;
  float a;
  float b;
};

/* ---- Binary functions -------------------------------------------------------------------------------------------
 * min and max return NaN if either operand is NaN, as ONNX's do. */
enum binary_kind { BINARY_ADD, BINARY_SUB, BINARY_MUL, BINARY_DIV, BINARY_MIN, BINARY_MAX, BINARY_KIND_COUNT };

#endif
