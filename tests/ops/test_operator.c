/* The contract of operators: what holds for every descriptor of the build, and the functions that operators call. */
#include "ops/operator.h"
#include "tests/support/builtin_operator.h"
#include "tests/support/workbench.h"

/* ------------------------------------------------------------------------------------------------------ descriptors */

static void each_name_stands_once(void **state) {
  const operator_descriptor *a, *b;
  (void)state;
  for (size_t i = 0; (a = operator_at(i)); i++) {
    assert_non_null(a->name);
    assert_non_null(a->domain);
    for (size_t j = 0; j < i; j++) {
      b = operator_at(j);
      if (strcmp(a->name, b->name) == 0 && strcmp(a->domain, b->domain) == 0) fail_msg("%s stands twice", a->name);
    }
  }
  assert_null(operator_at(1000000));
  assert_null(builtin_operator("", "Convolution"));
}

static uint32_t inputs_of(const operator_descriptor *op) {
  return op->max_inputs >= 32 ? UINT32_MAX : (UINT32_C(1) << op->max_inputs) - 1;
}

static void descriptors_make_sense(void **state) {
  const operator_descriptor *op;
  (void)state;
  for (size_t i = 0; (op = operator_at(i)); i++) {
    const uint32_t inputs = inputs_of(op);
    bool good =
        op->versions[0] > 0 && op->infer && op->compute && op->min_inputs >= 0 && op->min_inputs <= op->max_inputs;
    good &= op->min_outputs >= 0 && op->max_outputs >= 1; /* RNN, GRU and LSTM need none of theirs */
    good &= op->min_outputs <= op->max_outputs;
    for (int v = 1; v < OPERATOR_MAX_VERSIONS && op->versions[v]; v++) good &= op->versions[v] > op->versions[v - 1];
    for (int r = 0; r < 8 && op->types[r].types; r++) {
      good &= ((op->types[r].inputs & ~inputs) == 0) && (op->types[r].inputs || op->types[r].outputs);
    }
    for (const operator_attribute *a = op->attributes; a && a->name; a++) {
      good &= a->since >= 1 && (a->until == OPERATOR_LATEST || a->until >= a->since) && a->kind != ATTRIBUTE_NONE;
      for (const operator_attribute *b = op->attributes; b != a; b++) { /* of one name, versions apart */
        good &= strcmp(a->name, b->name) != 0 || (b->until != OPERATOR_LATEST && b->until < a->since);
      }
    }
    good &= (op->in_place & ~inputs) == 0 && (op->absent_inputs & ~inputs) == 0;
    good &= (op->facts.packs & ~inputs) == 0 && (op->facts.weights & ~op->facts.packs) == 0;
    good &= op->facts.bias == 0 || (op->facts.bias > 0 && op->facts.bias < op->max_inputs);
    good &= !op->facts.packs || op->prepare; /* it is prepare that packs */
    good &= !op->facts.block || op->facts.block_types;
    good &= !op->custom;
    if (!good) fail_msg("the descriptor of %s contradicts itself", op->name);
  }
}

static void versions_in_force(void **state) {
  const operator_descriptor *op = builtin_operator("", "Clip"); /* 1, 6, 11, 12, 13 */
  static const int expected[] = {0, 1, 1, 1, 1, 1, 6, 6, 6, 6, 6, 11, 12, 13, 13};
  (void)state;
  for (int opset = 0; opset < (int)COUNT(expected); opset++)
    assert_int_equal(operator_version(op, opset), expected[opset]);
  assert_int_equal(operator_version(op, INT64_MAX), 13);
  assert_int_equal(operator_version(op, INT64_MIN), 0);
  assert_int_equal(operator_version(builtin_operator("", "Mish"), 17), 0);
}

/* What an early version has as an attribute, or not at all, is no input of it: it would be passed over in silence. */
static void inputs_and_outputs_of_versions(void **state) {
  static const struct {
    const char *op;
    int before, inputs, outputs; /* one more than versions before `before` have */
  } cases[] = {{"Clip", 11, 2, 1},      {"Dropout", 12, 2, 1},    {"ReduceSum", 13, 2, 1},
               {"ReduceMax", 18, 2, 1}, {"ReduceMean", 18, 2, 1}, {"ReduceSumSquare", 18, 2, 1},
               {"Reshape", 5, 2, 1},    {"Slice", 10, 2, 1},      {"TopK", 10, 2, 2},
               {"Pad", 11, 2, 1},       {"Pad", 18, 4, 1},        {"Resize", 11, 3, 1},
               {"Upsample", 9, 2, 1},   {"MaxPool", 8, 1, 2}};
  static const float scales[] = {1, 1, 1, 1};
  static const int64_t ones[] = {1, 1, 1, 1};
  workbench bench;
  (void)state;
  bench_init(&bench);
  for (size_t c = 0; c < COUNT(cases); c++) {
    driver_call call = {.op_type = cases[c].op, .opset = cases[c].before - 1, .input_count = cases[c].inputs};
    call.output_count = cases[c].outputs;
    for (int i = 0; i < cases[c].inputs; i++)
      call.inputs[i] = bench_tensor(&bench, NORMA_FLOAT, SHAPE(1, 1, 2, 2), NULL);
    if (strcmp(cases[c].op, "Upsample") == 0) call.attributes[0] = (attribute)DRIVER_FLOATS("scales", 4, scales);
    if (strcmp(cases[c].op, "TopK") == 0) call.attributes[0] = (attribute)DRIVER_INT("k", 1);
    if (strcmp(cases[c].op, "MaxPool") == 0) call.attributes[0] = (attribute)DRIVER_INTS("kernel_shape", 2, ones);
    if (strcmp(cases[c].op, "Slice") == 0) {
      call.attributes[0] = (attribute)DRIVER_INTS("starts", 1, ones);
      call.attributes[1] = (attribute)DRIVER_INTS("ends", 1, ones);
    }
    if (strcmp(cases[c].op, "Pad") == 0 && cases[c].before == 11)
      call.attributes[0] = (attribute)DRIVER_INTS("pads", 4, ones);
    bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL,
                 cases[c].outputs > 1 && cases[c].inputs == 1 ? "outputs" : "inputs, expected at most");
  }
  driver_call call =
      CALL("Tile", 6, bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL), bench_list(&bench, 1), bench_list(&bench, 0));
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "has 3 inputs, expected 2");
  call.opset = 1;
  call.input_count = 2;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "has 2 inputs, expected 3");
  call = CALL("TopK", 11, bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL));
  call.output_count = 2;
  bench_refuse(&bench, &call, NORMA_ERROR_INVALID_MODEL, "input 1 (K) is missing");
  bench_finish(&bench);
}

/* ------------------------------------------------------------------------------------------------------------ types */

static void types_are_those_of_the_rules(void **state) {
  const operator_descriptor *op = builtin_operator("", "Clip"); /* x, min, max of one numeric type */
  const value_info f = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_FLOAT},
                   i = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_INT8};
  const value_info b = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_BOOL}, open = {.kind = NORMA_VALUE_TENSOR},
                   none = {0}, list = {.kind = NORMA_VALUE_SEQUENCE};
  const struct {
    const value_info *inputs[3];
    bool accepted;
    type_conflict conflict;
  } cases[] = {{{&f, &f, &f}, true, {0}},
               {{&f, NULL, &f}, true, {0}},
               {{&f, &open, &f}, true, {0}}, /* not known is not wrong */
               {{&open, &i, &none}, true, {0}},
               {{&b, &b, &b}, false, {0, false, NORMA_UNDEFINED}},
               {{&f, &f, &i}, false, {2, false, NORMA_FLOAT}},
               {{&f, &list, NULL}, false, {1, true, NORMA_UNDEFINED}}};
  (void)state;
  for (size_t c = 0; c < COUNT(cases); c++) {
    type_conflict conflict = {0};
    assert_int_equal(operator_accepts(op, 3, cases[c].inputs, &conflict), cases[c].accepted);
    if (cases[c].accepted) continue;
    assert_int_equal(conflict.input, cases[c].conflict.input);
    assert_int_equal(conflict.is_kind, cases[c].conflict.is_kind);
    if (!conflict.is_kind) assert_int_equal(conflict.expected, cases[c].conflict.expected);
  }
}

/* The last input of a variadic operator stands for all that follow, however many these are. */
static void types_of_variadic_inputs(void **state) {
  const operator_descriptor *op = builtin_operator("", "Max");
  const value_info f = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_FLOAT},
                   i = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_INT8};
  const value_info *inputs[50];
  type_conflict conflict;
  (void)state;
  for (int k = 0; k < 50; k++) inputs[k] = &f;
  assert_true(operator_accepts(op, 50, inputs, &conflict));
  inputs[41] = &i;
  assert_false(operator_accepts(op, 50, inputs, &conflict));
  assert_int_equal(conflict.input, 41);
  assert_int_equal(conflict.expected, NORMA_FLOAT);
}

/* ------------------------------------------------------------------------------------------------------------ infer */

/* An inference over two inputs and outputs that knows what the test says. */
typedef struct inference {
  memory memory;
  region region;
  graph *graph;
  norma_error error;
  value_info infos[2], outputs[2];
  const value_info *inputs[2];
  const value *values[2];
  norma_tensor known[2];
  infer_context context;
} inference;

static void inference_init(inference *inference) {
  memset(inference, 0, sizeof *inference);
  memory_init(&inference->memory, NULL, 0);
  region_init(&inference->region, &inference->memory);
  inference->graph = graph_create(&inference->region, &inference->memory, "g", NULL, NULL);
  inference->context = (infer_context){.node = graph_add_node(inference->graph, "n", "Tested", "", 0, 0, 0),
                                       .input_count = 2,
                                       .output_count = 2,
                                       .inputs = inference->inputs,
                                       .values = inference->values,
                                       .outputs = inference->outputs,
                                       .known = inference->known,
                                       .region = &inference->region,
                                       .failure = NORMA_ERROR_INVALID_MODEL,
                                       .error = &inference->error};
}

static void inference_finish(inference *inference) {
  graph_release(inference->graph);
  region_free(&inference->region);
}

static void give(inference *inference, int index, norma_element_type type, shape shape) {
  inference->infos[index] = value_info_tensor(type, &shape);
  inference->inputs[index] = &inference->infos[index];
}

static void what_is_known_of_inputs(void **state) {
  inference inference;
  const value_info list = {.kind = NORMA_VALUE_SEQUENCE, .type = NORMA_FLOAT};
  (void)state;
  inference_init(&inference);
  const infer_context *context = &inference.context;
  for (int i = 0; i < 3; i++) { /* absent, and beyond the last */
    assert_false(infer_has_input(context, i));
    assert_int_equal(infer_type(context, i), NORMA_UNDEFINED);
    assert_int_equal(infer_shape(context, i)->rank, RANK_UNKNOWN);
    assert_null(infer_value(context, i));
  }
  give(&inference, 0, NORMA_INT8, SHAPE(2, DIM_UNKNOWN));
  assert_true(infer_has_input(context, 0));
  assert_int_equal(infer_type(context, 0), NORMA_INT8);
  assert_int_equal(infer_shape(context, 0)->dims[1], DIM_UNKNOWN);
  inference.inputs[1] = &list; /* no tensor: neither type nor shape are told */
  assert_true(infer_has_input(context, 1));
  assert_int_equal(infer_type(context, 1), NORMA_UNDEFINED);
  assert_int_equal(infer_shape(context, 1)->rank, RANK_UNKNOWN);
  inference_finish(&inference);
}

static void known_integers(void **state) {
  workbench bench;
  inference inference;
  int64_t values[4];
  int count;
  norma_status status;
  (void)state;
  bench_init(&bench);
  inference_init(&inference);
  assert_false(infer_ints(&inference.context, 0, values, 4, &count, &status));
  assert_int_equal(status, NORMA_OK); /* not known is no mistake */
  FOR_TYPES(type, TYPES_INTEGER) {
    inference.values[0] = bench_tensor(&bench, type, SHAPE(3), NUMBERS(1, 2, 3));
    assert_true(infer_ints(&inference.context, 0, values, 4, &count, &status));
    assert_true(count == 3 && values[0] == 1 && values[2] == 3);
  }
  inference.values[0] = bench_int(&bench, INT64_MIN); /* a scalar is a list of one */
  assert_true(infer_ints(&inference.context, 0, values, 4, &count, &status) && count == 1 && values[0] == INT64_MIN);
  inference.values[0] = bench_ints(&bench, SHAPE(0), NULL);
  assert_true(infer_ints(&inference.context, 0, values, 4, &count, &status) && count == 0);
  const value *const wrong[] = {bench_list(&bench, 1, 2, 3, 4, 5), bench_ints(&bench, SHAPE(1, 2), NULL),
                                bench_tensor(&bench, NORMA_FLOAT, SHAPE(2), NULL)};
  for (size_t i = 0; i < COUNT(wrong); i++) {
    inference.values[0] = wrong[i];
    assert_false(infer_ints(&inference.context, 0, values, 4, &count, &status));
    assert_int_equal(status, NORMA_ERROR_INVALID_MODEL);
    assert_non_null(strstr(inference.error.message, "input 0 must be a list of at most 4 integers"));
  }
  inference_finish(&inference);
  bench_finish(&bench);
}

static void outputs_are_described(void **state) {
  inference inference;
  const shape shape = SHAPE(2, 3);
  static const int64_t numbers[] = {7, 8};
  (void)state;
  inference_init(&inference);
  infer_output(&inference.context, 1, NORMA_DOUBLE, &shape);
  assert_true(inference.outputs[1].kind == NORMA_VALUE_TENSOR && inference.outputs[1].type == NORMA_DOUBLE &&
              shape_equal(&inference.outputs[1].shape, &shape));
  infer_output(&inference.context, 2, NORMA_DOUBLE, &shape); /* one that the node does not have */
  assert_int_equal(infer_output_ints(&inference.context, 0, numbers, 2, 1), NORMA_OK);
  assert_true(inference.outputs[0].type == NORMA_INT64 && inference.outputs[0].shape.rank == 1 &&
              inference.outputs[0].shape.dims[0] == 2);
  assert_memory_equal(inference.known[0].data, numbers, sizeof numbers);
  assert_int_equal(infer_output_ints(&inference.context, 0, numbers, 1, 0), NORMA_OK);
  assert_int_equal(inference.outputs[0].shape.rank, 0);
  assert_int_equal(*(int64_t *)inference.known[0].data, 7);
  assert_int_equal(infer_output_ints(&inference.context, 2, numbers, 2, 1), NORMA_OK);
  inference.context.known = NULL; /* nobody wants to know */
  assert_int_equal(infer_output_ints(&inference.context, 1, numbers, 2, 1), NORMA_OK);
  assert_int_equal(inference.outputs[1].type, NORMA_INT64);
  inference_finish(&inference);
}

static void shapes_that_follow_the_inputs(void **state) {
  inference inference;
  (void)state;
  inference_init(&inference);
  assert_int_equal(infer_same(&inference.context), NORMA_OK); /* of an input that is absent nothing follows */
  assert_int_equal(inference.outputs[0].kind, NORMA_VALUE_NONE);
  give(&inference, 0, NORMA_INT8, SHAPE(2, 1));
  give(&inference, 1, NORMA_INT8, SHAPE(3));
  assert_int_equal(infer_same(&inference.context), NORMA_OK);
  assert_true(shape_equal(&inference.outputs[0].shape, &inference.infos[0].shape));
  assert_int_equal(infer_broadcast(&inference.context), NORMA_OK);
  const shape expected = SHAPE(2, 3);
  assert_true(inference.outputs[0].type == NORMA_INT8 && shape_equal(&inference.outputs[0].shape, &expected));
  give(&inference, 0, NORMA_INT8, SHAPE(2));
  assert_int_equal(infer_broadcast(&inference.context), NORMA_ERROR_INVALID_MODEL);
  assert_non_null(strstr(inference.error.message, "shapes 2 and 3 cannot be broadcast"));
  inference_finish(&inference);
}

/* ----------------------------------------------------------------------------------------------------------- errors */

static void errors_name_the_node(void **state) {
  inference inference;
  norma_error error;
  (void)state;
  inference_init(&inference);
  inference.context.failure = NORMA_ERROR_INPUT;
  assert_int_equal(infer_fail(&inference.context, "axis %d is outside", 7), NORMA_ERROR_INPUT);
  assert_non_null(strstr(inference.error.message, "node 'n' (Tested"));
  assert_non_null(strstr(inference.error.message, "axis 7 is outside"));
  prepare_context prepare = {.node = inference.context.node, .error = &error};
  assert_int_equal(prepare_fail(&prepare, NORMA_ERROR_BUDGET, "%s", "too much"), NORMA_ERROR_BUDGET);
  assert_non_null(strstr(error.message, "(Tested"));
  assert_non_null(strstr(error.message, "too much"));
  run_context run = {.node = inference.context.node, .error = &error};
  assert_int_equal(run_fail(&run, NORMA_ERROR_RUN, "index %d", -3), NORMA_ERROR_RUN);
  assert_non_null(strstr(error.message, "index -3"));
  char text[2000];
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = 0; /* longer than a message */
  assert_int_equal(run_fail(&run, NORMA_ERROR_RUN, "%s", text), NORMA_ERROR_RUN);
  assert_true(strlen(error.message) < sizeof error.message);
  inference_finish(&inference);
}

/* ---------------------------------------------------------------------------------------------------------- prepare */

static void what_prepare_knows(void **state) {
  workbench bench;
  inference inference;
  norma_error error;
  const void *data;
  (void)state;
  bench_init(&bench);
  inference_init(&inference);
  const value *x = bench_tensor(&bench, NORMA_INT16, SHAPE(2, 3), NUMBERS(1, 2, 3, 4, 5, 6));
  const value_info info = value_info_of(x), *infos[] = {&info, NULL};
  const value *constants[] = {x, NULL};
  prepare_context context = {
      .node = inference.context.node, .input_count = 2, .inputs = infos, .constants = constants, .error = &error};
  assert_ptr_equal(prepare_constant(&context, 0), &x->tensor);
  assert_int_equal(prepare_type(&context, 0), NORMA_INT16);
  assert_int_equal(prepare_shape(&context, 0)->dims[1], 3);
  for (int i = 1; i < 3; i++) {
    assert_null(prepare_constant(&context, i));
    assert_int_equal(prepare_type(&context, i), NORMA_UNDEFINED);
    assert_int_equal(prepare_shape(&context, i)->rank, RANK_UNKNOWN);
  }
  assert_int_equal(prepare_read(&context, 0, 2, 3, &data), NORMA_OK);
  assert_int_equal(((const int16_t *)data)[0], 3);
  value gone = *x; /* given back after it was packed */
  gone.tensor.data = NULL;
  constants[0] = &gone;
  assert_int_equal(prepare_read(&context, 0, 0, 1, &data), NORMA_ERROR_INTERNAL);
  assert_non_null(strstr(error.message, "the contents of input 0 are gone"));
  inference_finish(&inference);
  bench_finish(&bench);
}

/* Where the model leaves only the first dimension open, batches differ in that alone. */
static void samples_that_are_fixed(void **state) {
  static const struct {
    shape shape;
    bool is_fixed;
  } cases[] = {{{3, {2, 3, 4}}, true},
               {{3, {DIM_UNKNOWN, 3, 4}}, true},
               {{3, {2, DIM_UNKNOWN, 4}}, false},
               {{1, {DIM_UNKNOWN}}, true},
               {{0, {0}}, false},
               {{RANK_UNKNOWN, {0}}, false}};
  (void)state;
  for (size_t c = 0; c < COUNT(cases); c++) {
    inference inference;
    inference_init(&inference);
    node *node = graph_add_node(inference.graph, "m", "Tested", "", 1, 0, 0);
    graph_value *input = graph_add_value(inference.graph, "x");
    input->info = value_info_tensor(NORMA_FLOAT, &cases[c].shape);
    node_set_input(node, 0, input);
    const prepare_context context = {.node = node, .input_count = 1};
    assert_int_equal(prepare_sample_is_fixed(&context, 0), cases[c].is_fixed);
    inference_finish(&inference);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_name_stands_once),
      cmocka_unit_test(descriptors_make_sense),
      cmocka_unit_test(versions_in_force),
      cmocka_unit_test(inputs_and_outputs_of_versions),
      cmocka_unit_test(types_are_those_of_the_rules),
      cmocka_unit_test(types_of_variadic_inputs),
      cmocka_unit_test(what_is_known_of_inputs),
      cmocka_unit_test(known_integers),
      cmocka_unit_test(outputs_are_described),
      cmocka_unit_test(shapes_that_follow_the_inputs),
      cmocka_unit_test(errors_name_the_node),
      cmocka_unit_test(what_prepare_knows),
      cmocka_unit_test(samples_that_are_fixed),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
