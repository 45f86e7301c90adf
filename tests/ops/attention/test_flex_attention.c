/* FlexAttention in whole models: graphs on scores and weights against the formula in double precision, all types,
 * captures, refusals. */
#include "tests/support/model_builder.h"
#include "tests/support/random_tensor.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { BATCH = 2, HEADS = 4, SHARED = 2, QUERIES = 3, KEYS = 5, DEPTH = 6, VALUES = 2 };

typedef struct flex_case {
  norma_element_type type;
  int64_t precision;            /* 0: no attribute */
  bool score_mod, prob_mod;     /* scores * factor - 1, where factor is captured; weights + weights */
  bool wrong_shape, wrong_type; /* of what score_mod gives */
} flex_case;

static const int64_t shapes[3][4] = {
    {BATCH, HEADS, QUERIES, DEPTH}, {BATCH, SHARED, KEYS, DEPTH}, {BATCH, SHARED, KEYS, VALUES}};

static norma_element_type score_type(const flex_case *c) {
  return c->precision ? (norma_element_type)c->precision : c->type == NORMA_DOUBLE ? NORMA_DOUBLE : NORMA_FLOAT;
}

static void build_mods(const flex_case *c, model_builder *builder, node *node) {
  if (c->score_mod) {
    model_builder *mod = builder_subgraph(builder, node, "score_mod");
    builder_input(mod, "s", score_type(c), 4, (int64_t[]){-1, -1, -1, -1});
    builder_node(mod, "Mul", "s factor", "scaled");
    if (c->wrong_shape)
      builder_node(mod, "ReduceMax", "scaled", "s2");
    else if (c->wrong_type)
      builder_node(mod, "Equal", "scaled s", "s2");
    else
      builder_node(mod, "Sub", "scaled one", "s2");
    builder_output(mod, "s2", NORMA_UNDEFINED, -1, NULL);
  }
  if (c->prob_mod) {
    model_builder *mod = builder_subgraph(builder, node, "prob_mod");
    builder_input(mod, "p", score_type(c), 4, (int64_t[]){-1, -1, -1, -1});
    builder_node(mod, "Add", "p p", "p2");
    builder_output(mod, "p2", NORMA_UNDEFINED, -1, NULL);
  }
}

static model_builder *build(const flex_case *c) {
  model_builder *builder = builder_create(24);
  uint8_t numbers[2][8];
  builder_import(builder, "ai.onnx.preview", 1);
  for (int i = 0; i < 3; i++)
    builder_input(builder, (const char *[]){"q", "k", "v"}[i], c->type, 4, (int64_t[]){-1, -1, -1, -1});
  element_set_double(score_type(c), numbers[0], 0, 0.5);
  element_set_double(score_type(c), numbers[1], 0, 1);
  builder_initializer(builder, "factor", score_type(c), 0, NULL, numbers[0]);
  builder_initializer(builder, "one", score_type(c), 0, NULL, numbers[1]);
  node *node = builder_named_node(builder, "flex", "ai.onnx.preview", "FlexAttention", "q k v", "y");
  builder_float(node, "scale", 0.75f);
  if (c->precision) builder_int(node, "softmax_precision", c->precision);
  build_mods(c, builder, node);
  builder_output(builder, "y", c->type, -1, NULL);
  return builder;
}

static void expect_results(const flex_case *c, const norma_tensor *y, double *const numbers[3]) {
  bool half = c->type != NORMA_FLOAT && c->type != NORMA_DOUBLE;
  bool half_scores = (c->score_mod || c->prob_mod) && score_type(c) != NORMA_FLOAT && score_type(c) != NORMA_DOUBLE;
  double tolerance = half || half_scores ? 3 * rounding_error(half ? c->type : score_type(c)) : 2e-6;
  for (int64_t i = 0; i < BATCH * HEADS * QUERIES; i++) {
    int64_t head = i / QUERIES % HEADS / (HEADS / SHARED), group = i / QUERIES / HEADS * SHARED + head;
    double weights[KEYS], sum = 0;
    for (int64_t j = 0; j < KEYS; j++) {
      double score = 0;
      for (int64_t e = 0; e < DEPTH; e++)
        score += numbers[0][i * DEPTH + e] * numbers[1][(group * KEYS + j) * DEPTH + e];
      score *= 0.75;
      sum += weights[j] = exp(c->score_mod ? 0.5 * score - 1 : score);
    }
    for (int64_t e = 0; e < VALUES; e++) {
      double expected = 0;
      for (int64_t j = 0; j < KEYS; j++)
        expected += weights[j] / sum * numbers[2][(group * KEYS + j) * VALUES + e] * (c->prob_mod ? 2 : 1);
      double got = element_get_double(y->type, y->data, i * VALUES + e);
      if (!(fabs(got - expected) <= tolerance))
        fail_msg("%s %s %s element %d: expected %g, got %g", norma_element_type_name(c->type),
                 c->score_mod ? "score_mod" : "", c->prob_mod ? "prob_mod" : "", (int)(i * VALUES + e), expected, got);
    }
  }
}

/* Loads and runs; the status of what failed first. */
static norma_status run_case(const flex_case *c, norma_optimization level) {
  norma_load_options options = {.struct_size = sizeof options, .optimization = level};
  norma_model *model = NULL;
  norma_session *session = NULL;
  norma_error error;
  model_builder *builder = build(c);
  size_t size;
  const void *bytes = builder_bytes(builder, &size);
  norma_status status = norma_model_load_memory(bytes, size, &options, &model, &error);
  if (status == NORMA_OK) status = norma_session_create(model, NULL, &session, &error);
  uint64_t seed = 11;
  value inputs[3];
  double *numbers[3];
  for (int i = 0; i < 3; i++) {
    inputs[i] = random_tensor(&seed, c->type, 4, shapes[i]);
    numbers[i] = tensor_doubles(&inputs[i]);
    const char *name = (const char *[]){"q", "k", "v"}[i];
    if (status == NORMA_OK) status = norma_session_set_input(session, name, &inputs[i].tensor, &error);
  }
  if (status == NORMA_OK) status = norma_session_run(session, &error);
  if (status == NORMA_OK) expect_results(c, norma_value_tensor(norma_session_output(session, 0)), numbers);
  for (int i = 0; i < 3; i++) {
    random_tensor_free(&inputs[i]);
    free(numbers[i]);
  }
  norma_session_destroy(session);
  norma_model_destroy(model);
  builder_destroy(builder);
  return status;
}

static void graphs_change_scores_and_weights(void **state) {
  static const norma_element_type types[] = {NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16, NORMA_BFLOAT16};
  static const int64_t precisions[] = {0, NORMA_FLOAT, NORMA_DOUBLE, NORMA_FLOAT16};
  (void)state;
  for (int i = 0; i < 64; i++) {
    flex_case c = {.type = types[i % 4], .precision = precisions[i / 4 % 4], .score_mod = i & 16, .prob_mod = i & 32};
    assert_int_equal(run_case(&c, NORMA_OPTIMIZE_NONE), NORMA_OK);
    assert_int_equal(run_case(&c, NORMA_OPTIMIZE_FULL), NORMA_OK);
  }
}

static void what_does_not_fit_is_refused(void **state) {
  (void)state;
  const flex_case shape = {.type = NORMA_FLOAT, .score_mod = true, .wrong_shape = true};
  const flex_case type = {.type = NORMA_FLOAT, .score_mod = true, .wrong_type = true};
  const flex_case precision = {.type = NORMA_FLOAT, .precision = NORMA_INT8};
  assert_int_not_equal(run_case(&shape, NORMA_OPTIMIZE_FULL), NORMA_OK);
  assert_int_not_equal(run_case(&type, NORMA_OPTIMIZE_FULL), NORMA_OK);
  assert_int_not_equal(run_case(&precision, NORMA_OPTIMIZE_FULL), NORMA_OK);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(graphs_change_scores_and_weights),
                                     cmocka_unit_test(what_does_not_fit_is_refused)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
