/* Models loaded to be written as ONNX: standard operators alone, with constants to write, that compute the same. */
#include "tests/support/model_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t count_nodes(const norma_model *model, const char *op_type) {
  size_t count = 0;
  for (const norma_node *node = norma_graph_first_node(norma_model_graph(model)); node; node = norma_node_next(node)) {
    norma_node_info info = {.struct_size = sizeof info};
    assert_int_equal(norma_node_describe(node, &info), NORMA_OK);
    assert_string_equal(info.domain, "ai.onnx"); /* nothing inner */
    count += !op_type || strcmp(info.op_type, op_type) == 0;
    for (size_t i = 0; i < info.input_count; i++) {
      norma_graph_value_info input = {.struct_size = sizeof input};
      if (!norma_node_input(node, i)) continue;
      assert_int_equal(norma_graph_value_describe(norma_node_input(node, i), &input), NORMA_OK);
      if (input.is_constant) assert_non_null(input.contents);
    }
  }
  return count;
}

static norma_model *load(norma_graph_form form, norma_optimization level, const char *disabled) {
  norma_load_options options = {.struct_size = sizeof options,
                                .form = form,
                                .optimization = level,
                                .disabled_passes = &disabled,
                                .disabled_pass_count = disabled != NULL};
  norma_model *model;
  norma_error error;
  if (norma_model_load(DIGITS_BN, &options, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
  return model;
}

static void forms_have_standard_operators(void **state) {
  (void)state;
  norma_model *plain = load(NORMA_FORM_RUN, NORMA_OPTIMIZE_NONE, NULL);
  norma_model *folded = load(NORMA_FORM_FOLDED, NORMA_OPTIMIZE_DEFAULT, NULL);
  norma_model *optimized = load(NORMA_FORM_OPTIMIZED, NORMA_OPTIMIZE_DEFAULT, NULL);
  norma_model *level = load(NORMA_FORM_FOLDED, NORMA_OPTIMIZE_NONE, NULL); /* the level does not matter */
  assert_int_equal(count_nodes(plain, "BatchNormalization"), 3);
  assert_int_equal(count_nodes(folded, "BatchNormalization"), 0);
  assert_int_equal(count_nodes(optimized, "BatchNormalization"), 0);
  assert_int_equal(count_nodes(level, "BatchNormalization"), 0);
  assert_true(count_nodes(folded, NULL) < count_nodes(plain, NULL));
  assert_true(count_nodes(optimized, NULL) <= count_nodes(folded, NULL));
  norma_model *part = load(NORMA_FORM_FOLDED, NORMA_OPTIMIZE_DEFAULT, "fold_batch_normalization_into_conv");
  assert_true(count_nodes(part, "BatchNormalization") > 0);
  norma_model *all[] = {plain, folded, optimized, level, part};
  for (size_t i = 0; i < 5; i++) norma_model_destroy(all[i]);
}

static void forms_compute_the_same(void **state) {
  (void)state;
  float *pictures = make_pictures(2, 9), expected[2 * DIGIT_CLASSES];
  for (int form = NORMA_FORM_RUN; form <= NORMA_FORM_OPTIMIZED; form++) {
    if (form == NORMA_FORM_INSPECT) continue;
    norma_model *model = load((norma_graph_form)form, NORMA_OPTIMIZE_DEFAULT, NULL);
    norma_session *session;
    assert_int_equal(norma_session_create(model, NULL, &session, NULL), NORMA_OK);
    set_pictures(session, pictures, 2);
    const float *output = run_model(session)->data;
    if (form == NORMA_FORM_RUN) memcpy(expected, output, sizeof expected);
    for (int i = 0; i < 2 * DIGIT_CLASSES; i++) assert_true(fabsf(output[i] - expected[i]) < 1e-5f);
    norma_session_destroy(session);
    norma_model_destroy(model);
  }
  free(pictures);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(forms_have_standard_operators),
      cmocka_unit_test(forms_compute_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
