/* Derivatives of the losses of classes against differences: every reduction, weights, an ignored label. */
#include "tests/support/gradient_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static const char *const reductions[] = {"none", "sum", "mean"};

/* form: reduction; + 3 with weights; + 6 with an ignored label, + 12 one that is negative. */
static void check_loss(const char *op_type, int form, bool has_places, bool log_prob) {
  gradient_check check;
  const int64_t labels[] = {0, 2, 3, 1, 1, form / 12 ? -1 : 2};
  const double weights[] = {0.5, 1.5, 1, 2};
  gradient_check_begin(&check, 13);
  gradient_check_variable(&check, "x", has_places ? 3 : 2, has_places ? (int64_t[]){2, 4, 3} : (int64_t[]){6, 4}, -2,
                          2);
  builder_ints64(check.builder, "labels", has_places ? 2 : 1, has_places ? (int64_t[]){2, 3} : (int64_t[]){6}, labels);
  builder_initializer(check.builder, "weights", NORMA_DOUBLE, 1, (int64_t[]){4}, weights);
  const char *inputs = form / 3 % 2 ? "x labels weights" : "x labels";
  node *node = builder_node(check.builder, op_type, inputs, log_prob ? "loss logs" : "loss");
  builder_string(node, "reduction", reductions[form % 3]);
  if (form / 6) builder_int(node, "ignore_index", form / 12 ? -1 : 2);
  if (log_prob) { /* both outputs are used */
    builder_int(builder_node(check.builder, "ReduceSum", "loss", "total"), "keepdims", 0);
    builder_node(check.builder, "Add", "total logs", "y");
  }
  gradient_check_finish(&check, log_prob ? "y" : "loss");
}

static void likelihood_agrees(void **state) {
  (void)state;
  for (int form = 0; form < 18; form++) {
    check_loss("NegativeLogLikelihoodLoss", form, false, false);
    check_loss("NegativeLogLikelihoodLoss", form, true, false);
  }
}

static void cross_entropy_agrees(void **state) {
  (void)state;
  for (int form = 0; form < 18; form++) {
    check_loss("SoftmaxCrossEntropyLoss", form, false, false);
    check_loss("SoftmaxCrossEntropyLoss", form, true, false);
  }
}

static void log_probabilities_agree(void **state) {
  (void)state;
  check_loss("SoftmaxCrossEntropyLoss", 2, false, true);
  check_loss("SoftmaxCrossEntropyLoss", 8, true, true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(likelihood_agrees),
      cmocka_unit_test(cross_entropy_agrees),
      cmocka_unit_test(log_probabilities_agree),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
