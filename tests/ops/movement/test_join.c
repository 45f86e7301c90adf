/* What two descriptions of a value have in common: the branches of If, the elements of a sequence. */
#include "ops/movement/join.h"
#include "tests/support/workbench.h"

/* An inference that can fail and allocate. */
typedef struct inference {
  memory memory;
  region region;
  graph *graph;
  norma_error error;
  infer_context context;
} inference;

static void inference_init(inference *inference) {
  memory_init(&inference->memory, NULL, 0);
  region_init(&inference->region, &inference->memory);
  inference->graph = graph_create(&inference->region, &inference->memory, "g", NULL, NULL);
  node *node = graph_add_node(inference->graph, "n", "If", "", 0, 0, 0);
  inference->context = (infer_context){
      .node = node, .region = &inference->region, .failure = NORMA_ERROR_INVALID_MODEL, .error = &inference->error};
}

static void inference_finish(inference *inference) {
  graph_release(inference->graph);
  region_free(&inference->region);
}

static value_info tensor_of(norma_element_type type, shape shape) {
  return value_info_tensor(type, &shape);
}

static void check_shape(shape a, shape b, shape expected) {
  inference inference;
  inference_init(&inference);
  for (int turn = 0; turn < 2; turn++) { /* either one first */
    value_info into = tensor_of(NORMA_FLOAT, turn ? b : a), from = tensor_of(NORMA_FLOAT, turn ? a : b);
    assert_int_equal(infer_join(&inference.context, &into, &from, "it"), NORMA_OK);
    assert_true(into.kind == NORMA_VALUE_TENSOR && into.type == NORMA_FLOAT && shape_equal(&into.shape, &expected));
  }
  inference_finish(&inference);
}

static void shapes_keep_what_is_the_same(void **state) {
  (void)state;
  check_shape(SHAPE(2, 3), SHAPE(2, 3), SHAPE(2, 3));
  check_shape(SHAPE(2, 3), SHAPE(2, 4), SHAPE(2, DIM_UNKNOWN));
  check_shape(SHAPE(2, 3), SHAPE(2, DIM_UNKNOWN), SHAPE(2, DIM_UNKNOWN));
  check_shape(SHAPE(2, 3), SHAPE(2), shape_unknown());
  check_shape(SHAPE(2, 3), shape_unknown(), shape_unknown());
  check_shape(SCALAR, SCALAR, SCALAR);
}

static void what_is_not_known_is_taken_from_the_other(void **state) {
  inference inference;
  value_info known = tensor_of(NORMA_INT8, SHAPE(2)), open = {.shape = shape_unknown()};
  (void)state;
  inference_init(&inference);
  assert_int_equal(infer_join(&inference.context, &open, &known, "it"), NORMA_OK);
  assert_true(open.kind == NORMA_VALUE_TENSOR && open.type == NORMA_INT8);
  assert_int_equal(open.shape.rank, RANK_UNKNOWN); /* but for the shape: that of the other one may be any */
  open = (value_info){.kind = NORMA_VALUE_TENSOR, .shape = SHAPE(2)};
  assert_int_equal(infer_join(&inference.context, &known, &open, "it"), NORMA_OK);
  assert_true(known.type == NORMA_INT8 && known.shape.rank == 1 && known.shape.dims[0] == 2);
  inference_finish(&inference);
}

static void elements_are_joined_too(void **state) {
  inference inference;
  const value_info a = tensor_of(NORMA_FLOAT, SHAPE(2, 3)), b = tensor_of(NORMA_FLOAT, SHAPE(2, 5)),
                   text = tensor_of(NORMA_STRING, SHAPE(2));
  (void)state;
  inference_init(&inference);
  value_info into = {.kind = NORMA_VALUE_SEQUENCE, .item = &a}, from = {.kind = NORMA_VALUE_SEQUENCE, .item = &b};
  assert_int_equal(infer_join(&inference.context, &into, &from, "it"), NORMA_OK);
  assert_true(into.item->type == NORMA_FLOAT && into.item->shape.dims[0] == 2 &&
              into.item->shape.dims[1] == DIM_UNKNOWN);
  assert_int_equal(a.shape.dims[1], 3); /* descriptions that were given are not changed */
  /* An empty sequence knows no elements: those of the other may have any shape. */
  value_info empty = {.kind = NORMA_VALUE_SEQUENCE};
  assert_int_equal(infer_join(&inference.context, &empty, &from, "it"), NORMA_OK);
  assert_true(empty.item->type == NORMA_FLOAT && empty.item->shape.rank == RANK_UNKNOWN);
  into = (value_info){.kind = NORMA_VALUE_OPTIONAL, .item = &empty};
  from = (value_info){.kind = NORMA_VALUE_OPTIONAL, .item = &(value_info){.kind = NORMA_VALUE_SEQUENCE, .item = &text}};
  assert_int_equal(infer_join(&inference.context, &into, &from, "the output"), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(inference.error.message, "the output has element types float and string"));
  inference_finish(&inference);
}

static void kinds_and_types_must_agree(void **state) {
  inference inference;
  (void)state;
  inference_init(&inference);
  value_info tensor = tensor_of(NORMA_FLOAT, SHAPE(2)), sequence = {.kind = NORMA_VALUE_SEQUENCE},
             d = tensor_of(NORMA_DOUBLE, SHAPE(2));
  assert_int_equal(infer_join(&inference.context, &tensor, &sequence, "output 1"), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(inference.error.message, "output 1 is a tensor and a sequence"));
  assert_int_equal(infer_join(&inference.context, &tensor, &d, "output 1"), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(inference.error.message, "output 1 has element types float and double"));
  inference_finish(&inference);
}

static void memory_that_is_short_is_an_error(void **state) {
  inference inference;
  const value_info a = tensor_of(NORMA_FLOAT, SHAPE(2)), b = a;
  (void)state;
  inference_init(&inference);
  value_info into = {.kind = NORMA_VALUE_SEQUENCE, .item = &a}, from = {.kind = NORMA_VALUE_SEQUENCE, .item = &b};
  inference.memory.limit = 1; /* blocks that the region has already are used up first */
  norma_status status = NORMA_OK;
  for (int i = 0; i < 100000 && status == NORMA_OK; i++) status = infer_join(&inference.context, &into, &from, "it");
  assert_int_equal(status, NORMA_ERROR_BUDGET);
  inference_finish(&inference);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(shapes_keep_what_is_the_same),     cmocka_unit_test(what_is_not_known_is_taken_from_the_other),
      cmocka_unit_test(elements_are_joined_too),          cmocka_unit_test(kinds_and_types_must_agree),
      cmocka_unit_test(memory_that_is_short_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
