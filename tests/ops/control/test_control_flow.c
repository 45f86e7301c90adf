/* If, in whole models: which branch runs, what it sees of the graph around it, what its outputs may be, what is
 * refused. */
#include "tests/support/model_builder.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* A model that was built, loaded and has a session. */
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

static void set_input(loaded *loaded, const char *name, norma_element_type type, int rank, const int64_t *dims,
                      void *data) {
  norma_tensor tensor;
  assert_int_equal(norma_tensor_init(&tensor, type, rank, dims, data), NORMA_OK);
  if (norma_session_set_input(loaded->session, name, &tensor, &loaded->error) != NORMA_OK) {
    fail_msg("%s", loaded->error.message);
  }
}

static norma_status run_with(loaded *loaded, bool condition) {
  uint8_t byte = condition;
  set_input(loaded, "condition", NORMA_BOOL, 0, NULL, &byte);
  return norma_session_run(loaded->session, &loaded->error);
}

static void run(loaded *loaded, bool condition) {
  if (run_with(loaded, condition) != NORMA_OK) fail_msg("%s", loaded->error.message);
}

static void assert_floats(const norma_value *output, int rank, const int64_t *dims, const float *expected) {
  const norma_tensor *tensor = norma_value_tensor(output);
  assert_non_null(tensor);
  assert_int_equal(tensor->type, NORMA_FLOAT);
  assert_int_equal(tensor->rank, rank);
  for (int i = 0; i < rank; i++) assert_int_equal(tensor->dims[i], dims[i]);
  for (int64_t i = 0; i < norma_tensor_count(tensor); i++) {
    float got = ((const float *)tensor->data)[i];
    if (got != expected[i]) fail_msg("element %d: expected %g, got %g", (int)i, expected[i], got);
  }
}

static void declare_condition(model_builder *builder) {
  builder_input(builder, "condition", NORMA_BOOL, 0, NULL);
}

/* A branch of one node, whose output is called `output`. */
static model_builder *add_branch(model_builder *builder, node *owner, const char *attribute, const char *op_type,
                                 const char *inputs, const char *output) {
  model_builder *branch = builder_subgraph(builder, owner, attribute);
  builder_node(branch, op_type, inputs, output);
  builder_output(branch, output, NORMA_UNDEFINED, -1, NULL);
  return branch;
}

static const norma_optimization levels[] = {NORMA_OPTIMIZE_NONE, NORMA_OPTIMIZE_BASIC, NORMA_OPTIMIZE_FULL};
#define FOR_EACH_LEVEL(level) for (int level = 0; level < 3; level++)

/* y = condition ? -x : |x|, x being an input that the branches read from outside. */
static model_builder *make_simple(int64_t opset) {
  model_builder *builder = builder_create(opset);
  declare_condition(builder);
  builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){3});
  node *choice = builder_node(builder, "If", "condition", "y");
  add_branch(builder, choice, "then_branch", "Neg", "x", "negative");
  add_branch(builder, choice, "else_branch", "Abs", "x", "absolute");
  builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
  return builder;
}

static void condition_chooses_the_branch(void **state) {
  (void)state;
  static const int64_t opsets[] = {6, 11, 13, 16, 19, 21, 23, 24, 25};
  float x[3] = {1, -2, 3};
  for (size_t o = 0; o < sizeof opsets / sizeof *opsets; o++) {
    FOR_EACH_LEVEL(level) {
      model_builder *builder = make_simple(opsets[o]);
      loaded loaded = load(builder, levels[level]);
      set_input(&loaded, "x", NORMA_FLOAT, 1, (int64_t[]){3}, x);
      for (int round = 0; round < 3; round++) {
        run(&loaded, true);
        assert_floats(norma_session_output(loaded.session, 0), 1, (int64_t[]){3}, (float[]){-1, 2, -3});
        run(&loaded, false);
        assert_floats(norma_session_output(loaded.session, 0), 1, (int64_t[]){3}, (float[]){1, 2, 3});
      }
      unload(&loaded);
      builder_destroy(builder);
    }
  }
}

static void shapes_of_branches_may_differ(void **state) {
  (void)state;
  float x[6] = {1, 2, 3, 4, 5, 6};
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    declare_condition(builder);
    builder_input(builder, "x", NORMA_FLOAT, 2, (int64_t[]){2, 3});
    node *choice = builder_node(builder, "If", "condition", "a b");
    model_builder *yes = add_branch(builder, choice, "then_branch", "Transpose", "x", "swapped");
    builder_node(yes, "Identity", "x", "whole");
    builder_output(yes, "whole", NORMA_UNDEFINED, -1, NULL);
    model_builder *no = add_branch(builder, choice, "else_branch", "Identity", "x", "same");
    builder_int(builder_node(no, "Flatten", "x", "flat"), "axis", 0);
    builder_output(no, "flat", NORMA_UNDEFINED, -1, NULL);
    builder_node(builder, "Neg", "a", "y");
    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    builder_output(builder, "b", NORMA_FLOAT, -1, NULL);

    loaded loaded = load(builder, levels[level]);
    norma_value_info info;
    assert_int_equal(norma_model_output(loaded.model, 0, &info), NORMA_OK);
    assert_int_equal(info.rank, 2);
    assert_int_equal(info.dims[0], -1);
    assert_int_equal(norma_model_output(loaded.model, 1, &info), NORMA_OK);
    assert_int_equal(info.rank, 2);
    set_input(&loaded, "x", NORMA_FLOAT, 2, (int64_t[]){2, 3}, x);
    for (int round = 0; round < 2; round++) {
      run(&loaded, true);
      assert_floats(norma_session_output(loaded.session, 0), 2, (int64_t[]){3, 2}, (float[]){-1, -4, -2, -5, -3, -6});
      assert_floats(norma_session_output(loaded.session, 1), 2, (int64_t[]){2, 3}, x);
      run(&loaded, false);
      assert_floats(norma_session_output(loaded.session, 0), 2, (int64_t[]){2, 3}, (float[]){-1, -2, -3, -4, -5, -6});
      assert_floats(norma_session_output(loaded.session, 1), 2, (int64_t[]){1, 6}, x);
    }
    unload(&loaded);
    builder_destroy(builder);
  }
}

static void ranks_of_branches_may_differ(void **state) {
  (void)state;
  float x[2] = {1, 2};
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(11);
    declare_condition(builder);
    builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){2});
    node *choice = builder_node(builder, "If", "condition", "y");
    add_branch(builder, choice, "then_branch", "Identity", "x", "same");
    model_builder *no = builder_subgraph(builder, choice, "else_branch");
    builder_ints(builder_node(no, "Unsqueeze", "x", "column"), "axes", 1, (int64_t[]){1});
    builder_output(no, "column", NORMA_UNDEFINED, -1, NULL);
    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    loaded loaded = load(builder, levels[level]);
    norma_value_info info;
    assert_int_equal(norma_model_output(loaded.model, 0, &info), NORMA_OK);
    assert_int_equal(info.rank, -1);
    set_input(&loaded, "x", NORMA_FLOAT, 1, (int64_t[]){2}, x);
    run(&loaded, true);
    assert_floats(norma_session_output(loaded.session, 0), 1, (int64_t[]){2}, x);
    run(&loaded, false);
    assert_floats(norma_session_output(loaded.session, 0), 2, (int64_t[]){2, 1}, x);
    unload(&loaded);
    builder_destroy(builder);
  }
}

/* Branches see inputs, initializers and results of the graphs around them, through two levels, and give back values
 * that they did not compute. */
static void branches_see_the_graphs_around_them(void **state) {
  (void)state;
  float x[2] = {1, 2};
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    declare_condition(builder);
    builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){-1});
    builder_floats(builder, "ten", 1, (int64_t[]){1}, (float[]){10});
    builder_node(builder, "Neg", "x", "negative");
    node *choice = builder_node(builder, "If", "condition", "y z");

    model_builder *yes = builder_subgraph(builder, choice, "then_branch");
    builder_floats(yes, "hundred", 1, (int64_t[]){1}, (float[]){100});
    builder_node(yes, "Add", "negative ten", "sum");
    node *inner = builder_node(yes, "If", "condition", "chosen");
    add_branch(yes, inner, "then_branch", "Add", "sum hundred", "more");
    add_branch(yes, inner, "else_branch", "Sub", "sum x", "less");
    builder_output(yes, "chosen", NORMA_UNDEFINED, -1, NULL);
    builder_output(yes, "hundred", NORMA_UNDEFINED, -1, NULL); /* an initializer of its own */

    model_builder *no = builder_subgraph(builder, choice, "else_branch");
    builder_node(no, "Mul", "x ten", "product");
    builder_output(no, "product", NORMA_UNDEFINED, -1, NULL);
    builder_output(no, "ten", NORMA_UNDEFINED, -1, NULL); /* an initializer from outside */

    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    builder_output(builder, "z", NORMA_FLOAT, -1, NULL);
    loaded loaded = load(builder, levels[level]);
    set_input(&loaded, "x", NORMA_FLOAT, 1, (int64_t[]){2}, x);
    for (int round = 0; round < 2; round++) {
      run(&loaded, true);
      assert_floats(norma_session_output(loaded.session, 0), 1, (int64_t[]){2}, (float[]){109, 108});
      assert_floats(norma_session_output(loaded.session, 1), 1, (int64_t[]){1}, (float[]){100});
      run(&loaded, false);
      assert_floats(norma_session_output(loaded.session, 0), 1, (int64_t[]){2}, (float[]){10, 20});
      assert_floats(norma_session_output(loaded.session, 1), 1, (int64_t[]){1}, (float[]){10});
    }
    unload(&loaded);
    builder_destroy(builder);
  }
}

static void a_branch_may_give_back_a_value_from_outside(void **state) {
  (void)state;
  float x[2] = {1, 2};
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    declare_condition(builder);
    builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){2});
    builder_node(builder, "Neg", "x", "negative");
    node *choice = builder_node(builder, "If", "condition", "y");
    builder_output(builder_subgraph(builder, choice, "then_branch"), "negative", NORMA_UNDEFINED, -1, NULL);
    builder_output(builder_subgraph(builder, choice, "else_branch"), "x", NORMA_UNDEFINED, -1, NULL);
    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    loaded loaded = load(builder, levels[level]);
    set_input(&loaded, "x", NORMA_FLOAT, 1, (int64_t[]){2}, x);
    run(&loaded, true);
    assert_floats(norma_session_output(loaded.session, 0), 1, (int64_t[]){2}, (float[]){-1, -2});
    run(&loaded, false);
    assert_floats(norma_session_output(loaded.session, 0), 1, (int64_t[]){2}, x);
    unload(&loaded);
    builder_destroy(builder);
  }
}

/* Only the branch that is known to run is looked at: the other one could not even be inferred. */
static void a_known_condition_decides_at_load(void **state) {
  (void)state;
  float x[2] = {1, 2};
  FOR_EACH_LEVEL(level) {
    for (int condition = 0; condition < 2; condition++) {
      model_builder *builder = builder_create(13);
      builder_initializer(builder, "condition", NORMA_BOOL, 0, NULL, &(uint8_t){(uint8_t)condition});
      builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){2});
      builder_floats(builder, "three", 1, (int64_t[]){3}, (float[]){1, 2, 3});
      node *choice = builder_node(builder, "If", "condition", "y");
      add_branch(builder, choice, condition ? "then_branch" : "else_branch", "Neg", "x", "good");
      add_branch(builder, choice, condition ? "else_branch" : "then_branch", "Add", "x three", "bad");
      builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
      loaded loaded = load(builder, levels[level]);
      norma_value_info info;
      assert_int_equal(norma_model_output(loaded.model, 0, &info), NORMA_OK);
      assert_int_equal(info.rank, 1);
      assert_int_equal(info.dims[0], 2);
      set_input(&loaded, "x", NORMA_FLOAT, 1, (int64_t[]){2}, x);
      assert_int_equal(norma_session_run(loaded.session, &loaded.error), NORMA_OK);
      assert_floats(norma_session_output(loaded.session, 0), 1, (int64_t[]){2}, (float[]){-1, -2});
      unload(&loaded);
      builder_destroy(builder);
    }
  }
}

static void branches_may_give_sequences_and_optionals(void **state) {
  (void)state;
  float x[2] = {1, 2};
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(16);
    declare_condition(builder);
    builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){2});
    node *choice = builder_node(builder, "If", "condition", "s o");
    model_builder *yes = add_branch(builder, choice, "then_branch", "SequenceConstruct", "x x", "pair");
    builder_node(yes, "Optional", "x", "full");
    builder_output(yes, "full", NORMA_UNDEFINED, -1, NULL);
    model_builder *no = add_branch(builder, choice, "else_branch", "SequenceEmpty", "", "none");
    builder_node(no, "Neg", "x", "negative");
    builder_node(no, "Optional", "negative", "other");
    builder_output(no, "other", NORMA_UNDEFINED, -1, NULL);
    builder_node(builder, "SequenceLength", "s", "length");
    builder_output(builder, "length", NORMA_INT64, -1, NULL);
    builder_node(builder, "OptionalGetElement", "o", "element");
    builder_output(builder, "element", NORMA_FLOAT, -1, NULL);
    value_info item = {.kind = NORMA_VALUE_TENSOR, .type = NORMA_FLOAT, .shape = {.rank = RANK_UNKNOWN}};
    value_info sequence = {.kind = NORMA_VALUE_SEQUENCE, .shape = {.rank = RANK_UNKNOWN}, .item = &item};
    builder_output_info(builder, "s", &sequence);

    loaded loaded = load(builder, levels[level]);
    set_input(&loaded, "x", NORMA_FLOAT, 1, (int64_t[]){2}, x);
    for (int round = 0; round < 2; round++) {
      run(&loaded, true);
      assert_int_equal(*(int64_t *)norma_value_tensor(norma_session_output(loaded.session, 0))->data, 2);
      assert_floats(norma_session_output(loaded.session, 1), 1, (int64_t[]){2}, x);
      const norma_value *list = norma_session_output(loaded.session, 2);
      assert_int_equal(norma_value_get_kind(list), NORMA_VALUE_SEQUENCE);
      assert_floats(norma_value_element(list, 1), 1, (int64_t[]){2}, x);
      run(&loaded, false);
      assert_int_equal(*(int64_t *)norma_value_tensor(norma_session_output(loaded.session, 0))->data, 0);
      assert_floats(norma_session_output(loaded.session, 1), 1, (int64_t[]){2}, (float[]){-1, -2});
      assert_int_equal(norma_value_count(norma_session_output(loaded.session, 2)), 0);
    }
    unload(&loaded);
    builder_destroy(builder);
  }
}

static void an_output_may_go_unread(void **state) {
  (void)state;
  float x[2] = {1, 2};
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    declare_condition(builder);
    builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){2});
    node *choice = builder_node(builder, "If", "condition", "unread y");
    static const char *const names[2] = {"then_branch", "else_branch"};
    for (int i = 0; i < 2; i++) {
      model_builder *branch = add_branch(builder, choice, names[i], "Abs", "x", "first");
      builder_node(branch, i ? "Neg" : "Identity", "x", "second");
      builder_output(branch, "second", NORMA_UNDEFINED, -1, NULL);
    }
    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    loaded loaded = load(builder, levels[level]);
    set_input(&loaded, "x", NORMA_FLOAT, 1, (int64_t[]){2}, x);
    run(&loaded, false);
    assert_floats(norma_session_output(loaded.session, 0), 1, (int64_t[]){2}, (float[]){-1, -2});
    run(&loaded, true);
    assert_floats(norma_session_output(loaded.session, 0), 1, (int64_t[]){2}, x);
    unload(&loaded);
    builder_destroy(builder);
  }
}

/* An error inside a branch names the node there; the session runs on. */
static void errors_inside_a_branch(void **state) {
  (void)state;
  float x[2] = {1, 2};
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    declare_condition(builder);
    builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){2});
    builder_input(builder, "index", NORMA_INT64, 0, NULL);
    node *choice = builder_node(builder, "If", "condition", "y");
    model_builder *yes = builder_subgraph(builder, choice, "then_branch");
    builder_node(yes, "SequenceConstruct", "x", "list");
    builder_named_node(yes, "picker", "", "SequenceAt", "list index", "picked");
    builder_output(yes, "picked", NORMA_UNDEFINED, -1, NULL);
    add_branch(builder, choice, "else_branch", "Neg", "x", "negative");
    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    loaded loaded = load(builder, levels[level]);
    int64_t index = 1;
    set_input(&loaded, "x", NORMA_FLOAT, 1, (int64_t[]){2}, x);
    set_input(&loaded, "index", NORMA_INT64, 0, NULL, &index);
    for (int round = 0; round < 2; round++) {
      index = 1;
      assert_int_equal(run_with(&loaded, true), NORMA_ERROR_RUN);
      assert_string_equal(loaded.error.node, "picker");
      assert_string_equal(loaded.error.op_type, "SequenceAt");
      assert_non_null(strstr(loaded.error.message, "position 1 is outside a sequence of 1 elements"));
      run(&loaded, false);
      assert_floats(norma_session_output(loaded.session, 0), 1, (int64_t[]){2}, (float[]){-1, -2});
      index = 0;
      run(&loaded, true);
      assert_floats(norma_session_output(loaded.session, 0), 1, (int64_t[]){2}, x);
    }
    unload(&loaded);
    builder_destroy(builder);
  }
}

/* Each branch is for other sizes: only where it is taken must they fit. */
static void sizes_need_not_fit_the_other_branch(void **state) {
  (void)state;
  float x[3] = {1, 2, 3};
  static const char *const names[2] = {"then_branch", "else_branch"};
  FOR_EACH_LEVEL(level) {
    model_builder *builder = builder_create(13);
    declare_condition(builder);
    builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){-1});
    node *choice = builder_node(builder, "If", "condition", "y");
    for (int i = 0; i < 2; i++) {
      model_builder *branch = builder_subgraph(builder, choice, names[i]);
      builder_floats(branch, "w", 1, (int64_t[]){2 + i}, (float[]){1, 10, 100});
      builder_named_node(branch, i ? "three" : "two", "", "MatMul", "x w", "z");
      builder_output(branch, "z", NORMA_FLOAT, -1, NULL);
    }
    builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
    loaded loaded = load(builder, levels[level]);
    for (int count = 2; count <= 3; count++) {
      set_input(&loaded, "x", NORMA_FLOAT, 1, (int64_t[]){count}, x);
      run(&loaded, count == 2);
      assert_floats(norma_session_output(loaded.session, 0), 0, NULL, (float[]){count == 2 ? 21 : 321});
      assert_true(run_with(&loaded, count == 3) != NORMA_OK);
      assert_string_equal(loaded.error.node, count == 3 ? "two" : "three");
    }
    unload(&loaded);
    builder_destroy(builder);
  }
}

static void the_condition_is_a_single_bool(void **state) {
  (void)state;
  float x[3] = {1, 2, 3};
  uint8_t flags[2] = {1, 0};
  model_builder *builder = builder_create(13);
  builder_input(builder, "condition", NORMA_BOOL, -1, NULL);
  builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){3});
  node *choice = builder_node(builder, "If", "condition", "y");
  add_branch(builder, choice, "then_branch", "Neg", "x", "negative");
  add_branch(builder, choice, "else_branch", "Abs", "x", "absolute");
  builder_output(builder, "y", NORMA_FLOAT, -1, NULL);
  loaded loaded = load(builder, NORMA_OPTIMIZE_FULL);
  set_input(&loaded, "x", NORMA_FLOAT, 1, (int64_t[]){3}, x);
  set_input(&loaded, "condition", NORMA_BOOL, 2, (int64_t[]){1, 1}, flags);
  assert_int_equal(norma_session_run(loaded.session, &loaded.error), NORMA_OK);
  set_input(&loaded, "condition", NORMA_BOOL, 1, (int64_t[]){2}, flags);
  assert_int_not_equal(norma_session_run(loaded.session, &loaded.error), NORMA_OK);
  assert_non_null(strstr(loaded.error.message, "condition"));
  set_input(&loaded, "condition", NORMA_BOOL, 1, (int64_t[]){0}, flags);
  assert_int_not_equal(norma_session_run(loaded.session, &loaded.error), NORMA_OK);
  set_input(&loaded, "condition", NORMA_BOOL, 0, NULL, flags);
  assert_int_equal(norma_session_run(loaded.session, &loaded.error), NORMA_OK);
  unload(&loaded);
  builder_destroy(builder);
}

/* --------------------------------------------------------------------------------------------------------- refusals */

static void assert_refused(model_builder *builder, const char *text) {
  FOR_EACH_LEVEL(level) {
    loaded loaded;
    norma_status status = try_load(builder, levels[level], &loaded);
    if (status == NORMA_OK) fail_msg("accepted, though \"%s\" was expected", text);
    if (!strstr(loaded.error.message, text)) {
      fail_msg("expected a message with \"%s\", got \"%s\"", text, loaded.error.message);
    }
    unload(&loaded);
  }
  builder_destroy(builder);
}

static model_builder *begin_refused(node **choice, norma_element_type condition_type, int rank, const int64_t *dims) {
  model_builder *builder = builder_create(16);
  builder_input(builder, "condition", condition_type, rank, dims);
  builder_input(builder, "x", NORMA_FLOAT, 1, (int64_t[]){2});
  *choice = builder_node(builder, "If", "condition", "y");
  builder_output(builder, "y", NORMA_UNDEFINED, -1, NULL);
  return builder;
}

static void refuses_branches_that_do_not_fit(void **state) {
  (void)state;
  node *choice;
  model_builder *builder = begin_refused(&choice, NORMA_BOOL, 0, NULL);
  add_branch(builder, choice, "then_branch", "Neg", "x", "a");
  add_branch(builder, choice, "else_branch", "Shape", "x", "b");
  assert_refused(builder, "float and int64");

  builder = begin_refused(&choice, NORMA_BOOL, 0, NULL);
  add_branch(builder, choice, "then_branch", "Neg", "x", "a");
  add_branch(builder, choice, "else_branch", "SequenceConstruct", "x", "b");
  assert_refused(builder, "a tensor and a sequence");

  builder = begin_refused(&choice, NORMA_BOOL, 0, NULL);
  add_branch(builder, choice, "then_branch", "SequenceConstruct", "x", "a");
  model_builder *no = builder_subgraph(builder, choice, "else_branch");
  builder_node(no, "Shape", "x", "s");
  builder_node(no, "SequenceConstruct", "s", "b");
  builder_output(no, "b", NORMA_UNDEFINED, -1, NULL);
  assert_refused(builder, "float and int64");

  builder = begin_refused(&choice, NORMA_BOOL, 0, NULL);
  add_branch(builder, choice, "then_branch", "Neg", "x", "a");
  no = add_branch(builder, choice, "else_branch", "Neg", "x", "b");
  builder_output(no, "x", NORMA_UNDEFINED, -1, NULL);
  assert_refused(builder, "else_branch has 2 outputs, the node 1");

  builder = begin_refused(&choice, NORMA_BOOL, 0, NULL);
  no = add_branch(builder, choice, "then_branch", "Neg", "x", "a");
  builder_input(no, "argument", NORMA_FLOAT, 0, NULL);
  add_branch(builder, choice, "else_branch", "Neg", "x", "b");
  assert_refused(builder, "then_branch has 1 inputs");

  builder = begin_refused(&choice, NORMA_BOOL, 0, NULL);
  add_branch(builder, choice, "then_branch", "Neg", "x", "a");
  assert_refused(builder, "else_branch");
}

static void refuses_conditions_that_are_no_single_bool(void **state) {
  (void)state;
  node *choice;
  model_builder *builder = begin_refused(&choice, NORMA_BOOL, 1, (int64_t[]){2});
  add_branch(builder, choice, "then_branch", "Neg", "x", "a");
  add_branch(builder, choice, "else_branch", "Abs", "x", "b");
  assert_refused(builder, "the condition has 2 elements");

  builder = begin_refused(&choice, NORMA_INT64, 0, NULL);
  add_branch(builder, choice, "then_branch", "Neg", "x", "a");
  add_branch(builder, choice, "else_branch", "Abs", "x", "b");
  assert_refused(builder, "int64");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(condition_chooses_the_branch),
      cmocka_unit_test(shapes_of_branches_may_differ),
      cmocka_unit_test(ranks_of_branches_may_differ),
      cmocka_unit_test(branches_see_the_graphs_around_them),
      cmocka_unit_test(a_branch_may_give_back_a_value_from_outside),
      cmocka_unit_test(a_known_condition_decides_at_load),
      cmocka_unit_test(branches_may_give_sequences_and_optionals),
      cmocka_unit_test(an_output_may_go_unread),
      cmocka_unit_test(errors_inside_a_branch),
      cmocka_unit_test(sizes_need_not_fit_the_other_branch),
      cmocka_unit_test(the_condition_is_a_single_bool),
      cmocka_unit_test(refuses_branches_that_do_not_fit),
      cmocka_unit_test(refuses_conditions_that_are_no_single_bool),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
