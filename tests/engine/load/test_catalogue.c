/* The lists of the build: operators with versions, types and attributes; passes; kernel tables. */
#include "engine/norma.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static norma_operator_info find_operator(const char *domain, const char *name, size_t *index) {
  norma_operator_info info = {.struct_size = sizeof info};
  for (*index = 0; norma_operator(*index, &info) == NORMA_OK; (*index)++) {
    if (strcmp(info.domain, domain) == 0 && strcmp(info.name, name) == 0) return info;
  }
  fail_msg("there is no operator %s of %s", name, domain);
  return info;
}

static void operators_describe_themselves(void **state) {
  (void)state;
  size_t index;
  norma_operator_info conv = find_operator("ai.onnx", "Conv", &index);
  assert_true(conv.min_inputs == 2 && conv.max_inputs == 3 && conv.min_outputs == 1 && conv.max_outputs == 1);
  assert_true(conv.version_count >= 2 && conv.versions[0] == 1 && conv.versions[1] == 11 && !conv.is_inner);
  norma_type_rule rule = {.struct_size = sizeof rule};
  assert_true(conv.type_rule_count >= 1);
  assert_int_equal(norma_operator_type_rule(index, 0, &rule), NORMA_OK);
  assert_true(rule.types >> NORMA_FLOAT & 1);
  assert_false(rule.types >> NORMA_STRING & 1);
  assert_true((rule.inputs & 3) == 3 && (rule.outputs & 1) == 1);
  assert_int_equal(norma_operator_type_rule(index, conv.type_rule_count, &rule), NORMA_ERROR_ARGUMENT);
  bool group = false;
  norma_operator_attribute_info attribute = {.struct_size = sizeof attribute};
  for (size_t i = 0; i < conv.attribute_count; i++) {
    assert_int_equal(norma_operator_attribute(index, i, &attribute), NORMA_OK);
    if (strcmp(attribute.name, "group") != 0) continue;
    group = true;
    assert_true(attribute.kind == NORMA_ATTRIBUTE_INT && !attribute.is_required && attribute.until_version == 0);
  }
  assert_true(group);
  assert_int_equal(norma_operator_attribute(index, conv.attribute_count, &attribute), NORMA_ERROR_ARGUMENT);
  assert_int_equal(find_operator("ai.onnx", "Concat", &index).max_inputs, -1); /* any number */
  assert_int_equal(find_operator("ai.onnx", "If", &index).max_outputs, -1);
}

/* What optimisation made on the way counts too: Gemm takes the Relu into its store, and Relu is needed all the same. */
static void runtime_tells_what_models_use(void **state) {
  (void)state;
  size_t gemm, relu, conv, blocks;
  find_operator("ai.onnx", "Gemm", &gemm);
  find_operator("ai.onnx", "Relu", &relu);
  find_operator("ai.onnx", "Conv", &conv);
  find_operator("norma", "BlockChannels", &blocks);
  norma_runtime *runtime = NULL;
  norma_model *model = NULL;
  assert_int_equal(norma_runtime_create(NULL, &runtime, NULL), NORMA_OK);
  for (size_t i = 0; i < norma_operator_count(); i++) assert_false(norma_runtime_uses_operator(runtime, i));
  const norma_load_options options = {.struct_size = sizeof options, .runtime = runtime};
  assert_int_equal(norma_model_load("models/digits_mlp/model.onnx", &options, &model, NULL), NORMA_OK);
  norma_model_destroy(model);
  assert_true(norma_runtime_uses_operator(runtime, gemm) && norma_runtime_uses_operator(runtime, relu));
  assert_false(norma_runtime_uses_operator(runtime, conv) || norma_runtime_uses_operator(runtime, blocks));
  assert_int_equal(norma_model_load("models/digits_cnn_bn/model.onnx", &options, &model, NULL), NORMA_OK);
  norma_model_destroy(model);
  assert_true(norma_runtime_uses_operator(runtime, conv) && norma_runtime_uses_operator(runtime, blocks));
  assert_false(norma_runtime_uses_operator(runtime, norma_operator_count()));
  assert_false(norma_runtime_uses_operator(NULL, gemm));
  norma_runtime_destroy(runtime);
}

static void every_operator_makes_sense(void **state) {
  (void)state;
  size_t count = norma_operator_count();
  assert_true(count > 100);
  for (size_t i = 0; i < count; i++) {
    norma_operator_info info = {.struct_size = sizeof info};
    assert_int_equal(norma_operator(i, &info), NORMA_OK);
    assert_true(info.name[0] != '\0' && info.domain[0] != '\0' && info.version_count >= 1);
    for (size_t v = 1; v < info.version_count; v++) assert_true(info.versions[v] > info.versions[v - 1]);
    assert_true(info.max_inputs == -1 || info.max_inputs >= info.min_inputs);
    assert_int_equal(info.is_inner, strcmp(info.domain, "norma") == 0);
    for (size_t r = 0; r < info.type_rule_count; r++) {
      norma_type_rule rule = {.struct_size = sizeof rule};
      assert_int_equal(norma_operator_type_rule(i, r, &rule), NORMA_OK);
      assert_true(rule.types != 0 && rule.types >> NORMA_ELEMENT_TYPE_COUNT == 0);
    }
  }
  norma_operator_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_operator(count, &info), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_operator(SIZE_MAX, &info), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_operator(0, NULL), NORMA_ERROR_ARGUMENT);
}

/* Every name in the list is one that a load takes, and no other is. */
static void passes_can_be_named(void **state) {
  (void)state;
  size_t count = norma_pass_count();
  const char **names = calloc(count + 1, sizeof *names);
  bool levels[3] = {false};
  assert_true(count >= 10);
  for (size_t i = 0; i < count; i++) {
    norma_pass_info info = {.struct_size = sizeof info};
    assert_int_equal(norma_pass(i, &info), NORMA_OK);
    assert_true(info.group[0] != '\0' && (info.level == 1 || info.level == 2));
    levels[info.level] = true;
    names[i] = info.name;
    for (size_t k = 0; k < i; k++) assert_string_not_equal(names[k], info.name);
  }
  assert_true(levels[1] && levels[2]);
  norma_pass_info none = {.struct_size = sizeof none};
  assert_int_equal(norma_pass(count, &none), NORMA_ERROR_ARGUMENT);
  norma_load_options options = {.struct_size = sizeof options, .disabled_passes = names, .disabled_pass_count = count};
  norma_model *model;
  norma_error error;
  assert_int_equal(norma_model_load("models/digits_mlp/model.onnx", &options, &model, &error), NORMA_OK);
  norma_model_destroy(model);
  names[count] = "no_such_pass";
  options.disabled_pass_count = count + 1;
  assert_int_equal(norma_model_load("models/digits_mlp/model.onnx", &options, &model, &error), NORMA_ERROR_ARGUMENT);
  free(names);
}

/* Every table that can run makes a runtime, and every other is refused. */
static void kernel_tables_tell_the_truth(void **state) {
  (void)state;
  size_t count = norma_kernel_table_count(), defaults = 0;
  norma_error error;
  assert_true(count >= 1);
  for (size_t i = 0; i < count; i++) {
    norma_kernel_table_info info = {.struct_size = sizeof info};
    norma_runtime *runtime;
    assert_int_equal(norma_kernel_table(i, &info), NORMA_OK);
    norma_runtime_options options = {.struct_size = sizeof options, .threads = 1, .kernels = info.name};
    norma_status status = norma_runtime_create(&options, &runtime, &error);
    assert_int_equal(status, info.can_run ? NORMA_OK : NORMA_ERROR_ARGUMENT);
    if (status == NORMA_OK) assert_string_equal(norma_runtime_kernels(runtime), info.name);
    norma_runtime_destroy(status == NORMA_OK ? runtime : NULL);
    defaults += info.is_default;
    if (info.is_default) {
      assert_int_equal(norma_runtime_create(NULL, &runtime, &error), NORMA_OK);
      assert_string_equal(norma_runtime_kernels(runtime), info.name);
      norma_runtime_destroy(runtime);
    }
  }
  assert_int_equal(defaults, 1);
  norma_kernel_table_info none = {.struct_size = sizeof none};
  assert_int_equal(norma_kernel_table(count, &none), NORMA_ERROR_ARGUMENT);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(operators_describe_themselves), cmocka_unit_test(runtime_tells_what_models_use),
      cmocka_unit_test(every_operator_makes_sense),    cmocka_unit_test(passes_can_be_named),
      cmocka_unit_test(kernel_tables_tell_the_truth),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
