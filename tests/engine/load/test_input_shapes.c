/* Shapes that the caller of a load gives inputs. */
#include "tests/support/model_builder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static norma_status load(norma_graph_form form, const norma_input_shape *shapes, size_t count, norma_model **model,
                         norma_error *error) {
  model_builder *b = builder_create(17);
  builder_input(b, "x", NORMA_FLOAT, 2, (int64_t[]){-1, 3});
  builder_input(b, "any", NORMA_FLOAT, -1, NULL);
  builder_floats(b, "w", 1, (int64_t[]){3}, (float[]){1, 2, 3});
  builder_node(b, "Add", "x w", "y");
  builder_node(b, "Relu", "any", "z");
  builder_output(b, "y", NORMA_FLOAT, -1, NULL);
  builder_output(b, "z", NORMA_FLOAT, -1, NULL);
  size_t size;
  const void *bytes = builder_bytes(b, &size);
  norma_load_options options = {
      .struct_size = sizeof options, .form = form, .input_shapes = shapes, .input_shape_count = count};
  norma_status status = norma_model_load_memory(bytes, size, &options, model, error);
  builder_destroy(b);
  return status;
}

static void given_shapes_go_through_the_graph(void **state) {
  (void)state;
  const norma_input_shape shapes[] = {{"x", 2, (int64_t[]){5, -1}}, {"any", 3, (int64_t[]){2, -1, 7}}};
  for (int form = NORMA_FORM_RUN; form <= NORMA_FORM_OPTIMIZED; form++) {
    norma_model *model;
    norma_error error;
    norma_value_info info;
    if (load((norma_graph_form)form, shapes, 2, &model, &error) != NORMA_OK) fail_msg("%s", error.message);
    assert_int_equal(norma_model_input(model, 0, &info), NORMA_OK);
    assert_true(info.rank == 2 && info.dims[0] == 5 && info.dims[1] == 3);
    assert_int_equal(norma_model_output(model, 0, &info), NORMA_OK);
    assert_true(info.rank == 2 && info.dims[0] == 5 && info.dims[1] == 3);
    assert_int_equal(norma_model_output(model, 1, &info), NORMA_OK);
    assert_true(info.rank == 3 && info.dims[0] == 2 && info.dims[1] == -1 && info.dims[2] == 7);
    norma_model_destroy(model);
  }
}

/* What was fixed is the model's from then on. */
static void other_shapes_are_refused_by_the_session(void **state) {
  (void)state;
  const norma_input_shape shapes[] = {{"x", 2, (int64_t[]){5, 3}}};
  float data[12] = {0};
  norma_tensor tensor;
  norma_model *model;
  norma_session *session;
  norma_error error;
  assert_int_equal(load(NORMA_FORM_RUN, shapes, 1, &model, &error), NORMA_OK);
  assert_int_equal(norma_session_create(model, NULL, &session, &error), NORMA_OK);
  norma_tensor_init(&tensor, NORMA_FLOAT, 2, (int64_t[]){4, 3}, data);
  assert_int_equal(norma_session_set_input(session, "x", &tensor, &error), NORMA_ERROR_INPUT);
  norma_session_destroy(session);
  norma_model_destroy(model);
}

static void what_cannot_be_is_refused(void **state) {
  (void)state;
  static const int64_t dims[17] = {4, 4};
  static const int64_t negative[] = {-2, 3};
  static const struct {
    norma_input_shape shape;
    const char *words;
  } cases[] = {
      {{"x", 2, dims}, "contradicts"},        {{"x", 1, dims}, "contradicts"}, {{"w", 1, dims}, "no input 'w'"},
      {{"none", 1, dims}, "no input 'none'"}, {{NULL, 1, dims}, "no input"},   {{"any", -1, dims}, "cannot be"},
      {{"any", 17, dims}, "cannot be"},       {{"any", 1, NULL}, "cannot be"}, {{"x", 2, negative}, "cannot be"}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    norma_model *model;
    norma_error error = {0};
    assert_int_equal(load(NORMA_FORM_INSPECT, &cases[i].shape, 1, &model, &error), NORMA_ERROR_ARGUMENT);
    assert_null(model);
    if (!strstr(error.message, cases[i].words)) fail_msg("expected \"%s\" in: %s", cases[i].words, error.message);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(given_shapes_go_through_the_graph),
      cmocka_unit_test(other_shapes_are_refused_by_the_session),
      cmocka_unit_test(what_cannot_be_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
