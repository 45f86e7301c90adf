/* BatchNormalization nodes of a model: what they say of themselves, levels, and stages that compute what they read. */
#include "tests/support/model_builder.h"
#include "tests/support/model_run.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static norma_bn_study *open_digits(void) {
  norma_bn_study *study;
  norma_error error;
  if (norma_bn_open(DIGITS_BN, NULL, &study, &error) != NORMA_OK) fail_msg("%s", error.message);
  return study;
}

static norma_bn_info about(const norma_bn_study *study, size_t index) {
  norma_bn_info info = {.struct_size = sizeof info};
  assert_int_equal(norma_bn_describe(study, index, &info), NORMA_OK);
  return info;
}

static void nodes_describe_themselves(void **state) {
  (void)state;
  static const int64_t channels[] = {16, 32, 32};
  norma_bn_study *study = open_digits();
  assert_int_equal(norma_bn_count(study), 3);
  assert_int_equal(norma_bn_inner_count(study), 0);
  for (size_t i = 0; i < 3; i++) {
    norma_bn_info info = about(study, i);
    norma_node_info node = {.struct_size = sizeof node};
    assert_int_equal(norma_node_describe(info.node, &node), NORMA_OK);
    assert_string_equal(node.op_type, "BatchNormalization");
    assert_string_equal(node.name, info.name);
    assert_int_equal(info.channels, channels[i]);
    assert_true(info.epsilon > 0 && info.momentum > 0 && !info.is_training && !info.is_shared && !info.obstacle);
    assert_int_equal(norma_tensor_count(info.mean), channels[i]);
    assert_int_equal(norma_tensor_count(info.variance), channels[i]);
    assert_non_null(info.scale);
    assert_non_null(info.bias);
    assert_non_null(norma_graph_find_value(norma_model_graph(norma_bn_model(study)), info.mean_name));
  }
  norma_bn_info none = {.struct_size = sizeof none};
  assert_int_equal(norma_bn_describe(study, 3, &none), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_bn_describe(NULL, 0, &none), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_bn_describe(study, 0, NULL), NORMA_ERROR_ARGUMENT);
  norma_bn_destroy(study);
  norma_bn_destroy(NULL);
  assert_int_equal(norma_bn_count(NULL), 0);
  assert_int_equal(norma_bn_inner_count(NULL), 0);
  assert_null(norma_bn_model(NULL));
}

static void levels_follow_from_the_choice(void **state) {
  (void)state;
  norma_bn_study *study = open_digits();
  norma_error error;
  int levels = -1;
  assert_int_equal(norma_bn_choose(study, NULL, &levels, &error), NORMA_OK);
  assert_int_equal(levels, 3);
  for (size_t i = 0; i < 3; i++) assert_int_equal(about(study, i).level, (int)i + 1);
  assert_int_equal(norma_bn_choose(study, (const bool[]){true, false, true}, &levels, &error), NORMA_OK);
  assert_int_equal(levels, 2);
  assert_true(about(study, 0).is_chosen && !about(study, 1).is_chosen && about(study, 2).level == 2);
  assert_int_equal(norma_bn_choose(study, (const bool[]){false, false, false}, &levels, &error), NORMA_OK);
  assert_int_equal(levels, 0);
  assert_int_equal(norma_bn_choose(study, NULL, NULL, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_bn_choose(NULL, NULL, &levels, &error), NORMA_ERROR_ARGUMENT);
  norma_bn_destroy(study);
}

/* Runs a stage on pictures; gives the outputs' number. */
static norma_session *start(norma_model *stage, float *pictures) {
  norma_session *session;
  norma_error error;
  assert_int_equal(norma_session_create(stage, NULL, &session, &error), NORMA_OK);
  set_pictures(session, pictures, 2);
  assert_int_equal(norma_session_run(session, &error), NORMA_OK);
  return session;
}

/* The first node's statistics change what the second one reads, and nothing else does. */
static void stages_compute_what_nodes_read(void **state) {
  (void)state;
  norma_bn_study *study = open_digits();
  norma_error error;
  norma_model *stage;
  float *pictures = make_pictures(2, 7);
  norma_bn_setting settings[3] = {{.is_wanted = true}, {.is_wanted = true}};
  assert_int_equal(norma_bn_stage(study, NULL, settings, &stage, &error), NORMA_OK);
  assert_int_equal(norma_model_output_count(stage), 2);
  norma_session *session = start(stage, pictures);
  const norma_tensor *first = norma_value_tensor(norma_session_output(session, settings[0].output));
  const norma_tensor *second = norma_value_tensor(norma_session_output(session, settings[1].output));
  assert_true(first->dims[1] == 16 && second->dims[1] == 32);
  size_t bytes = second->size_bytes;
  float *plain = malloc(bytes);
  memcpy(plain, second->data, bytes);
  norma_session_destroy(session);
  norma_model_destroy(stage);

  norma_bn_info info = about(study, 0);
  double mean[16], variance[16];
  assert_int_equal(norma_tensor_get_doubles(info.mean, 0, 16, mean), NORMA_OK);
  assert_int_equal(norma_tensor_get_doubles(info.variance, 0, 16, variance), NORMA_OK);
  for (int changed = 0; changed <= 1; changed++) {
    settings[0] = (norma_bn_setting){.mode = NORMA_BN_FIXED, .mean = mean, .variance = variance};
    settings[1].is_wanted = true;
    if (changed) variance[3] *= 4;
    assert_int_equal(norma_bn_stage(study, NULL, settings, &stage, &error), NORMA_OK);
    assert_int_equal(norma_model_output_count(stage), 1);
    session = start(stage, pictures);
    const norma_tensor *again = norma_value_tensor(norma_session_output(session, settings[1].output));
    assert_int_equal(again->size_bytes, bytes);
    double largest = 0;
    for (size_t i = 0; i < bytes / 4; i++) {
      largest = fmax(largest, fabs((double)((const float *)again->data)[i] - (double)plain[i]));
    }
    if (changed) {
      assert_true(largest > 1e-3);
    } else {
      assert_true(largest < 1e-5);
    }
    norma_session_destroy(session);
    norma_model_destroy(stage);
  }
  settings[0] = (norma_bn_setting){.mode = NORMA_BN_BATCH};
  assert_int_equal(norma_bn_stage(study, NULL, settings, &stage, &error), NORMA_OK);
  session = start(stage, pictures);
  norma_session_destroy(session);
  norma_model_destroy(stage);
  norma_bn_destroy(study);
  free(plain);
  free(pictures);
}

static void wrong_settings_are_refused(void **state) {
  (void)state;
  norma_bn_study *study = open_digits();
  norma_error error;
  norma_model *stage;
  norma_bn_setting settings[3] = {{.mode = NORMA_BN_AS_IT_IS}};
  assert_int_equal(norma_bn_stage(study, NULL, settings, &stage, &error), NORMA_ERROR_ARGUMENT); /* none is wanted */
  assert_null(stage);
  settings[1] = (norma_bn_setting){.mode = NORMA_BN_FIXED, .is_wanted = true};
  assert_int_equal(norma_bn_stage(study, NULL, settings, &stage, &error), NORMA_ERROR_ARGUMENT);
  assert_non_null(strstr(error.message, "lacks its statistics"));
  settings[1].mode = (norma_bn_mode)9;
  assert_int_equal(norma_bn_stage(study, NULL, settings, &stage, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_bn_stage(study, NULL, NULL, &stage, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_bn_stage(NULL, NULL, settings, &stage, &error), NORMA_ERROR_ARGUMENT);
  norma_bn_destroy(study);
  assert_int_equal(norma_bn_open("/nowhere.onnx", NULL, &study, &error), NORMA_ERROR_FILE);
  assert_null(study);
  assert_int_equal(norma_bn_open(NULL, NULL, &study, &error), NORMA_ERROR_ARGUMENT);
  assert_int_equal(norma_bn_open_memory(NULL, 0, NULL, &study, &error), NORMA_ERROR_ARGUMENT);
}

/* From memory: statistics that are computed are an obstacle, and the node is never chosen. */
static void obstacles_are_told(void **state) {
  (void)state;
  size_t size;
  norma_bn_study *study;
  norma_error error;
  int levels;
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){-1, 2});
  builder_input(b, "m", NORMA_FLOAT, 1, (int64_t[]){2});
  builder_floats(b, "one", 1, (int64_t[]){2}, (float[]){1, 1});
  builder_floats(b, "zero", 1, (int64_t[]){2}, (float[]){0, 0});
  builder_named_node(b, "computed", "", "BatchNormalization", "x one zero m one", "y");
  builder_named_node(b, "stored", "", "BatchNormalization", "y one zero zero one", "z");
  builder_output(b, "z", NORMA_FLOAT, -1, NULL);
  const void *bytes = builder_bytes(b, &size);
  assert_int_equal(norma_bn_open_memory(bytes, size, NULL, &study, &error), NORMA_OK);
  norma_bn_info info = about(study, 0);
  assert_non_null(info.obstacle);
  assert_true(!info.mean && info.variance && info.channels == -1);
  assert_int_equal(norma_bn_choose(study, NULL, &levels, &error), NORMA_OK);
  assert_int_equal(levels, 1);
  assert_true(!about(study, 0).is_chosen && about(study, 1).is_chosen);
  assert_true(about(study, 1).is_shared); /* zero and one are read as bias and scale too */
  norma_bn_setting settings[2] = {{.mode = NORMA_BN_FIXED, .mean = (double[]){0}, .variance = (double[]){1}}, {0}};
  norma_model *stage;
  assert_int_equal(norma_bn_stage(study, NULL, settings, &stage, &error), NORMA_ERROR_ARGUMENT);
  settings[0] = (norma_bn_setting){.mode = NORMA_BN_AS_IT_IS};
  settings[1].is_wanted = true;
  assert_int_equal(norma_bn_stage(study, NULL, settings, &stage, &error), NORMA_OK);
  norma_model_destroy(stage);
  norma_bn_destroy(study);
  builder_destroy(b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(nodes_describe_themselves),
      cmocka_unit_test(levels_follow_from_the_choice),
      cmocka_unit_test(stages_compute_what_nodes_read),
      cmocka_unit_test(wrong_settings_are_refused),
      cmocka_unit_test(obstacles_are_told),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
