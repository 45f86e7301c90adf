/* Derivatives of functions of one tensor, element by element: x -> y. At a corner the derivative is that of the side
 * where the function is constant or, of LeakyRelu and PRelu, negative; Abs has 0 there. */
#include "ops/training/gradient.h"

#include <math.h>

/* A rule whose node has one input x, one output y and the gradient g of y. */
#define FUNCTION(name, ...)                                                                                            \
  static void gradient_of_##name(gradient_builder *b, const node *n, graph_value *const *of_outputs,                   \
                                 graph_value **gradients) {                                                            \
    graph_value *x = n->inputs[0], *y = n->outputs[0], *g = of_outputs[0];                                             \
    (void)b, (void)x, (void)y;                                                                                         \
    gradients[0] = (__VA_ARGS__);                                                                                      \
  }

#define NUMBER(number)                  gradient_number(b, x, number)
#define CALL(name, a)                   gradient_make(b, name, 1, a)
#define PLUS(a, c)                      gradient_sum(b, a, c)
#define MINUS(a, c)                     gradient_difference(b, a, c)
#define TIMES(a, c)                     gradient_product(b, a, c)
#define OVER(a, c)                      gradient_quotient(b, a, c)
#define SCALED(a, number)               gradient_times(b, a, x, number)
#define SQUARE(a)                       gradient_function_square(b, a)
#define ABOVE(a, number)                gradient_make(b, "Greater", 2, a, NUMBER(number))
#define BELOW(a, number)                gradient_make(b, "Less", 2, a, NUMBER(number))
#define WHERE(when, a)                  gradient_where(b, when, a, x)
#define CHOOSE(when, a, c)              gradient_make(b, "Where", 3, when, a, c)
#define REAL_ATTRIBUTE(name, otherwise) ((double)attribute_float(n, name, otherwise))

static graph_value *gradient_function_square(gradient_builder *b, graph_value *a) {
  return gradient_product(b, a, a);
}

FUNCTION(identity, g)
FUNCTION(neg, gradient_negative(b, g))
FUNCTION(exp, TIMES(g, y))
FUNCTION(log, OVER(g, x))
FUNCTION(sqrt, OVER(SCALED(g, 0.5), y))
FUNCTION(reciprocal, gradient_negative(b, TIMES(g, SQUARE(y))))
FUNCTION(abs, TIMES(g, CALL("Sign", x)))
FUNCTION(sin, TIMES(g, CALL("Cos", x)))
FUNCTION(cos, gradient_negative(b, TIMES(g, CALL("Sin", x))))
FUNCTION(tan, TIMES(g, PLUS(SQUARE(y), NUMBER(1))))
FUNCTION(asin, OVER(g, CALL("Sqrt", MINUS(NUMBER(1), SQUARE(x)))))
FUNCTION(acos, gradient_negative(b, OVER(g, CALL("Sqrt", MINUS(NUMBER(1), SQUARE(x))))))
FUNCTION(atan, OVER(g, PLUS(SQUARE(x), NUMBER(1))))
FUNCTION(sinh, TIMES(g, CALL("Cosh", x)))
FUNCTION(cosh, TIMES(g, CALL("Sinh", x)))
FUNCTION(asinh, OVER(g, CALL("Sqrt", PLUS(SQUARE(x), NUMBER(1)))))
FUNCTION(acosh, OVER(g, CALL("Sqrt", MINUS(SQUARE(x), NUMBER(1)))))
FUNCTION(atanh, OVER(g, MINUS(NUMBER(1), SQUARE(x))))
FUNCTION(erf, TIMES(g, SCALED(CALL("Exp", gradient_negative(b, SQUARE(x))), M_2_SQRTPI)))
FUNCTION(tanh, TIMES(g, MINUS(NUMBER(1), SQUARE(y))))
FUNCTION(sigmoid, TIMES(g, TIMES(y, MINUS(NUMBER(1), y))))
FUNCTION(softplus, TIMES(g, CALL("Sigmoid", x)))
FUNCTION(softsign, OVER(g, SQUARE(PLUS(CALL("Abs", x), NUMBER(1)))))
FUNCTION(relu, WHERE(ABOVE(x, 0), g))
FUNCTION(thresholded_relu, WHERE(ABOVE(x, REAL_ATTRIBUTE("alpha", 1)), g))
FUNCTION(shrink, WHERE(ABOVE(CALL("Abs", x), REAL_ATTRIBUTE("lambd", 0.5f)), g))
FUNCTION(cast_like, gradient_cast(b, g, x))
FUNCTION(leaky_relu, CHOOSE(ABOVE(x, 0), g, SCALED(g, REAL_ATTRIBUTE("alpha", 0.01f))))
FUNCTION(elu, CHOOSE(ABOVE(x, 0), g, TIMES(g, PLUS(y, NUMBER(REAL_ATTRIBUTE("alpha", 1))))))
FUNCTION(celu, CHOOSE(ABOVE(x, 0), g, TIMES(g, CALL("Exp", SCALED(x, 1 / REAL_ATTRIBUTE("alpha", 1))))))

#define SELU_ALPHA REAL_ATTRIBUTE("alpha", 1.67326319217681884765625f)
#define SELU_GAMMA REAL_ATTRIBUTE("gamma", 1.05070102214813232421875f)
FUNCTION(selu, CHOOSE(ABOVE(x, 0), SCALED(g, SELU_GAMMA), TIMES(g, PLUS(y, NUMBER(SELU_ALPHA *SELU_GAMMA)))))

FUNCTION(hard_sigmoid,
         WHERE(gradient_make(b, "And", 2, ABOVE(y, 0), BELOW(y, 1)), SCALED(g, REAL_ATTRIBUTE("alpha", 0.2f))))

/* x (x / 6 + 1 / 2) between -3 and 3 */
FUNCTION(hard_swish, CHOOSE(BELOW(x, 3), WHERE(ABOVE(x, -3), TIMES(g, PLUS(SCALED(x, 1.0 / 3), NUMBER(0.5)))), g))

/* y' = s + alpha x s (1 - s) */
static graph_value *gradient_swish_factor(gradient_builder *b, graph_value *x, double alpha) {
  graph_value *s = CALL("Sigmoid", SCALED(x, alpha));
  return PLUS(s, TIMES(SCALED(x, alpha), TIMES(s, MINUS(NUMBER(1), s))));
}
FUNCTION(swish, TIMES(g, gradient_swish_factor(b, x, REAL_ATTRIBUTE("alpha", 1))))

/* y' = t + x (1 - t^2) Sigmoid(x), t = Tanh(Softplus(x)) */
static graph_value *gradient_mish_factor(gradient_builder *b, graph_value *x) {
  graph_value *t = CALL("Tanh", CALL("Softplus", x));
  return PLUS(t, TIMES(x, TIMES(MINUS(NUMBER(1), SQUARE(t)), CALL("Sigmoid", x))));
}
FUNCTION(mish, TIMES(g, gradient_mish_factor(b, x)))

/* Gelu: (1 + Erf(x / sqrt 2)) / 2 + x exp(-x^2 / 2) / sqrt(2 pi), or with t = Tanh(u), u = c (x + 0.044715 x^3):
 * (1 + t) / 2 + x (1 - t^2) u' / 2. */
static graph_value *gradient_gelu_factor(gradient_builder *b, const node *n, graph_value *x) {
  const char *approximation = attribute_string(n, "approximate", "none");
  if (strcmp(approximation, "tanh") != 0) {
    graph_value *below = SCALED(PLUS(CALL("Erf", SCALED(x, M_SQRT1_2)), NUMBER(1)), 0.5);
    graph_value *density = SCALED(CALL("Exp", SCALED(SQUARE(x), -0.5)), M_SQRT1_2 * M_2_SQRTPI / 2);
    return PLUS(below, TIMES(x, density));
  }
  const double c = M_SQRT1_2 * M_2_SQRTPI;
  graph_value *square = SQUARE(x);
  graph_value *t = CALL("Tanh", SCALED(TIMES(x, PLUS(SCALED(square, 0.044715), NUMBER(1))), c));
  graph_value *inner = SCALED(PLUS(SCALED(square, 3 * 0.044715), NUMBER(1)), c);
  graph_value *slope = TIMES(SCALED(x, 0.5), TIMES(MINUS(NUMBER(1), SQUARE(t)), inner));
  return PLUS(SCALED(PLUS(t, NUMBER(1)), 0.5), slope);
}
FUNCTION(gelu, TIMES(g, gradient_gelu_factor(b, n, x)))

FUNCTION(cast, gradient_cast(b, g, x))

/* Where the node trains, g of the elements that it kept, which its mask tells. */
static void gradient_of_dropout(gradient_builder *b, const node *n, graph_value *const *g, graph_value **dx) {
  training_form form = {0};
  if (!n->op->facts.training || !n->op->facts.training(n, &form) || !form.is_known) {
    gradient_refuse(b, "the mode is not known");
    return;
  }
  dx[0] = g[0];
  if (!form.trains) return;
  if (n->output_count < 2 || !n->outputs[1]) {
    gradient_refuse(b, "the mask is no output of the node");
    return;
  }
  graph_value *x = n->inputs[0], *one = gradient_number(b, x, 1);
  graph_value *ratio = n->input_count > 1 && n->inputs[1]
                           ? gradient_cast(b, n->inputs[1], x)
                           : gradient_number(b, x, (double)attribute_float(n, "ratio", 0.5f));
  graph_value *kept = gradient_product(b, g[0], gradient_cast(b, n->outputs[1], x));
  dx[0] = gradient_quotient(b, kept, gradient_difference(b, one, ratio));
}

const gradient_entry gradient_of_functions[] = {
    {"Identity", 1, gradient_of_identity},
    {"CastLike", 15, gradient_of_cast_like},
    {"Shrink", 9, gradient_of_shrink},
    {"Dropout", 7, gradient_of_dropout},
    {"Neg", 6, gradient_of_neg},
    {"Exp", 6, gradient_of_exp},
    {"Log", 6, gradient_of_log},
    {"Sqrt", 6, gradient_of_sqrt},
    {"Reciprocal", 6, gradient_of_reciprocal},
    {"Abs", 6, gradient_of_abs},
    {"Sin", 7, gradient_of_sin},
    {"Cos", 7, gradient_of_cos},
    {"Tan", 7, gradient_of_tan},
    {"Asin", 7, gradient_of_asin},
    {"Acos", 7, gradient_of_acos},
    {"Atan", 7, gradient_of_atan},
    {"Sinh", 9, gradient_of_sinh},
    {"Cosh", 9, gradient_of_cosh},
    {"Asinh", 9, gradient_of_asinh},
    {"Acosh", 9, gradient_of_acosh},
    {"Atanh", 9, gradient_of_atanh},
    {"Erf", 9, gradient_of_erf},
    {"Tanh", 1, gradient_of_tanh},
    {"Sigmoid", 1, gradient_of_sigmoid},
    {"Softplus", 1, gradient_of_softplus},
    {"Softsign", 1, gradient_of_softsign},
    {"Relu", 1, gradient_of_relu},
    {"ThresholdedRelu", 10, gradient_of_thresholded_relu},
    {"LeakyRelu", 1, gradient_of_leaky_relu},
    {"Elu", 6, gradient_of_elu},
    {"Celu", 12, gradient_of_celu},
    {"Selu", 6, gradient_of_selu},
    {"HardSigmoid", 6, gradient_of_hard_sigmoid},
    {"HardSwish", 14, gradient_of_hard_swish},
    {"Swish", 24, gradient_of_swish},
    {"Mish", 18, gradient_of_mish},
    {"Gelu", 20, gradient_of_gelu},
    {"Cast", 6, gradient_of_cast},
    {"Sign", 9, NULL},
    {"Floor", 1, NULL},
    {"Ceil", 1, NULL},
    {"Round", 11, NULL},
    {0},
};
