/* SequenceMap in whole models: sequences of elements of different shapes, further inputs, captures, refusals. */
#include "tests/support/model_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

typedef struct loaded {
  norma_model *model;
  norma_session *session;
  norma_error error;
} loaded;

static norma_status try_load(model_builder *builder, norma_optimization level, loaded *result) {
  norma_load_options options = {.struct_size = sizeof options, .optimization = level};
  size_t size;
  const void *bytes = builder_bytes(builder, &size);
  memset(result, 0, sizeof *result);
  norma_status status = norma_model_load_memory(bytes, size, &options, &result->model, &result->error);
  if (status == NORMA_OK) status = norma_session_create(result->model, NULL, &result->session, &result->error);
  return status;
}

static loaded load(model_builder *builder, norma_optimization level) {
  loaded result;
  if (try_load(builder, level, &result) != NORMA_OK) fail_msg("%s", result.error.message);
  return result;
}

static void unload(loaded *loaded) {
  norma_session_destroy(loaded->session);
  norma_model_destroy(loaded->model);
}

static void set_input(loaded *loaded, const char *name, int64_t count, float *data) {
  norma_tensor tensor;
  assert_int_equal(norma_tensor_init(&tensor, NORMA_FLOAT, 1, &count, data), NORMA_OK);
  assert_int_equal(norma_session_set_input(loaded->session, name, &tensor, &loaded->error), NORMA_OK);
}

static void assert_floats(const norma_value *output, int64_t count, const float *expected) {
  const norma_tensor *tensor = norma_value_tensor(output);
  assert_non_null(tensor);
  assert_int_equal(norma_tensor_count(tensor), count);
  for (int64_t i = 0; i < count; i++) {
    float got = ((const float *)tensor->data)[i];
    if (got != expected[i]) fail_msg("element %d: expected %g, got %g", (int)i, expected[i], got);
  }
}

static const norma_optimization levels[] = {NORMA_OPTIMIZE_NONE, NORMA_OPTIMIZE_FULL};

/* a and b as one sequence; the body adds a further tensor and one that it captures, and gives two results. */
static model_builder *make_model(const char *inputs) {
  model_builder *builder = builder_create(17);
  builder_input(builder, "a", NORMA_FLOAT, 1, (int64_t[]){-1});
  builder_input(builder, "b", NORMA_FLOAT, 1, (int64_t[]){-1});
  builder_input(builder, "t", NORMA_FLOAT, 1, (int64_t[]){-1});
  builder_node(builder, "SequenceConstruct", "a b", "s");
  builder_node(builder, "Neg", "t", "captured");
  node *map = builder_node(builder, "SequenceMap", inputs, "sums products");
  model_builder *body = builder_subgraph(builder, map, "body");
  builder_input(body, "element", NORMA_FLOAT, -1, NULL);
  builder_input(body, "other", NORMA_FLOAT, -1, NULL);
  builder_node(body, "Add", "element other", "sum");
  builder_node(body, "Mul", "element captured", "product");
  builder_output(body, "sum", NORMA_UNDEFINED, -1, NULL);
  builder_output(body, "product", NORMA_UNDEFINED, -1, NULL);
  static const value_info item = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_FLOAT, .shape = {.rank = RANK_UNKNOWN}};
  value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .shape = {.rank = RANK_UNKNOWN}, .item = &item};
  builder_output_info(builder, "sums", &sequence);
  builder_output_info(builder, "products", &sequence);
  return builder;
}

static void maps_each_element(void **state) {
  (void)state;
  float a[3] = {1, 2, 3}, b[2] = {10, 20}, t[1] = {5};
  for (size_t l = 0; l < 2; l++) {
    model_builder *builder = make_model("s t");
    loaded loaded = load(builder, levels[l]);
    for (int round = 0; round < 2; round++) {
      set_input(&loaded, "a", 3 - round, a); /* elements change their shapes from run to run */
      set_input(&loaded, "b", 2, b);
      set_input(&loaded, "t", 1, t);
      if (norma_session_run(loaded.session, &loaded.error) != NORMA_OK) fail_msg("%s", loaded.error.message);
      const norma_value *sums = norma_session_output(loaded.session, 0);
      const norma_value *products = norma_session_output(loaded.session, 1);
      assert_int_equal(norma_value_count(sums), 2);
      assert_floats(norma_value_element(sums, 0), 3 - round, (float[]){6, 7, 8});
      assert_floats(norma_value_element(sums, 1), 2, (float[]){15, 25});
      assert_floats(norma_value_element(products, 0), 3 - round, (float[]){-5, -10, -15});
      assert_floats(norma_value_element(products, 1), 2, (float[]){-50, -100});
    }
    unload(&loaded);
    builder_destroy(builder);
  }
}

static void maps_pairs_of_elements(void **state) {
  (void)state;
  float a[2] = {1, 2}, b[2] = {10, 20}, t[1] = {5};
  model_builder *builder = make_model("s s");
  loaded loaded = load(builder, NORMA_OPTIMIZE_FULL);
  set_input(&loaded, "a", 2, a);
  set_input(&loaded, "b", 2, b);
  set_input(&loaded, "t", 1, t);
  assert_int_equal(norma_session_run(loaded.session, &loaded.error), NORMA_OK);
  const norma_value *sums = norma_session_output(loaded.session, 0);
  assert_floats(norma_value_element(sums, 0), 2, (float[]){2, 4});
  assert_floats(norma_value_element(sums, 1), 2, (float[]){20, 40});
  unload(&loaded);
  builder_destroy(builder);
}

static model_builder *make_small(const char *inputs, int body_inputs) {
  model_builder *builder = builder_create(17);
  builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){2});
  builder_node(builder, "SequenceConstruct", "x x", "two");
  builder_node(builder, "SequenceConstruct", "x", "one");
  builder_node(builder, "SequenceEmpty", "", "none");
  node *map = builder_node(builder, "SequenceMap", inputs, "mapped");
  model_builder *body = builder_subgraph(builder, map, "body");
  builder_input(body, "first", NORMA_FLOAT, -1, NULL);
  if (body_inputs > 1) builder_input(body, "second", NORMA_FLOAT, -1, NULL);
  builder_node(body, "Neg", "first", "negative");
  builder_output(body, "negative", NORMA_UNDEFINED, -1, NULL);
  builder_node(builder, "SequenceLength", "mapped", "length");
  builder_output(builder, "length", NORMA_INT64, -1, NULL);
  return builder;
}

static void an_empty_sequence_maps_to_an_empty_one(void **state) {
  (void)state;
  float x[2] = {1, 2};
  model_builder *builder = make_small("none", 1);
  loaded loaded = load(builder, NORMA_OPTIMIZE_NONE);
  set_input(&loaded, "x", 2, x);
  assert_int_equal(norma_session_run(loaded.session, &loaded.error), NORMA_OK);
  assert_int_equal(*(int64_t *)norma_value_tensor(norma_session_output(loaded.session, 0))->data, 0);
  unload(&loaded);
  builder_destroy(builder);
}

static void sequences_must_have_one_length(void **state) {
  (void)state;
  float x[2] = {1, 2};
  model_builder *builder = make_small("two one", 2);
  loaded loaded = load(builder, NORMA_OPTIMIZE_NONE);
  set_input(&loaded, "x", 2, x);
  assert_int_equal(norma_session_run(loaded.session, &loaded.error), NORMA_ERROR_RUN);
  assert_non_null(strstr(loaded.error.message, "input 1 has 1 elements, input 0 has 2"));
  unload(&loaded);
  builder_destroy(builder);
}

static void refuses_what_does_not_fit(void **state) {
  (void)state;
  loaded loaded;
  model_builder *builder = make_small("two one", 1);
  assert_int_equal(try_load(builder, NORMA_OPTIMIZE_NONE, &loaded), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(loaded.error.message, "body has 1 inputs and 1 outputs, the node 2 and 1"));
  unload(&loaded);
  builder_destroy(builder);

  builder = make_small("x", 1);
  assert_int_equal(try_load(builder, NORMA_OPTIMIZE_NONE, &loaded), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(loaded.error.message, "input 0 is not a sequence"));
  unload(&loaded);
  builder_destroy(builder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(maps_each_element),
      cmocka_unit_test(maps_pairs_of_elements),
      cmocka_unit_test(an_empty_sequence_maps_to_an_empty_one),
      cmocka_unit_test(sequences_must_have_one_length),
      cmocka_unit_test(refuses_what_does_not_fit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
