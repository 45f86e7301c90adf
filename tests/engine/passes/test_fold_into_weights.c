/* What passes do to the weights of layers: nothing where a weight or bias would leave the range of its type, at either
 * end; and what becomes of constants that others read too. */
#include "engine/passes/fold_into_weights.h"

#include "tests/engine/passes/pass_check.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define PASSES    "fold_batch_normalization_into_conv fold_scale fold_bias fold_scale_shift_into_next"
#define DIMS(...) ((int64_t[]){__VA_ARGS__})

/* ------------------------------------------------------------------------------------------------------------ range */

/* c = Conv(x, w), 4 channels of which each has its own weights, of these magnitudes. */
static model_builder *depthwise_model(norma_element_type type, const double magnitudes[4]) {
  double weights[4 * 4];
  model_builder *b = builder_create(22);
  builder_input(b, "x", type, 4, DIMS(2, 4, 5, 5));
  for (int i = 0; i < 16; i++) weights[i] = magnitudes[i / 4] * (1 + i % 4) / 4;
  add_numbers(b, "w", type, 4, DIMS(4, 1, 2, 2), weights);
  builder_int(builder_node(b, "Conv", "x w", "c"), "group", 4);
  return b;
}

typedef struct range_case {
  norma_element_type type;
  double weight, factor;
  bool folds;
} range_case;

/* The largest weight of a channel times its factor, around both ends of the range. */
static void factors_fold_within_the_range(void **state) {
  static const range_case cases[] = {
      {NORMA_FLOAT, 1e30, 1e7, true},      {NORMA_FLOAT, 1e30, 1e9, false},
      {NORMA_FLOAT, 1e-30, 1e-7, true},    {NORMA_FLOAT, 1e-30, 1e-9, false},
      {NORMA_FLOAT, 1e-39, 1, true},       {NORMA_FLOAT, 1e-39, 0.5, true}, /* denormal before: no digits to lose */
      {NORMA_FLOAT, 1e30, 0, true},        {NORMA_DOUBLE, 1e300, 1e7, true},
      {NORMA_DOUBLE, 1e300, 1e9, false},   {NORMA_DOUBLE, 1e-300, 1e-7, true},
      {NORMA_DOUBLE, 1e-300, 1e-9, false}, {NORMA_FLOAT16, 300, 50, true},
      {NORMA_FLOAT16, 300, 300, false},    {NORMA_FLOAT16, 1e-2, 1e-2, true},
      {NORMA_FLOAT16, 1e-2, 1e-3, false},  {NORMA_BFLOAT16, 1e30, 1e7, true},
      {NORMA_BFLOAT16, 1e30, 1e9, false},  {NORMA_BFLOAT16, 1e-30, 1e-9, false},
  };
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    const range_case *c = &cases[i];
    model_builder *b = depthwise_model(c->type, (double[]){1, 1, c->weight, 1});
    add_numbers(b, "t", c->type, 3, DIMS(4, 1, 1), (double[]){1, 2, c->factor, 1});
    builder_node(b, "Mul", "c t", "y");
    builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
    checked checked = check_passes(b, PASSES, c->folds ? PASS_BOUND(c->type) : 0);
    if (count_nodes(&checked, NULL) != (c->folds ? 1 : 2)) fail_msg("case %d", (int)i);
    free_checked(&checked);
  }
}

/* Weights that are small beside the largest of their channel may vanish: it is the channel that keeps its digits. */
static void small_weights_of_a_channel_may_vanish(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, 1, 2, 2));
  add_numbers(b, "w", NORMA_FLOAT, 4, DIMS(1, 1, 2, 2), (double[]){1, 1e-20, 0, -1e-30});
  builder_node(b, "Conv", "x w", "c");
  add_number(b, "t", NORMA_FLOAT, 1e-30);
  builder_node(b, "Mul", "c t", "y");
  expect_nodes(b, PASSES, PASS_BOUND(NORMA_FLOAT), 1);
}

/* Parameters named scale, bias, mean, var. */
static void add_parameters(model_builder *b, norma_element_type type, int64_t channels) {
  add_random(b, "scale", type, 1, &channels, -2, 2);
  add_random(b, "bias", type, 1, &channels, -1, 1);
  add_random(b, "mean", type, 1, &channels, -1, 1);
  add_random(b, "var", type, 1, &channels, 0.1, 3);
}

/* c = Conv(x, w), 4 channels from 6 in 2 groups. */
static model_builder *conv_model(int opset, norma_element_type type, bool with_bias) {
  model_builder *b = builder_create(opset);
  builder_input(b, "x", type, 4, DIMS(2, 6, 7, 5));
  add_random(b, "w", type, 4, DIMS(4, 3, 3, 3), -1, 1);
  if (with_bias) add_random(b, "b", type, 1, DIMS(4), -1, 1);
  node *conv = builder_node(b, "Conv", with_bias ? "x w b" : "x w", "c");
  builder_int(conv, "group", 2);
  builder_ints(conv, "pads", 4, DIMS(1, 1, 1, 1));
  return b;
}

/* Runs nothing but BatchNormalization into these weights, which stay as they are. */
static void expect_untouched(model_builder *b, const char *output) {
  builder_output(b, output, NORMA_UNDEFINED, -1, NULL);
  checked c = check_passes(b, "fold_batch_normalization_into_conv", 0);
  only_node(&c, "BatchNormalization");
  assert_string_equal(only_node(&c, "Conv")->inputs[1]->name, "w");
  free_checked(&c);
}

/* A factor of 1e30 and a variance of 1e-44 without epsilon make weights infinite that were none; the bias stays 0. */
static void keeps_what_would_overflow(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT, false);
  add_parameters(b, NORMA_FLOAT, 4);
  add_numbers(b, "large", NORMA_FLOAT, 1, DIMS(4), (double[]){1, 1e30, 1, 1});
  add_numbers(b, "tiny", NORMA_FLOAT, 1, DIMS(4), (double[]){1, 1e-44, 1, 1});
  add_numbers(b, "none", NORMA_FLOAT, 1, DIMS(4), (double[]){0, 0, 0, 0});
  builder_float(builder_node(b, "BatchNormalization", "c large none none tiny", "y"), "epsilon", 0);
  expect_untouched(b, "y");
}

/* The same for a bias, which the weights survive. */
static void keeps_a_bias_that_would_overflow(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT, false);
  add_parameters(b, NORMA_FLOAT, 4);
  add_numbers(b, "far", NORMA_FLOAT, 1, DIMS(4), (double[]){0, 1e38, 0, 0});
  add_numbers(b, "small", NORMA_FLOAT, 1, DIMS(4), (double[]){1, 1e-4, 1, 1});
  builder_float(builder_node(b, "BatchNormalization", "c scale bias far small", "y"), "epsilon", 0);
  expect_untouched(b, "y");
}

/* In half precision a small factor can leave the weights without digits. */
static void keeps_what_would_lose_digits(void **state) {
  (void)state;
  model_builder *b = conv_model(22, NORMA_FLOAT16, false);
  add_parameters(b, NORMA_FLOAT16, 4);
  add_numbers(b, "small", NORMA_FLOAT16, 1, DIMS(4), (double[]){1, 1, 1e-5, 1});
  builder_node(b, "BatchNormalization", "c small bias mean var", "y");
  expect_untouched(b, "y");
}

/* A shift in front of a layer is weighted and summed: the new bias may overflow though weights and shift do not. */
static void keeps_a_weighted_shift_that_would_overflow(void **state) {
  (void)state;
  model_builder *b = builder_create(13);
  builder_input(b, "x", NORMA_FLOAT, 4, DIMS(1, 2, 3, 3));
  add_numbers(b, "t", NORMA_FLOAT, 3, DIMS(2, 1, 1), (double[]){1e20, 2e20});
  add_numbers(b, "w", NORMA_FLOAT, 4, DIMS(1, 2, 1, 1), (double[]){1e19, 1e19});
  builder_node(b, "Add", "x t", "n");
  builder_node(b, "Conv", "n w", "y");
  expect_nodes(b, PASSES, 0, 2);
}

/* -------------------------------------------------------------------------------------------------------- constants */

/* Weights and bias that others read too are copied for the layer that is folded. */
static void shared_constants_stay_for_others(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT, true);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), 0.5, 2);
  builder_node(b, "Mul", "c t", "y");
  node *other = builder_node(b, "Conv", "x w b", "z");
  builder_int(other, "group", 2);
  builder_output(b, "z", NORMA_UNDEFINED, -1, NULL);
  checked c = check_nodes(b, PASSES, PASS_BOUND(NORMA_FLOAT), 2);
  assert_int_equal(graph_find_value(c.model->graph, "w")->use_count, 1);
  free_checked(&c);
}

static void folded_constants_are_given_back(void **state) {
  (void)state;
  model_builder *b = conv_model(13, NORMA_FLOAT, true);
  add_random(b, "t", NORMA_FLOAT, 3, DIMS(4, 1, 1), 0.5, 2);
  builder_node(b, "Mul", "c t", "y");
  checked c = check_nodes(b, PASSES, PASS_BOUND(NORMA_FLOAT), 1);
  static const char *const names[] = {"w", "b", "t"};
  for (int i = 0; i < 3; i++) assert_null(graph_find_value(c.model->graph, names[i])->constant);
  free_checked(&c);
}

/* -------------------------------------------------------------------------------------------------------- functions */

/* A model as exported, for calls of fold_before and fold_behind on its nodes. */
static norma_model *load_plain(model_builder *b) {
  size_t size;
  norma_error error;
  norma_model *model;
  norma_load_options options = {.struct_size = sizeof options, .optimization = NORMA_OPTIMIZE_NONE};
  builder_output(b, "y", NORMA_UNDEFINED, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  if (norma_model_load_memory(bytes, size, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  builder_destroy(b);
  return model;
}

static bool accepts_nothing(const linear_form *form) {
  (void)form;
  return false;
}

static bool accepts_windows(const linear_form *form) {
  return form->is_window;
}

static void the_pass_chooses_among_layers(void **state) {
  static bool (*const choices[])(const linear_form *form) = {accepts_nothing, accepts_windows, NULL};
  (void)state;
  for (int i = 0; i < 3; i++) {
    model_builder *b = conv_model(13, NORMA_FLOAT, true);
    add_number(b, "t", NORMA_FLOAT, 2);
    builder_node(b, "Mul", "c t", "y");
    norma_model *model = load_plain(b);
    norma_error error = {0};
    pass_context context = {.model = model, .error = &error};
    bool changed = false;
    assert_int_equal(fold_behind(&context, model->graph->last, choices[i], &changed), NORMA_OK);
    assert_int_equal(changed, i > 0);
    assert_int_equal(model->graph->node_count, i > 0 ? 1 : 2);
    norma_model_destroy(model);
  }
}

/* fold_before leaves it to the caller to give the layer its new input. */
static void the_layer_alone_is_changed_by_what_comes_before(void **state) {
  (void)state;
  for (int fits = 0; fits < 2; fits++) {
    model_builder *b = builder_create(13);
    builder_input(b, "x", NORMA_FLOAT, 2, DIMS(3, 2));
    add_numbers(b, "w", NORMA_FLOAT, 2, DIMS(2, 1), (double[]){3, 5});
    builder_node(b, "MatMul", "x w", "y");
    norma_model *model = load_plain(b);
    norma_error error = {0};
    pass_context context = {.model = model, .error = &error};
    double scale[3] = {2, 4, 1}, shift[3] = {1, 10, 0};
    const scale_shift transform = {.axis = 1, .count = fits ? 2 : 3, .scale = scale, .shift = shift};
    node *layer = model->graph->first;
    bool done = true;
    assert_int_equal(fold_before(&context, &layer, &transform, &done), NORMA_OK);
    assert_int_equal(done, fits);
    assert_string_equal(layer->op_type, fits ? "Gemm" : "MatMul"); /* which takes the bias */
    assert_ptr_equal(layer, model->graph->first);
    const float *weights = node_constant_input(layer, 1)->data;
    assert_true(weights[0] == (fits ? 6 : 3) && weights[1] == (fits ? 20 : 5));
    if (fits) assert_true(*(const float *)node_constant_input(layer, 2)->data == 1 * 3 + 10 * 5);
    norma_model_destroy(model);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(factors_fold_within_the_range),
      cmocka_unit_test(small_weights_of_a_channel_may_vanish),
      cmocka_unit_test(keeps_what_would_overflow),
      cmocka_unit_test(keeps_a_bias_that_would_overflow),
      cmocka_unit_test(keeps_what_would_lose_digits),
      cmocka_unit_test(keeps_a_weighted_shift_that_would_overflow),
      cmocka_unit_test(shared_constants_stay_for_others),
      cmocka_unit_test(folded_constants_are_given_back),
      cmocka_unit_test(the_pass_chooses_among_layers),
      cmocka_unit_test(the_layer_alone_is_changed_by_what_comes_before),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
